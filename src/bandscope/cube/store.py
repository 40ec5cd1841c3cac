"""The store: a cube written block by block, so that a kill at any moment costs at most one block.

A block is a range of images and one Zarr chunk of every array. It counts once its marker, which holds the checksum
of each of its chunk files, is there; anything else is computed again. The store itself appears under its name
complete with metadata, so no half-made store can be mistaken for a cube. How files are written whole, and how a store
appears at once, is the business of `bandscope.cube.place`.
"""

import json
import os
import socket
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.errors import ZarrUserWarning

from bandscope.cube.place import ABSENT, HEADER, MARKERS, METADATA, Folder, Place, Where, clear_errors, place_of
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
from bandscope.errors import StoreError, first_line

DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RuntimeError)  # what zarr and xarray make of damaged files
Arrays = Mapping[str, NDArray[Any]]


def open_cube(path: Where, storage_options: Mapping[str, Any] | None = None) -> xr.DataTree:
    """Open a finished or unfinished store as a plain `xarray.DataTree`, lazily.

    Args:
        path: of a folder, or a URL that fsspec knows, such as "s3://bucket/audit.zarr".
        storage_options: what fsspec takes for that file system, beside its own configuration.

    Raises:
        StoreError: where there is no bandscope store, a damaged one, or a newer schema than this version knows.
    """
    place = place_of(path, storage_options)
    check_version(place)
    try:
        with place.errors():
            _check_header(place)
            return xr.open_datatree(place.zarr(read_only=True), engine="zarr", chunks=None, consolidated=True)
    except (OSError, *DAMAGE) as error:
        raise StoreError(f"{place} cannot be read as a bandscope store: {error}") from error


def check_version(place: Place) -> None:
    """Refuse what is no store, or one of another schema.

    Raises:
        StoreError: saying what was found.
    """
    try:
        version = json.loads(place.read(METADATA))["attributes"].get("schema_version")
    except ABSENT as error:
        raise StoreError(_missing(place, error)) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{place} cannot be read as a bandscope store: {error}") from error
    if version != SCHEMA_VERSION:
        found = "no schema version" if version is None else f"schema version {version}"
        raise StoreError(f"{place} has {found}; this bandscope reads version {SCHEMA_VERSION}.")


