"""Data sets of the Hugging Face datasets library: from its hub, a folder that it can read, or one that it saved."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int
from PIL import Image

from bandscope.datasets.base import SourceFacts
from bandscope.datasets.decode import decode
from bandscope.datasets.fingerprint import fingerprint
from bandscope.datasets.label_values import place_labels
from bandscope.datasets.spec import SPEC
from bandscope.datasets.strings import Strings
from bandscope.errors import DataError, ImageError, nearest
from bandscope.labels import ClassLabel

try:
    import datasets
except ImportError as error:
    raise DataError("Hugging Face data sets need datasets: pip install 'bandscope[hf]'") from error

from bandscope.datasets.hf_files import open_split

SAMPLED = 64  # images whose bytes stand for the rest in the fingerprint; of the others it holds the sizes
ROWS = 1000  # looked at at once
LABELS = ("label", "labels")  # columns without names of classes are used only if they are called so


class HuggingFace(SourceFacts):
    """Rows of a data set with a column of images and a column of labels.

    The columns are found by their types, `Image` and `ClassLabel`; where several have one, say which. Images are
    decoded by bandscope, so that a damaged one is recorded and the audit goes on. Nothing is downloaded but the data
    set that a hub id names.

    Args:
        name: an id of the hub, a folder that datasets can read, or one made by `save_to_disk`.
        split: which part; by default its test or validation part, or the only one. `spec` then says which.
        config: which configuration, where the set has several.
        image: name of the image column.
        label: name of the label column: a ClassLabel, or plain integers or strings.
        revision: of a hub's data set: a branch, a tag or a commit.
        spec: what the user wrote.

    Raises:
        InputError: a split or configuration is unknown or missing.
        DataError: there is no such data set, the hub cannot be reached, or no or several columns could be meant.
    """

    def __init__(
        self,
        name: str | os.PathLike[str],
        *,
        split: str = "",
        config: str = "",
        image: str = "",
        label: str = "",
        revision: str = "",
        spec: str = "",
    ) -> None:
        text = spec or f"hf:{name}"
        found, part = open_split(os.fspath(name), split, config, revision, text)
        self.spec = text if split or not part else _with_split(text, part)
        self._column = _image_column(found.features, image, self.spec)
        self.classes, self.labels = _labels(found, _label_column(found.features, label, self.spec), self.spec)
        self._images = _raw(found, self._column)
        self._root = Path(name).expanduser().resolve()  # as datasets does with the paths of images
        self.paths: Sequence[str] = Strings(self._paths())

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> Image.Image:
        """The decoded image at `position`, at its own resolution and in its own mode."""
        return decode(self._encoded(range(len(self))[position]))

    def fingerprint(self) -> str:
        """A hash of classes, labels, each image's path and size, and the bytes of some images."""
        return fingerprint(self.classes, self.labels, self._contents())

    def _encoded(self, position: int) -> bytes | Path:
        """The bytes of an image, or the file that holds them."""
        try:
            row = self._images[position][self._column]
        except (pa.ArrowException, OSError) as error:
            raise ImageError(f"its row cannot be read: {' '.join(str(error).split())[:80]}") from error
        if isinstance(row, bytes):
            return row
        if row is None or (row["bytes"] is None and not row["path"]):
            raise ImageError("no bytes in its row")
        return Path(row["path"]) if row["bytes"] is None else bytes(row["bytes"])

    def _paths(self) -> Iterator[str]:
        """The file of each image below the folder that was named, or else its row."""
        for start, images in self._batches():
            files = images.field("path").to_pylist() if pa.types.is_struct(images.type) else [None] * len(images)
            held = images.field("bytes").is_valid().to_pylist() if pa.types.is_struct(images.type) else files
            for row, (file, inside) in enumerate(zip(files, held, strict=True), start):
                below = file is not None and not inside and Path(file).is_relative_to(self._root)
                yield Path(file).relative_to(self._root).as_posix() if below else f"#{row}"

    def _contents(self) -> Iterator[bytes]:
        for start, images in self._batches():
            struct = pa.types.is_struct(images.type)
            sizes = pc.binary_length(images.field("bytes") if struct else images).to_pylist()
            for row, size in enumerate(sizes, start):
                yield f"{self.paths[row]}\0{self._size(row) if size is None else size}\n".encode()
        for row in np.unique(np.linspace(0, len(self) - 1, SAMPLED).astype(int)).tolist():
            yield self._bytes(row)

    def _size(self, row: int) -> int:
        """In bytes, of an image that is a file; -1 where there is none."""
        try:
            encoded = self._encoded(row)
            return encoded.stat().st_size if isinstance(encoded, Path) else len(encoded)
        except (ImageError, OSError):
            return -1

    def _bytes(self, row: int) -> bytes:
        try:
            encoded = self._encoded(row)
            return encoded.read_bytes() if isinstance(encoded, Path) else encoded
        except (ImageError, OSError):
            return b""

    def _batches(self) -> Iterator[tuple[int, pa.Array]]:
        """The image column piece by piece, each with the row it starts at."""
        start = 0
        for table in self._images.with_format("arrow").iter(ROWS):
            column = table.column(self._column).combine_chunks()
            yield start, column
            start += len(column)


