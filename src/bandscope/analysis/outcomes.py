"""What the tables need of a cube, read one variable at a time: only images that count, as NumPy arrays."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float, Int, Shaped

from bandscope.analysis.zoom import at_zoom
from bandscope.cube import status_ok
from bandscope.errors import InputError, StoreError

KINDS = ("low_pass", "high_pass", "band_pass", "band_stop")
FAMILIES = ("ideal", "gaussian", "butterworth")
FREQUENCY_COLUMNS = ("radius", "frequency", "low", "high", "low_frequency", "high_frequency")


@dataclass(frozen=True)
class Images:
    """The images that count: those whose status is "ok".

    Attributes:
        keep: for each image of the cube, whether it counts.
        label: the right model output of each image that counts.
        classes: the names of the model's outputs.
    """

    cube: xr.DataTree
    keep: Bool[np.ndarray, " images"]
    label: Int[np.ndarray, " used"]
    classes: Shaped[np.ndarray, " classes"]

    def __len__(self) -> int:
        return len(self.label)

    def root(self, name: str) -> np.ndarray:
        """A root variable of the images that count."""
        return self.kept(self.cube.dataset[name])

    def kept(self, variable: xr.DataArray) -> np.ndarray:
        """A variable whose first dimension is the image, for the images that count."""
        return np.compress(self.keep, variable.values, axis=0)


@dataclass(frozen=True)
class Outcomes:
    """The images' outcomes under one probe, or under none (`clean`: one condition)."""

    images: Images
    name: str
    kind: str
    variables: xr.Dataset

    @property
    def radius(self) -> Float[np.ndarray, " radii"]:
        """Radii in cycles per image, increasing."""
        return np.asarray(self.variables["radius"].values, dtype=np.float64)

    def coordinates(self) -> dict[str, np.ndarray]:
        """The frequency coordinates of every condition."""
        return {name: self.variables[name].values for name in FREQUENCY_COLUMNS if name in self.variables.coords}

    def probability(self) -> Float[np.ndarray, "used conditions"]:
        """Softmax probability of the label."""
        return self._read("probability")

    def ranks(self) -> range:
        """0 is the prediction; as many more as the cube holds, up to the fifth."""
        return range(min(5, self.variables.sizes["rank"]))

    def ranked_class(self, rank: int = 0) -> Int[np.ndarray, "used conditions"]:
        """The class of the given rank; 0 is the prediction."""
        return self._read("top5_class", rank)

    def ranked_probability(self, rank: int = 0) -> Float[np.ndarray, "used conditions"]:
        """The probability of `ranked_class`."""
        return self._read("top5_probability", rank)

    def right(self) -> Bool[np.ndarray, "used conditions"]:
        """Whether the prediction is the label."""
        return np.asarray(self.ranked_class() == self.images.label[:, None])

    def in_top5(self) -> Bool[np.ndarray, "used conditions"]:
        """Whether the label is among the five best."""
        hits = self.right()
        for rank in self.ranks()[1:]:
            hits |= self.ranked_class(rank) == self.images.label[:, None]
        return hits

    def _read(self, name: str, rank: int | None = None) -> np.ndarray:
        values = self.variables[name] if rank is None else self.variables[name].isel(rank=rank)
        return self.images.kept(values)


def images_of(cube: object) -> Images:
    """The images that count, with their labels and class names; of a cube over zooms, at zoom 1."""
    if not isinstance(cube, xr.DataTree):
        raise InputError(f"The cube is a {type(cube).__name__}: give the DataTree that bandscope.open(path) returns.")
    missing = [name for name in ("label", "status", "source", "class_name") if name not in cube.dataset]
    if missing:
        raise StoreError(f"This DataTree is not a bandscope cube: {missing[0]!r} is missing at its root.")
    cube = at_zoom(cube)
    keep = status_ok(cube)
    label = np.asarray(cube["label"].values)[keep].astype(np.int64)
    return Images(cube, keep, label, np.asarray(cube["class_name"].values, dtype=object))


def clean_outcomes(images: Images) -> Outcomes:
    """The outcomes of the unchanged images, as a probe with a single condition."""
    root = images.cube.to_dataset()
    clean = {
        str(name).removeprefix("clean_"): variable.expand_dims("condition", 1)
        for name, variable in root.items()
        if str(name).startswith("clean_")
    }
    return Outcomes(images, "clean", "clean", xr.Dataset(clean))


def probe_outcomes(images: Images) -> Iterator[Outcomes]:
    """Every probe over frequency: low-pass, high-pass, then bands; ideal ones before soft ones."""
    nodes = [(name, node) for name, node in images.cube.children.items() if node.attrs.get("kind") in KINDS]
    for name, node in sorted(nodes, key=_rank):
        yield Outcomes(images, name, node.attrs["kind"], node.to_dataset())


def _rank(item: tuple[str, xr.DataTree]) -> tuple[int, int]:
    attributes = item[1].attrs
    return KINDS.index(attributes["kind"]), FAMILIES.index(attributes["family"])


def radius_outcomes(images: Images) -> Iterator[Outcomes]:
    """The probes whose conditions are radii: low-pass and high-pass."""
    return (outcomes for outcomes in probe_outcomes(images) if outcomes.kind in KINDS[:2])


def named(images: Images, index: Int[np.ndarray, " rows"]) -> pd.Series:
    """Names of model outputs; missing where the index is negative."""
    return pd.Series([images.classes[i] if i >= 0 else None for i in index], dtype="str")


def nullable(index: Int[np.ndarray, " rows"]) -> pd.Series:
    """Model outputs as nullable integers; missing where negative."""
    return pd.Series(index, dtype="Int64").mask(index < 0)
