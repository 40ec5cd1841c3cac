"""Where a store is: a folder on disk, or what lies under the URL of an object store.

Everything else names a store's files by keys ("low_pass/margin/c/0/0"). Of both kinds of place it may expect that a
file is there whole or not at all. A folder appears and changes under its name by a rename. Object stores have none:
there a store exists as soon as its `zarr.json` does, which is put last, and removed first.
"""

import errno
import glob
import os
import re
import shutil
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from bandscope.errors import StoreError, first_line

METADATA = "zarr.json"  # with the settings; a store is there once this is
HEADER = ".header.json"  # checksums of labels, names and coordinates
MARKERS = ".blocks"
STALE = 3600  # seconds after which what was half made belongs to no living process
URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
COLLAPSED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # what pathlib makes of a URL
LOCAL = ("file", "local")
ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
OTHER = "Choose another --out."


class Place(ABC):
    """A store's files by their keys, and what can be done with the store as a whole.

    name: of the store, such as "audit.zarr".
    around: the name of the folder that it is in.
    outputs: the folder for figures and pages about the store.
    advice: what to do where a block cannot be written.
    swap_mark: what is there, seen from the store, while an extension is put in its place.
    """

    name: str
    around: str
    outputs: Path
    advice: str
    swap_mark: str

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem

    # ---- files

    @abstractmethod
    def has(self, key: str) -> bool:
        """Whether there is a file."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """A file. FileNotFoundError where it is not there, another OSError where it cannot be read."""

    @abstractmethod
    def read_all(self, keys: Iterable[str]) -> Iterator[bytes | None]:
        """Several files; None for those that are not there."""

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """A file that is there whole, and for good, or not at all."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Delete a file, if it is there."""

    @abstractmethod
    def listed(self, folder: str) -> list[str]:
        """Every file in a folder and below; none where that is not there, or cannot be listed (http)."""

    @abstractmethod
    def each(self, names: Iterable[str], write: Callable[[str], None]) -> None:
        """Write what has those names: several at once where waiting takes longer than working."""

    @abstractmethod
    def has_folder(self, folder: str) -> bool:
        """Whether files may be in a folder."""

    @abstractmethod
    def half_written(self) -> list[str]:
        """What a killed process left half written, which counts nowhere."""

    # ---- the store

    @abstractmethod
    def exists(self) -> bool:
        """Whether anything is there."""

    @abstractmethod
    def vacant(self) -> bool:
        """Whether a store can be made there without replacing anything."""

    @abstractmethod
    def claimed(self) -> bool:
        """Whether it bears the signs of a store, even where its `zarr.json` is lost."""

    @abstractmethod
    def zarr(self, *, read_only: bool) -> Any:
        """What zarr and xarray open."""

    @abstractmethod
    def resolved(self) -> "Place":
        """The place itself, where this is a link to it."""

    @abstractmethod
    def target(self) -> "Place":
        """The place to write to: what this is a link to.

        Raises:
            StoreError: it can only be read.
        """

    @abstractmethod
    def beside(self, name: str) -> "Place":
        """A place of another name, next to this one."""

    @abstractmethod
    def drafts(self) -> list[Path]:
        """Stores that a process makes or replaces here, or was killed at."""

    @abstractmethod
    def draft(self) -> AbstractContextManager[Path]:
        """A context with a local folder, not there yet, where a store can be made; what is left of it is deleted."""

    @abstractmethod
    def settle(self, draft: Path, *, replace: bool) -> None:
        """Put a finished draft here. With `replace`, what is here is deleted, but not before the draft is whole."""

    @abstractmethod
    def swap(self, grown: "Place") -> None:
        """Put a finished store in the place of this one; `finish_swap` goes on with what a kill has cut short."""

    @abstractmethod
    def swapping(self) -> bool:
        """Whether a swap was begun and not finished."""

    @abstractmethod
    def finish_swap(self, grown: "Place") -> None:
        """Finish a swap that was begun."""

    @abstractmethod
    def discard(self) -> None:
        """Delete the store, if it is there."""

    @abstractmethod
    def errors(self) -> AbstractContextManager[None]:
        """A context in which libraries' own errors become OSErrors."""


Where = str | os.PathLike[str] | Place


def place_of(where: Where, options: Mapping[str, Any] | None = None) -> Place:
    """The place of a path or URL.

    Args:
        where: a path, or a URL of a file system that fsspec knows; file:// is a path.
        options: what fsspec takes for that file system, beside its own configuration.

    Raises:
        StoreError: it cannot be a store's, or the package for its file system is missing.
    """
    if isinstance(where, Place):
        return where
    text = os.fspath(where)
    found = URL.fullmatch(text)
    if found and found[1] not in LOCAL:
        from bandscope.cube.objects import objects_at

        return objects_at(text, found[1], options or {})
    if not isinstance(where, str) and COLLAPSED.match(text):
        raise StoreError(f"{text} is a URL made into a path, which loses a slash; give it as text.")
    if options:
        raise StoreError(f"{text} is on disk and takes no storage options ({', '.join(options)}).")
    return Folder(Path(found[2] if found else where))


def growing(place: Place) -> Place:
    """Where the extended store grows until it is whole."""
    return place.beside(f".{place.name}.extending")


