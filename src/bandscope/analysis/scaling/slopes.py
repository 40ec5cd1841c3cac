"""The slope of log r50 over log zoom, and how sure it is. Arrays in, arrays out."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri, stdtr, stdtrit

NUMBERS = ("beta", "beta_ci_low", "beta_ci_high", "r50", "p_object", "p_image")  # of a law
ROUNDING = 1e-9  # an r50 that does not move at all has a slope of 1e-16
OBJECT, IMAGE = 1.0, 0.0  # beta where the band follows the object, and where it stays in the image


class Line(NamedTuple):
    """Least-squares lines y = level + slope (x - middle); `scatter` is the sum of squared residuals."""

    slope: Float[np.ndarray, "*rows"]
    level: Float[np.ndarray, "*rows"]
    middle: Float[np.ndarray, "*rows"]
    spread: Float[np.ndarray, "*rows"]  # sum of (x - middle)^2
    scatter: Float[np.ndarray, "*rows"]

    def at(self, x: float | Float[np.ndarray, "*rows"]) -> Float[np.ndarray, "*rows"]:
        """The line's value at x."""
        return np.asarray(self.level + self.slope * (x - self.middle))


def line(
    x: Float[np.ndarray, "*#rows points"],
    y: Float[np.ndarray, "*#rows points"],
    used: Bool[np.ndarray, "*#rows points"],
) -> Line:
    """The least-squares line through the points of each row that are used; at least two of different x."""
    count = used.sum(axis=-1)
    middle = np.where(used, x, 0).sum(axis=-1) / count
    level = np.where(used, y, 0).sum(axis=-1) / count
    dx = np.where(used, x - middle[..., None], 0)
    dy = np.where(used, y - level[..., None], 0)
    spread = (dx**2).sum(axis=-1)
    slope = (dx * dy).sum(axis=-1) / spread
    return Line(slope, level, middle, spread, ((dy - slope[..., None] * dx) ** 2).sum(axis=-1))


def slope_error(fit: Line, freedom: np.ndarray, reading: Float[np.ndarray, "*rows"]) -> Float[np.ndarray, "*rows"]:
    """Standard error of each slope from its residuals, which count as no smaller than `reading`.

    freedom: points less two. reading: the variance of y from reading it off a grid.
    """
    return np.asarray(np.sqrt(np.maximum(fit.scatter / freedom, reading) / fit.spread))


def student_interval(
    slope: Float[np.ndarray, " rows"], error: Float[np.ndarray, " rows"], freedom: np.ndarray, confidence: float
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Student's interval of a slope."""
    half = stdtrit(freedom, (1 + confidence) / 2) * error
    return slope - half, slope + half


def student_p(
    slope: Float[np.ndarray, " rows"], error: Float[np.ndarray, " rows"], freedom: np.ndarray, hypothesis: float
) -> Float[np.ndarray, " rows"]:
    """Two-sided p-value of slope = hypothesis by Student's t."""
    return np.asarray(2 * stdtr(freedom, -np.abs(slope - hypothesis) / error))


def percentile_p(resampled: Float[np.ndarray, " resamples"], hypothesis: float, n: int) -> float:
    """Two-sided p-value of a hypothesis about a statistic of n images, from its bootstrap distribution.

    It is 1 - confidence of the expanded percentile interval (`statistics.percentile_interval`) that just reaches the
    hypothesis: p < 0.05 where the 95 % interval leaves it out. A tail of k of B resamples counts as (k + 1) / (B + 1)
    [Davison and Hinkley 1997, Bootstrap Methods and their Application, section 4.2], so that p is never 0.
    """
    known = resampled[~np.isnan(resampled)]
    beyond = min(int((known <= hypothesis).sum()), int((known >= hypothesis).sum()))
    tail = min(0.5, (beyond + 1) / (len(known) + 1))
    return float(2 * stdtr(n - 1, ndtri(tail) * ((n - 1) / n) ** 0.5))


def verdict(low: float, high: float) -> str:
    """What beta's interval leaves of the two pure hypotheses; empty where there is none."""
    if np.isnan(low) or np.isnan(high):
        return ""
    follows, stays = (low - ROUNDING <= value <= high + ROUNDING for value in (OBJECT, IMAGE))
    if follows or stays:
        return "undecided" if follows and stays else "object" if follows else "image"
    return "between" if low > IMAGE and high < OBJECT else "beyond"
