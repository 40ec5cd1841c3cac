"""Rank correlation of bands with accuracy against SciPy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_cubes import random_cube
from scipy import stats

from bandscope.analysis import band_accuracy, bands
from bandscope.analysis.association import spearman
from bandscope.analysis.statistics import expanded_tail
from bandscope.errors import InputError

small = st.integers(0, 5)


def table_of(r50, accuracy, probe="low_pass"):
    r50 = np.asarray(r50, dtype=float)
    return pd.DataFrame({"probe": probe, "r50": r50, "width": 2 * r50, "octaves": -r50, "accuracy": accuracy})


@given(st.lists(st.tuples(small, small), min_size=4, max_size=20))
def test_spearman_is_scipys_with_ties(pairs):
    x, y = np.array(pairs, dtype=float).T
    ours = spearman(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert np.isnan(ours)
    else:
        np.testing.assert_allclose(ours, stats.spearmanr(x, y).statistic, atol=1e-12)


def test_the_p_value_is_that_of_scipys_exact_permutation_test():
    rng = np.random.default_rng(0)
    x, y = rng.random(7), rng.random(7)
    exact = stats.permutation_test(
        (y,), lambda v: stats.spearmanr(x, v).statistic, permutation_type="pairings", n_resamples=np.inf
    )
    row = band_accuracy(table_of(x, y)).iloc[0]
    assert row["rho"] == pytest.approx(exact.statistic)
    k = round(row["p"] * 10_000) - 1
    assert row["p"] == pytest.approx((k + 1) / 10_000)
    assert abs(row["p"] - exact.pvalue) < 4 * np.sqrt(0.25 / 9999)


def test_the_interval_is_scipys_paired_bootstrap_at_the_expanded_level():
    rng = np.random.default_rng(1)
    x = rng.random(40)
    y = x + 0.5 * rng.random(40)
    row = band_accuracy(table_of(x, y), resamples=5000).iloc[0]
    theirs = stats.bootstrap(
        (x, y),
        lambda a, b: stats.spearmanr(a, b).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        confidence_level=1 - 2 * expanded_tail(0.95, 40),
        n_resamples=2000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    np.testing.assert_allclose([row["ci_low"], row["ci_high"]], theirs, atol=0.04)


def test_each_quantity_of_each_probe_has_a_row():
    r50 = np.arange(10.0)
    both = pd.concat([table_of(r50, 1 - r50 / 20), table_of(r50, r50 / 20, "high_pass")])
    table = band_accuracy(both).set_index(["probe", "quantity"])["rho"]
    assert table.to_dict() == pytest.approx(
        {
            ("low_pass", "r50"): -1,
            ("low_pass", "width"): -1,
            ("low_pass", "octaves"): 1,
            ("high_pass", "r50"): 1,
            ("high_pass", "width"): 1,
            ("high_pass", "octaves"): -1,
        }
    )


@pytest.mark.parametrize(
    ("r50", "accuracy", "reason"),
    [
        ([1, 2, 3, np.nan], [0.1, 0.2, 0.3, 0.4], "3 groups: at least 4 are needed"),
        ([np.nan] * 4, [0.1, 0.2, 0.3, 0.4], "no groups"),
        ([1, 2, 3, 4], [0.5] * 4, "all accuracies are equal"),
        ([2, 2, 2, 2], [0.1, 0.2, 0.3, 0.4], "all bands are equal"),
    ],
)
def test_where_there_is_nothing_to_correlate_it_says_so(r50, accuracy, reason):
    table = band_accuracy(table_of(r50, accuracy))
    assert set(table["reason"]) == {reason}
    assert table[["rho", "ci_low", "ci_high", "p"]].isna().all(axis=None)


def test_it_takes_the_table_of_bands_and_nothing_else():
    table = band_accuracy(bands(random_cube(0, n=200), "class"))
    assert set(table["n"]) == {4}
    with pytest.raises(InputError, match="no column 'probe'"):
        band_accuracy(pd.DataFrame())
    with pytest.raises(InputError, match="permutations = 0"):
        band_accuracy(table_of([1], [1]), permutations=0)
