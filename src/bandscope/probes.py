"""Probes: families of image changes with named coordinates, and the filter passes that realise them.

A probe says what is measured (`LowPass(radii)`), a `FilterPass` how: one gain, one inverse transform, and every
condition that comes from it, because the complement of a gain is a subtraction rather than a second transform.
"""

import itertools
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from bandscope.conventions import Convention
from bandscope.errors import InputError, nearest
from bandscope.preprocess import OUTSIDE
from bandscope.reprs import Facts
from bandscope.spectral import gains
from bandscope.spectral.gains import FAMILIES
from bandscope.spectral.grid import corner_radius

UNITS = ("cycles/image", "cycles/pixel")
MAX_RADIUS = 1e9  # beyond the corner of any image; much larger ones overflow when they are squared
FEW = 8  # values that a line lists
BELOW_FIRST_STEP = (1, 2, 3, 5, 8, 13, 21, 34)


def _listed(values: Sequence[str], noun: str) -> str:
    """All of a few values; of more their number and the ends: "46 radii from 1 to 46"."""
    few = len(values) <= FEW
    return f"{noun} {', '.join(values)}" if few else f"{len(values)} {noun} from {values[0]} to {values[-1]}"


@dataclass(frozen=True, repr=False)
class _Radial(Facts):
    """A filter family over radius; `radii` strictly increasing, >= 0, in `unit`; kept as a tuple."""

    radii: Iterable[float]
    family: str = "ideal"
    unit: str = "cycles/image"
    kind: ClassVar[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "radii", checked_radii(self.radii))
        if self.family not in FAMILIES:
            raise InputError(f"No filter family {self.family!r}; there are {', '.join(FAMILIES)}.")
        _check_unit(self.unit)

    def _told(self) -> dict[str, str]:
        radii = _listed([f"{radius:g}" for radius in self.radii], "radii")
        return {"radii": f"{radii} {self.unit}", "family": self.family}

    @property
    def name(self) -> str:
        """The cube's group: "low_pass", "high_pass_gaussian", ..."""
        return self.kind if self.family == "ideal" else f"{self.kind}_{self.family}"

    def at_size(self, size: tuple[int, int]) -> "ResolvedProbe":
        """The probe's conditions for a crop of `size` (H, W)."""
        radii = np.array([*self.radii]) * (1 if self.unit == "cycles/image" else min(size))
        return ResolvedProbe(self.name, self.kind, self.family, tuple((0.0, float(r)) for r in radii), size)


class LowPass(_Radial):
    """Keep frequencies d <= r, for each radius r.

    Args:
        radii: cut-offs, strictly increasing, >= 0; 0 keeps the mean alone.
        family: "ideal", "gaussian" or "butterworth"; both soft ones have gain 1/2 at the radius.
        unit: of the radii, "cycles/image" (of the shorter side of the crop) or "cycles/pixel".

    Raises:
        InputError: the radii, the family or the unit are not possible.
    """

    kind: ClassVar[str] = "low_pass"


class HighPass(_Radial):
    """Keep frequencies d > r, for each radius r: the complement of `LowPass`, with its arguments; DC is gone."""

    kind: ClassVar[str] = "high_pass"


