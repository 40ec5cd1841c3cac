"""The cube's variables: names, dimensions and types. Everything that reads or writes a cube starts here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from bandscope.labels import ClassLabel

SCHEMA_VERSION = 2
SETTINGS = ("model", "data", "preprocess", "convention", "probes", "plan")  # what a store must say of itself
TOP = 5


@dataclass(frozen=True)
class Variable:
    """One array of the cube; `dims` beyond `image` and the probe's condition dimension."""

    name: str
    dtype: str
    fill: float | int | str
    ranked: bool = False
    about: str = ""


CONDITION_VARIABLES = (
    Variable("probability", "float32", np.nan, about="softmax probability of the image's label"),
    Variable("margin", "float32", np.nan, about="logit of the label minus the best other logit; > 0 means right"),
    Variable(
        "top5_class", "int32", -1, ranked=True, about="model outputs by falling logit; rank 0 is the prediction"
    ),
    Variable("top5_probability", "float32", np.nan, ranked=True, about="softmax probabilities of top5_class"),
    Variable("out_of_range", "float32", np.nan, about="share of the filtered image's values outside the valid range"),
)
ALL_PASS = "all_pass"  # the group of what is zoomed and not filtered
VIEW_VARIABLES = (
    Variable("achieved", "float32", np.nan, about="zoom, or size of the object in pixels, after rounding to pixels"),
    Variable("padded", "float32", np.nan, about="share of the crop that is no pixel of the image"),
    Variable("object_pixels", "float32", np.nan, about="square root of the area of the object's box, in crop pixels"),
)
CLEAN_VARIABLES = tuple(
    Variable(f"clean_{v.name}", v.dtype, v.fill, v.ranked, v.about + ", image unchanged")
    for v in CONDITION_VARIABLES[:4]
)
STATUS = Variable(
    "status", "str", "", about='"ok"; "" not computed yet; otherwise why the image is left out of every statistic'
)
ROOT_VARIABLES = (STATUS, *CLEAN_VARIABLES)


@dataclass(frozen=True)
class ProbeAxes:
    """What the cube needs to know of a probe: its group, its condition dimension and coordinates."""

    name: str
    kind: str
    family: str
    dimension: str
    coordinates: Mapping[str, Float[np.ndarray, " conditions"]]

    @property
    def count(self) -> int:
        """Number of conditions."""
        return len(next(iter(self.coordinates.values())))


@dataclass(frozen=True)
class ScaleAxis:
    """The dimension that zoom adds to every probe: "zoom" or "object_size"."""

    name: str
    values: tuple[float, ...]
    unit: str


@dataclass(frozen=True)
class CubeHeader:
    """All of a cube but its measurements."""

    labels: Int[np.ndarray, " images"]
    sources: Sequence[str]
    classes: Sequence[ClassLabel]
    probes: tuple[ProbeAxes, ...]
    attributes: Mapping[str, Any]
    scale: ScaleAxis | None = None

    @property
    def ranks(self) -> int:
        """How many top classes are kept: 5, or all where the model has fewer."""
        return min(TOP, len(self.classes))


def header_tree(header: CubeHeader) -> xr.DataTree:
    """The cube without its measurements: labels, sources, classes, coordinates, attributes."""
    root = xr.Dataset(
        {
            "label": ("image", header.labels.astype(np.int32), {"about": "the model output that is right"}),
            "source": ("image", np.array(header.sources, dtype=object), {"about": "where the image comes from"}),
            "class_name": ("class", np.array([c.name for c in header.classes], dtype=object)),
            "class_wnid": ("class", np.array([c.wnid for c in header.classes], dtype=object)),
        },
        coords={"image": np.arange(len(header.labels), dtype=np.int64)},
        attrs={**header.attributes, "schema_version": SCHEMA_VERSION},
    )
    groups = {f"/{probe.name}": _coordinates(probe) for probe in header.probes}
    if scale := header.scale:
        root = root.assign_coords({scale.name: (scale.name, np.array(scale.values), {"units": scale.unit})})
        groups[f"/{ALL_PASS}"] = xr.Dataset(attrs={"kind": ALL_PASS, "family": "ideal"})
    return xr.DataTree.from_dict({"/": root, **groups})


def measured(header: CubeHeader) -> Iterator[tuple[str, Variable, tuple[str, ...], tuple[int, ...]]]:
    """(path, variable, dimensions, shape) of every array that an audit fills."""
    for v in ROOT_VARIABLES:
        yield v.name, v, *_layout(v, header, None)
    if header.scale:
        for v in (*CONDITION_VARIABLES, *VIEW_VARIABLES):
            yield f"{ALL_PASS}/{v.name}", v, *_layout(v, header, None, scaled=True)
    for probe in header.probes:
        for v in CONDITION_VARIABLES:
            yield f"{probe.name}/{v.name}", v, *_layout(v, header, probe, scaled=True)


def _coordinates(probe: ProbeAxes) -> xr.Dataset:
    coords = {name: (probe.dimension, values, {"units": _unit(name)}) for name, values in probe.coordinates.items()}
    return xr.Dataset(coords=coords, attrs={"kind": probe.kind, "family": probe.family})


def _layout(
    v: Variable, header: CubeHeader, probe: ProbeAxes | None, *, scaled: bool = False
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    sizes = {"image": len(header.labels)}
    if scaled and header.scale:
        sizes[header.scale.name] = len(header.scale.values)
    if probe:
        sizes[probe.dimension] = probe.count
    if v.ranked:
        sizes["rank"] = header.ranks
    return tuple(sizes), tuple(sizes.values())


def _unit(coordinate: str) -> str:
    return "cycles/pixel" if "frequency" in coordinate else "cycles/image"


def status_ok(cube: xr.DataTree) -> Bool[np.ndarray, " images"]:
    """Which images count in statistics."""
    return np.asarray(cube.dataset["status"].values == "ok", dtype=bool)
