"""Samples: for each image the radius from which it is recognised, and whether it then stays so."""

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float

from bandscope.analysis.outcomes import Images, Outcomes, clean_outcomes, images_of, named, nullable, radius_outcomes
from bandscope.analysis.takeovers import Runs, find_runs, lost_again


def samples(cube: xr.DataTree) -> pd.DataFrame:
    """Onset, monotony and takeovers of each image under each low-pass and high-pass probe.

    Args:
        cube: an audit's results.

    Returns:
        One row an (image, probe): image, source, label, class_name, probe, clean_right; onset (cycles/image):
        low-pass, the smallest radius from which the label stays on top at all larger radii; high-pass, the largest
        radius up to which it stays on top at all smaller radii; NaN where the label is not on top with most
        frequencies there (largest radius of a low-pass, smallest of a high-pass); monotone: right and wrong change
        at most once, and from wrong to right as frequencies come in; takeovers (how many); longest_takeover_from,
        longest_takeover_to (radii of the one with most conditions, of equals the one at smaller radii), usurper and
        usurper_index (of that one); reason, why the onset is NaN.
    """
    images = images_of(cube)
    clean_right = clean_outcomes(images).right()[:, 0]
    tables = [_table(outcomes, clean_right) for outcomes in radius_outcomes(images)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def onset(
    right: Bool[np.ndarray, "images radii"], radius: Float[np.ndarray, " radii"], kind: str
) -> Float[np.ndarray, " images"]:
    """Radius from which (high-pass: up to which) the label is always on top; NaN where there is none."""
    if kind == "high_pass":
        return onset(right[:, ::-1], radius[::-1], "low_pass")
    stays = np.logical_and.accumulate(right[:, ::-1], axis=1).sum(axis=1)  # conditions at the end that are right
    return np.where(stays > 0, radius[len(radius) - np.maximum(stays, 1)], np.nan)


def _table(outcomes: Outcomes, clean_right: Bool[np.ndarray, " used"]) -> pd.DataFrame:
    images, right, runs = outcomes.images, outcomes.right(), find_runs(outcomes)
    at = onset(right, outcomes.radius, outcomes.kind)
    return pd.DataFrame(
        {
            "image": images.root("image"),
            "source": pd.Series(images.root("source"), dtype="str"),
            "label": images.label,
            "class_name": named(images, images.label),
            "probe": outcomes.name,
            "clean_right": clean_right,
            "onset": at,
            "monotone": ~lost_again(right, outcomes.kind).any(axis=1),
            "takeovers": np.bincount(runs.row, minlength=len(images)),
            **_longest(images, runs, outcomes.radius),
            "reason": np.where(np.isnan(at), _NOT_ON_TOP[outcomes.kind], ""),
        }
    )


_NOT_ON_TOP = {
    "low_pass": "the label is not on top at the largest radius",
    "high_pass": "the label is not on top at the smallest radius",
}


def _longest(images: Images, runs: Runs, radius: Float[np.ndarray, " radii"]) -> dict[str, np.ndarray | pd.Series]:
    """Range and usurper of each image's longest takeover; missing where it has none."""
    order = np.lexsort((runs.first, -runs.length, runs.row))
    row, first_of_row = np.unique(runs.row[order], return_index=True)
    chosen = order[first_of_row]
    start, end, usurper = np.full(len(images), np.nan), np.full(len(images), np.nan), np.full(len(images), -1)
    start[row], end[row], usurper[row] = radius[runs.first[chosen]], radius[runs.last[chosen]], runs.usurper[chosen]
    return {
        "longest_takeover_from": start,
        "longest_takeover_to": end,
        "usurper_index": nullable(usurper),
        "usurper": named(images, usurper),
    }
