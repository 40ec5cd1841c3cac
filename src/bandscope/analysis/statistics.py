"""Intervals and fits: Wilson's score, the bootstrap over images, isotonic regression. Arrays in, arrays out."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import SupportsIndex

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from bandscope.errors import InputError

MIN_IMAGES = 5  # the bootstrap says nothing useful of fewer
MIN_RESAMPLES = 100
DRAWS_AT_ONCE = 2**20  # bounds memory (about 30 MB), whatever the number of images and resamples
GRID = 2.0**30  # sums of multiples of 1/GRID are exact in float64 up to 2^23 images, hence the same in any order


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: their confidence, the number of resamples, the seed of the draws."""

    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if self.resamples < MIN_RESAMPLES:
            raise InputError(f"resamples = {self.resamples}: intervals need at least {MIN_RESAMPLES}.")
        if self.seed < 0:
            raise InputError(f"seed = {self.seed}: it must be 0 or larger.")

    def random(self, key: Iterable[SupportsIndex]) -> np.random.Generator:
        """Random numbers that depend on the seed and on `key`, hence not on which other groups there are."""
        words = [int(k) for k in key]
        return np.random.default_rng([self.seed, len(words), *words])


def check_confidence(confidence: float) -> None:
    """Refuse a confidence that no interval can have."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence = {confidence}: it must lie between 0 and 1, for example 0.95.")


def too_few(count: int, needed: int, what: str = "image") -> str:
    """Why `count` is too few, or an empty string where it is enough."""
    if count == 0:
        return f"no {what}s"
    return "" if count >= needed else f"{count} {what}{'s' * (count > 1)}: at least {needed} are needed"


def normal_quantile(confidence: float) -> float:
    """The z whose interval [-z, z] holds `confidence` of a standard normal variable."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def share(successes: ArrayLike, trials: ArrayLike) -> Float[np.ndarray, "..."]:
    """The proportion successes / trials, NaN where there are no trials."""
    return np.asarray(np.asarray(successes) / np.where(np.asarray(trials) > 0, trials, np.nan))


def wilson(
    successes: ArrayLike, trials: ArrayLike, confidence: float = 0.95
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Wilson's score interval for a proportion, elementwise; NaN where there are no trials.

    [Wilson 1927, J. Am. Stat. Assoc. 22; recommended by Brown, Cai and DasGupta 2001, Stat. Sci. 16]
    """
    n = np.where(np.asarray(trials) > 0, trials, np.nan)
    p, z2 = share(successes, trials), normal_quantile(confidence) ** 2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    # Exact at the ends, where rounding would leave 1e-17 instead of 0.
    return np.where(p == 0, 0.0, centre - half), np.where(p == 1, 1.0, centre + half)


def resampled_means(
    values: Float[np.ndarray, "images columns"] | Bool[np.ndarray, "images columns"],
    resamples: int,
    random: np.random.Generator,
) -> Float[np.ndarray, "resamples columns"]:
    """Means of every column over bootstrap resamples of the images; the columns stay paired.

    Values lie in [-1, 1]. They are rounded to multiples of 2^-30 (1e-9), which makes every sum exact, and sorted: the
    result does not depend on the order of the images, the size of the chunks or the number of threads.
    """
    n, columns = values.shape
    whole = np.rint(values.astype(np.float64) * GRID)
    whole = whole[np.lexsort(whole.T)]
    means = np.empty((resamples, columns))
    step = max(1, DRAWS_AT_ONCE // n)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        means[start : start + rows] = _multiplicities(n, rows, random) @ whole
    return np.asarray(means / (GRID * n))


def _multiplicities(n: int, rows: int, random: np.random.Generator) -> Float[np.ndarray, "rows n"]:
    """How often each of n images is drawn in each resample: multinomial, without NumPy's slow sampler of it."""
    draws = random.integers(0, n, size=(rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(draws.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def percentile_interval(
    resampled: Float[np.ndarray, " resamples *rest"], confidence: float, n: int
) -> tuple[Float[np.ndarray, "*rest"], Float[np.ndarray, "*rest"]]:
    """The expanded percentile interval of a statistic of n images.

    Resamples where the statistic is undefined (NaN) are left out; NaN where it is undefined in all.
    """
    tail = expanded_tail(confidence, n)
    low, high = quantiles(resampled, np.array([tail, 1 - tail]))
    return np.asarray(low), np.asarray(high)


def expanded_tail(confidence: float, n: int) -> float:
    """The share of resamples to leave out at each end: Phi(-t_{n-1} sqrt(n / (n - 1))).

    Plain percentiles are too narrow, as a normal interval with the uncorrected standard deviation is; this level
    undoes it. [Hesterberg 2015, What Teachers Should Know About the Bootstrap, Am. Stat. 69]
    """
    t = float(stdtrit(n - 1, (1 + confidence) / 2))
    return NormalDist().cdf(-t * (n / (n - 1)) ** 0.5)


def quantiles(
    values: Float[np.ndarray, " rows *rest"], levels: Float[np.ndarray, " levels"]
) -> Float[np.ndarray, " levels *rest"]:
    """`numpy.nanquantile` over the first axis, vectorised, and without a warning where all are NaN."""
    ordered = np.sort(values, axis=0)  # NaN go last
    last = np.maximum((~np.isnan(values)).sum(axis=0) - 1, 0)
    places = np.multiply.outer(levels, last)
    below = np.floor(places).astype(np.intp)
    low = np.take_along_axis(ordered, below, 0)
    high = np.take_along_axis(ordered, np.minimum(below + 1, last), 0)
    return np.asarray(low + (places - below) * (high - low))


def isotonic(
    values: Float[np.ndarray, "*rest points"], weights: Float[np.ndarray, " points"] | None = None
) -> Float[np.ndarray, "*rest points"]:
    """The non-decreasing sequence nearest to each row of `values` in weighted least squares.

    By the min-max formula, fit_i = max over j <= i of min over k >= i of mean(values_j .. values_k), for all rows at
    once. [Robertson, Wright and Dykstra 1988, Order Restricted Statistical Inference, section 1.4]
    """
    points = values.shape[-1]
    weights = np.ones(points) if weights is None else weights
    mass = np.concatenate([[0.0], np.cumsum(weights)])
    totals = np.zeros((points + 1, *values.shape[:-1]))  # points first: every step below runs over whole rows
    totals[1:] = np.cumsum(np.moveaxis(values * weights, -1, 0), axis=0)
    fit = np.full((points, *values.shape[:-1]), -np.inf)
    for first in range(points):
        lowest = np.full(values.shape[:-1], np.inf)
        for last in range(points - 1, first - 1, -1):
            lowest = np.minimum(lowest, (totals[last + 1] - totals[first]) / (mass[last + 1] - mass[first]))
            fit[last] = np.maximum(fit[last], lowest)
    return np.moveaxis(fit, 0, -1)