@dataclass(frozen=True, repr=False)
class _Band(Facts):
    """Ideal filters over bands (low, high], in `unit`; kept as a tuple of pairs."""

    bands: Iterable[Sequence[float]]
    unit: str = "cycles/image"
    kind: ClassVar[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", checked_bands(self.bands))
        _check_unit(self.unit)

    def _told(self) -> dict[str, str]:
        bands = [f"{low:g} to {high:g}" for low, high in self.bands]
        return {"bands": f"{_listed(bands, 'bands')} {self.unit}"}

    @property
    def name(self) -> str:
        """The cube's group."""
        return self.kind

    def at_size(self, size: tuple[int, int]) -> "ResolvedProbe":
        """The probe's conditions for a crop of `size` (H, W)."""
        scale = 1 if self.unit == "cycles/image" else min(size)
        bands = tuple((low * scale, high * scale) for low, high in checked_bands(self.bands))
        return ResolvedProbe(self.name, self.kind, "ideal", bands, size)


class BandPass(_Band):
    """Keep frequencies low < d <= high, for each band; ideal filters.

    Args:
        bands: pairs (low, high), 0 <= low < high.
        unit: of the bands, "cycles/image" (of the shorter side of the crop) or "cycles/pixel".

    Raises:
        InputError: the bands or the unit are not possible.
    """

    kind: ClassVar[str] = "band_pass"


class BandStop(_Band):
    """Remove frequencies low < d <= high, for each band: the exact complement of `BandPass`, with its arguments."""

    kind: ClassVar[str] = "band_stop"


@dataclass(frozen=True)
class Zoom:
    """Scales at which each image is looked at, in combination with every frequency probe.

    Args:
        values: zooms: how much larger objects appear than in the ordinary crop; strictly increasing, > 0.
        boxes: a file of object boxes (CSV, COCO or Pascal VOC) to cut around, in place of the image's centre.
        outside: of zooms below 1: "real", more of the image, then its reflection; or "shrink", the crop itself made
            smaller, on the mean colour.

    Raises:
        InputError: the values are not increasing numbers above 0, or `outside` is not possible.
    """

    values: Iterable[float]
    boxes: str | os.PathLike[str] | None = None
    outside: str = "real"
    axis: ClassVar[Literal["zoom", "object_size"]] = "zoom"

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", checked_scales(self.values, self.axis))
        if self.outside not in OUTSIDE:
            raise InputError(f"No outside {self.outside!r}; there are {' and '.join(OUTSIDE)}.")


class ObjectSize(Zoom):
    """The zooms that bring the object in each image's box to given sizes.

    Args:
        values: sizes in pixels of the crop, the square root of the box's area; strictly increasing, > 0.
        boxes: as of `Zoom`, and needed here.
        outside: as of `Zoom`.

    Raises:
        InputError: as `Zoom`, or there are no boxes.
    """

    axis: ClassVar[Literal["zoom", "object_size"]] = "object_size"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.boxes is None:
            raise InputError("Object sizes need boxes: a CSV, a COCO file, or a folder of Pascal VOC files.")


Probe = LowPass | HighPass | BandPass | BandStop


@dataclass(frozen=True)
class ResolvedProbe:
    """A probe for one crop size: cut-offs in cycles per image.

    `cutoffs` holds (low, high); a radial filter at r is (0, r), and `low` is then unused.
    """

    name: str
    kind: str
    family: str
    cutoffs: tuple[tuple[float, float], ...]
    size: tuple[int, int]

    @property
    def radial(self) -> bool:
        """Whether the conditions lie over a radius rather than over bands."""
        return self.kind in ("low_pass", "high_pass")

    @property
    def dimension(self) -> str:
        """The name of the cube's condition dimension."""
        return "radius" if self.radial else "band"

    def coordinates(self) -> dict[str, Float[np.ndarray, " conditions"]]:
        """Coordinate values by name: radii in cycles per image, frequencies in cycles per pixel."""
        low, high = np.array(self.cutoffs, dtype=np.float64).T
        side = min(self.size)
        if self.radial:
            return {"radius": high, "frequency": high / side}
        return {"low": low, "high": high, "low_frequency": low / side, "high_frequency": high / side}

    def describe(self, index: int) -> str:
        """One condition in words, for messages."""
        low, high = self.cutoffs[index]
        return f"{self.name} radius {high:g}" if self.radial else f"{self.name} {low:g} to {high:g}"

    def gain(self, index: int, convention: Convention) -> Float[np.ndarray, "h half"]:
        """The gain of one condition: what the filter passes below are held against."""
        low, high = self.cutoffs[index]
        if self.kind == "low_pass":
            return gains.low_pass_gain(*self.size, high, family=self.family, convention=convention)
        if self.kind == "high_pass":
            return gains.high_pass_gain(*self.size, high, family=self.family, convention=convention)
        band = gains.band_pass_gain if self.kind == "band_pass" else gains.band_stop_gain
        return band(*self.size, low, high, convention=convention)

    def to_json(self) -> dict[str, Any]:
        """Name, kind, family and cut-offs, ready for JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "family": self.family,
            "cutoffs": [list(c) for c in self.cutoffs],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], size: tuple[int, int]) -> "ResolvedProbe":
        """The inverse of `to_json`, for a crop of `size`."""
        cutoffs = tuple((float(low), float(high)) for low, high in fields["cutoffs"])
        return cls(fields["name"], fields["kind"], fields["family"], cutoffs, size)


@dataclass(frozen=True)
class FilterPass:
    """One gain without the kept mean, and the conditions that come from it.

    members: (probe name, index in the probe, complement): a complement is image - filtered.
    """

    family: str
    low: float | None
    high: float
    members: tuple[tuple[str, int, bool], ...]

    def gain(self, size: tuple[int, int], convention: Convention) -> Float[np.ndarray, "h half"]:
        """The gain that the members share; the kept mean is added later, where the convention asks for it."""
        bare = Convention(metric=convention.metric, centre=convention.centre)
        if self.low is None:
            return gains.low_pass_gain(*size, self.high, family=self.family, convention=bare)
        return gains.band_pass_gain(*size, self.low, self.high, convention=bare)


def filter_passes(probes: Iterable[ResolvedProbe]) -> tuple[FilterPass, ...]:
    """Every condition of the probes, grouped so that each distinct gain is applied once; ordered by cut-off."""
    members: dict[tuple[str, float | None, float], list[tuple[str, int, bool]]] = {}
    for probe in probes:
        for index, (low, high) in enumerate(probe.cutoffs):
            key = (probe.family, None if probe.radial else low, high)
            members.setdefault(key, []).append((probe.name, index, probe.kind in ("high_pass", "band_stop")))
    order = sorted(members, key=lambda key: (key[2], key[0], -1.0 if key[1] is None else key[1]))
    return tuple(FilterPass(*key, tuple(members[key])) for key in order)


def default_radii(size: tuple[int, int]) -> tuple[float, ...]:
    """About 32 even steps up to the corner of the spectrum, and finer ones below the first.

    1, 2, 3, 5, 10, ..., 160 at 224 x 224: the paper's grid, and below it, where high-pass accuracy collapses first.
    """
    corner = corner_radius(*size)
    step = max(1, round(corner / 32))
    even = range(step, step * max(1, math.ceil(corner / step)) + 1, step)
    return tuple(float(r) for r in (*(r for r in BELOW_FIRST_STEP if r < step), *even))


def octave_bands(size: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """(0, 1], (1, 2], (2, 4], ... up to the corner of the spectrum."""
    edges = [0.0, 1.0]
    while edges[-1] < corner_radius(*size):
        edges.append(edges[-1] * 2)
    return tuple(itertools.pairwise(edges))


def checked_radii(radii: Iterable[float | str]) -> tuple[float, ...]:
    """Radii as floats; InputError unless finite, >= 0 and strictly increasing."""
    if isinstance(radii, str) or not isinstance(radii, Iterable):
        raise InputError(f"Radii must be a list such as [5, 10, 15]; given: {radii!r}.")
    values = tuple(number(r, "radius") for r in radii)
    if not values:
        raise InputError("No radii were given; at least one is needed.")
    if bad := [r for r in values if not 0 <= r <= MAX_RADIUS]:
        raise InputError(f"Radius {bad[0]:g} is not possible; radii must be finite and >= 0, {MAX_RADIUS:g} at most.")
    for before, after in itertools.pairwise(values):
        if after <= before:
            fault = "is repeated" if after == before else f"follows {before:g}"
            raise InputError(f"Radius {after:g} {fault}; radii must be strictly increasing.")
    return values


def checked_scales(scales: Iterable[float | str], axis: str) -> tuple[float, ...]:
    """Zooms or object sizes as floats; InputError unless finite, > 0 and strictly increasing."""
    what = axis.replace("_", " ")
    if isinstance(scales, str) or not isinstance(scales, Iterable):
        raise InputError(f"The {what}s must be a list such as [0.5, 1, 2]; given: {scales!r}.")
    values = tuple(number(scale, what) for scale in scales)
    if not values:
        raise InputError(f"No {what} was given; at least one is needed.")
    if bad := [value for value in values if not 0 < value < math.inf]:
        raise InputError(f"The {what} {bad[0]:g} is not possible; it must be finite and above 0.")
    for before, after in itertools.pairwise(values):
        if after <= before:
            raise InputError(f"The {what} {after:g} follows {before:g}; they must be strictly increasing.")
    return values


def checked_bands(bands: Iterable[Sequence[float | str]]) -> tuple[tuple[float, float], ...]:
    """Bands as pairs of floats; InputError unless finite, 0 <= low < high, and all different."""
    values: list[tuple[float, float]] = []
    for band in bands if isinstance(bands, Iterable) else (bands,):
        edges = tuple(band) if isinstance(band, Iterable) and not isinstance(band, str) else ()
        if len(edges) != 2:
            raise InputError(f"Band {band!r} is not a (low, high) pair.")
        low, high = (number(edge, "band edge") for edge in edges)
        if not 0 <= low < high <= MAX_RADIUS:
            raise InputError(f"The band {low:g} to {high:g} is not possible; it needs 0 <= low < high, both finite.")
        if (low, high) in values:
            raise InputError(f"The band {low:g} to {high:g} is repeated.")
        values.append((low, high))
    if not values:
        raise InputError("No bands were given; at least one is needed.")
    return tuple(values)


def number(value: Any, what: str) -> float:
    """A float from what a user wrote; `what` is its name in the message."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{value!r} is not a number, so it cannot be a {what}.") from None


