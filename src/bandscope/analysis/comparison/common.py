"""Common ground: the images and conditions that several cubes share, in one order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from bandscope.analysis.comparison.agreement import Places, check_labels, notes, other_conventions
from bandscope.analysis.outcomes import Images, Outcomes, clean_outcomes, images_of, probe_outcomes
from bandscope.analysis.zoom import AXES, at_zoom, scale_axis, scale_values
from bandscope.cube.schema import ALL_PASS
from bandscope.errors import InputError, StoreError
from bandscope.reprs import Facts, counted

CONDITION_NAMES = ("radius", "low", "high")  # what tells conditions apart, in cycles/image
TOLERANCE = 1e-9
SHOWN = 8  # conditions in an error message


@dataclass(frozen=True, repr=False)
class Common(Facts):
    """Several models on what they share: the same images in the same order, the same conditions.

    Attributes:
        names: of the models; the first is the baseline.
        images: of each model, at one zoom.
        scaled: the same images with the scale axis, cut to the zooms that all have; empty where a cube has none.
        left_out: how many images of each cube are not common.
        notes: what a reader of the numbers must know, a sentence each.
    """

    names: tuple[str, ...]
    images: tuple[Images, ...]
    scaled: tuple[xr.DataTree, ...]
    left_out: tuple[int, ...]
    notes: tuple[str, ...]

    def _told(self) -> dict[str, str]:
        return {
            "models": ", ".join(self.names),
            "images": counted(len(self.images[0]), "common image"),
            "probes": ", ".join(first.name for first, *_ in self.probes()),
        }

    def _told_in_full(self) -> dict[str, str]:
        left = zip(self.names, self.left_out, strict=True)
        told = {f"left out of {name}": counted(number, "image") for name, number in left if number}
        return self._told() | told | ({"notes": " ".join(self.notes)} if self.notes else {})

    def pairs(self) -> list[tuple[int, int]]:
        """Places (A, B) of the baseline and of each other model."""
        return [(0, other) for other in range(1, len(self.names))]

    def zoom(self) -> dict[str, float]:
        """At which zoom or object size the cubes are compared; empty where they were audited at none."""
        held = self.images[0].cube.coords
        return {axis: float(held[axis]) for axis in AXES if axis in held}

    def clean(self) -> list[Outcomes]:
        """The outcomes of the unchanged images, of each model."""
        return [clean_outcomes(images) for images in self.images]

    def probes(self) -> Iterator[list[Outcomes]]:
        """For each probe the outcomes of each model."""
        return map(list, zip(*map(probe_outcomes, self.images), strict=True))


Cubes = Mapping[str, xr.DataTree] | Sequence[xr.DataTree] | Common


def common_of(cubes: Cubes) -> Common:
    """What the cubes share; as it is where that is known already."""
    return cubes if isinstance(cubes, Common) else common_images(cubes)


def common_images(
    cubes: Mapping[str, xr.DataTree] | Sequence[xr.DataTree],
    *,
    zoom: float | None = None,
    any_convention: bool = False,
) -> Common:
    """The images that count in every cube, and the conditions that every cube has.

    Images are matched by `source`, their path within the data set: other data fingerprints are welcome, because one
    cube may hold a sample of the other's images. Their right classes must agree: by WordNet id where both models have
    one, else by name (up to case, underscores and hyphens, and the first synonym alone), whatever the order of the
    models' outputs. Radii and bands are matched in cycles/image, up to 1e-9.

    Args:
        cubes: audits by name, or in a list (then called "model 1", "model 2" ...). The first is the baseline.
        zoom: compare at this zoom, or size of the object in pixels; None: zoom 1.
        any_convention: accept cubes whose filters follow different conventions.

    Raises:
        InputError: fewer than two cubes, or a cube has no such zoom.
        StoreError: no common image or condition; an image twice in a cube; different right classes; different
            conventions.
    """
    named = _named(cubes)
    conventions = other_conventions(named)
    if conventions and not any_convention:
        raise StoreError(
            f"The conventions differ: {'; '.join(conventions)}. The same radius is then another filter; compare "
            "nevertheless with any_convention=True (--any-convention)."
        )
    images = {name: images_of(_at_zoom(name, cube, zoom)) for name, cube in named.items()}
    places = _common_places(images)
    check_labels(images, places)
    conditions, lost = _common_conditions(images)
    cut = [_cut(own.cube, {"image": places[name]}, conditions[name]) for name, own in images.items()]
    return Common(
        names=tuple(named),
        images=tuple(map(images_of, cut)),
        scaled=_scaled(named, places, conditions),
        left_out=tuple(len(own.keep) - len(places[name]) for name, own in images.items()),
        notes=(*(f"Conventions differ: {line}." for line in conventions), *notes(images, places), *lost),
    )


def _named(cubes: Mapping[str, xr.DataTree] | Sequence[xr.DataTree]) -> dict[str, xr.DataTree]:
    listed = [cubes] if isinstance(cubes, xr.DataTree) else cubes  # a DataTree is a mapping too
    named = dict(listed) if isinstance(listed, Mapping) else {f"model {k}": c for k, c in enumerate(listed, start=1)}
    if len(named) < 2:
        raise InputError(f"A comparison needs at least two cubes; given: {len(named)}.")
    for name, cube in named.items():
        if not isinstance(cube, xr.DataTree):
            raise InputError(
                f"{name} is a {type(cube).__name__}: give the DataTrees that bandscope.open(path) returns."
            )
    return named


def _at_zoom(name: str, cube: xr.DataTree, zoom: float | None) -> xr.DataTree:
    try:
        return at_zoom(cube, zoom)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _common_places(images: Mapping[str, Images]) -> dict[str, Int[np.ndarray, " common"]]:
    """For each cube the places of the common images on its image axis, in the order of the first cube."""
    sources = {name: pd.Index(own.root("source").astype(object)) for name, own in images.items()}
    for name, own in sources.items():
        if not len(own):
            raise StoreError(f"No image of {name} counts, so there is nothing to compare.")
        if own.has_duplicates:
            twice = own[own.duplicated()][0]
            raise StoreError(f"{name} holds images twice, such as {twice}: they cannot be matched with other stores.")
    shared = next(iter(sources.values()))
    for own in sources.values():
        shared = shared[shared.isin(own)]
    if not len(shared):
        held = "; ".join(f"{name} has {len(own)}, such as {own[0]}" for name, own in sources.items())
        raise StoreError(f"No image is in all stores (they are matched by their path in the data set): {held}.")
    return {name: np.flatnonzero(images[name].keep)[own.get_indexer(shared)] for name, own in sources.items()}


# ---- conditions

Conditions = Mapping[str, Int[np.ndarray, " conditions"]]  # by probe: places on its condition axis


def _common_conditions(images: Mapping[str, Images]) -> tuple[dict[str, Conditions], list[str]]:
    """For each cube the places of the conditions that all have, and a sentence for each probe that loses some."""
    held = {name: {o.name: _conditions(o) for o in probe_outcomes(own)} for name, own in images.items()}
    found: dict[str, dict[str, Int[np.ndarray, " conditions"]]] = {name: {} for name in images}
    lost = []
    for probe in dict.fromkeys(probe for own in held.values() for probe in own):
        having = [name for name, own in held.items() if probe in own]
        places = _shared([held[name][probe] for name in having])
        counts = {name: len(held[name][probe]) for name in having}
        if len(having) < len(images):
            lost.append(f"{probe} is left out: only {', '.join(having)} {'has' if len(having) == 1 else 'have'} it.")
        elif not places.shape[1]:
            lost.append(f"{probe} is left out: it has no common condition.")
        else:
            for name, own in zip(having, places, strict=True):
                found[name][probe] = own
            if max(counts.values()) > places.shape[1]:
                each = ", ".join(f"{count} in {name}" for name, count in counts.items())
                lost.append(f"{probe} is compared on {places.shape[1]} common conditions ({each}).")
    if not any(found.values()):
        each = "; ".join(f"{name} has {_described(own)}" for name, own in held.items())
        raise StoreError(f"The stores have no probe with a common condition: {each}.")
    return {**found}, lost


def _conditions(outcomes: Outcomes) -> Float[np.ndarray, "conditions columns"]:
    coordinates = outcomes.coordinates()
    return np.stack([coordinates[name] for name in CONDITION_NAMES if name in coordinates], axis=1)


def _shared(conditions: Sequence[Float[np.ndarray, "_ columns"]]) -> Int[np.ndarray, "cubes common"]:
    """For each cube the places of the conditions that all have."""
    found = [[_place(own, wanted) for own in conditions] for wanted in conditions[0]]
    common = [places for places in found if min(places) >= 0]
    return np.array(common, dtype=np.int64).reshape(-1, len(conditions)).T


def _place(conditions: Float[np.ndarray, "conditions columns"], wanted: Float[np.ndarray, " columns"]) -> int:
    """Where the condition is, or -1."""
    near = np.flatnonzero(np.isclose(conditions, wanted, rtol=TOLERANCE, atol=TOLERANCE).all(axis=1))
    return int(near[0]) if len(near) else -1


def _described(probes: Mapping[str, Float[np.ndarray, "_ columns"]]) -> str:
    """Such as: low_pass at 1, 5, 9 ... 45 (12 in all)."""
    texts = []
    for name, conditions in probes.items():
        values = ["-".join(f"{value:g}" for value in row) for row in conditions]
        many = f"{', '.join(values[: SHOWN - 1])} ... {values[-1]} ({len(values)} in all)"
        texts.append(f"{name} at {', '.join(values) if len(values) <= SHOWN else many}")
    return ", ".join(texts) or "no probe over frequency"


# ---- cubes


def _cut(cube: xr.DataTree, places: Places, conditions: Conditions) -> xr.DataTree:
    """The cube at these places of its axes, with these probes alone (and what is not filtered); nothing is read."""
    groups = {}
    for name, node in cube.children.items():
        own = node.to_dataset(inherit=False)
        if name in conditions:
            groups[f"/{name}"] = own.isel({**places, "band" if "band" in own.dims else "radius": conditions[name]})
        elif name == ALL_PASS:
            groups[f"/{name}"] = own.isel(places)
    return xr.DataTree.from_dict({"/": cube.to_dataset().isel(places), **groups})


def _scaled(
    cubes: Mapping[str, xr.DataTree], places: Places, conditions: Mapping[str, Conditions]
) -> tuple[xr.DataTree, ...]:
    """The cubes with their scale axis on the zooms that all have; empty where there are not two of them."""
    axes = {scale_axis(cube) for cube in cubes.values()}
    if len(axes) > 1 or (axis := axes.pop()) is None:
        return ()
    zooms = _shared([scale_values(cube, axis)[:, None] for cube in cubes.values()])
    if zooms.shape[1] < 2:
        return ()
    return tuple(
        _cut(cube, {"image": places[name], axis: own}, conditions[name])
        for (name, cube), own in zip(cubes.items(), zooms, strict=True)
    )
