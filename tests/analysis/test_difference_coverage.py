"""Simulations: do intervals of differences hold what they promise, and do equal models rarely win?"""

import numpy as np
import pytest
from model_pairs import FEW_RADII, noisy_pair
from scipy import stats

from bandscope.analysis import band_differences, differences, wins

SETS, RESAMPLES = 200, 400
ASKED = "probe == 'low_pass' and radius in (10, 30, 45, 115)"  # hardly any image right, then more, then as when clean
BANDS = "probe == 'low_pass' and quantity in ('r50', 'width')"


def holds(hits: int, share: float) -> bool:
    """Whether so many hits are compatible with a probability of at least `share`."""
    return bool(stats.binomtest(hits, SETS, share, alternative="less").pvalue > 0.001)


def coverage(n: int, shares: tuple[float, float], shift: float) -> dict[tuple[str, float | str], int]:
    """How often each difference of the truth lies in its interval."""
    truth = noisy_pair(np.random.default_rng(0), 200_000, shares, shift)
    true, true_bands = (
        f(truth, resamples=100).query(q) for f, q in ((differences, ASKED), (band_differences, BANDS))
    )
    rng, hits = np.random.default_rng(n), {}
    for _ in range(SETS):
        pair = noisy_pair(rng, n, shares, shift)
        rows = differences(pair, resamples=RESAMPLES).query(ASKED)
        for name in ("difference", "relative_difference"):
            for key, inside in zip(rows["radius"], within(rows, name, true[name]), strict=True):
                hits[name, key] = hits.get((name, key), 0) + inside
        rows = band_differences(pair, resamples=RESAMPLES).query(BANDS)
        inside = (rows["ci_low"] <= true_bands["difference"]) & (true_bands["difference"] <= rows["ci_high"])
        for key, hit in zip(rows["quantity"], inside, strict=True):
            hits["band", key] = hits.get(("band", key), 0) + hit
    return hits


def within(rows, name, true):
    return (rows[f"{name}_ci_low"] <= true) & (true <= rows[f"{name}_ci_high"])


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 60])
@pytest.mark.parametrize(("shares", "shift"), [((0.9, 0.8), -0.15), ((0.9, 0.9), -0.02)])
def test_differences_lie_in_their_intervals(n, shares, shift):
    hits = coverage(n, shares, shift)
    assert all(holds(count, 0.92) for count in hits.values()), hits


@pytest.mark.slow
def test_equal_models_rarely_win_anywhere():
    rng, seen, naive = np.random.default_rng(0), 0, 0
    for _ in range(SETS):
        table = differences(noisy_pair(rng, 150, (0.8, 0.8), 0.0), resamples=100).query("probe != 'clean'")
        seen += len(wins(table)) > 0
        naive += len(wins(table.assign(p_adjusted=table["p"]))) > 0
    assert stats.binomtest(seen, SETS, 0.05, alternative="greater").pvalue > 0.001
    assert stats.binomtest(naive, SETS, 0.05, alternative="greater").pvalue < 0.001  # why p is adjusted


def test_the_simulated_models_are_as_they_are_said_to_be():
    pair = noisy_pair(np.random.default_rng(0), 20_000, (0.9, 0.8), -0.15)
    table = differences(pair, resamples=100).query("probe == 'low_pass'")
    within_reach = stats.norm.cdf(np.log(FEW_RADII[-1] / 40) / np.hypot(0.5, 0.2))
    assert table["accuracy_a"].iloc[-1] == pytest.approx(0.9 * within_reach, abs=0.01)
    assert table["difference"].iloc[-1] == pytest.approx(-0.1 * within_reach, abs=0.02)
    centre = band_differences(pair, resamples=100).query(BANDS).iloc[0]
    assert centre["value_a"] == pytest.approx(40, abs=2)
    assert centre["difference"] == pytest.approx(40 * np.expm1(-0.15), abs=1.5)
    assert len(table) == len(FEW_RADII)
