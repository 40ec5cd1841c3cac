"""Images inside Parquet files, as Hugging Face stores them."""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import Int
from PIL import Image

from bandscope.datasets.base import SourceFacts
from bandscope.datasets.decode import decode
from bandscope.datasets.fingerprint import fingerprint
from bandscope.datasets.label_values import place_labels
from bandscope.datasets.names import listed
from bandscope.datasets.parquet_files import FileFacts, read_facts
from bandscope.datasets.parquet_rows import Rows
from bandscope.errors import DataError, ImageError
from bandscope.labels import ClassLabel


class Parquet(SourceFacts):
    """Rows of Parquet files with a column of encoded images and a column of labels, in the order of file names.

    Images are structs with `bytes`, or bytes. Labels are integers or strings; the names of integers come from
    the ClassLabel in Hugging Face's metadata, and are the integers themselves where there is none. Images are read
    by windows of a row group: quick in order, and with bounded memory however large the files are.

    Args:
        pattern: a file, a folder, or a glob (`**` for any depth).
        image: name of the image column.
        label: name of the label column.
        split: keep only files with this word in their name, such as "test" in "data/test-00000-of-00001.parquet".
        spec: what the user wrote.

    Raises:
        DataError: no file fits, a file is not Parquet, lacks a column or has one of another type, an image has no
            label, or the files do not belong together.
    """

    def __init__(
        self,
        pattern: str | os.PathLike[str],
        *,
        image: str = "image",
        label: str = "label",
        split: str = "",
        spec: str = "",
    ) -> None:
        self.spec = spec or f"parquet:{pattern}"
        root, files = _find(os.path.expanduser(os.fspath(pattern)), split)  # noqa: PTH111 - a glob is not a Path
        facts = [read_facts(root, file, image, label) for file in files]
        self._root, self._facts = root, facts
        self.classes, self.labels = _labels(facts)
        self._rows = Rows(tuple(str(root / fact.name) for fact in facts), tuple(fact.groups for fact in facts))
        self.paths = RowNames([fact.name for fact in facts], [len(fact.codes) for fact in facts])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> Image.Image:
        """The decoded image at `position`, at its own resolution and in its own mode."""
        data = self._rows[range(len(self))[position]]
        if data is None:
            raise ImageError("no bytes in its row")
        return decode(data)

    def fingerprint(self) -> str:
        """A hash of classes, labels, and each file's name, size, number of rows and footer."""
        files = (repr((fact.name, fact.size, len(fact.codes), fact.footer)).encode() for fact in self._facts)
        return fingerprint(self.classes, self.labels, files)


class RowNames(Sequence[str]):
    """`file#row` for every row, made when asked for."""

    def __init__(self, files: Sequence[str], rows: Sequence[int]) -> None:
        self._files = files
        self._ends: Int[np.ndarray, " files"] = np.cumsum(rows)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[str]: ...
    def __getitem__(self, position: int | slice) -> str | Sequence[str]:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        row = range(len(self))[position]
        file = int(np.searchsorted(self._ends, row, side="right"))
        return f"{self._files[file]}#{row - (self._ends[file - 1] if file else 0)}"


def _find(pattern: str, split: str) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the files, sorted by their names."""
    given = Path(pattern)
    root = Path(re.split(r"[*?\[]", pattern)[0] + "x").parent  # what comes before the first wildcard
    if given.is_file():
        root, pattern = given.parent, glob.escape(pattern)
    elif given.is_dir():
        root, pattern = given, f"{glob.escape(pattern)}/**/*.parquet"
    files = {path for path in map(Path, glob.glob(pattern, recursive=True)) if path.is_file()}  # noqa: PTH207
    if not files:
        raise DataError(f"No file fits {pattern!r}; expected Parquet files with an image and a label column.")
    return root, _of_split(root, sorted(files, key=lambda file: file.relative_to(root).as_posix()), split)


def _of_split(root: Path, files: list[Path], split: str) -> list[Path]:
    names = [file.relative_to(root).as_posix() for file in files]
    word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(split)}(?![A-Za-z0-9])")
    found = [file for file, name in zip(files, names, strict=True) if not split or word.search(name)]
    if not found:
        raise DataError(f"No file of the split {split!r} in {str(root)!r}; there are {listed(names)}.")
    return found


def _labels(facts: Sequence[FileFacts]) -> tuple[tuple[ClassLabel, ...], Int[np.ndarray, " images"]]:
    """The classes of all files together, and each row's position among them."""
    first = facts[0]
    for fact in facts[1:]:
        if fact.names != first.names or fact.textual != first.textual:
            raise DataError(f"{fact.name!r} and {first.name!r} have different classes; give a glob for one data set.")
    if not sum(len(fact.codes) for fact in facts):
        raise DataError(f"There are no rows in {listed([fact.name for fact in facts])}.")
    values = set().union(*(fact.values for fact in facts))
    classes, place = place_labels(values, first.names, f"files such as {first.name!r}")
    parts = [np.array([place[value] for value in fact.values], np.int32)[fact.codes] for fact in facts]
    return classes, np.concatenate(parts)
