"""The scale law of single images: nothing to resample, so that a line's own residuals say how sure it is."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from bandscope.analysis.scaling.ridge import PADDED, REASONS, USABLE, ProbeCurves, ZoomedImages
from bandscope.analysis.scaling.slopes import (
    IMAGE,
    NUMBERS,
    OBJECT,
    line,
    slope_error,
    student_interval,
    student_p,
    verdict,
)
from bandscope.analysis.takeovers import image_columns


def image_points(probe: ProbeCurves, scales: ZoomedImages) -> pd.DataFrame:
    """r50 of every image at every zoom, or the reason why there is none."""
    n, zooms = probe.state.shape
    return pd.DataFrame(
        {
            "probe": probe.outcomes.name,
            **image_columns(scales.images, np.repeat(np.arange(n), zooms)),
            scales.axis: np.tile(scales.values, n),
            "achieved": np.exp(scales.achieved).ravel(),
            "r50": probe.r50.ravel(),
            "reason": REASONS[probe.state.ravel()],
        }
    )


def image_laws(probe: ProbeCurves, scales: ZoomedImages, confidence: float) -> pd.DataFrame:
    """The law of every image, from the zooms at which it is not padded."""
    zooms = probe.state != PADDED
    reason = [_no_law(probe, scales, zooms, row) for row in range(len(zooms))]
    known = np.array([not why for why in reason], dtype=bool)
    reference = scales.reference(zooms)
    numbers = {name: np.full(len(zooms), np.nan) for name in NUMBERS}
    for name, found in _numbers(probe, scales, zooms, known, reference[known], confidence).items():
        numbers[name][known] = found
    ends = zip(numbers["beta_ci_low"], numbers["beta_ci_high"], strict=True)
    return pd.DataFrame(
        {
            "probe": probe.outcomes.name,
            **image_columns(scales.images, np.arange(len(zooms))),
            **scales.span(zooms),
            **numbers,
            "r50_at": reference,
            "verdict": [verdict(*interval) for interval in ends],
            "reason": reason,
        }
    )


def _no_law(probe: ProbeCurves, scales: ZoomedImages, zooms: Bool[np.ndarray, "images zooms"], row: int) -> str:
    if few := scales.too_few(int(zooms[row].sum())):
        return few
    state = np.where(zooms[row] & (probe.state[row] != USABLE), probe.state[row], len(REASONS))
    first = state.argmin()
    return "" if state[first] == len(REASONS) else f"{REASONS[state[first]]} at {scales.named(first)}"


def _numbers(
    probe: ProbeCurves,
    scales: ZoomedImages,
    zooms: Bool[np.ndarray, "images zooms"],
    known: Bool[np.ndarray, " images"],
    reference: Float[np.ndarray, " known"],
    confidence: float,
) -> dict[str, Float[np.ndarray, " known"]]:
    used, r50 = zooms[known], probe.r50[known]
    fit = line(scales.achieved[known], np.log(r50), used)
    freedom = used.sum(axis=1) - 2
    error = slope_error(fit, freedom, _reading_error(r50, probe.outcomes.radius, used))
    low, high = student_interval(-fit.slope, error, freedom, confidence)
    return {
        "beta": -fit.slope,
        "beta_ci_low": low,
        "beta_ci_high": high,
        "r50": np.exp(fit.at(np.log(reference))),
        "p_object": student_p(-fit.slope, error, freedom, OBJECT),
        "p_image": student_p(-fit.slope, error, freedom, IMAGE),
    }


def _reading_error(
    r50: Float[np.ndarray, "images zooms"],
    radius: Float[np.ndarray, " radii"],
    used: Bool[np.ndarray, "images zooms"],
) -> Float[np.ndarray, " images"]:
    """Mean variance of log r50 where it may lie anywhere within a step of the grid of radii."""
    after = np.clip(np.searchsorted(radius, r50), 1, len(radius) - 1)
    step = (radius[after] - radius[after - 1]) / r50
    return np.asarray((step**2 / 12).mean(axis=1, where=used))
