"""Images in the tar shards of WebDataset, read by position."""

import glob
import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image

from bandscope.datasets.base import SourceFacts
from bandscope.datasets.decode import decode
from bandscope.datasets.fingerprint import fingerprint
from bandscope.datasets.label_values import place_labels
from bandscope.datasets.names import listed
from bandscope.datasets.strings import Strings
from bandscope.errors import DataError, ImageError, InputError, first_line
from bandscope.labels import ClassLabel

try:
    from webdataset.shardlists import expand_urls
except ImportError as error:
    raise DataError("WebDataset shards need webdataset: pip install 'bandscope[wds]'") from error

from bandscope.datasets.wds_shards import Sample, read_shard

EXPECTED = "expected tar files, such as data/train-{000..127}.tar"


class Shards(SourceFacts):
    """`SHARD.tar#KEY.jpg`: images of tar files in which members of one key, `KEY.jpg` and `KEY.cls`, are a sample.

    Tars are read once, headers and labels alone, for the place of each image in them; an image is then one read from
    there, from any thread. Labels are whole numbers or texts: in `KEY.cls`, or under a key of `KEY.json`.

    Args:
        pattern: a tar, with braces ("{000..127}") and wildcards; shards stay in this order.
        image: the extension of images; by default whichever of jpg, jpeg, png and webp a sample has.
        label: the extension of labels, or a key of the .json; by default .cls, or else "label" of the .json.
        classes: a text file with the name of a class on each line, from class 0 on, or of those that texts name.
        spec: what the user wrote.

    Raises:
        InputError: `pattern` is malformed or remote.
        DataError: a shard is missing, truncated, damaged or compressed, an image has no label, a key occurs twice, or
            a label has no name.
    """

    def __init__(
        self, pattern: str | os.PathLike[str], *, image: str = "", label: str = "", classes: str = "", spec: str = ""
    ) -> None:
        self.spec = spec or f"wds:{pattern}"
        self._shards = _find(os.path.expanduser(os.fspath(pattern)))  # noqa: PTH111 - a pattern is not a Path
        self._names = _relative(self._shards)
        self._shard, self._offset, self._size = array("l"), array("q"), array("q")
        values: list[int | str] = []
        self.paths = Strings(self._index(image, label, values))
        self.classes, self.labels = _labels(values, classes, self.spec)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> Image.Image:
        """The decoded image at `position`, at its own resolution and in its own mode."""
        at = range(len(self))[position]
        try:
            with open(self._shards[self._shard[at]], "rb", buffering=0) as file:  # noqa: PTH123 - quicker
                file.seek(self._offset[at])
                data = file.read(self._size[at])
        except OSError as error:
            raise ImageError(f"its shard cannot be read: {error.strerror or error}") from error
        if len(data) < self._size[at]:
            raise ImageError("its shard has become shorter")
        return decode(data)

    def fingerprint(self) -> str:
        """A hash of classes, labels, and the names and sizes of shards and images."""
        shards = (f"{name}\0{os.stat(path).st_size}\n" for name, path in zip(self._names, self._shards, strict=True))  # noqa: PTH116
        images = (f"{path}\0{size}\n" for path, size in zip(self.paths, self._size, strict=True))
        return fingerprint(self.classes, self.labels, (text.encode() for texts in (shards, images) for text in texts))

    def _index(self, image: str, label: str, values: list[int | str]) -> Iterator[str]:
        """The path of each image; its place and its label are kept on the way."""
        for number, (name, shard) in enumerate(zip(self._names, self._shards, strict=True)):
            for sample in read_shard(Path(shard), image.lower(), label):
                self._keep(number, sample)
                values.append(sample.label)
                yield f"{name}#{sample.image.name}"

    def _keep(self, shard: int, sample: Sample) -> None:
        self._shard.append(shard)
        self._offset.append(sample.image.offset)
        self._size.append(sample.image.size)


def _find(pattern: str) -> list[str]:
    """The shards, in the order of braces, and by name where a wildcard stands for several."""
    if "://" in pattern or pattern.startswith("pipe:"):
        raise InputError(f"'wds:{pattern}' is remote; {EXPECTED} on this machine.")
    try:
        parts = expand_urls(pattern)
    except ValueError as error:
        raise InputError(f"The braces of 'wds:{pattern}' cannot be expanded: {first_line(error)}.") from error
    found = {part: [part] if Path(part).is_file() else sorted(glob.glob(part, recursive=True)) for part in parts}  # noqa: PTH207
    if missing := [part for part, files in found.items() if not any(map(os.path.isfile, files))]:
        raise DataError(f"No shard fits {listed(missing)}; {EXPECTED}.")
    return list(dict.fromkeys(file for files in found.values() for file in files if Path(file).is_file()))


def _relative(shards: Sequence[str]) -> list[str]:
    """The shards' names, relative to the folder that holds them all."""
    root = os.path.commonpath([os.path.dirname(os.path.abspath(shard)) for shard in shards])  # noqa: PTH100, PTH120
    return [Path(shard).absolute().relative_to(root).as_posix() for shard in shards]


def _labels(
    values: list[int | str], file: str, spec: str
) -> tuple[tuple[ClassLabel, ...], Int[np.ndarray, " images"]]:
    """The classes, and for each image its position among them."""
    if not values:
        raise DataError(f"The shards of {spec!r} hold no images.")
    distinct = set(values)
    if len(kinds := {type(value) for value in distinct}) > 1:
        some = [
            str(next(value for value in values if isinstance(value, kind))) for kind in (int, str) if kind in kinds
        ]
        raise DataError(f"Some labels of {spec!r} are numbers and some are texts, such as {listed(some)}.")
    classes, place = place_labels(distinct, _class_names(file) if file else (), repr(spec))
    return classes, np.array([place[value] for value in values], np.int32)


def _class_names(file: str) -> tuple[str, ...]:
    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The classes in {file!r} cannot be read: {error}.") from error
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise DataError(f"{file!r} must name one class a line{'; one is empty' if names else ''}.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{file!r} names {listed(twice)} twice.")
    return tuple(names)
