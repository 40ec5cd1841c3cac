"""Agreement: what must be the same before cubes are compared, and what a reader must know where it is not."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Int

from bandscope.analysis.outcomes import Images
from bandscope.datasets.names import normalised
from bandscope.errors import StoreError

SHOWN = 3  # images in an error message
ZOOM_FIELDS = ("outside", "boxes")

Places = Mapping[str, Int[np.ndarray, " common"]]  # by cube: where the common images are on its image axis


def other_conventions(cubes: Mapping[str, xr.DataTree]) -> list[str]:
    """A phrase for each field in which the conventions differ; the preset's name is no choice of its own."""
    conventions = {name: dict(cube.attrs.get("convention", {})) for name, cube in cubes.items()}
    fields = dict.fromkeys(field for own in conventions.values() for field in own if field != "preset")
    values = {field: {name: own.get(field) for name, own in conventions.items()} for field in fields}
    return [f"{field} is {_each(own)}" for field, own in values.items() if len(set(own.values())) > 1]


def check_labels(images: Mapping[str, Images], places: Places) -> None:
    """Refuse cubes that hold the same image against different classes.

    Raises:
        StoreError: with the first few images.
    """
    first, *others = images
    for other in others:
        labels = np.stack([_labels(images[name].cube, places[name]) for name in (first, other)])
        outputs, code = np.unique(labels, axis=1, return_inverse=True)
        pairs = [_classes(images[name].cube, own) for name, own in zip((first, other), outputs, strict=True)]
        differ = np.array([not _same_class(a, b) for a, b in zip(*pairs, strict=True)])[code]
        if wrong := np.flatnonzero(differ).tolist():
            sources = images[first].cube.dataset["source"].values[places[first][wrong[:SHOWN]]]
            shown = [
                f"{source} is {_shown(pairs[0][k])} in {first} and {_shown(pairs[1][k])} in {other}"
                for source, k in zip(sources, code[wrong[:SHOWN]], strict=True)
            ]
            raise StoreError(
                f"The right classes of {len(wrong)} of {len(code)} common images differ: {'; '.join(shown)}"
                f"{' ...' * (len(wrong) > SHOWN)}. Audit both models on the same labels."
            )


def notes(images: Mapping[str, Images], places: Places) -> Iterator[str]:
    """Sentences on images left out, pictures that may differ, crops of other sizes and zooms of other kinds."""
    for name, own in images.items():
        if reasons := _left_out(own, len(places[name])):
            total = len(own.keep)
            yield f"{total - len(places[name])} of {total} images of {name} are left out: {', '.join(reasons)}."
    attributes = {name: own.cube.attrs for name, own in images.items()}
    data = {own.get("data", {}).get("fingerprint") for own in attributes.values()}
    paths = {frozenset(own.cube.dataset["source"].values.astype(object)) for own in images.values()}
    if len(paths) == 1 and len(data) > 1:
        yield (
            "The stores name the same images, but the fingerprints of their data differ: other files, or another "
            "choice from a larger set. Make sure that equal paths mean equal pictures."
        )
    sizes = {
        name: " x ".join(map(str, own.get("preprocess", {}).get("size", ()))) for name, own in attributes.items()
    }
    if len(set(sizes.values())) > 1:
        yield f"Crops differ in size ({_each(sizes)} pixels): radii agree in cycles/image, not in cycles/pixel."
    zooms = [own["zoom"] for own in attributes.values() if own.get("zoom")]
    if other := [field for field in ZOOM_FIELDS if any(own.get(field) != zooms[0].get(field) for own in zooms)]:
        yield f"Zooms are not cut alike ({' and '.join(other)} differ): zooms other than 1 show other crops."


def _left_out(images: Images, used: int) -> list[str]:
    missing = int((images.cube.dataset["status"].values == "").sum())
    counts = {
        "not in all stores": len(images) - used,
        "failed": len(images.keep) - len(images) - missing,
        "not computed yet": missing,
    }
    return [f"{count} {what}" for what, count in counts.items() if count]


def _labels(cube: xr.DataTree, places: Int[np.ndarray, " common"]) -> Int[np.ndarray, " common"]:
    return np.asarray(cube.dataset["label"].values[places], dtype=np.int64)


def _classes(cube: xr.DataTree, outputs: Int[np.ndarray, " outputs"]) -> list[tuple[str, str]]:
    """(name, WordNet id) of these outputs."""
    names, wnids = (cube.dataset[name].values[outputs] for name in ("class_name", "class_wnid"))
    return [(str(name), str(wnid)) for name, wnid in zip(names, wnids, strict=True)]


def _same_class(a: tuple[str, str], b: tuple[str, str]) -> bool:
    return a[1] == b[1] if a[1] and b[1] else normalised(a[0]) == normalised(b[0])


def _shown(label: tuple[str, str]) -> str:
    return f"{label[0]!r} ({label[1]})" if label[1] else repr(label[0])


def _each(values: Mapping[str, Any]) -> str:
    """Such as: dc in a, half-pixel in b."""
    return ", ".join(f"{value} in {name}" for name, value in values.items())
