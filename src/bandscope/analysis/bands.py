"""Bands: between which radii a curve rises. A band is [r10, r90], its centre r50."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float

from bandscope.analysis.groups import By, Group, groups_of
from bandscope.analysis.outcomes import Outcomes, clean_outcomes, images_of, radius_outcomes
from bandscope.analysis.selection import gain_interval
from bandscope.analysis.statistics import (
    Bootstrap,
    isotonic,
    percentile_interval,
    resampled_means,
    share,
    too_few,
    wilson,
)

MIN_RISE = 0.2
MIN_IMAGES = 10  # r10 and r90 ask for a tenth of the images
LEVELS = (0.1, 0.5, 0.9)
LEVEL_TOLERANCE = 1e-9  # a plateau at exactly 0.5 counts as having reached it, whatever the last bit says
QUANTITIES = ("rise", "r10", "r50", "r90", "width", "octaves")


def bands(
    cube: xr.DataTree, by: By = None, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """The band of every low-pass and high-pass curve of accuracy.

    Low-pass: the isotonic (rising) fit on radii up to the curve's first maximum; h = (fit - low end) / (high end -
    low end) goes from 0 to 1. High-pass: the falling fit over all radii; h = (high end - fit) / (high end - low
    end), so that h goes from 0 to 1 here too, r10 is where a tenth of the *fall* is done, and r10 < r90 always.
    r_q is where h first reaches q, by linear interpolation between neighbouring radii.

    Intervals of r10, r50, r90, width and octaves are expanded percentiles of the bootstrap: every resample is fitted
    anew, with its own maximum; resamples that do not rise at all have no band and are left out. The lower end of the
    rise's interval is safe against the choice of the maximum (`gain_interval`), its upper end is the bootstrap's.
    Where images flicker on a plateau, its maximum is too high and may lie anywhere on it: r90 and width come out too
    large there, and their intervals hold less often than they say; r50's hold (tests/analysis/test_coverage.py).

    Args:
        cube: an audit's results.
        by: None | "class" | {model output index: group name}.
        confidence: of every interval.
        resamples: of the bootstrap over images.
        seed: of the bootstrap.

    Returns:
        One row a (probe, group): probe, group, class_index (by="class"), n; rise, r10, r50, r90, width = r90 - r10
        (radii in cycles/image), octaves = log2(r90 / r10), each with _ci_low and _ci_high; accuracy (clean),
        accuracy_ci_low, accuracy_ci_high (Wilson); reason. A row with a reason has no band: all its quantities are
        NaN, but for the rise and its interval where there are enough images to tell.

    Raises:
        InputError: `by`, `confidence`, `resamples` or `seed` is not possible.
    """
    bootstrap = Bootstrap(confidence, resamples, seed)
    images = images_of(cube)
    groups, clean_right = groups_of(images, by), clean_outcomes(images).right()
    rows = [r for outcomes in radius_outcomes(images) for r in _rows(outcomes, groups, clean_right, bootstrap)]
    return pd.DataFrame(rows)


def band_quantities(
    accuracy: Float[np.ndarray, "*curves radii"], radius: Float[np.ndarray, " radii"], kind: str
) -> Float[np.ndarray, "*curves 6"]:
    """rise, r10, r50, r90, width and octaves of each curve of a "low_pass" or "high_pass" probe.

    All but the rise are NaN where the rise is 0. Nothing is said here of whether a rise can be trusted.
    """
    fit = isotonic(until_peak(accuracy) if kind == "low_pass" else -accuracy)
    rise = fit[..., -1] - fit[..., 0]
    height = (fit - fit[..., :1]) / np.where(rise > LEVEL_TOLERANCE, rise, np.nan)[..., None]
    r10, r50, r90 = (_first_reach(height, radius, level) for level in LEVELS)
    return np.stack([rise, r10, r50, r90, r90 - r10, np.log2(r90 / r10)], axis=-1)


def until_peak(accuracy: Float[np.ndarray, "*curves radii"]) -> Float[np.ndarray, "*curves radii"]:
    """Each curve held at its first maximum: a rising fit then equals the fit on the radii up to there."""
    peak = accuracy.argmax(axis=-1)[..., None]
    return np.where(np.arange(accuracy.shape[-1]) > peak, accuracy.max(axis=-1, keepdims=True), accuracy)


def _first_reach(
    height: Float[np.ndarray, "*curves radii"], radius: Float[np.ndarray, " radii"], level: float
) -> Float[np.ndarray, "*curves"]:
    """Radius where each height, rising from 0 to 1, first reaches `level`."""
    after = np.clip((height >= level - LEVEL_TOLERANCE).argmax(axis=-1), 1, len(radius) - 1)[..., None]
    low, high = (np.take_along_axis(height, at, -1)[..., 0] for at in (after - 1, after))
    left, right = radius[after[..., 0] - 1], radius[after[..., 0]]
    return np.asarray(left + np.minimum((level - low) / (high - low), 1) * (right - left))


def _rows(
    outcomes: Outcomes, groups: list[Group], clean_right: Bool[np.ndarray, "used 1"], bootstrap: Bootstrap
) -> Iterator[dict[str, Any]]:
    right, radius = outcomes.right(), outcomes.radius
    for group in groups:
        band, reason = _band(right[group.rows], radius, outcomes.kind, group, bootstrap)
        clean = _clean(clean_right[group.rows], bootstrap.confidence)
        yield {"probe": outcomes.name, **group.keys(), **band, **clean, "reason": reason}


def _band(
    right: Bool[np.ndarray, "images radii"],
    radius: Float[np.ndarray, " radii"],
    kind: str,
    group: Group,
    bootstrap: Bootstrap,
) -> tuple[dict[str, Any], str]:
    """Every quantity with its interval, and the reason where there is no band."""
    if reason := too_few(len(group), MIN_IMAGES):
        return _named(*np.full((3, len(QUANTITIES)), np.nan)), reason
    resampled = resampled_means(right, bootstrap.resamples, group.random(bootstrap))
    values = band_quantities(right.mean(axis=0), radius, kind)
    low, high = percentile_interval(band_quantities(resampled, radius, kind), bootstrap.confidence, len(group))
    low[0] = rise_low(right, resampled, kind, bootstrap.confidence)
    reason = _no_band(values[0], low[0], bootstrap.confidence)
    if reason:
        values[1:] = low[1:] = high[1:] = np.nan
    return _named(values, low, high), reason


def rise_low(
    right: Bool[np.ndarray, "images radii"],
    resampled: Float[np.ndarray, "resamples radii"],
    kind: str,
    confidence: float,
) -> float:
    """Lower end of the rise's interval: best radius over the first (low-pass), first over last (high-pass)."""
    if kind == "low_pass":
        return gain_interval(right, 0, resampled, confidence)[0]
    return gain_interval(right[:, [0, -1]], 1, resampled[:, [0, -1]], confidence)[0]


def _no_band(rise: float, low: float, confidence: float) -> str:
    if rise < MIN_RISE - LEVEL_TOLERANCE:
        return f"rise {rise:.2g} is below {MIN_RISE}"
    return "" if low > 0 else f"the {100 * confidence:g} % interval of the rise holds 0"


def _named(
    values: Float[np.ndarray, " 6"], low: Float[np.ndarray, " 6"], high: Float[np.ndarray, " 6"]
) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, value, below, above in zip(QUANTITIES, values, low, high, strict=True):
        columns |= {name: value, f"{name}_ci_low": below, f"{name}_ci_high": above}
    return columns


def _clean(right: Bool[np.ndarray, "images 1"], confidence: float) -> dict[str, float]:
    hits, n = right.sum(), len(right)
    low, high = wilson(hits, n, confidence)
    return {"accuracy": float(share(hits, n)), "accuracy_ci_low": float(low), "accuracy_ci_high": float(high)}
