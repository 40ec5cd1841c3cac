"""The store: a cube on disk, written block by block so that a kill at any moment costs at most one block.

A block is a range of images and one Zarr chunk of every array. It counts once its marker, which holds the checksum
of each of its chunk files, has been renamed into place; anything else is computed again. The store itself appears
under its name by one rename, complete with metadata, so no half-made store can be mistaken for a cube.
"""

import errno
import glob
import json
import os
import shutil
import socket
import time
import uuid
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.errors import ZarrUserWarning

from bandscope.cube.schema import (
    ALL_PASS,
    CONDITION_VARIABLES,
    ROOT_VARIABLES,
    SCHEMA_VERSION,
    STATUS,
    VIEW_VARIABLES,
    CubeHeader,
    header_tree,
    measured,
)
from bandscope.errors import StoreError

MARKERS = ".blocks"
HEADER = ".header.json"  # checksums of labels, names and coordinates
STALE = 3600  # seconds after which what was half made belongs to no living process
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RuntimeError)  # what zarr and xarray make of damaged files
Arrays = Mapping[str, NDArray[Any]]


def open_cube(path: str | os.PathLike[str]) -> xr.DataTree:
    """Open a finished or unfinished store as a plain `xarray.DataTree`, lazily.

    Raises:
        StoreError: where there is no bandscope store, a damaged one, or a newer schema than this version knows.
    """
    check_version(Path(path))
    try:
        _check_header(Path(path))
        return xr.open_datatree(path, engine="zarr", chunks=None, consolidated=True)
    except (OSError, *DAMAGE) as error:
        raise StoreError(f"{path} cannot be read as a bandscope store: {error}") from error


def check_version(path: Path) -> None:
    """Refuse what is no store, or one of another schema.

    Raises:
        StoreError: saying what was found.
    """
    metadata = path / "zarr.json"
    if not metadata.is_file():
        raise StoreError(f"{path} is not a bandscope store: it has no zarr.json. `bandscope audit --out` makes one.")
    try:
        version = json.loads(metadata.read_text())["attributes"].get("schema_version")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} cannot be read as a bandscope store: {error}") from error
    if version != SCHEMA_VERSION:
        found = "no schema version" if version is None else f"schema version {version}"
        raise StoreError(f"{path} has {found}; this bandscope reads version {SCHEMA_VERSION}.")


def is_store(path: Path) -> bool:
    """Whether a path holds a bandscope store, of any version, even a damaged one."""
    try:
        attributes = json.loads((path / "zarr.json").read_text())["attributes"]
        return (path / MARKERS).is_dir() or "schema_version" in attributes
    except (OSError, ValueError, KeyError, TypeError):
        return (path / MARKERS).is_dir()


def extending_path(path: Path) -> Path:
    """Where the extended store grows until it is whole."""
    return path.with_name(f".{path.name}.extending")


def retired_path(path: Path) -> Path:
    """Where the old store waits while the extended one takes its place."""
    return path.with_name(f".{path.name}.retired")


def drafts(path: Path) -> list[Path]:
    """Stores beside `path` that a process makes or replaces, or was killed at."""
    return sorted(path.parent.glob(f".{glob.escape(path.name)}.*.partial"))


def marker_file(path: Path, block: int) -> Path:
    """The file whose presence makes a block of the store at `path` count."""
    return path / MARKERS / f"{block:06d}.json"


