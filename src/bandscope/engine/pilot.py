"""The pilot: radii chosen where the curves of a few images bend, before the audit of all of them.

Wherever the accuracy of two neighbouring radii differs by more than a tolerance, the interval between them is
bisected, until none does or nothing lies between: radii are refined to whole cycles/image, and for ideal filters no
further than to the next DFT bin, because between two bins nothing changes.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Float

from bandscope.classifiers.backends import DEFAULT
from bandscope.conventions import Convention
from bandscope.datasets.subset import Subset, select
from bandscope.engine.conditions import Condition
from bandscope.engine.job import Job
from bandscope.engine.run import Settings, Span, measured
from bandscope.errors import DataError, InputError
from bandscope.probes import ResolvedProbe, default_radii, number
from bandscope.spectral.gains import MEMBERSHIP_TOLERANCE
from bandscope.spectral.grid import squared_radius

THINNED = 4  # of the default radii, every so many are a start
ROUNDING = 1e-9  # of a difference between two shares of images

Radii = tuple[float, ...]
Measure = Callable[[Radii], tuple[Radii, Float[np.ndarray, "probes radii"]]]
Bins = Float[np.ndarray, " bins"]


@dataclass(frozen=True)
class Pilot:
    """How an audit chooses its radii.

    All probes over radius get the same ones, because their curves are to be compared: the pilot starts from the union
    of their radii, and bisects where any of them bends. Bands stay as they are. The pilot looks at the ordinary crop,
    at zoom 1.

    Args:
        tolerance: in accuracy, above 0 and below 1: neighbouring radii that differ by more get another one between
            them.
        images: so many of the audit's images, a seeded sample, or all where there are fewer. One image changes
            accuracy by 1 / images: a tolerance below that refines wherever any answer changes.

    Raises:
        InputError: the tolerance or the number of images is out of range.
    """

    tolerance: float = 0.02
    images: int = 200

    def __post_init__(self) -> None:
        object.__setattr__(self, "tolerance", number(self.tolerance, "tolerance"))
        if not 0 < self.tolerance < 1:
            raise InputError(
                f"The tolerance {self.tolerance:g} is not possible: it is a difference in accuracy, above 0 and "
                "below 1, such as 0.02."
            )
        if not isinstance(self.images, int) or self.images < 1:
            raise InputError(f"A pilot of {self.images!r} images is not possible; give a number >= 1.")

    def asked(self, probes: Sequence[ResolvedProbe], images: int, seed: int) -> dict[str, Any]:
        """What decides the radii on one model and data, as the store records it; the "radii" follow.

        Raises:
            InputError: no probe over radius, or fewer than two radii.
        """
        radial = [probe for probe in probes if probe.radial]
        if not radial:
            given = ", ".join(probe.name.replace("_", "-") for probe in probes)
            raise InputError(f"--adaptive chooses radii, and no probe has any (given: {given}); add low-pass, or so.")
        start = _union(*map(radii_of, radial))
        if len(start) < 2:
            raise InputError(f"--adaptive looks between radii, so two are needed at least; given: {start[0]:g}.")
        sample = {"tolerance": self.tolerance, "images": min(self.images, images), "seed": int(seed)}
        return {**sample, "probes": [probe.name for probe in radial], "start": list(start)}


def coarse_radii(size: tuple[int, int]) -> Radii:
    """Every fourth of the default radii, and the last: where a pilot starts if no radii are given."""
    radii = default_radii(size)
    return _union(radii[::THINNED], radii[-1:])


def radii_of(probe: ResolvedProbe) -> Radii:
    """The radii of a probe, in cycles/image; none of a band probe."""
    return tuple(high for _, high in probe.cutoffs) if probe.radial else ()


def chosen_radii(job: Job, asked: Mapping[str, Any], stored: Sequence[ResolvedProbe], settings: Settings) -> Radii:
    """Run the pilot of a job; each radius is measured once.

    Args:
        job: its radii are not looked at.
        asked: what `Pilot.asked` made of it.
        stored: probes of a store that is to be extended: their radii are part of the start.
        settings: of the audit; its `watch` hears how the pilot goes.

    Raises:
        DataError: no image of the pilot can be used.
    """
    start = _union(asked["start"], *map(radii_of, stored))
    rounds = _Rounds(job, asked, settings)
    radii = bisected(rounds.measure, start, asked["tolerance"], rounds.bins())
    if settings.watch:
        settings.watch.chosen(asked["images"], radii, len(radii) - len(start))
    return radii


def bisected(measure: Measure, start: Radii, tolerance: float, bins: Sequence[Bins | None]) -> Radii:
    """The radii at which a pilot ends.

    Args:
        measure: from the radii of a round to all radii so far and the accuracy of each probe at each of them.
        start: the radii of the first round.
        tolerance: in accuracy.
        bins: see `further_radii`.
    """
    radii, new = start, start
    while new:
        radii, accuracy = measure(new)
        new = further_radii(radii, accuracy, tolerance, bins)
    return radii


def further_radii(
    radii: Radii, accuracy: Float[np.ndarray, "probes radii"], tolerance: float, bins: Sequence[Bins | None]
) -> Radii:
    """A radius in each interval over which the accuracy of any probe changes by more than the tolerance.

    Args:
        radii: strictly increasing, in cycles/image.
        accuracy: of each probe at each radius.
        tolerance: in accuracy.
        bins: of each probe, its `bins_kept_from`; None for a soft filter, which every change of the radius changes.
    """
    bends = np.abs(np.diff(accuracy, axis=1)) > tolerance + ROUNDING
    middles = (
        middle(low, high, kept_from)
        for kept_from, bent in zip(bins, bends, strict=True)
        for (low, high), bend in zip(itertools.pairwise(radii), bent, strict=True)
        if bend
    )
    return _union([radius for radius in middles if radius is not None])


def middle(low: float, high: float, kept_from: Bins | None = None) -> float | None:
    """The whole radius nearest to the middle whose filter differs from those of both ends; None without one."""
    first, last = math.floor(low) + 1, math.ceil(high) - 1
    if kept_from is not None:
        a, b = np.searchsorted(kept_from, (low, high), side="right")
        if a == b:
            return None
        first, last = max(first, math.ceil(kept_from[a])), min(last, math.ceil(kept_from[b - 1]) - 1)
    return float(min(max(round((low + high) / 2), first), last)) if first <= last else None


def bins_kept_from(size: tuple[int, int], convention: Convention) -> Bins:
    """The radii (cycles/image, increasing) from which an ideal low-pass of a crop of `size` keeps a DFT bin more."""
    squared = np.unique(squared_radius(*size, metric=convention.metric, centre=convention.centre))
    return np.asarray(np.sqrt(squared / (1 + MEMBERSHIP_TOLERANCE)))


class _Rounds:
    """What a pilot has measured so far: which images are right, under each probe, at each radius."""

    def __init__(self, job: Job, asked: Mapping[str, Any], settings: Settings) -> None:
        probes = tuple(probe for probe in job.layout.probes if probe.radial)
        layout = replace(job.layout, probes=probes, scales=None)
        self._job = replace(job, layout=layout, plan=replace(job.plan, backend=DEFAULT))
        self._settings = settings
        sample = cast(Subset, select(job.source, limit=asked["images"], seed=asked["seed"]))
        self._positions = sample.positions
        self._used = np.ones(len(self._positions), dtype=bool)
        self._right: dict[float, Bool[np.ndarray, "probes images"]] = {}
        self._rounds = itertools.count(1)

    def bins(self) -> list[Bins | None]:
        """For each probe, where its filter changes; None if everywhere."""
        probes, convention = self._job.layout.probes, self._job.layout.convention
        bins = bins_kept_from(probes[0].size, convention)
        return [bins if probe.family == "ideal" else None for probe in probes]

    def measure(self, new: Radii) -> tuple[Radii, Float[np.ndarray, "probes radii"]]:
        """One round: all radii so far, and the accuracy of each probe at each of them."""
        layout = self._job.layout.at_radii(new)
        conditions = layout.conditions()[1:]  # the clean image says nothing about radii
        right = self._answers(replace(self._job, layout=layout), conditions)
        self._right |= dict(zip(new, np.moveaxis(right.reshape(-1, len(new), right.shape[1]), 1, 0), strict=True))
        radii = tuple(sorted(self._right))
        return radii, np.stack([self._right[radius][:, self._used].mean(axis=1) for radius in radii], axis=1)

    def _answers(self, job: Job, conditions: Sequence[Condition]) -> Bool[np.ndarray, "conditions images"]:
        """Whether each image is right under each condition; those that fail are no longer used."""
        count, size = len(self._positions), job.plan.block_size
        spans = [Span(start, self._positions[start : start + size].tolist()) for start in range(0, count, size)]
        blocks = [
            found for *_, found in measured([job], conditions, spans, self._settings, self._tick(job, conditions))
        ]
        self._used &= np.concatenate([block.status == "ok" for block in blocks])
        if not self._used.any():
            first = job.source.paths[self._positions[0]]
            raise DataError(f"None of the pilot's {count} images can be used, such as {first}.")
        predicted = [np.stack([block.outcomes[c]["top5_class"][:, 0] for c in conditions]) for block in blocks]
        return np.asarray(np.concatenate(predicted, axis=1) == job.labels[self._positions])

    def _tick(self, job: Job, conditions: Sequence[Condition]) -> Callable[[int], None]:
        """What is called after each forward pass of a round."""
        images, watch = len(self._positions), self._settings.watch
        if watch is None:
            return lambda _: None
        total, progress = images * job.layout.forward_passes(conditions), watch.round(next(self._rounds))
        progress(0, total, images)
        return lambda passes: progress(passes, total, images)


def _union(*radii: Iterable[float]) -> Radii:
    return tuple(sorted({radius for some in radii for radius in some}))
