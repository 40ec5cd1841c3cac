"""Reach: the radius at which a given share of the clean accuracy is there (low-pass) or gone to (high-pass)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float

from bandscope.analysis.bands import LEVEL_TOLERANCE, MIN_IMAGES, until_peak
from bandscope.analysis.groups import By, Group, groups_of
from bandscope.analysis.outcomes import Outcomes, clean_outcomes, images_of, radius_outcomes
from bandscope.analysis.statistics import Bootstrap, isotonic, percentile_interval, resampled_means, share, too_few

LOW_PASS_LEVELS = (0.5, 0.9, 0.99)
HIGH_PASS_LEVELS = (0.5, 0.1)


def reach(
    cube: xr.DataTree,
    by: By = None,
    *,
    low_pass: Sequence[float] = LOW_PASS_LEVELS,
    high_pass: Sequence[float] = HIGH_PASS_LEVELS,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Where a low-pass curve first reaches a share of the clean accuracy, and where a high-pass curve falls to one.

    Both are read off the isotonic fit that `bands` uses (rising up to the first maximum, falling over all radii),
    by linear interpolation between neighbouring radii.

    Args:
        cube: an audit's results.
        by: None | "class" | {model output index: group name}.
        low_pass: shares of the clean accuracy, for low-pass probes.
        high_pass: the same for high-pass probes.
        confidence: of the intervals.
        resamples: of the paired bootstrap over images.
        seed: of the bootstrap.

    Returns:
        One row a (probe, group, level): probe, group, class_index (by="class"), n, level, radius (cycles/image),
        radius_ci_low, radius_ci_high (expanded percentiles; resamples that leave the grid count as its end), reason
        (why the radius is NaN: too few images, or not reached between the smallest and the largest radius).

    Raises:
        InputError: `by`, `confidence`, `resamples` or `seed` is not possible.
    """
    bootstrap = Bootstrap(confidence, resamples, seed)
    images = images_of(cube)
    groups, clean = groups_of(images, by), clean_outcomes(images).right()
    levels = {"low_pass": tuple(low_pass), "high_pass": tuple(high_pass)}
    rows = [
        row
        for outcomes in radius_outcomes(images)
        for right in [outcomes.right()]
        for group in groups
        for row in _rows(outcomes, right[group.rows], group, clean[group.rows], levels[outcomes.kind], bootstrap)
    ]
    return pd.DataFrame(rows)


def crossing(
    relative: Float[np.ndarray, "*curves radii"], radius: Float[np.ndarray, " radii"], level: float, kind: str
) -> Float[np.ndarray, "*curves"]:
    """Radius where each curve's fit meets `level`; -inf where it is past it from the start, inf where it never is."""
    fit = isotonic(until_peak(relative)) if kind == "low_pass" else -isotonic(-relative)
    past = (fit >= level - LEVEL_TOLERANCE) if kind == "low_pass" else (fit <= level + LEVEL_TOLERANCE)
    after = (
        np.clip(past.argmax(axis=-1), 1, None)[..., None] if len(radius) > 1 else np.zeros((*past.shape[:-1], 1), int)
    )
    before = np.maximum(after - 1, 0)
    start, stop = (np.take_along_axis(fit, at, -1)[..., 0] for at in (before, after))
    step = np.where(start == stop, 1, stop - start)
    met = radius[before[..., 0]] + np.clip((level - start) / step, 0, 1) * (radius[after] - radius[before])[..., 0]
    return np.where(past[..., 0], -np.inf, np.where(past.any(axis=-1), met, np.inf))


def _rows(
    outcomes: Outcomes,
    right: Bool[np.ndarray, "images radii"],
    group: Group,
    clean: Bool[np.ndarray, "images 1"],
    levels: Sequence[float],
    bootstrap: Bootstrap,
) -> Iterator[dict[str, Any]]:
    radius = outcomes.radius
    few = too_few(len(group), MIN_IMAGES) or ("" if clean.any() else "clean accuracy is 0")
    if not few:
        resampled = resampled_means(np.hstack([right, clean]), bootstrap.resamples, group.random(bootstrap))
        relative, resampled = right.mean(axis=0) / clean.mean(), share(resampled[:, :-1], resampled[:, -1:])
        resampled = resampled[np.isfinite(resampled).all(axis=1)]
    for level in levels:
        keys = {"probe": outcomes.name, **group.keys(), "level": level}
        if few:
            yield keys | _undefined(few)
            continue
        met = float(crossing(relative, radius, level, outcomes.kind))
        if not np.isfinite(met):
            yield keys | _undefined(_outside(met, level, radius, outcomes.kind))
            continue
        ends = np.clip(crossing(resampled, radius, level, outcomes.kind), radius[0], radius[-1])
        low, high = percentile_interval(ends, bootstrap.confidence, len(group))
        yield keys | {"radius": met, "radius_ci_low": float(low), "radius_ci_high": float(high), "reason": ""}


def _outside(met: float, level: float, radius: Float[np.ndarray, " radii"], kind: str) -> str:
    side = "above" if kind == "low_pass" else "below"
    if met < 0:
        return f"already {side} {level:.0%} of clean at the smallest radius, {radius[0]:g}"
    return f"never {side} {level:.0%} of clean, up to radius {radius[-1]:g}"


def _undefined(reason: str) -> dict[str, Any]:
    return {"radius": np.nan, "radius_ci_low": np.nan, "radius_ci_high": np.nan, "reason": reason}