@contextmanager
def clear_errors(place: Place, doing: str = "written", advice: str = OTHER) -> Iterator[None]:
    """Turn refusals of the file system into one sentence that says what is safe and what to do."""
    try:
        with place.errors():
            yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"The disk that holds {place} is full. Finished blocks are safe: free space and run the same "
                "command again."
            ) from error
        advice = f" {advice}" if doing == "written" else ""
        reason = error.strerror or first_line(error)
        raise StoreError(f"{place} cannot be {doing}: {reason}.{advice}") from error


# ---- on disk


class Folder(Place):
    """A store on disk."""

    advice = OTHER

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.outputs = path, path.name, path.parent
        self.around, self.swap_mark = path.absolute().parent.name, f"../.{path.name}.retired"

    def __str__(self) -> str:
        return str(self.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folder) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def has(self, key: str) -> bool:
        """Whether it is a file."""
        return (self.path / key).is_file()

    def read(self, key: str) -> bytes:
        """Its bytes."""
        return (self.path / key).read_bytes()

    def read_all(self, keys: Iterable[str]) -> Iterator[bytes | None]:
        """Several files; None for those that cannot be read."""
        for key in keys:
            try:
                yield self.read(key)
            except OSError:
                yield None

    def write(self, key: str, data: bytes) -> None:
        """Through a draft, which is on the disk before it is renamed."""
        file = self.path / key
        file.parent.mkdir(exist_ok=True)  # copies of a store may lack hidden folders
        draft = file.with_suffix(f".{uuid.uuid4().hex[:8]}.draft")
        with draft.open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)

    def remove(self, key: str) -> None:
        """Unlink it."""
        (self.path / key).unlink(missing_ok=True)

    def listed(self, folder: str) -> list[str]:
        """Every file below."""
        return self._found(f"{folder}/**/*")

    def each(self, names: Iterable[str], write: Callable[[str], None]) -> None:
        """One after the other."""
        for name in names:
            write(name)

    def has_folder(self, folder: str) -> bool:
        """Whether the folder is there: copies of a store may lack hidden ones."""
        return (self.path / folder).is_dir()

    def half_written(self) -> list[str]:
        """Drafts of markers and of chunks."""
        return self._found(f"{MARKERS}/*.draft", "**/*.partial")

    def _found(self, *patterns: str) -> list[str]:
        files = (file for pattern in patterns for file in self.path.glob(pattern) if file.is_file())
        return sorted(file.relative_to(self.path).as_posix() for file in files)

    def exists(self) -> bool:
        """Whether the path is there."""
        return self.path.exists()

    def vacant(self) -> bool:
        """Whether the path is not there."""
        return not self.path.exists()

    def claimed(self) -> bool:
        """By the folder of markers."""
        return self.has_folder(MARKERS)

    def zarr(self, *, read_only: bool) -> Path:
        """The folder."""
        return self.path

    def resolved(self) -> "Folder":
        """Without symbolic links."""
        return Folder(self.path.resolve())

    def target(self) -> "Folder":
        """What is replaced is the store, not the link."""
        return self.resolved() if self.path.is_symlink() else self

    def beside(self, name: str) -> "Folder":
        """In the same folder."""
        return Folder(self.path.with_name(name))

    def drafts(self) -> list[Path]:
        """Beside the store."""
        return sorted(self.path.parent.glob(f".{glob.escape(self.name)}.*.partial"))

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A folder beside the store."""
        draft = self._partial()
        self._sweep()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def settle(self, draft: Path, *, replace: bool) -> None:
        """By a rename."""
        replaced = self._partial()
        try:
            if replace and self.path.exists():
                self.path.rename(replaced)
            draft.rename(self.path)
        finally:
            if replaced.exists() and not self.path.exists():  # the last step failed: what was there comes back
                replaced.rename(self.path)
            shutil.rmtree(replaced, ignore_errors=True)

    def swap(self, grown: Place) -> None:
        """By two renames; meanwhile the old store waits beside."""
        retired = self._retired()
        shutil.rmtree(retired, ignore_errors=True)
        self.path.rename(retired)
        self.beside(grown.name).path.rename(self.path)
        shutil.rmtree(retired, ignore_errors=True)

    def swapping(self) -> bool:
        """Whether an old store waits."""
        return self._retired().exists()

    def finish_swap(self, grown: Place) -> None:
        """The grown store where it is there, else the old one."""
        if not self.path.exists():
            found = self.beside(grown.name).path
            (found if found.exists() else self._retired()).rename(self.path)
        shutil.rmtree(self._retired(), ignore_errors=True)

    def discard(self) -> None:
        """With all that is in the folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def errors(self) -> AbstractContextManager[None]:
        """Nothing but OSErrors comes from disks."""
        return nullcontext()

    def _partial(self) -> Path:
        return self.path.with_name(f".{self.name}.{uuid.uuid4().hex[:8]}.partial")

    def _retired(self) -> Path:
        return self.path.with_name(f".{self.name}.retired")

    def _sweep(self) -> None:
        """Delete what was half made here long ago."""
        for draft in self.drafts():
            with suppress(OSError):  # others sweep too
                if time.time() - draft.stat().st_mtime > STALE:
                    shutil.rmtree(draft)
