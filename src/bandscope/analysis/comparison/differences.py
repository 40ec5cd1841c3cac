"""Differences: every model against the first, on the same images, radius by radius and band by band."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from bandscope.analysis.bands import QUANTITIES, band_quantities, bands
from bandscope.analysis.comparison.common import CONDITION_NAMES, Common, Cubes, common_of
from bandscope.analysis.comparison.paired import holm, mcnemar
from bandscope.analysis.groups import By, Group, groups_of
from bandscope.analysis.outcomes import KINDS, Outcomes
from bandscope.analysis.statistics import (
    MIN_IMAGES,
    Bootstrap,
    percentile_interval,
    resampled_means,
    share,
    too_few,
)

CLEAN = "clean"  # the probe that changes nothing


def differences(
    cubes: Cubes, by: By = None, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Accuracy, relative accuracy and label probability of each other model B minus those of the first, A.

    Intervals are expanded percentiles of the paired bootstrap: a resample draws images, each with the outcomes of
    both models. Of accuracies it draws from the images and two more, one that A alone has right and one that B alone
    has right: the bootstrap cannot know of images that it has not seen, and where two models hardly ever disagree it
    would be far too sure of it. [The two images: Bonett and Price 2012, J. Educ. Behav. Stat. 37]

    p is McNemar's exact test of accuracy, p_adjusted is Holm's over all conditions of the probe. Each probe, each B
    and each group is a family of its own.

    Args:
        cubes: audits by name, in a list, or what `common_images` found in them; the first is A.
        by: None | "class" | {model output index of A: group name}.
        confidence: of every interval.
        resamples: of the bootstrap over images.
        seed: of the bootstrap.

    Returns:
        One row a (B, probe, group, condition), the unchanged images as probe "clean": a, b (names), probe, group,
        class_index (by="class"; of A), n; radius, or low and high (cycles/image); accuracy_a, accuracy_b, difference
        (B - A); relative_a, relative_b (to the model's own clean accuracy), relative_difference; probability_a,
        probability_b, probability_difference, each difference with _ci_low and _ci_high; gained (images right under B
        alone), lost (under A alone), p, p_adjusted; reason, why cells are NaN.
    """
    common, bootstrap = common_of(cubes), Bootstrap(confidence, resamples, seed)
    groups, clean = groups_of(common.images[0], by), [outcomes.right() for outcomes in common.clean()]
    return pd.concat(
        [
            frame
            for outcomes in [common.clean(), *common.probes()]
            for frame in _frames(common, outcomes, clean, groups, bootstrap)
        ],
        ignore_index=True,
    )


