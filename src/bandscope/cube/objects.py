"""A store under a URL: what an object store lacks (renames, locks, folders) is made up for here.

There a put of one object is atomic and lasts, and whoever reads afterwards sees it. So a store is put together file
by file, its `zarr.json` last, and an extension takes its place by being copied under a mark that any later run obeys.
"""

import errno
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from bandscope.cube.place import ABSENT, HEADER, METADATA, Place
from bandscope.errors import BandscopeError, StoreError, first_line

WRITERS = ".writers"  # who is at work
SWAP = ".swap"  # an extension is being copied into its place
READ_ONLY = ("http", "https")
AT_ONCE = 16  # writes
INSTALL = {"s3fs": "'bandscope[remote]'", "gcsfs": "gcsfs", "adlfs": "adlfs", "http": "aiohttp requests"}


class Objects(Place):
    """A store under a URL, through a file system of fsspec; no rename, no folder, no append is asked of it.

    guard: called before anything is written; it raises where another run has taken the store over.
    """

    outputs, swap_mark = Path(), SWAP
    advice = "Finished blocks are safe: run the same command again."

    def __init__(self, url: str, root: str, files: Any, options: Mapping[str, Any]) -> None:
        self.url, self._root, self._files, self._options = url, root, files, options
        self._above, _, self.name = url.rpartition("/")
        self.around = self._above.rpartition("/")[2]
        self.guard: Callable[[], None] = lambda: None

    def __str__(self) -> str:
        return self.url

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Objects) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    def has(self, key: str) -> bool:
        """Whether there is an object of that name."""
        with self.errors():
            self._files.invalidate_cache()
            try:  # fsspec's own `exists` takes every error for a "no"
                return bool(self._files.info(self._at(key))["type"] == "file")
            except ABSENT:
                return False

    def read(self, key: str) -> bytes:
        """Its bytes."""
        with self.errors():
            return bytes(self._files.cat_file(self._at(key)))

    def read_all(self, keys: Iterable[str]) -> Iterator[bytes | None]:
        """Several files, fetched together; None for those that are not there."""
        paths = [self._at(key) for key in keys]
        whole = [None] * len(paths)
        with self.errors():
            for found in self._files.cat_ranges(paths, whole, whole, on_error="return"):
                if isinstance(found, BaseException) and not isinstance(found, ABSENT):
                    raise found
                yield None if isinstance(found, BaseException) else bytes(found)

    def write(self, key: str, data: bytes) -> None:
        """By one request, which object stores carry out as a whole or not at all."""
        self.guard()
        self.put(key, data)

    def put(self, key: str, data: bytes) -> None:
        """Write, whoever has the store."""
        with self.errors():
            self._files.pipe_file(self._at(key), data)

    def create(self, key: str, data: bytes) -> bool:
        """Write a file that is not there yet; whether it was not.

        S3, Google Cloud Storage and Azure let only one of several succeed; other file systems may look first and
        write then.
        """
        with self.errors():
            try:
                self._files.pipe_file(self._at(key), data, mode="create")
            except FileExistsError:
                return False
            except OSError:
                if self.has(key):
                    return False
                raise
        return True

    def remove(self, key: str) -> None:
        """Delete it."""
        self._remove([key])

    def listed(self, folder: str = "") -> list[str]:
        """Every object whose name begins so."""
        if self._readable_only:  # pages may list what is below, or not
            return []
        with self.errors(), suppress(*ABSENT):
            self._files.invalidate_cache()
            found = self._files.find(self._at(folder) if folder else self._root)
            return sorted(path.removeprefix(f"{self._root}/") for path in found if path != self._root)
        return []

    def each(self, names: Iterable[str], write: Callable[[str], None]) -> None:
        """Several at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(write, names):
                pass

    def has_folder(self, folder: str) -> bool:
        """Always: object stores have no folders that could be missing."""
        return True

    def half_written(self) -> list[str]:
        """Nothing: a put that fails leaves nothing."""
        return []

    def exists(self) -> bool:
        """Whether anything is there but leases."""
        if self.has(METADATA):
            return True
        if self._readable_only:
            return False
        with self.errors(), suppress(*ABSENT):
            self._files.invalidate_cache()
            found = [PurePosixPath(path).name for path in self._files.ls(self._root, detail=False)]
            return any(name != WRITERS for name in found)
        return False

    def vacant(self) -> bool:
        """Whether there is nothing, or what a kill has left of a store that was being made or deleted."""
        return not self.has(METADATA) and (self.claimed() or not self.exists())

    def claimed(self) -> bool:
        """By the file that is put first, and removed last."""
        return self.has(HEADER)

    def zarr(self, *, read_only: bool) -> Any:
        """A store of zarr's on a file system of its own: zarr asks asynchronously."""
        from zarr.storage import FsspecStore

        with self.errors():
            return FsspecStore.from_url(self.url, storage_options=dict(self._options), read_only=read_only)

    def resolved(self) -> "Objects":
        """Itself: there are no links."""
        return self

    def target(self) -> "Objects":
        """Itself, unless it can only be read."""
        if self._readable_only:
            raise StoreError(
                f"{self} can be read, but not written; give --out a folder, or s3://, gs:// or the like."
            )
        return self

    def beside(self, name: str) -> "Objects":
        """Under the same prefix, and guarded alike."""
        root = f"{self._root.rpartition('/')[0]}/{name}"
        found = Objects(f"{self._above}/{name}", root, self._files, self._options)
        found.guard = self.guard
        return found

    def drafts(self) -> list[Path]:
        """None: drafts are made on disk."""
        return []

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A temporary folder on disk."""
        with tempfile.TemporaryDirectory(prefix="bandscope-") as folder:
            yield Path(folder) / self.name

    def settle(self, draft: Path, *, replace: bool) -> None:
        """File by file, `zarr.json` last; of several at once one succeeds, where the file system can tell."""
        if not replace and self.has(METADATA):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self.url)
        self.guard()
        self.discard()
        files = {file.relative_to(draft).as_posix(): file.read_bytes() for file in draft.rglob("*") if file.is_file()}
        metadata = files.pop(METADATA)
        self.put(HEADER, files.pop(HEADER))  # first: from here on this is a store half made, which may be deleted
        with self.errors():
            self._files.pipe({self._at(key): data for key, data in files.items()})
        if not self.create(METADATA, metadata):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self.url)

    def swap(self, grown: Place) -> None:
        """By copying; meanwhile there is no store under the old name."""
        self.write(SWAP, b"")
        self.finish_swap(grown)

    def swapping(self) -> bool:
        """Whether the mark of a swap is there."""
        return not self._readable_only and self.has(SWAP)

    def finish_swap(self, grown: Place) -> None:
        """Copy from the start; without its `zarr.json` the grown store has been copied and was being deleted."""
        source = self.beside(grown.name)
        if source.has(METADATA):
            self.guard()
            self.discard()
            held = sorted(source.listed(), key=lambda key: (key == METADATA, key != HEADER))
            for several in (held[:-1], held[-1:]):
                with self.errors():
                    self._files.copy([source._at(key) for key in several], [self._at(key) for key in several])
        source.discard()
        self.remove(SWAP)

    def discard(self) -> None:
        """Delete the store, if it is there: first what makes it one, last what tells that it was one."""
        kept = (f"{WRITERS}/", SWAP, METADATA, HEADER)
        held = self.listed()
        self._remove([METADATA] if METADATA in held else [])
        self._remove([key for key in held if not key.startswith(kept)])
        self._remove([HEADER] if HEADER in held else [])

    @contextmanager
    def errors(self) -> Iterator[None]:
        """The packages behind fsspec have errors of their own."""
        try:
            yield
        except (OSError, BandscopeError):
            raise
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {first_line(error)}") from error

    @property
    def _readable_only(self) -> bool:
        return self.url.startswith(tuple(f"{scheme}://" for scheme in READ_ONLY))

    def _at(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _remove(self, keys: Sequence[str]) -> None:
        if keys:
            with self.errors(), suppress(FileNotFoundError):
                self._files.rm([self._at(key) for key in keys])


def objects_at(url: str, scheme: str, options: Mapping[str, Any]) -> Objects:
    """The place of a URL; `options` go to its file system.

    Raises:
        StoreError: the URL cannot be a store's, or its file system is unknown, or lacks a package.
    """
    url = f"{scheme}://{url.partition('://')[2].rstrip('/')}"
    if re.search(r"[*?\[\]]|::", url):
        raise StoreError(f"{url} is no place for a store: *, ?, [, ] and :: have a meaning in URLs.")
    files, root = _file_system(url, scheme, options)
    if "/" not in root or not PurePosixPath(root).name:
        raise StoreError(f"{url} is no store's own place; give it a name, such as {url}/audit.zarr.")
    return Objects(url, root, files, options)


def _file_system(url: str, scheme: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs
        from fsspec.registry import known_implementations
    except ImportError as error:
        raise StoreError(f"{url} needs a package that is not installed: pip install 'bandscope[remote]'.") from error
    try:
        files, root = url_to_fs(url, **options)
    except ImportError as error:
        package = known_implementations.get(scheme, {}).get("class", "").partition(".")[0]
        install = INSTALL.get("http" if scheme in READ_ONLY else package)
        how = f": pip install {install}" if install else f" ({first_line(error)})"
        raise StoreError(f"{url} needs a package that is not installed{how}.") from error
    except Exception as error:
        raise StoreError(f"{url} cannot be reached: {first_line(error)}.") from error
    return files, str(root).rstrip("/")
