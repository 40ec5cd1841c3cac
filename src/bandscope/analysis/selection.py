"""The best of several radii without the winner's curse: an interval that knows that the peak was looked for."""

import numpy as np
from jaxtyping import Bool, Float

from bandscope.analysis.statistics import normal_quantile, quantiles


def gain_interval(
    right: Bool[np.ndarray, "images radii"],
    reference: int,
    resampled: Float[np.ndarray, "resamples radii"],
    confidence: float,
) -> tuple[float, float]:
    """Interval for max over radii of (accuracy there - accuracy at column `reference`), which is never below 0.

    The largest of many noisy gains is too large, and a bootstrap of the maximum only adds to that. Here the lower
    bound holds for all radii at once: L = max_r (d_r - c s_r), where d_r and s_r are the paired difference and its
    standard error [Bonett and Price 2012, J. Educ. Behav. Stat. 37: one image is added on either side] and c is the
    bootstrap quantile of max_r (d*_r - d_r) / s_r. The upper bound is the largest of the single radii's:
    U = max_r (d_r + z s_r). Where no radius truly gains, L > 0 in at most (1 - confidence) / 2 of all data sets,
    up to the bootstrap's own error. [Chernozhukov, Lee and Rosen 2013, Econometrica 81: intersection bounds]

    Args:
        right: whether each image is right at each radius.
        reference: the column that all radii are compared with.
        resampled: accuracies of bootstrap resamples of the same images.
        confidence: of the two-sided interval.
    """
    gain = right.mean(axis=0) - right[:, reference].mean()
    centre, error = _paired_difference(right, right[:, [reference]])
    excess = (resampled - resampled[:, [reference]] - gain) / error
    z = normal_quantile(confidence)
    critical = max(z, float(quantiles(excess.max(axis=1), np.array([(1 + confidence) / 2]))[0]))
    return max(0.0, float((centre - critical * error).max())), min(1.0, float((centre + z * error).max()))


def _paired_difference(
    right: Bool[np.ndarray, "images radii"], reference: Bool[np.ndarray, "images 1"]
) -> tuple[Float[np.ndarray, " radii"], Float[np.ndarray, " radii"]]:
    """Bonett and Price's centre and standard error of a difference of paired proportions; the error is never 0."""
    n = len(right) + 2
    gained = ((right & ~reference).sum(axis=0) + 1) / n
    lost = ((~right & reference).sum(axis=0) + 1) / n
    return gained - lost, np.sqrt((gained + lost - (gained - lost) ** 2) / n)