def read_marker(path: Path, block: int) -> dict[str, Any] | None:
    """A block's marker; None where there is none, or none that can be read.

    Its fields: "crc32", the checksum of each chunk file; since there was a status, also "host", "process" and
    "finished" (UTC): who computed the block, and when.
    """
    try:
        found: dict[str, Any] = json.loads(marker_file(path, block).read_text())
        return found if isinstance(found["crc32"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def chunk_file(path: Path, name: str, block: int, ndim: int) -> Path:
    """The file that holds a block of an array."""
    return path / name / "c" / "/".join([str(block)] + ["0"] * (ndim - 1))


def leftovers(path: Path) -> Iterator[Path]:
    """What a killed process left half written: drafts of markers and of chunks, which count nowhere."""
    for pattern in (f"{MARKERS}/*.draft", "**/*.partial"):
        yield from path.glob(pattern)


def file_checksum(path: Path) -> str | None:
    """A file's CRC-32; None where it cannot be read.

    Not CRC-32C: each chunk ends in its own CRC-32C, and over data and CRC together that is the same for every chunk.
    """
    try:
        return f"{zlib.crc32(path.read_bytes()):08x}"
    except OSError:
        return None


class Store:
    """The one writer of a cube; with `read_only`, a reader of its blocks that leaves every file as it is."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        with _clear_disk_errors(path, "read" if read_only else "written"):
            # Written even where all values equal the fill: a lost chunk must never read as data.
            with zarr.config.set({"array.write_empty_chunks": True}):
                self._group = _opened(path, "r" if read_only else "r+")
                self._arrays = {name: self._array(name) for name in _measured(self._group)}
            _check_header(path)
        self.attributes: dict[str, Any] = dict(self._group.attrs)
        self.block_size: int = self._group["status"].chunks[0]  # type: ignore[union-attr]
        self.images: int = self._group["status"].shape[0]  # type: ignore[union-attr]

    @classmethod
    def create(cls, path: Path, header: CubeHeader, block_size: int, *, replace: bool = False) -> "Store":
        """Make the store under a temporary name beside `path`, then rename it into place.

        With `replace`, what lies at `path` is deleted, but not before the new store is whole and in its place.
        """
        partial, replaced = (path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial") for _ in range(2))
        _sweep(path)
        try:
            with _clear_disk_errors(path), warnings.catch_warnings():
                # Consolidated metadata is not in the v3 specification yet; xarray and zarr both read it.
                warnings.simplefilter("ignore", ZarrUserWarning)
                path.parent.mkdir(parents=True, exist_ok=True)
                header_tree(header).to_zarr(partial, zarr_format=3, consolidated=False, write_inherited_coords=False)
                _create_arrays(partial, header, block_size)
                zarr.consolidate_metadata(partial)
                (partial / MARKERS).mkdir()
                (partial / HEADER).write_text(json.dumps(_header_checksums(partial), indent=1))
                if replace and path.exists():
                    path.rename(replaced)
                partial.rename(path)
        finally:
            if replaced.exists() and not path.exists():  # the last step failed: what was there comes back
                replaced.rename(path)
            for leftover in (partial, replaced):
                shutil.rmtree(leftover, ignore_errors=True)
        return cls(path)

    def _array(self, name: str) -> zarr.Array[Any] | zarr.Group:
        try:
            return self._group[name]
        except KeyError:
            raise StoreError(
                f"{self.path} is damaged, or of an earlier version: it lacks {name}. Start again with --overwrite."
            ) from None

    @property
    def labels(self) -> NDArray[Any]:
        """The model output that is right, for each image."""
        return np.asarray(self._group["label"][:])  # type: ignore[index]

    @property
    def blocks(self) -> range:
        """Numbers of all blocks."""
        return range(-(-self.images // self.block_size))

    def images_of(self, block: int) -> range:
        """Positions of a block's images."""
        return range(block * self.block_size, min(self.images, (block + 1) * self.block_size))

    def write(self, block: int, arrays: Arrays, *, parts: int = 1) -> None:
        """Write every array of a block, `status` last, then its marker; nothing counts before them.

        Args:
            block: its number.
            arrays: all of its arrays by name.
            parts: into how many its batches had to be cut for want of memory; recorded in the marker.
        """
        if missing := set(self._arrays) - set(arrays):
            raise StoreError(f"Block {block} lacks {sorted(missing)[0]}: nothing was written.")
        span = slice(self.images_of(block).start, self.images_of(block).stop)
        with _clear_disk_errors(self.path):
            # Readers go by `status`: no image may be "ok" while any of its other arrays is still missing.
            for name in sorted(self._arrays, key=lambda name: name == STATUS.name):
                self._arrays[name][span] = arrays[name]  # type: ignore[index]
            self._mark(block, parts)

    def read(self, block: int) -> dict[str, NDArray[Any]]:
        """Every measured array of a block."""
        span = slice(self.images_of(block).start, self.images_of(block).stop)
        return {name: np.asarray(array[span]) for name, array in self._arrays.items()}  # type: ignore[index]

    def parts(self, block: int) -> int:
        """Into how many parts the block's batches were cut; 1 where they were not, or where it is not done."""
        parts = (read_marker(self.path, block) or {}).get("parts", 1)
        return parts if isinstance(parts, int) else 1

    def done(self) -> list[int]:
        """Blocks whose marker agrees with the chunk files on disk."""
        return [block for block in self.blocks if self._marker(block) == self._checksums(block)]

    def damaged(self) -> list[int]:
        """Blocks that were written whole and are so no longer: a chunk file is lost or has changed."""
        return [b for b in self.blocks if self._marker(b) not in (None, self._checksums(b))]

    def statuses(self, blocks: Iterable[int]) -> Iterator[tuple[int, str]]:
        """(position, status) of every image of those blocks."""
        for block in blocks:
            span = self.images_of(block)
            values = self._group["status"][span.start : span.stop]  # type: ignore[index]
            yield from zip(span, map(str, np.asarray(values)), strict=True)

    def marked(self) -> int:
        """How many blocks have a marker (not verified): enough for a progress line."""
        return sum(1 for _ in (self.path / MARKERS).glob("*.json"))

    def tidy(self) -> None:
        """Remove what a killed process left half written."""
        for draft in leftovers(self.path):
            draft.unlink(missing_ok=True)

    def _mark(self, block: int, parts: int) -> None:
        marker = marker_file(self.path, block)
        marker.parent.mkdir(exist_ok=True)  # copies of a store may lack hidden folders
        draft = marker.with_suffix(f".{uuid.uuid4().hex[:8]}.draft")
        told = {
            "block": block,
            "host": socket.gethostname(),
            "process": os.getpid(),
            **({"parts": parts} if parts > 1 else {}),
            "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "crc32": self._checksums(block),
        }
        with draft.open("w") as file:
            json.dump(told, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(marker)

    def _marker(self, block: int) -> dict[str, str | None] | None:
        marker = read_marker(self.path, block)
        return marker and marker["crc32"]

    def _checksums(self, block: int) -> dict[str, str | None]:
        return {
            name: file_checksum(chunk_file(self.path, name, block, array.ndim))  # type: ignore[union-attr]
            for name, array in self._arrays.items()
        }


def _header_checksums(path: Path) -> dict[str, str | None]:
    """Of every chunk file of a store that holds no measurement yet."""
    chunks = (file for file in path.rglob("*") if file.is_file() and file.name != "zarr.json")
    return {file.relative_to(path).as_posix(): file_checksum(file) for file in sorted(chunks)}


def _check_header(path: Path) -> None:
    """Labels, names and coordinates belong to no block, and cannot be computed again.

    Raises:
        StoreError: naming the first file that is lost or has changed.
    """
    try:
        known: dict[str, str | None] = json.loads((path / HEADER).read_text())
    except (OSError, ValueError):
        return  # copies of a store may lack hidden folders
    for name, checksum in known.items():
        if file_checksum(path / name) != checksum:
            raise StoreError(
                f"{path} is damaged: {name} is lost or has changed. Start again with --overwrite, or choose another "
                "--out."
            )


def _sweep(path: Path) -> None:
    """Delete what was half made beside `path` long ago."""
    for draft in drafts(path):
        with suppress(OSError):  # others sweep too
            if time.time() - draft.stat().st_mtime > STALE:
                shutil.rmtree(draft)


def _opened(path: Path, mode: Literal["r", "r+"]) -> zarr.Group:
    try:
        return zarr.open_group(path, mode=mode, use_consolidated=True)
    except DAMAGE as error:
        raise StoreError(f"{path} cannot be read as a bandscope store: {error}") from error


def _measured(group: zarr.Group) -> list[str]:
    """Paths of the arrays that blocks fill."""
    groups = sorted(name for name, _ in group.groups())
    views = [f"{ALL_PASS}/{v.name}" for v in VIEW_VARIABLES if ALL_PASS in groups]
    return [v.name for v in ROOT_VARIABLES] + [f"{g}/{v.name}" for g in groups for v in CONDITION_VARIABLES] + views


def _create_arrays(path: Path, header: CubeHeader, block_size: int) -> None:
    """Metadata alone: xarray would write every fill value, and hold it in memory first."""
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    for name, variable, dims, shape in measured(header):
        group.create_array(
            name,
            shape=shape,
            dtype=variable.dtype,
            fill_value=variable.fill,
            chunks=chunks_of(dims, shape, block_size),
            compressors=(ZstdCodec(level=1), Crc32cCodec()),
            dimension_names=dims,
            attributes={"about": variable.about},
        )


def chunks_of(dims: tuple[str, ...], shape: tuple[int, ...], block_size: int) -> tuple[int, ...]:
    """The chunk of an array: a block of images, and all of every other dimension."""
    return tuple(min(block_size, n) if d == "image" else n for d, n in zip(dims, shape, strict=True))


@contextmanager
def _clear_disk_errors(path: Path, doing: str = "written") -> Iterator[None]:
    """Turn the file system's refusals into one sentence that says what is safe and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"The disk that holds {path} is full. Finished blocks are safe: free space and run the same "
                "command again."
            ) from error
        advice = " Choose another --out." if doing == "written" else ""
        raise StoreError(f"{path} cannot be {doing}: {error.strerror or error}.{advice}") from error
