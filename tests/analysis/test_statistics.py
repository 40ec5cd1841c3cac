"""Intervals and fits against SciPy, statsmodels and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.isotonic import IsotonicRegression
from statsmodels.stats.proportion import proportion_confint

from bandscope.analysis import statistics
from bandscope.analysis.statistics import (
    Bootstrap,
    expanded_tail,
    isotonic,
    percentile_interval,
    quantiles,
    resampled_means,
    share,
    too_few,
    wilson,
)
from bandscope.errors import InputError

shares = st.floats(0, 1, width=32)


@given(st.integers(1, 10_000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_wilson_is_scipys_and_statsmodels(n, fraction, confidence):
    k = round(n * fraction)
    low, high = wilson(k, n, confidence)
    theirs = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
    np.testing.assert_allclose([low, high], [theirs.low, theirs.high], atol=1e-12)
    np.testing.assert_allclose(
        [low, high], proportion_confint(k, n, alpha=1 - confidence, method="wilson"), atol=1e-12
    )


def test_wilson_ends_are_exact_and_no_trials_are_nan():
    low, high = wilson(np.array([0, 7, 0]), np.array([7, 7, 0]))
    assert low[0] == 0
    assert high[1] == 1
    assert np.isnan([low[2], high[2]]).all()
    assert np.isnan(share(0, 0))


@given(arrays(np.float64, 12, elements=shares), arrays(np.float64, 12, elements=st.floats(0.01, 100)))
def test_isotonic_is_scikit_learns(values, weights):
    theirs = IsotonicRegression().fit(np.arange(12), values, sample_weight=weights).predict(np.arange(12))
    np.testing.assert_allclose(isotonic(values, weights), theirs, atol=1e-9)


@given(arrays(np.float64, (3, 7), elements=shares))
def test_isotonic_rises_keeps_the_mean_and_leaves_rising_rows_alone(values):
    fit = isotonic(values)
    assert (np.diff(fit) >= 0).all()
    np.testing.assert_allclose(fit.mean(axis=1), values.mean(axis=1), atol=1e-9)
    np.testing.assert_allclose(isotonic(np.sort(values)), np.sort(values), atol=1e-12)


def test_isotonic_of_many_rows_is_isotonic_of_each():
    values = np.random.default_rng(0).random((4, 5, 9))
    for place in np.ndindex(4, 5):
        np.testing.assert_array_equal(isotonic(values)[place], isotonic(values[place]))


def test_resampled_means_are_the_means_of_the_drawn_images():
    values = np.random.default_rng(1).random((13, 4))
    draws = np.random.default_rng(5).integers(0, 13, size=(50, 13))
    means = resampled_means(values, 50, np.random.default_rng(5))
    ordered = values[np.argsort(values[:, -1])]
    np.testing.assert_allclose(means, ordered[draws].mean(axis=1), atol=2e-9)  # values are rounded to 2^-30


@pytest.mark.parametrize("at_once", [1, 40, 999, 2**22])
def test_resampled_means_do_not_depend_on_chunks(monkeypatch, at_once):
    values = np.random.default_rng(2).random((37, 3))
    whole = resampled_means(values, 200, np.random.default_rng(0))
    monkeypatch.setattr(statistics, "DRAWS_AT_ONCE", at_once)
    np.testing.assert_array_equal(whole, resampled_means(values, 200, np.random.default_rng(0)))


def test_resampled_means_do_not_depend_on_the_order_of_images():
    values = np.random.default_rng(3).random((1001, 2)).round(1)
    whole, reversed_ = (resampled_means(v, 20, np.random.default_rng(0)) for v in (values, values[::-1]))
    np.testing.assert_array_equal(whole, reversed_)
    np.testing.assert_array_equal(whole[:, ::-1] != whole, True)  # columns are not sorted apart


def test_percentile_interval_is_scipys_bootstrap_at_the_expanded_level():
    sample, n = np.random.default_rng(4).random(25), 25
    means = resampled_means(sample[:, None], 20_000, np.random.default_rng(0))
    ours = percentile_interval(means, 0.9, n)
    theirs = stats.bootstrap(
        (sample,),
        np.mean,
        confidence_level=1 - 2 * expanded_tail(0.9, n),
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    np.testing.assert_allclose(np.ravel(ours), [theirs.low, theirs.high], atol=0.006)


@pytest.mark.parametrize("n", [5, 12, 400])
def test_expanded_level_turns_a_normal_interval_into_students(n):
    sample = np.random.default_rng(n).normal(size=n)
    half = -stats.norm.ppf(expanded_tail(0.95, n)) * sample.std() / np.sqrt(n)
    students = stats.t.interval(0.95, n - 1, sample.mean(), stats.sem(sample))
    np.testing.assert_allclose([sample.mean() - half, sample.mean() + half], students, rtol=1e-6)


@given(arrays(np.float64, (9, 4), elements=st.one_of(shares, st.just(np.nan))))
def test_quantiles_are_numpys(values):
    levels = np.array([0.0, 0.03, 0.5, 1.0])
    for ours, column in zip(quantiles(values, levels).T, values.T, strict=True):
        some = column[~np.isnan(column)]
        np.testing.assert_allclose(ours, np.quantile(some, levels) if len(some) else np.nan, atol=1e-12)


def test_random_numbers_depend_on_seed_and_key_alone():
    def draw(seed, key):
        return tuple(Bootstrap(seed=seed).random(key).integers(0, 2**40, 3))

    assert draw(0, [3]) == draw(0, np.array([3]))
    assert len({draw(0, [3]), draw(1, [3]), draw(0, [4]), draw(0, [3, 4]), draw(0, [3, 0]), draw(0, [])}) == 6


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"confidence": 95}, "confidence = 95"),
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"resamples": 10}, "at least 100"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_impossible_settings_are_refused(setting, words):
    with pytest.raises(InputError, match=words):
        Bootstrap(**setting)


def test_too_few_says_how_many_there_are():
    assert too_few(5, 5) == ""
    assert too_few(0, 5) == "no images"
    assert too_few(1, 5) == "1 image: at least 5 are needed"
    assert too_few(3, 4, "group") == "3 groups: at least 4 are needed"