def band_differences(
    cubes: Cubes, by: By = None, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Rise, r10, r50, r90, width and octaves of each other model's band minus those of the first model's.

    Values and reasons are those of `bands` on the common images. The interval is the expanded percentile one of the
    paired bootstrap: both bands are fitted anew in every resample; what `bands` says of its intervals holds here too.

    Args:
        cubes: audits by name, in a list, or what `common_images` found in them; the first is A.
        by: None | "class" | {model output index of A: group name}.
        confidence: of every interval.
        resamples: of the bootstrap over images.
        seed: of the bootstrap.

    Returns:
        One row a (B, low-pass or high-pass probe, group, quantity): a, b (names), probe, group, class_index
        (by="class"; of A), n, quantity, value_a, value_b, difference (B - A), ci_low, ci_high; reason, why a value is
        NaN.
    """
    common, bootstrap = common_of(cubes), Bootstrap(confidence, resamples, seed)
    groups = groups_of(common.images[0], by)
    tables = [
        bands(images.cube, groups, confidence=confidence, resamples=resamples, seed=seed) for images in common.images
    ]
    frames = list(_band_frames(common, groups, tables, bootstrap))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


@dataclass(frozen=True)
class _Side:
    """One model's outcomes of some images under one probe, and of the unchanged images."""

    right: Bool[np.ndarray, "images conditions"]
    probability: Float[np.ndarray, "images conditions"]
    clean: Bool[np.ndarray, "images 1"]
    unfiltered: bool

    def of(self, group: Group) -> "_Side":
        rows = group.rows
        return _Side(self.right[rows], self.probability[rows], self.clean[rows], self.unfiltered)

    def relative(self) -> Float[np.ndarray, " conditions"]:
        return share(self.right.sum(axis=0), self.clean.sum())


def _frames(
    common: Common,
    outcomes: list[Outcomes],
    clean: list[Bool[np.ndarray, "images 1"]],
    groups: list[Group],
    bootstrap: Bootstrap,
) -> Iterator[pd.DataFrame]:
    unfiltered = outcomes[0].kind == CLEAN
    sides = [
        _Side(own.right(), own.probability(), right, unfiltered) for own, right in zip(outcomes, clean, strict=True)
    ]
    held = outcomes[0].coordinates()
    coordinates: dict[str, Any] = {name: held[name] for name in CONDITION_NAMES if name in held} or {"radius": np.nan}
    for a, b in common.pairs():
        for group in groups:
            keys = {"a": common.names[a], "b": common.names[b], "probe": outcomes[0].name, **group.keys()}
            row = _compared(sides[a].of(group), sides[b].of(group), group, bootstrap)
            yield pd.DataFrame({**keys, **coordinates, **row})


def _compared(a: _Side, b: _Side, group: Group, bootstrap: Bootstrap) -> dict[str, Any]:
    n = len(group)
    gained, lost = (b.right & ~a.right).sum(axis=0), (a.right & ~b.right).sum(axis=0)
    p = mcnemar(gained, lost) if n else np.full(len(gained), np.nan)
    low, high = _intervals(a, b, group, bootstrap)
    values = [
        ("accuracy", "difference", share(a.right.sum(axis=0), n), share(b.right.sum(axis=0), n)),
        ("relative", "relative_difference", a.relative(), b.relative()),
        ("probability", "probability_difference", _mean(a.probability), _mean(b.probability)),
    ]
    columns: dict[str, Any] = {}
    for (name, difference, of_a, of_b), below, above in zip(values, low, high, strict=True):
        value = of_b - of_a
        ends = np.where(np.isnan(value), np.nan, [below, above])
        columns |= {f"{name}_a": of_a, f"{name}_b": of_b, difference: value}
        columns |= {f"{difference}_ci_low": ends[0], f"{difference}_ci_high": ends[1]}
    unreachable = "" if a.clean.any() and b.clean.any() else "clean accuracy is 0"
    return columns | {
        "gained": gained,
        "lost": lost,
        "p": p,
        "p_adjusted": holm(p) if n else p,
        "reason": too_few(n, MIN_IMAGES) or unreachable,
    }


def _mean(probability: Float[np.ndarray, "images conditions"]) -> Float[np.ndarray, " conditions"]:
    return share(probability.sum(axis=0, dtype=np.float64), len(probability))


def _intervals(a: _Side, b: _Side, group: Group, bootstrap: Bootstrap) -> Float[np.ndarray, "2 3 conditions"]:
    """(low, high) x (accuracy, relative accuracy, probability): of the differences."""
    n, conditions = a.right.shape
    if n < MIN_IMAGES:
        return np.full((2, 3, conditions), np.nan)
    means = resampled_means(_with_two_more(a, b), bootstrap.resamples, group.random(bootstrap))
    right_a, right_b = np.split(means[:, :-2], 2, axis=1)
    relative = share(right_b, means[:, -1:]) - share(right_a, means[:, -2:-1])
    of_shares = percentile_interval(np.stack([right_b - right_a, relative], axis=1), bootstrap.confidence, n + 2)
    both = np.hstack([a.probability, b.probability])
    of_a, of_b = np.split(resampled_means(both, bootstrap.resamples, group.random(bootstrap)), 2, axis=1)
    of_probability = percentile_interval((of_b - of_a)[:, None], bootstrap.confidence, n)
    return np.concatenate([of_shares, of_probability], axis=1)


def _with_two_more(a: _Side, b: _Side) -> Float[np.ndarray, "images_and_2 columns"]:
    """Columns right of A, right of B, clean of A, clean of B; and an image for either that it alone has right.

    Both have it right when clean, but where what is compared is clean itself.
    """
    alone = np.array([[1.0], [0.0]])
    right = np.hstack([np.repeat(alone, a.right.shape[1], axis=1), np.repeat(1 - alone, a.right.shape[1], axis=1)])
    clean = np.hstack([alone, 1 - alone]) if a.unfiltered else np.ones((2, 2))
    return np.vstack([np.hstack([a.right, b.right, a.clean, b.clean]), np.hstack([right, clean])])


def _band_frames(
    common: Common, groups: list[Group], tables: list[pd.DataFrame], bootstrap: Bootstrap
) -> Iterator[pd.DataFrame]:
    """`tables` are the models' bands, a row a (probe, group) in the order in which they are gone through here."""
    row = itertools.count()
    for outcomes in common.probes():
        if outcomes[0].kind in KINDS[:2]:
            right = [own.right() for own in outcomes]
            for group in groups:
                at = next(row)
                for a, b in common.pairs():
                    found = {common.names[k]: tables[k].iloc[at] for k in (a, b)}
                    ends = _band_intervals(right[a][group.rows], right[b][group.rows], outcomes[0], group, bootstrap)
                    yield _band_frame(found, outcomes[0].name, group, ends)


def _band_frame(
    found: Mapping[str, "pd.Series[Any]"], probe: str, group: Group, ends: Float[np.ndarray, "2 6"]
) -> pd.DataFrame:
    """A row a quantity; `found` are the bands of A and B by their names."""
    (a, of_a), (b, of_b) = found.items()
    values = np.array([[band[name] for name in QUANTITIES] for band in (of_a, of_b)], dtype=np.float64)
    difference = values[1] - values[0]
    undefined = np.isnan(difference)
    low, high = np.where(undefined, np.nan, ends)
    return pd.DataFrame(
        {
            **{"a": a, "b": b, "probe": probe},
            **group.keys(),
            "quantity": QUANTITIES,
            **{"value_a": values[0], "value_b": values[1], "difference": difference, "ci_low": low, "ci_high": high},
            "reason": np.where(undefined, _without_band(found), ""),
        }
    )


def _band_intervals(
    a: Bool[np.ndarray, "images radii"],
    b: Bool[np.ndarray, "images radii"],
    outcomes: Outcomes,
    group: Group,
    bootstrap: Bootstrap,
) -> Float[np.ndarray, "2 6"]:
    """(low, high) of the differences in QUANTITIES."""
    if len(group) < MIN_IMAGES:
        return np.full((2, len(QUANTITIES)), np.nan)
    means = resampled_means(np.hstack([a, b]), bootstrap.resamples, group.random(bootstrap))
    both = band_quantities(np.stack(np.split(means, 2, axis=1)), outcomes.radius, outcomes.kind)
    return np.array(percentile_interval(both[1] - both[0], bootstrap.confidence, len(group)))


def _without_band(bands: Mapping[str, "pd.Series[Any]"]) -> str:
    """Why there is no difference: every model's own reason, once where they are the same."""
    reasons = {name: str(band["reason"]) for name, band in bands.items() if band["reason"]}
    if len(reasons) == len(bands) and len(set(reasons.values())) == 1:
        return next(iter(reasons.values()))
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
