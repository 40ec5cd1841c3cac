"""Simulations: do the intervals hold what they promise, and do simpler ones not? (`pytest -m slow`)."""

import numpy as np
import pytest
from planted_cubes import threshold_curves
from scipy import stats

from bandscope.analysis.bands import QUANTITIES, band_quantities, rise_low
from bandscope.analysis.selection import gain_interval
from bandscope.analysis.statistics import percentile_interval, quantiles, resampled_means

pytestmark = pytest.mark.slow
CONDITIONS, RESAMPLES, SETS = 24, 400, 400
RADIUS = np.linspace(5, 120, CONDITIONS)
TAILS = np.array([0.025, 0.975])


def flat(rng, n):
    """No radius is better than another; every image is judged anew at each."""
    return rng.random((n, CONDITIONS)) < 0.7


def plateau(rng, n):
    """Rises, then stays: the same images flicker."""
    return threshold_curves(rng.integers(0, 10, n), CONDITIONS) ^ (rng.random((n, CONDITIONS)) < 0.1)


def sluggish(rng, n):
    """Rises, then stays; neighbouring radii resemble each other, and so do all of an image."""
    noise = rng.normal(size=(n, CONDITIONS))
    for k in range(1, CONDITIONS):
        noise[:, k] = 0.9 * noise[:, k - 1] + np.sqrt(1 - 0.81) * noise[:, k]
    return np.minimum(np.arange(CONDITIONS) / 8, 1) * 2 - 1 + 0.7 * rng.normal(size=(n, 1)) + 0.7 * noise > 0


def conflicted(rng, n):
    """A fifth of the images is lost again."""
    lost = (rng.random(n) < 0.2)[:, None] & threshold_curves(rng.integers(13, 23, n), CONDITIONS)
    return (threshold_curves(rng.integers(0, 12, n), CONDITIONS) & ~lost) ^ (rng.random((n, CONDITIONS)) < 0.03)


def smooth(rng, n):
    """One threshold an image, log-normal as natural classes are; 15 % are never right."""
    right = np.exp(rng.normal(np.log(35), 0.5, n))[:, None] <= RADIUS
    return right & (rng.random((n, 1)) > 0.15)


def rarely(hits: int, share: float) -> bool:
    """Whether so many hits are compatible with a probability of at most `share`."""
    return bool(stats.binomtest(hits, SETS, share, alternative="greater").pvalue > 0.001)


def often(hits: int, share: float) -> bool:
    """Whether so many hits are compatible with a probability of at least `share`."""
    return bool(stats.binomtest(hits, SETS, share, alternative="less").pvalue > 0.001)


@pytest.mark.parametrize("n", [5, 20, 100])
@pytest.mark.parametrize("truth", [flat, plateau, sluggish])
def test_a_conflict_is_seen_in_at_most_five_of_a_hundred_curves_without_one(truth, n):
    rng, seen, naive = np.random.default_rng(n), 0, 0
    for _ in range(SETS):
        right = truth(rng, n)
        resampled = resampled_means(right, RESAMPLES, rng)
        seen += gain_interval(right, CONDITIONS - 1, resampled, 0.95)[0] > 0
        naive += np.quantile(resampled.max(axis=1) - resampled[:, -1], 0.025) > 0
    assert rarely(seen, 0.05)
    assert n < 20 or not rarely(naive, 0.05)  # the bootstrap of the maximum itself sees conflicts everywhere


@pytest.mark.parametrize("n", [20, 50, 200])
def test_a_conflict_lies_in_its_interval(n):
    rng, covered = np.random.default_rng(n), 0
    for _ in range(SETS):
        right = conflicted(rng, n)
        low, high = gain_interval(right, CONDITIONS - 1, resampled_means(right, RESAMPLES, rng), 0.95)
        covered += low <= 0.2 * 0.94 <= high
    assert often(covered, 0.95)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_expanded_percentiles_of_a_mean_hold_better_than_plain_ones(n):
    rng, plain, expanded = np.random.default_rng(n), 0, 0
    for _ in range(SETS):
        means = resampled_means(rng.beta(2, 3, (n, 1)), 1000, rng)
        low, high = percentile_interval(means, 0.95, n)
        expanded += bool(low[0] <= 0.4 <= high[0])
        below, above = quantiles(means, TAILS)
        plain += bool(below[0] <= 0.4 <= above[0])
    assert expanded >= plain
    assert often(expanded, 0.92)


def band_coverage(truth, n: int) -> dict[str, int]:
    """How often each quantity of the truth lies in its expanded percentile interval."""
    rng = np.random.default_rng(n)
    true = band_quantities(truth(rng, 400_000).mean(axis=0), RADIUS, "low_pass")
    covered = np.zeros(len(QUANTITIES), dtype=int)
    for _ in range(SETS):
        means = resampled_means(truth(rng, n), RESAMPLES, rng)
        low, high = percentile_interval(band_quantities(means, RADIUS, "low_pass"), 0.95, n)
        covered += (low <= true) & (true <= high)
    return dict(zip(QUANTITIES, covered.tolist(), strict=True))


@pytest.mark.parametrize("n", [50, 200])
def test_bands_lie_in_their_intervals(n):
    covered = band_coverage(smooth, n)
    assert all(often(covered[name], 0.92) for name in QUANTITIES[1:]), covered


@pytest.mark.parametrize(
    ("truth", "n"), [(smooth, 10), (smooth, 20), (conflicted, 20), (plateau, 20), (plateau, 200)]
)
def test_the_centre_of_a_band_holds_with_few_images_and_much_noise(truth, n):
    covered = band_coverage(truth, n)
    assert often(covered["r50"], 0.86), covered


@pytest.mark.parametrize("n", [10, 20, 100])
@pytest.mark.parametrize("kind", ["low_pass", "high_pass"])
def test_a_flat_truth_rarely_has_a_rise(kind, n):
    rng, seen = np.random.default_rng(n), 0
    for _ in range(SETS):
        right = flat(rng, n)
        seen += rise_low(right, resampled_means(right, RESAMPLES, rng), kind, 0.95) > 0
    assert rarely(seen, 0.05)


@pytest.mark.parametrize("n", [20, 100])
def test_the_rise_lies_in_its_interval(n):
    rng, covered = np.random.default_rng(n), 0
    true = band_quantities(plateau(rng, 400_000).mean(axis=0), RADIUS, "low_pass")[0]
    for _ in range(SETS):
        right = plateau(rng, n)
        means = resampled_means(right, RESAMPLES, rng)
        high = percentile_interval(band_quantities(means, RADIUS, "low_pass")[:, 0], 0.95, n)[1]
        covered += rise_low(right, means, "low_pass", 0.95) <= true <= high
    assert often(covered, 0.95)
