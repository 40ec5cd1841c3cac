"""Conditions, and the arrays of the cube as what was measured under each: how a store is filled, and how it grows."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bandscope.conventions import Convention
from bandscope.cube.schema import ALL_PASS, CLEAN_VARIABLES, CONDITION_VARIABLES, VIEW_VARIABLES, Variable
from bandscope.engine.scales import Scales
from bandscope.probes import ResolvedProbe

Arrays = dict[str, NDArray[Any]]
Outcome = Mapping[str, NDArray[Any]]  # an array over the images for each variable


class Condition(NamedTuple):
    """One change of the images.

    group: the cube's group; "" for the clean image.
    scale: a zoom or object size; None for the ordinary crop.
    cutoff: (low, high) of the filter; None where every frequency is kept.
    """

    group: str
    scale: float | None = None
    cutoff: tuple[float, float] | None = None


CLEAN = Condition("")


@dataclass(frozen=True)
class Layout:
    """Which conditions a cube holds, and where: for each probe its cut-offs, for all of them the scales.

    The convention says what a cut-off does.
    """

    probes: tuple[ResolvedProbe, ...]
    convention: Convention
    scales: Scales | None = None

    @property
    def values(self) -> tuple[float | None, ...]:
        """The scales; None alone where there is no such dimension."""
        return self.scales.values if self.scales else (None,)

    def at_radii(self, radii: Iterable[float]) -> "Layout":
        """The same with other radii, for every probe over radius."""
        cutoffs = tuple((0.0, float(radius)) for radius in radii)
        return replace(self, probes=tuple(replace(p, cutoffs=cutoffs) if p.radial else p for p in self.probes))

    def conditions(self) -> tuple[Condition, ...]:
        """Every condition, the clean image first, then by scale."""
        return (CLEAN, *(condition for scale in self.values for condition in self._at(scale)))

    def _at(self, scale: float | None) -> Iterator[Condition]:
        if self.scales:
            yield Condition(ALL_PASS, scale)
        yield from (Condition(probe.name, scale, cutoff) for probe in self.probes for cutoff in probe.cutoffs)

    def copies(self, conditions: Collection[Condition]) -> dict[Condition, Condition]:
        """Those of the conditions that show the same images as another one of them, which alone is measured."""
        plainest = {condition: self.plainest(condition) for condition in conditions}
        return {c: other for c, other in plainest.items() if other != c and other in plainest}

    def plainest(self, condition: Condition) -> Condition:
        """The condition of fewest changes that shows the same images.

        A low-pass beyond the corner of the spectrum keeps every frequency; an unfiltered zoom 1 is the clean image.
        """
        if (condition.group, condition.cutoff) in self._unchanging:
            condition = Condition(ALL_PASS, condition.scale) if self.scales else CLEAN
        plain = condition.group == ALL_PASS and self.scales is not None and self.scales.is_plain(condition.scale)
        return CLEAN if plain else condition

    @cached_property
    def _unchanging(self) -> frozenset[tuple[str, tuple[float, float]]]:
        """Filters that keep every frequency."""
        return frozenset(
            (probe.name, cutoff)
            for probe in self.probes
            for index, cutoff in enumerate(probe.cutoffs)
            if (probe.gain(index, self.convention) == 1).all()
        )

    def forward_passes(self, conditions: Collection[Condition]) -> int:
        """How many forward passes an image takes."""
        return len(conditions) - len(self.copies(conditions))

    def arrays(self, outcomes: Mapping[Condition, Outcome]) -> Arrays:
        """Every array of the cube but `status`, from what was measured under each condition.

        A filter that keeps every frequency may be missing among them.
        """
        arrays = {v.name: outcomes[CLEAN][_bare(v)] for v in CLEAN_VARIABLES}
        if self.scales:
            for v in (*CONDITION_VARIABLES, *VIEW_VARIABLES):
                arrays[f"{ALL_PASS}/{v.name}"] = np.stack(
                    [outcomes[Condition(ALL_PASS, scale)][v.name] for scale in self.values], axis=1
                )
        for probe in self.probes:
            for v in CONDITION_VARIABLES:
                arrays[f"{probe.name}/{v.name}"] = self._stacked(probe, v, outcomes)
        return arrays

    def _stacked(self, probe: ResolvedProbe, v: Variable, outcomes: Mapping[Condition, Outcome]) -> NDArray[Any]:
        def found(condition: Condition) -> NDArray[Any]:
            outcome = outcomes[condition if condition in outcomes else self.plainest(condition)]
            if v.name in outcome:
                return outcome[v.name]
            return np.zeros_like(outcome["probability"])  # nothing is out of range where nothing was filtered

        rows = [
            np.stack([found(Condition(probe.name, scale, cutoff)) for cutoff in probe.cutoffs], axis=1)
            for scale in self.values
        ]
        return np.stack(rows, axis=1) if self.scales else rows[0]

    def outcomes(self, arrays: Mapping[str, NDArray[Any]]) -> dict[Condition, Outcome]:
        """The inverse of `arrays`."""
        outcomes: dict[Condition, Outcome] = {CLEAN: {_bare(v): arrays[v.name] for v in CLEAN_VARIABLES}}
        for place, scale in enumerate(self.values):
            at = (slice(None), place) if self.scales else (slice(None),)
            for condition in self._at(scale):
                where = at if condition.cutoff is None else (*at, self._place(condition))
                outcomes[condition] = {
                    v.name: arrays[f"{condition.group}/{v.name}"][where] for v in variables(condition.group)
                }
        return outcomes

    def _place(self, condition: Condition) -> int:
        return next(probe.cutoffs for probe in self.probes if probe.name == condition.group).index(condition.cutoff)

    def describe(self, condition: Condition) -> str:
        """A condition in words, for messages."""
        if condition == CLEAN:
            return "the clean image"
        probe = next((p for p in self.probes if p.name == condition.group), None)
        words = [probe.describe(self._place(condition))] if probe else []
        if condition.scale is not None and self.scales:
            words.append(f"{self.scales.axis.replace('_', ' ')} {condition.scale:g}")
        return " at ".join(words)


def variables(group: str) -> tuple[Variable, ...]:
    """The variables of a group of the cube."""
    return (*CONDITION_VARIABLES, *VIEW_VARIABLES) if group == ALL_PASS else CONDITION_VARIABLES


def _bare(clean: Variable) -> str:
    return clean.name.removeprefix("clean_")


def probes_of(conditions: Iterable[Condition], probes: Sequence[ResolvedProbe]) -> tuple[ResolvedProbe, ...]:
    """The probes, reduced to the cut-offs that are among the conditions."""
    wanted = {(condition.group, condition.cutoff) for condition in conditions}
    reduced = (
        ResolvedProbe(p.name, p.kind, p.family, tuple(c for c in p.cutoffs if (p.name, c) in wanted), p.size)
        for p in probes
    )
    return tuple(probe for probe in reduced if probe.cutoffs)


def known_outcomes(old: Layout, new: Layout, arrays: Mapping[str, NDArray[Any]]) -> dict[Condition, Outcome]:
    """What a block of a store of layout `old` knows of the conditions of `new`, in the terms of `new`."""
    return {_renamed(condition, old, new): outcome for condition, outcome in old.outcomes(arrays).items()}


def missing_conditions(old: Layout, new: Layout) -> tuple[Condition, ...]:
    """The conditions of `new` that `old` does not hold."""
    known = {_renamed(condition, old, new) for condition in old.conditions()}
    return tuple(condition for condition in new.conditions() if condition not in known)


def unknown_conditions(old: Layout, new: Layout) -> tuple[Condition, ...]:
    """Those of them that nothing in `old` answers: a filter that keeps every frequency is known with the image."""
    known = {_renamed(condition, old, new) for condition in old.conditions()}
    return tuple(c for c in missing_conditions(old, new) if c.cutoff is None or new.plainest(c) not in known)


def _renamed(condition: Condition, old: Layout, new: Layout) -> Condition:
    """A condition of a layout without scales, as one of a layout whose zoom 1 shows the same."""
    if condition == CLEAN or old.scales or not new.scales:
        return condition
    return condition._replace(scale=1.0)
