"""Is a store whole? Everything that can be checked without the classifier and the images; nothing is written."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
import zarr

from bandscope.cube.contradictions import contradictions
from bandscope.cube.place import HEADER, MARKERS, METADATA, Place, Where, clear_errors, growing, place_of
from bandscope.cube.schema import STATUS, CubeHeader, ProbeAxes, ScaleAxis, header_tree, measured
from bandscope.cube.store import (
    DAMAGE,
    check_version,
    checksums,
    chunk_key,
    chunks_of,
    is_store,
    marker_key,
    read_marker,
)
from bandscope.labels import ClassLabel

Severity = Literal["damaged", "unfinished", "note"]
Remedy = Literal["", "rerun", "unmark", "overwrite"]

PROVENANCE: Mapping[str, tuple[str, ...]] = {
    "model": ("spec", "outputs"),
    "data": ("spec", "images", "fingerprint"),
    "preprocess": ("size",),
    "convention": ("preset", "metric", "centre", "domain", "keep_mean", "clip"),
    "probes": (),
    "plan": ("batch_size", "block_size", "threads", "device", "precision"),
    "environment": (),
    "command": (),
}
UNREADABLE = (OSError, *DAMAGE)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as an undisturbed, finished audit leaves it.

    severity: "damaged", "unfinished" (the audit goes on there), or "note" (no result is affected).
    where: a file of the store, an array, or a block.
    images: positions of the affected images; None where it is all of them, or none.
    remedy: "rerun": the same audit command computes the block anew; "unmark": it does so once the block's marker is
        deleted; "overwrite": nothing but a new store helps.
    """

    severity: Severity
    where: str
    what: str
    images: range | None = None
    remedy: Remedy = ""


def verify(where: Where) -> list[Finding]:
    """Check schema, provenance, checksums, markers and values of a store, and what lies beside it.

    Raises:
        StoreError: there is no store, or one of another schema version.
    """
    place = place_of(where)
    with clear_errors(place, "read"):
        if not place.has(METADATA) and not place.swapping() and is_store(place):
            return [_lost(METADATA, "is lost: the settings are in it")]
        structure, opened = _structure(place)
        blocks = _blocks(place, *opened, values=_whole(structure)) if opened else ()
        return [*structure, *blocks, *_leftovers(place), *_neighbours(place)]


def misdescribed(where: Where) -> list[Finding]:
    """What is damaged of a store's settings, labels, coordinates and array headers; its blocks are not read.

    Raises:
        StoreError: there is no store, or one of another schema version.
    """
    place = place_of(where)
    with clear_errors(place, "read"):
        return [finding for finding in _structure(place)[0] if finding.severity == "damaged"]


def _structure(place: Place) -> tuple[list[Finding], tuple[zarr.Group, CubeHeader] | None]:
    """All findings but those of blocks; the store and its header, where they can be read."""
    check_version(place)
    try:
        group = zarr.open_group(place.zarr(read_only=True), mode="r", use_consolidated=True)
        header = _header(group)
    except UNREADABLE as error:
        reasons = [*_provenance(_attributes(place)), *_header_files(place)]
        return [*reasons, *([_unreadable(error)] if _whole(reasons) else [])], None
    structure = [*_provenance(header.attributes), *_header_files(place), *_metadata(place, group)]
    for check in (_consistency, _header_arrays, _measured_arrays, _no_others):
        if _whole(structure):
            structure += check(group, header)
    return structure, (group, header)


def _whole(findings: Iterable[Finding]) -> bool:
    return not any(finding.severity == "damaged" for finding in findings)


def _lost(where: str, what: str) -> Finding:
    return Finding("damaged", where, what, remedy="overwrite")


def _unreadable(error: Exception) -> Finding:
    return _lost("zarr.json", f"labels, names and settings cannot be read: {type(error).__name__}: {error}")