def _check_unit(unit: str) -> None:
    if unit not in UNITS:
        raise InputError(f"No unit {unit!r}; there are {' and '.join(UNITS)}.{nearest(unit, UNITS)}")


def resolve(probes: Sequence[Probe], size: tuple[int, int]) -> tuple[ResolvedProbe, ...]:
    """Probes for one crop size; two of the same name (group of the cube) are an error."""
    resolved = tuple(probe.at_size(size) for probe in probes)
    if not resolved:
        raise InputError("No probes were given; at least one is needed, such as LowPass(radii).")
    names = [probe.name for probe in resolved]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"The probe {repeated[0]} is given twice; merge its radii or bands into one.")
    return resolved


def merged(stored: Sequence[ResolvedProbe], wanted: Sequence[ResolvedProbe]) -> tuple[ResolvedProbe, ...]:
    """The union of stored and wanted probes, cut-offs in order."""
    union: dict[str, ResolvedProbe] = {}
    for probe in (*stored, *wanted):
        before = union[probe.name].cutoffs if probe.name in union else ()
        cutoffs = tuple(sorted({*before, *probe.cutoffs}, key=lambda c: (c[1], c[0]) if probe.radial else c))
        union[probe.name] = ResolvedProbe(probe.name, probe.kind, probe.family, cutoffs, probe.size)
    return tuple(union.values())
