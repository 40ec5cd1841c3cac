"""Class folders of image files."""

import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image

from bandscope.datasets.base import SourceFacts
from bandscope.datasets.decode import decode
from bandscope.datasets.fingerprint import file_entry, fingerprint
from bandscope.datasets.names import class_label, listed
from bandscope.datasets.strings import Strings
from bandscope.errors import DataError

# torchvision's, and the other raster formats of Pillow; a fixed list, so that a folder holds the same images
# whatever Pillow was built with. Pillow's vector, video and document formats are left out.
TORCHVISION = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
OTHERS = (
    ".jpe .jfif .apng .avif .avifs .dib .gif .jp2 .j2k .j2c .jpc .jpf .jpx .pbm .pnm .pfm .pcx .qoi .sgi .tga .ico"
)
EXTENSIONS = (*TORCHVISION, *OTHERS.split())
SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


class Folder(SourceFacts):
    """`DIR/class/**/image`: torchvision's ImageFolder in classes, order and labels.

    Hidden files and folders are left out, links are followed (but not in circles), and broken links are images
    that cannot be decoded. A class folder may be named "n01440764", "n01440764_tench" or "tench".

    Args:
        root: the folder that holds one folder a class.
        allow_empty: whether a class folder may hold no image.
        spec: what the user wrote.

    Raises:
        DataError: `root` is missing, is no folder, holds no class folders or no images, or a class has no image.
    """

    def __init__(self, root: str | os.PathLike[str], *, allow_empty: bool = False, spec: str = "") -> None:
        self.root = Path(root).expanduser()
        self.spec = spec or f"folder:{root}"
        names = _class_folders(self.root)
        _check_not_splits(self.root, names)
        labels = array("i")
        self.paths = Strings(_labelled(self.root, names, labels))
        self.labels: Int[np.ndarray, " images"] = np.array(labels, dtype=np.int32)
        _check_counts(self.root, names, np.bincount(self.labels, minlength=len(names)), allow_empty)
        self.classes = tuple(class_label(name) for name in names)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> Image.Image:
        """The decoded image at `position`, at its own resolution and in its own mode."""
        return decode(self.root / self.paths[position])

    def fingerprint(self) -> str:
        """A hash of classes, labels, relative paths and file sizes."""
        entries = (file_entry(path, f"{self.root}/{path}") for path in self.paths)
        return fingerprint(self.classes, self.labels, entries)


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """What is in a folder, hidden entries left out."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"The folder {str(folder)!r} cannot be read: {error.strerror}.") from error


def _class_folders(root: Path) -> list[str]:
    expected = "expected one folder a class, with image files in each"
    if not root.exists():
        raise DataError(f"The folder {str(root)!r} does not exist; {expected}.")
    if not root.is_dir():
        raise DataError(f"{str(root)!r} is not a folder; {expected}.")
    entries = _entries(root)
    if names := sorted(entry.name for entry in entries if _is_folder(entry)):
        return names
    images = sum(_is_image(entry) for entry in entries)
    held = f"holds {images} images but no class folders" if images else "holds no class folders"
    raise DataError(f"The folder {str(root)!r} {held}; {expected}.")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_image(entry: os.DirEntry[str]) -> bool:
    """By its name; not pipes and devices, which would block; a broken link counts, so that it gets noticed."""
    return entry.name.lower().endswith(EXTENSIONS) and (entry.is_symlink() or entry.is_file())


def _check_not_splits(root: Path, names: list[str]) -> None:
    if SPLITS.issuperset(name.lower() for name in names):
        choices = " or ".join(f"folder:{root}/{name}" for name in names)
        raise DataError(f"The folders in {str(root)!r} are parts of a data set, not classes; give {choices}.")


def _labelled(root: Path, names: list[str], labels: "array[int]") -> Iterator[str]:
    """The images of all classes; the label of each is appended to `labels` on the way."""
    for label, name in enumerate(names):
        for path in _images(root / name, name):
            labels.append(label)
            yield path


def _images(folder: Path, name: str) -> Iterator[str]:
    """Images at any depth, relative to the data set, in torchvision's order: by folder path, then by file name."""
    for path, files in sorted(_walk(str(folder), name, frozenset())):
        for file in files:
            yield f"{path}/{file}"


def _walk(folder: str, name: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, list[str]]]:
    here = _identity(folder)
    if here in above:  # a link back up: its images are listed already
        return
    files, folders = [], []
    for entry in _entries(folder):
        if _is_folder(entry):
            folders.append(entry)
        elif _is_image(entry):
            files.append(entry.name)
    yield name, sorted(files)
    for entry in folders:
        yield from _walk(entry.path, f"{name}/{entry.name}", above | {here})


def _identity(folder: str) -> tuple[int, int]:
    found = os.stat(folder)  # noqa: PTH116
    return found.st_dev, found.st_ino


def _check_counts(root: Path, names: list[str], counts: Int[np.ndarray, " classes"], allow_empty: bool) -> None:
    allowed = ", ".join(TORCHVISION)
    if not counts.any():
        raise DataError(f"No class folder in {str(root)!r} holds an image ({allowed} ...).")
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if empty and not allow_empty:
        raise DataError(
            f"Class folders of {str(root)!r} without an image ({allowed} ...): {listed(empty)}; "
            "remove them, or say ?allow_empty=true."
        )
