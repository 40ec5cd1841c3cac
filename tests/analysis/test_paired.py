"""McNemar's test and Holm's method against statsmodels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as theirs
from statsmodels.stats.multitest import multipletests

from bandscope.analysis.comparison.paired import holm, mcnemar


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 50))
def test_mcnemar_is_statsmodels_whatever_the_images_on_which_both_agree(gained, lost, both):
    table = [[both, lost], [gained, 2 * both]]
    assert mcnemar(np.array([gained]), np.array([lost]))[0] == pytest.approx(
        theirs(table, exact=True).pvalue, rel=1e-9
    )


def test_mcnemar_of_many_images_is_scipys_binomial_test():
    for gained, lost in ((20_400, 19_600), (3, 60_000), (25_000, 25_000)):
        expected = stats.binomtest(gained, gained + lost).pvalue
        assert mcnemar(np.array([gained]), np.array([lost]))[0] == pytest.approx(expected, rel=1e-6)


def test_mcnemar_knows_nothing_where_the_models_never_disagree():
    assert mcnemar(np.array([0, 0, 1]), np.array([0, 1, 0])).tolist() == [1, 1, 1]


@settings(max_examples=15)  # theirs is slow
@given(arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1)))
def test_holm_is_statsmodels(p):
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)