def _attributes(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(place.read(METADATA))["attributes"]
    return found


def _provenance(attributes: Mapping[str, Any]) -> Iterator[Finding]:
    """Settings that are missing or incomplete."""
    for name, fields in PROVENANCE.items():
        value = attributes.get(name)
        if value is None:
            yield _lost("zarr.json", f"the setting {name!r} is missing")
        elif lacking := [field for field in fields if not isinstance(value, Mapping) or field not in value]:
            yield _lost("zarr.json", f"the setting {name!r} lacks {', '.join(lacking)}")


def _header(group: zarr.Group) -> CubeHeader:
    """The header that the audit must have written, from the settings and the labels of the store."""
    attributes: dict[str, Any] = dict(group.attrs)
    side = min(attributes["preprocess"]["size"])
    names, wnids = (np.asarray(group[name][:]) for name in ("class_name", "class_wnid"))  # type: ignore[index]
    zoom = attributes.get("zoom")
    scale = ScaleAxis(zoom["axis"], tuple(map(float, zoom["values"])), unit="") if zoom else None
    return CubeHeader(
        labels=np.asarray(group["label"][:]),  # type: ignore[index]
        sources=[str(source) for source in np.asarray(group["source"][:])],  # type: ignore[index]
        classes=[ClassLabel(str(name), str(wnid)) for name, wnid in zip(names, wnids, strict=True)],
        probes=tuple(_axes(probe, side) for probe in attributes["probes"]),
        attributes=attributes,
        scale=scale,
    )


def _axes(probe: Mapping[str, Any], side: int) -> ProbeAxes:
    low, high = np.array(probe["cutoffs"], dtype=np.float64).T
    radial = probe["kind"] in ("low_pass", "high_pass")
    coordinates = (
        {"radius": high, "frequency": high / side}
        if radial
        else {"low": low, "high": high, "low_frequency": low / side, "high_frequency": high / side}
    )
    return ProbeAxes(probe["name"], probe["kind"], probe["family"], "radius" if radial else "band", coordinates)


def _consistency(_: zarr.Group, header: CubeHeader) -> Iterator[Finding]:
    """What the settings and the labels say of each other."""
    model, data = header.attributes["model"], header.attributes["data"]
    images, outputs = len(header.labels), len(header.classes)
    if data.get("images") != images:
        yield _lost("label", f"{images} labels, but the settings say {data.get('images')} images")
    if len(header.sources) != images:
        yield _lost("source", f"{len(header.sources)} paths for {images} labels")
    if model.get("outputs") != outputs:
        yield _lost("class_name", f"{outputs} classes, but the settings say {model.get('outputs')} outputs")
    if len(outside := np.flatnonzero((header.labels < 0) | (header.labels >= outputs))):
        first = int(outside[0])
        what = f"label {header.labels[first]} of image {first} is none of the {outputs} outputs"
        yield Finding("damaged", "label", what, range(first, first + 1), "overwrite")


def _header_files(place: Place) -> Iterator[Finding]:
    """Labels, names and coordinates against their checksums."""
    if not place.has(HEADER):
        yield Finding("note", HEADER, "is missing, as in copies without hidden files: labels are unchecked")
        return
    try:
        known = {str(name): checksum for name, checksum in json.loads(place.read(HEADER)).items()}
    except (OSError, ValueError, AttributeError):
        yield _lost(HEADER, "cannot be read: labels, names and coordinates are unchecked")
        return
    for (name, checksum), found in zip(known.items(), checksums(place, list(known)), strict=True):
        if found != checksum:
            yield _lost(name, "is lost" if found is None else "has changed")


def _metadata(place: Place, group: zarr.Group) -> Iterator[Finding]:
    """Each array's own zarr.json against the copy of all of them in the root, which readers use."""
    consolidated = json.loads(place.read(METADATA))["consolidated_metadata"]["metadata"]
    names = sorted(name for name, _ in group.members(max_depth=None))
    files = [f"{name}/{METADATA}" for name in names]
    for name, file, text in zip(names, files, place.read_all(files), strict=True):
        try:
            found = json.loads(text or "")
        except ValueError:
            yield _lost(file, "is lost or cannot be read")
            continue
        known = consolidated.get(name, {})
        differing = [key for key in known if key != "consolidated_metadata" and found.get(key) != known[key]]
        if differing:
            yield _lost(file, f"{differing[0]} is not as in the root's {METADATA}")


def _header_arrays(group: zarr.Group, header: CubeHeader) -> Iterator[Finding]:
    """Coordinates, labels and names as the settings ask for them."""
    for node in header_tree(header).subtree:
        for variable, wanted in node.to_dataset(inherit=False).variables.items():
            name = f"{node.path}/{variable}".lstrip("/")
            array = group.get(name)
            if not isinstance(array, zarr.Array):
                yield _lost(name, "is missing")
            elif array.metadata.dimension_names != wanted.dims:  # type: ignore[union-attr]
                yield _lost(name, f"lies over {_listed(array)}, not over {wanted.dims}")
            elif problem := _other_values(array, wanted):
                yield _lost(name, problem)


def _other_values(array: zarr.Array[Any], wanted: xr.Variable) -> str:
    try:
        found = np.asarray(array[:])
    except UNREADABLE as error:
        return f"cannot be read: {error}"
    if wanted.dtype not in (object, found.dtype):
        return f"holds {found.dtype}, not {wanted.dtype}"
    same = found.shape == wanted.shape and bool((found == wanted.values).all())
    return "" if same else "is not what the settings say"


def _no_others(group: zarr.Group, header: CubeHeader) -> Iterator[Finding]:
    """Arrays that neither the schema nor the probes ask for."""
    asked = {name for name, *_ in measured(header)}
    for node in header_tree(header).subtree:
        asked |= {f"{node.path}/{name}".lstrip("/") for name in node.to_dataset(inherit=False).variables}
    arrays = sorted(name for name, member in group.members(max_depth=None) if isinstance(member, zarr.Array))
    yield from (_lost(name, "is asked for by no probe of the settings") for name in arrays if name not in asked)


def _measured_arrays(group: zarr.Group, header: CubeHeader) -> Iterator[Finding]:
    """Type, shape, dimensions and chunks of every array that the schema asks for."""
    block_size = int(header.attributes["plan"]["block_size"])
    for name, variable, dims, shape in measured(header):
        array = group.get(name)
        if not isinstance(array, zarr.Array):
            yield _lost(name, "is missing")
            continue
        found = {
            "type": "str" if array.dtype.kind == "T" or array.dtype == object else str(array.dtype),
            "shape": array.shape,
            "dimensions": array.metadata.dimension_names,  # type: ignore[union-attr]
            "chunks": array.chunks,
        }
        wanted = {
            "type": variable.dtype,
            "shape": shape,
            "dimensions": dims,
            "chunks": chunks_of(dims, shape, block_size),
        }
        for what, value in wanted.items():
            if found[what] != value:
                yield _lost(name, f"{what} {found[what]}, not {value}")


def _listed(array: zarr.Array[Any]) -> str:
    return str(array.metadata.dimension_names)  # type: ignore[union-attr]


def _blocks(place: Place, group: zarr.Group, header: CubeHeader, *, values: bool) -> Iterator[Finding]:
    """Every block against its marker and, where that agrees and `values` is asked, its values against each other."""
    arrays: dict[str, Any] = {name: group[name] for name, *_ in measured(header) if name in group}
    if STATUS.name not in arrays:  # then how long a block is cannot be told
        return
    size, images = arrays[STATUS.name].chunks[0], len(header.labels)
    blocks, unmarked = range(-(-images // size)), []
    if not place.has_folder(MARKERS):
        yield Finding("note", MARKERS, "is missing, as in copies without hidden files: no block counts")
    for block in blocks:
        span = range(block * size, min(images, (block + 1) * size))
        if not place.has(marker_key(block)):
            unmarked.append(block)
        elif damage := _damage(place, block, span, arrays):
            yield damage
        elif values:
            for name, what in _contradictions_at(span, arrays, header):
                where = f"{name}, block {block}"
                yield Finding("damaged", where, what, span, "unmark")
    yield from _unfinished(unmarked, size, images)
    known = {marker_key(block) for block in blocks}
    markers = [key for key in place.listed(MARKERS) if key.count("/") == 1 and key.endswith(".json")]
    for stray in sorted({*markers} - known):
        yield Finding("note", stray, "marks a block that does not exist; it can be deleted")


def _damage(place: Place, block: int, span: range, arrays: Mapping[str, Any]) -> Finding | None:
    """The first file in which a marked block is no longer what was written."""
    marker = read_marker(place, block)
    if marker is None:
        return Finding("damaged", marker_key(block), "cannot be read", span, "rerun")
    keys = [chunk_key(name, block, array.ndim) for name, array in arrays.items()]
    for name, key, found in zip(arrays, keys, checksums(place, keys), strict=True):
        if found is None or found != marker["crc32"].get(name):
            return Finding("damaged", key, "is lost" if found is None else "has changed", span, "rerun")
    return None


def _unfinished(blocks: Sequence[int], size: int, images: int) -> Iterator[Finding]:
    """One finding for each run of blocks without a marker."""
    for _, run in itertools.groupby(enumerate(blocks), key=lambda pair: pair[1] - pair[0]):
        several = [block for _, block in run]
        first, last = several[0], several[-1]
        where = f"block {first}" if first == last else f"blocks {first} to {last}"
        yield Finding(
            "unfinished", where, "not computed yet", range(first * size, min(images, (last + 1) * size)), "rerun"
        )


def _contradictions_at(span: range, arrays: Mapping[str, Any], header: CubeHeader) -> Iterator[tuple[str, str]]:
    held = {}
    for name, array in arrays.items():
        try:
            held[name] = np.asarray(array[span.start : span.stop])
        except UNREADABLE as error:
            yield name, f"cannot be read: {error}"
            return
    yield from contradictions(held, header.labels[span.start : span.stop], len(header.classes))


def _leftovers(place: Place) -> Iterator[Finding]:
    for key in place.half_written():
        yield Finding("note", key, "half written by a killed or a running process; the next audit removes it")


def _neighbours(place: Place) -> Iterator[Finding]:
    """What a killed creation, extension or swap has left beside the store."""
    place = place.resolved()
    if (grown := growing(place)).exists():
        yield Finding("note", f"../{grown.name}", "an extension grows here; --extend goes on with it")
    if place.swapping():
        yield Finding("note", place.swap_mark, "an extension was nearly finished; the next audit removes it")
    for draft in place.drafts():
        yield Finding(
            "note",
            f"../{draft.name}",
            "a store half made, or replaced, when a process was killed; it can be deleted",
        )
