"""Conflicts: frequencies that cost accuracy when they come in, and the classes that take over."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float, Int

from bandscope.analysis.groups import By, Group, groups_of
from bandscope.analysis.outcomes import Outcomes, images_of, radius_outcomes
from bandscope.analysis.selection import gain_interval
from bandscope.analysis.statistics import MIN_IMAGES, Bootstrap, resampled_means, share, too_few


def conflicts(
    cube: xr.DataTree, by: By = None, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """By how much accuracy falls again beyond its peak as frequencies come in, and which class takes over.

    The end of a curve is the radius where most frequencies are there: the largest of a low-pass, the smallest of a
    high-pass. The fall is accuracy at the (first) peak minus accuracy at the end: what leaving frequencies out would
    gain. It is measured at the end, not at the lowest point beyond the peak, so that only the peak is chosen by the
    data; the fall itself is still biased upwards by that choice, its interval (`gain_interval`) is not: where
    accuracy never truly falls, the interval excludes 0 in at most (1 - confidence) of all data sets. It speaks of one
    row; among 1000 classes without a conflict some rows will show one by chance.

    Args:
        cube: an audit's results.
        by: None | "class" | {model output index: group name}.
        confidence: of the interval.
        resamples: of the bootstrap over images.
        seed: of the bootstrap.

    Returns:
        One row a (probe, group): probe, group, class_index (by="class"), n; peak_radius, peak, end_radius, end
        (accuracies); fall, fall_ci_low, fall_ci_high; conflict (the interval excludes 0); lost (images right at the
        peak and wrong at the end), usurper (the class on top of most of them at the end; of equals the first output),
        usurper_index, usurper_images (how many of them it takes); reason, why cells are NaN.

    Raises:
        InputError: `by`, `confidence`, `resamples` or `seed` is not possible.
    """
    bootstrap = Bootstrap(confidence, resamples, seed)
    images = images_of(cube)
    groups = groups_of(images, by)
    rows = [r for outcomes in radius_outcomes(images) for r in _rows(outcomes, groups, bootstrap)]
    return pd.DataFrame(rows).astype({"usurper": "str", "usurper_index": "Int64"}) if rows else pd.DataFrame()


def _rows(outcomes: Outcomes, groups: list[Group], bootstrap: Bootstrap) -> Iterator[dict[str, Any]]:
    prediction, radius = outcomes.ranked_class(), outcomes.radius
    right = prediction == outcomes.images.label[:, None]
    end = len(radius) - 1 if outcomes.kind == "low_pass" else 0
    for group in groups:
        reason = too_few(len(group), MIN_IMAGES)
        peak = int(right[group.rows].mean(axis=0).argmax()) if len(group) else end
        yield {
            "probe": outcomes.name,
            **group.keys(),
            **_fall(right[group.rows], radius, peak, end, group, bootstrap),
            **_usurper(right[group.rows], prediction[group.rows], peak, end, outcomes.images.classes),
            "reason": reason,
        }


def _fall(
    right: Bool[np.ndarray, "images radii"],
    radius: Float[np.ndarray, " radii"],
    peak: int,
    end: int,
    group: Group,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    hits, n = right.sum(axis=0), len(right)
    low = high = np.nan
    if n >= MIN_IMAGES:
        resampled = resampled_means(right, bootstrap.resamples, group.random(bootstrap))
        low, high = gain_interval(right, end, resampled, bootstrap.confidence)
    return {
        "peak_radius": radius[peak] if n else np.nan,
        "peak": float(share(hits[peak], n)),
        "end_radius": radius[end],
        "end": float(share(hits[end], n)),
        "fall": float(share(hits[peak] - hits[end], n)),
        "fall_ci_low": low,
        "fall_ci_high": high,
        "conflict": low > 0,
    }


def _usurper(
    right: Bool[np.ndarray, "images radii"],
    prediction: Int[np.ndarray, "images radii"],
    peak: int,
    end: int,
    classes: np.ndarray,
) -> dict[str, Any]:
    """Who is on top at the end among the images that are right at the peak and wrong at the end."""
    winners = prediction[right[:, peak] & ~right[:, end], end]
    index, count = np.unique(winners, return_counts=True)
    if not len(index):
        return {"lost": 0, "usurper": None, "usurper_index": None, "usurper_images": 0}
    top = int(count.argmax())
    usurper = {"usurper": classes[index[top]], "usurper_index": int(index[top]), "usurper_images": int(count[top])}
    return {"lost": len(winners), **usurper}
