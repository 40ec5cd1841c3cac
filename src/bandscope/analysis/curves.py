"""Curves: how often, and how surely, the label wins at each condition; and the accuracy of the unchanged images."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float

from bandscope.analysis.groups import By, Group, groups_of
from bandscope.analysis.outcomes import Outcomes, clean_outcomes, images_of, probe_outcomes
from bandscope.analysis.statistics import (
    MIN_IMAGES,
    Bootstrap,
    check_confidence,
    percentile_interval,
    resampled_means,
    share,
    too_few,
    wilson,
)


def curves(
    cube: xr.DataTree, by: By = None, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Accuracy, top-5 and label probability at every condition of every probe, also relative to clean.

    "Expanded" percentiles, here and in every other table, are those of a bootstrap made a little wider, so that the
    interval holds in small samples too [Hesterberg 2015, Am. Stat. 69].

    Args:
        cube: an audit's results.
        by: None | "class" | {model output index: group name}.
        confidence: of every interval.
        resamples: of the bootstrap over images.
        seed: of the bootstrap.

    Returns:
        One row a (probe, group, condition): probe, group, class_index (by="class"), n, radius (cycles/image) and
        frequency (cycles/pixel), or low, high, low_frequency, high_frequency; accuracy, ci_low, ci_high and top5,
        top5_ci_low, top5_ci_high (Wilson); probability (mean of the label's) and relative = accuracy / clean, each
        with _ci_low and _ci_high (paired bootstrap: expanded percentiles over the resamples whose clean accuracy is
        not 0); clean (accuracy); reason, why a cell is NaN. Where all images agree with clean, relative has the
        interval [1, 1]: the bootstrap cannot know of images that it has not seen.

    Raises:
        InputError: `by`, `confidence`, `resamples` or `seed` is not possible.
    """
    bootstrap = Bootstrap(confidence, resamples, seed)
    images = images_of(cube)
    groups, clean_right = groups_of(images, by), clean_outcomes(images).right()
    frames = [f for outcomes in probe_outcomes(images) for f in _frames(outcomes, groups, clean_right, bootstrap)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def clean(cube: xr.DataTree, by: By = None, *, confidence: float = 0.95) -> pd.DataFrame:
    """Accuracy of the unchanged images.

    Args:
        cube: an audit's results.
        by: None | "class" | {model output index: group name}.
        confidence: of Wilson's score interval [Wilson 1927, J. Am. Stat. Assoc. 22].

    Returns:
        One row a group: group, class_index (by="class"), n, accuracy, ci_low, ci_high, top5, top5_ci_low,
        top5_ci_high (Wilson); reason, why they are NaN.

    Raises:
        InputError: `by` or `confidence` is not possible.
    """
    check_confidence(confidence)
    images = images_of(cube)
    outcomes = clean_outcomes(images)
    right, top5 = outcomes.right(), outcomes.in_top5()
    rows = [
        pd.DataFrame(
            {
                **group.keys(),
                **_proportions(right[group.rows], top5[group.rows], confidence),
                "reason": too_few(len(group), 1),
            }
        )
        for group in groups_of(images, by)
    ]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _frames(
    outcomes: Outcomes, groups: list[Group], clean_right: Bool[np.ndarray, "used 1"], bootstrap: Bootstrap
) -> list[pd.DataFrame]:
    right, top5, probability = outcomes.right(), outcomes.in_top5(), outcomes.probability()
    coordinates = outcomes.coordinates()
    return [
        pd.DataFrame(
            {
                "probe": outcomes.name,
                **group.keys(),
                **coordinates,
                **_proportions(right[group.rows], top5[group.rows], bootstrap.confidence),
                **_derived(right[group.rows], probability[group.rows], clean_right[group.rows], group, bootstrap),
            }
        )
        for group in groups
    ]


def _proportions(
    right: Bool[np.ndarray, "images conditions"], top5: Bool[np.ndarray, "images conditions"], confidence: float
) -> dict[str, Float[np.ndarray, " conditions"]]:
    n, hits, hits5 = len(right), right.sum(axis=0), top5.sum(axis=0)
    low, high = wilson(hits, n, confidence)
    low5, high5 = wilson(hits5, n, confidence)
    first = {"accuracy": share(hits, n), "ci_low": low, "ci_high": high}
    return first | {"top5": share(hits5, n), "top5_ci_low": low5, "top5_ci_high": high5}


def _derived(
    right: Bool[np.ndarray, "images conditions"],
    probability: Float[np.ndarray, "images conditions"],
    clean_right: Bool[np.ndarray, "images 1"],
    group: Group,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    n, unreachable = len(group), "" if clean_right.any() else "clean accuracy is 0"
    (probability_low, relative_low), (probability_high, relative_high) = (
        _intervals(np.hstack([probability, right, clean_right]), group.random(bootstrap), bootstrap)
        if n >= MIN_IMAGES
        else np.full((2, 2, right.shape[1]), np.nan)
    )
    return {
        "probability": share(probability.sum(axis=0, dtype=np.float64), n),
        "probability_ci_low": probability_low,
        "probability_ci_high": probability_high,
        "clean": share(clean_right.sum(), n),
        "relative": share(right.sum(axis=0), clean_right.sum()),
        "relative_ci_low": relative_low,
        "relative_ci_high": relative_high,
        "reason": too_few(n, MIN_IMAGES) or unreachable,
    }


def _intervals(
    columns: Float[np.ndarray, "images columns"], random: np.random.Generator, bootstrap: Bootstrap
) -> Float[np.ndarray, "2 2 conditions"]:
    """(low, high) x (probability, relative) from columns (probability .., right .., clean right)."""
    means = resampled_means(columns, bootstrap.resamples, random)
    probability, right = np.split(means[:, :-1], 2, axis=1)
    both = np.stack([probability, share(right, means[:, -1:])], axis=1)
    return np.array(percentile_interval(both, bootstrap.confidence, len(columns)))
