"""Slopes against statsmodels; p-values against their intervals, and on data where they must be even."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bandscope.analysis.scaling.slopes import line, percentile_p, slope_error, student_interval, student_p, verdict
from bandscope.analysis.statistics import percentile_interval, resampled_means

NO_READING = np.zeros(1)


@given(st.integers(3, 8), st.integers(0, 2**32 - 1), st.sampled_from([0.8, 0.95]), st.sampled_from([0.0, 1.0, -0.3]))
def test_lines_are_those_of_statsmodels(points, seed, confidence, hypothesis):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 1, points + 2))
    used = np.arange(points + 2) < points
    fit, freedom = line(x, np.where(used, y, np.nan), used[None]), np.array([points - 2])
    error = slope_error(fit, freedom, NO_READING)
    low, high = student_interval(fit.slope, error, freedom, confidence)
    known = sm.OLS(y[0, :points], sm.add_constant(x[0, :points])).fit()
    np.testing.assert_allclose(fit.slope, known.params[1], rtol=1e-6)
    np.testing.assert_allclose(fit.at(0.7), known.predict([[1, 0.7]]), rtol=1e-6)
    np.testing.assert_allclose(np.r_[low, high], known.conf_int(1 - confidence)[1], rtol=1e-6)
    p = student_p(fit.slope, error, freedom, hypothesis)
    np.testing.assert_allclose(p, known.t_test(([0, 1], hypothesis)).pvalue, rtol=1e-6)


def test_a_straight_line_is_no_surer_than_its_points_are_read():
    x = np.arange(4.0)[None]
    fit = line(x, 2 * x + 1, np.ones((1, 4), dtype=bool))
    error = slope_error(fit, np.array([2]), np.array([0.3**2]))
    np.testing.assert_allclose(error, 0.3 / np.sqrt(5))  # sum of (x - mean)^2 is 5


@pytest.mark.parametrize("n", [10, 40, 1000])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_p_is_one_minus_the_confidence_that_just_reaches_the_hypothesis(n, confidence):
    resampled = np.random.default_rng(n).normal(size=(20_000, 1))
    for end in percentile_interval(resampled, confidence, n):
        assert percentile_p(resampled[:, 0], float(end[0]), n) == pytest.approx(1 - confidence, rel=0.02)


def test_p_is_one_in_the_middle_and_never_zero():
    resampled = np.r_[np.random.default_rng(0).normal(size=999), np.nan]
    assert percentile_p(resampled, float(np.nanmedian(resampled)), 30) == pytest.approx(1)
    assert percentile_p(np.full(999, 3.0), 3.0, 30) == 1
    far = percentile_p(resampled, 50.0, 10**6)
    assert far == pytest.approx(2 / 1000, rel=1e-3)
    assert percentile_p(resampled, -50.0, 30) == percentile_p(resampled, 50.0, 30) > far


@pytest.mark.parametrize("n", [12, 60])
def test_p_is_even_where_the_hypothesis_holds(n):
    rng, sets = np.random.default_rng(n), 400
    p = np.array([percentile_p(resampled_means(rng.beta(2, 2, (n, 1)), 400, rng)[:, 0], 0.5, n) for _ in range(sets)])
    for level in (0.05, 0.2, 0.5, 0.8):
        assert stats.binomtest(int((p < level).sum()), sets, level).pvalue > 0.001


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.8, 1.1, "object"),
        (1.0, 1.3, "object"),
        (-0.2, 0.3, "image"),
        (-0.2, 1.2, "undecided"),
        (0.0, 1.0, "undecided"),
        (0.2, 0.8, "between"),
        (1.1, 1.3, "beyond"),
        (-0.5, -0.1, "beyond"),
        (np.nan, np.nan, ""),
    ],
)
def test_the_verdict_is_what_the_interval_leaves(low, high, said):
    assert verdict(low, high) == said
