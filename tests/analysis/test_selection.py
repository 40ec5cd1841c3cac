"""The gain of the best radius: against exact tests, naive formulas, and truths without any gain."""

import numpy as np
import pytest
from scipy import stats

from bandscope.analysis.selection import gain_interval
from bandscope.analysis.statistics import resampled_means


def interval(right: np.ndarray, reference: int, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    resampled = resampled_means(right, 300, np.random.default_rng(seed))
    return gain_interval(right, reference, resampled, confidence)


def paired(gained: int, lost: int, n: int) -> np.ndarray:
    """One radius, and a reference (column 1) from which it gains and loses images."""
    right = np.zeros((n, 2), dtype=bool)
    right[:gained, 0] = True
    right[gained : gained + lost, 1] = True
    right[(n + gained + lost) // 2 :] = True
    return right


@pytest.mark.parametrize("n", [10, 40, 200])
def test_of_one_radius_it_agrees_with_mcnemars_exact_test(n):
    for gained in range(0, n // 2, max(1, n // 40)):
        for lost in range(0, n // 2, max(1, n // 20)):
            low, high = interval(paired(gained, lost, n), 1)
            p = stats.binomtest(gained, max(gained + lost, 1), alternative="greater").pvalue
            assert low <= (gained - lost) / n <= high or gained < lost
            assert low == 0 or p < 0.05
            assert low > 0 or p > 0.002


def test_of_one_radius_its_ends_are_bonett_and_prices():
    n, gained, lost = 60, 30, 6
    p, q, z = (gained + 1) / (n + 2), (lost + 1) / (n + 2), stats.norm.ppf(0.975)
    error = np.sqrt((p + q - (p - q) ** 2) / (n + 2))
    right = paired(gained, lost, n)
    flat = np.tile(right.mean(axis=0), (300, 1))  # without spread in the bootstrap the normal quantile is left
    np.testing.assert_allclose(gain_interval(right, 1, flat, 0.95), (p - q - z * error, p - q + z * error))


def test_its_lower_end_is_the_best_of_all_radii_at_a_common_level():
    rng = np.random.default_rng(0)
    right = rng.random((80, 6)) < np.linspace(0.3, 0.8, 6)
    resampled = resampled_means(right, 300, np.random.default_rng(0))
    n, gain, bounds, upper, excess = 82, [], [], [], np.zeros((300, 6))
    for r in range(6):
        d = right[:, r].astype(int) - right[:, 0]
        p, q = (np.sum(d > 0) + 1) / n, (np.sum(d < 0) + 1) / n
        gain.append((p - q, np.sqrt((p + q - (p - q) ** 2) / n)))
        excess[:, r] = (resampled[:, r] - resampled[:, 0] - d.mean()) / gain[r][1]
    level = np.quantile(excess.max(axis=1), 0.975)
    assert level > stats.norm.ppf(0.975)
    for centre, error in gain:
        bounds.append(centre - level * error)
        upper.append(centre + stats.norm.ppf(0.975) * error)
    np.testing.assert_allclose(gain_interval(right, 0, resampled, 0.95), (max(bounds), min(1, max(upper))))


def test_nothing_to_gain_is_zero_and_everything_is_almost_one():
    never = np.zeros((20, 5), dtype=bool)
    low, high = interval(never, 4)
    assert low == 0
    assert 0 < high < 0.2
    always = never.copy()
    always[:, 0] = True
    low, high = interval(always, 4)
    assert 0.5 < low < 1
    assert high == 1


def test_where_no_radius_truly_gains_it_rarely_says_so():
    found = [interval(np.random.default_rng(k).random((30, 20)) < 0.6, 19, seed=k)[0] > 0 for k in range(300)]
    assert stats.binomtest(sum(found), 300, 0.05, alternative="greater").pvalue > 0.01