def is_store(place: Place) -> bool:
    """Whether a bandscope store is there, of any version, even a damaged one."""
    try:
        return place.claimed() or "schema_version" in json.loads(place.read(METADATA))["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def marker_key(block: int) -> str:
    """The file whose presence makes a block count."""
    return f"{MARKERS}/{block:06d}.json"


def read_markers(place: Place, blocks: Sequence[int]) -> Iterator[dict[str, Any] | None]:
    """The markers of those blocks; None where there is none, or none that can be read.

    Their fields: "crc32", the checksum of each chunk file; since there was a status, also "host", "process" and
    "finished" (UTC): who computed the block, and when.
    """
    for text in place.read_all(map(marker_key, blocks)):
        try:
            found: dict[str, Any] = json.loads(text or "")
            yield found if isinstance(found["crc32"], dict) else None
        except (ValueError, KeyError, TypeError):
            yield None


def read_marker(place: Place, block: int) -> dict[str, Any] | None:
    """The marker of one block."""
    return next(read_markers(place, [block]))


def chunk_key(name: str, block: int, ndim: int) -> str:
    """The file that holds a block of an array."""
    return f"{name}/c/" + "/".join([str(block)] + ["0"] * (ndim - 1))


def checksums(place: Place, keys: Sequence[str]) -> list[str | None]:
    """The CRC-32 of each file; None where it cannot be read.

    Not CRC-32C: each chunk ends in its own CRC-32C, and over data and CRC together that is the same for every chunk.
    """
    return [None if data is None else f"{zlib.crc32(data):08x}" for data in place.read_all(keys)]


class Store:
    """The one writer of a cube; with `read_only`, a reader of its blocks that leaves every file as it is."""

    def __init__(self, path: Where, *, read_only: bool = False) -> None:
        self.place = place_of(path)
        with clear_errors(self.place, "read" if read_only else "written"):
            # Written even where all values equal the fill: a lost chunk must never read as data.
            with zarr.config.set({"array.write_empty_chunks": True}):
                self._group = _opened(self.place, "r" if read_only else "r+")
                self._arrays = {name: self._array(name) for name in _measured(self._group)}
            _check_header(self.place)
        self.attributes: dict[str, Any] = dict(self._group.attrs)
        self.block_size: int = self._group["status"].chunks[0]  # type: ignore[union-attr]
        self.images: int = self._group["status"].shape[0]  # type: ignore[union-attr]

    @classmethod
    def create(cls, path: Where, header: CubeHeader, block_size: int, *, replace: bool = False) -> "Store":
        """Make the store elsewhere, then put it into place.

        With `replace`, what is there is deleted, but not before the new store is whole.
        """
        place = place_of(path)
        with clear_errors(place), warnings.catch_warnings(), place.draft() as draft:
            # Consolidated metadata is not in the v3 specification yet; xarray and zarr both read it.
            warnings.simplefilter("ignore", ZarrUserWarning)
            header_tree(header).to_zarr(draft, zarr_format=3, consolidated=False, write_inherited_coords=False)
            _create_arrays(draft, header, block_size)
            zarr.consolidate_metadata(draft)
            (draft / MARKERS).mkdir()
            (draft / HEADER).write_text(json.dumps(_header_checksums(draft), indent=1))
            place.settle(draft, replace=replace)
        return cls(place)

    def _array(self, name: str) -> zarr.Array[Any] | zarr.Group:
        try:
            return self._group[name]
        except KeyError:
            raise StoreError(
                f"{self.place} is damaged, or of an earlier version: it lacks {name}. Start again with --overwrite."
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
        with clear_errors(self.place, advice=self.place.advice):
            # Readers go by `status`: no image may be "ok" while any of its other arrays is still missing.
            others = [name for name in self._arrays if name != STATUS.name]
            for names in (others, [STATUS.name]):
                self.place.each(names, lambda name: self._put(name, span, arrays[name]))
            self._mark(block, parts)

    def _put(self, name: str, span: slice, values: NDArray[Any]) -> None:
        self._arrays[name][span] = values  # type: ignore[index]

    def read(self, block: int) -> dict[str, NDArray[Any]]:
        """Every measured array of a block."""
        span = slice(self.images_of(block).start, self.images_of(block).stop)
        with clear_errors(self.place, "read"):
            return {name: np.asarray(array[span]) for name, array in self._arrays.items()}  # type: ignore[index]

    def parts(self, block: int) -> int:
        """Into how many parts the block's batches were cut; 1 where they were not, or where it is not done."""
        with clear_errors(self.place, "read"):
            parts = (read_marker(self.place, block) or {}).get("parts", 1)
        return parts if isinstance(parts, int) else 1

    def done(self) -> list[int]:
        """Blocks whose marker agrees with the chunk files that are there."""
        with clear_errors(self.place, "read"):
            return [block for block, known in self._marked() if known == self._checksums(block)]

    def damaged(self) -> list[int]:
        """Blocks that were written whole and are so no longer: a chunk file is lost or has changed."""
        with clear_errors(self.place, "read"):
            return [block for block, known in self._marked() if known != self._checksums(block)]

    def statuses(self, blocks: Iterable[int]) -> Iterator[tuple[int, str]]:
        """(position, status) of every image of those blocks."""
        for block in blocks:
            span = self.images_of(block)
            with clear_errors(self.place, "read"):
                values = self._group["status"][span.start : span.stop]  # type: ignore[index]
            yield from zip(span, map(str, np.asarray(values)), strict=True)

    def marked(self) -> int:
        """How many blocks have a marker, which may not even be readable."""
        return len({*self.place.listed(MARKERS)}.intersection(map(marker_key, self.blocks)))

    def tidy(self) -> None:
        """Remove what a killed process left half written."""
        for key in self.place.half_written():
            self.place.remove(key)

    def _mark(self, block: int, parts: int) -> None:
        told = {
            "block": block,
            "host": socket.gethostname(),
            "process": os.getpid(),
            **({"parts": parts} if parts > 1 else {}),
            "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "crc32": self._checksums(block),
        }
        self.place.write(marker_key(block), json.dumps(told, indent=1).encode())

    def _marked(self) -> Iterator[tuple[int, dict[str, str | None]]]:
        """Every block with a marker, and the checksums in it."""
        for block, marker in zip(self.blocks, read_markers(self.place, self.blocks), strict=True):
            if marker:
                yield block, marker["crc32"]

    def _checksums(self, block: int) -> dict[str, str | None]:
        keys = [chunk_key(name, block, array.ndim) for name, array in self._arrays.items()]  # type: ignore[union-attr]
        return dict(zip(self._arrays, checksums(self.place, keys), strict=True))


def _missing(place: Place, error: OSError) -> str:
    if place.swapping():
        return (
            f"{place} has no {METADATA}, because an extension is being put in its place. If no run is at it, the "
            "same audit command finishes that."
        )
    reason = first_line(error)  # such as that there is no such bucket
    more = "" if METADATA in reason else f" ({reason})"
    return f"{place} is not a bandscope store: it has no {METADATA}{more}. `bandscope audit --out` makes one."


def _header_checksums(draft: Path) -> dict[str, str | None]:
    """Of every chunk file of a store that holds no measurement yet."""
    chunks = (file for file in draft.rglob("*") if file.is_file() and file.name != METADATA)
    keys = [file.relative_to(draft).as_posix() for file in sorted(chunks)]
    return dict(zip(keys, checksums(Folder(draft), keys), strict=True))


def _check_header(place: Place) -> None:
    """Labels, names and coordinates belong to no block, and cannot be computed again.

    Raises:
        StoreError: naming the first file that is lost or has changed.
    """
    try:
        known: dict[str, str | None] = json.loads(place.read(HEADER))
    except (OSError, ValueError):
        return  # copies of a store may lack hidden folders
    for name, checksum in zip(known, checksums(place, list(known)), strict=True):
        if checksum != known[name]:
            raise StoreError(
                f"{place} is damaged: {name} is lost or has changed. Start again with --overwrite, or choose another "
                "--out."
            )


def _opened(place: Place, mode: Literal["r", "r+"]) -> zarr.Group:
    try:
        return zarr.open_group(place.zarr(read_only=mode == "r"), mode=mode, use_consolidated=True)
    except DAMAGE as error:
        raise StoreError(f"{place} cannot be read as a bandscope store: {error}") from error


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