def _with_split(text: str, part: str) -> str:
    written = SPEC.fullmatch(text)
    return f"{text}{'&' if written and written['options'] else '?'}split={part}"


def _raw(found: Any, column: str) -> Any:
    """The image column alone, its images as bytes and not decoded."""
    images = found.select_columns([column])
    if isinstance(found.features[column], datasets.Image):
        images = images.cast_column(column, datasets.Image(decode=False))
    return images.with_format(None)


def _image_column(features: Any, wanted: str, spec: str) -> str:
    """The column of images: the one that is asked for, or the only one.

    Raises:
        DataError: there is none, or several, or it holds something else.
    """
    if wanted:
        feature = _feature(features, wanted, "image", spec)
        if isinstance(feature, datasets.Image) or getattr(feature, "dtype", "") in ("binary", "large_binary"):
            return wanted
        raise DataError(f"Column {wanted!r} of {spec!r} is {_shown(feature)}; expected an Image, or bytes.")
    return _only(
        [name for name, feature in features.items() if isinstance(feature, datasets.Image)], features, "image", spec
    )


def _label_column(features: Any, wanted: str, spec: str) -> str:
    """The column of labels: the one that is asked for, the only ClassLabel, or one that is called so.

    Raises:
        DataError: there is none, or several, or it holds something else.
    """
    if wanted:
        feature = _feature(features, wanted, "label", spec)
        if _is_label(feature):
            return wanted
        raise DataError(
            f"Column {wanted!r} of {spec!r} is {_shown(feature)}; expected a ClassLabel, integers or strings."
        )
    named = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    plain = [name for name in LABELS if name in features and _is_label(features[name])]
    return _only(named or plain, features, "label", spec)


def _only(found: Sequence[str], features: Any, role: str, spec: str) -> str:
    if len(found) == 1:
        return found[0]
    columns = ", ".join(f"{name} ({_shown(feature)})" for name, feature in features.items())
    several = (
        f"several columns could be the {role}: {', '.join(found)}" if found else f"no column is surely the {role}"
    )
    raise DataError(f"In {spec!r} {several}. Say which: ?{role}=NAME; its columns are {columns}.")


def _feature(features: Any, name: str, role: str, spec: str) -> Any:
    if name not in features:
        raise DataError(
            f"{spec!r} has no column {name!r}; its columns are {', '.join(features)}. Say which one: ?{role}=NAME."
            f"{nearest(name, features)}"
        )
    return features[name]


def _is_label(feature: Any) -> bool:
    kind = getattr(feature, "dtype", "")
    return isinstance(feature, datasets.ClassLabel | datasets.Value) and (
        kind in ("string", "large_string") or kind.startswith(("int", "uint"))
    )


def _shown(feature: Any) -> str:
    kind = type(feature).__name__
    return f"{kind} of {feature.dtype}" if isinstance(feature, datasets.Value) else kind


def _labels(found: Any, column: str, spec: str) -> tuple[tuple[ClassLabel, ...], Int[np.ndarray, " images"]]:
    """The classes, and for each row its position among them."""
    stored = found.select_columns([column]).with_format("arrow")[:].column(column)
    if stored.null_count:
        raise DataError(f"Column {column!r} of {spec!r} lacks {stored.null_count} of its {len(stored)} labels.")
    encoded = stored.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    values = encoded.dictionary.to_pylist()
    feature = found.features[column]
    names = feature.names if isinstance(feature, datasets.ClassLabel) else ()
    classes, place = place_labels(values, names, f"column {column!r} of {spec!r}")
    return classes, np.array([place[value] for value in values], np.int32)[encoded.indices.to_numpy()]
