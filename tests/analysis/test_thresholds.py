"""Conditions that stop a pipeline: how they are written, what they look at, when they are met."""

import numpy as np
import pytest
from model_pairs import planted_pair
from planted_cubes import make_cube

from bandscope.analysis import common_images, compare
from bandscope.analysis.comparison.thresholds import (
    QUANTITIES,
    check_against,
    check_thresholds,
    parse_threshold,
)
from bandscope.errors import InputError


@pytest.fixture(scope="module")
def comparison():
    pair = planted_pair(n=120)
    return compare({**pair, "C": pair["A"]}, resamples=100)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("relative@45 < -0.02", ("relative", "low_pass", 45, "<", -0.02)),
        ("accuracy@45<=-.02", ("accuracy", "low_pass", 45, "<=", -0.02)),
        (" high-pass.probability @ 22.5 >= 1e-2 ", ("probability", "high_pass", 22.5, ">=", 0.01)),
        ("low_pass_gaussian.accuracy@0.5 > +1", ("accuracy", "low_pass_gaussian", 0.5, ">", 1)),
        ("clean < 0", ("clean", "clean", None, "<", 0)),
        ("r50 > 2", ("r50", "low_pass", None, ">", 2)),
        ("high_pass.width<-1.5", ("width", "high_pass", None, "<", -1.5)),
    ],
)
def test_conditions_are_read(text, parts):
    found = parse_threshold(text)
    assert (found.quantity, found.probe, found.radius, found.sign, found.limit) == parts
    assert found.text == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "such as"),
        ("relative@45", "OPERATOR"),
        ("relative@45 == 0", "one of <, <=, >, >="),
        ("relative@45 < x", "NUMBER"),
        ("relative@45 < nan", "NUMBER"),
        ("relative@45 < inf", "NUMBER"),
        ("relative@-5 < 0", "such as"),
        ("relative@45 < 0 or 1 < 2", "such as"),
        ("__import__('os').abort() < 0", "such as"),
        ("relativ@45 < 0", "Did you mean 'relative'"),
        ("relative < 0", "needs a radius in cycles/image, such as relative@45"),
        ("r50@45 < 0", "without @45"),
        ("clean@45 < 0", "without @45"),
        ("high_pass.clean < 0", "without high_pass"),
    ],
)
def test_anything_else_is_refused(text, says):
    with pytest.raises(InputError) as caught:
        parse_threshold(text)
    assert says in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("accuracy@46 < 0", "the nearest that they share are 45 and 50"),
        ("accuracy@400 < 0", "are 115 and 120"),
        ("accuracy@0 < 0", "are 5 and 10"),
        ("high_pas.accuracy@45 < 0", "Did you mean 'high_pass'"),
        ("band_pass.r50 < 0", "those with common radii are low_pass, high_pass"),
    ],
)
def test_what_the_cubes_do_not_share_is_refused_with_what_is_near(comparison, text, says):
    with pytest.raises(InputError) as caught:
        check_thresholds([parse_threshold(text)], comparison.common)
    assert says in str(caught.value)


def test_band_probes_have_no_radii():
    right = np.ones((20, 3), dtype=bool)
    common = common_images([make_cube({"band_pass": right}), make_cube({"band_pass": right})])
    check_thresholds([parse_threshold("clean < 0")], common)
    with pytest.raises(InputError, match="common radii are none"):
        check_thresholds([parse_threshold("band_pass.accuracy@20 < 0")], common)


@pytest.mark.parametrize("name", ["accuracy", "relative", "probability"])
@pytest.mark.parametrize("probe", ["low_pass", "high_pass"])
def test_values_are_those_of_the_differences(comparison, name, probe):
    column = "difference" if name == "accuracy" else f"{name}_difference"
    expected = comparison.differences.query("probe == @probe and radius == 25")
    found = check_against([parse_threshold(f"{probe}.{name}@25 < 0")], comparison)
    assert found["b"].tolist() == ["B", "C"]
    for ours, theirs in (("value", column), ("ci_low", f"{column}_ci_low"), ("ci_high", f"{column}_ci_high")):
        np.testing.assert_array_equal(found[ours], expected[theirs])


@pytest.mark.parametrize("name", QUANTITIES)
def test_values_are_those_of_the_bands(comparison, name):
    expected = comparison.band_differences.query("probe == 'high_pass' and quantity == @name")
    found = check_against([parse_threshold(f"high_pass.{name} < 0")], comparison)
    np.testing.assert_array_equal(
        found[["value", "ci_low", "ci_high"]], expected[["difference", "ci_low", "ci_high"]]
    )


@pytest.mark.parametrize(
    ("sign", "met"), [("<", [False, True, False]), ("<=", [True, True, False]), (">", [False, False, True])]
)
def test_each_sign_means_what_it_says_whatever_the_last_bit(sign, met):
    threshold = parse_threshold(f"accuracy@45 {sign} -0.02")
    assert [threshold.holds(value) for value in (0.48 - 0.5, -0.021, -0.019)] == met
    assert 0.48 - 0.5 < -0.02  # in binary


def test_every_model_is_held_against_every_threshold(comparison):
    texts = ["r50 < -1", "r50 < 100", "clean >= 0"]
    found = check_against([parse_threshold(text) for text in texts], comparison)
    assert found["condition"].tolist() == [text for text in texts for _ in range(2)]
    assert found["violated"].tolist()[:4] == [True, False, True, True]
    assert found["violated"].tolist()[5]  # C is A
    assert set(found["reason"]) == {""}


def test_what_is_undefined_is_neither_met_nor_not():
    flat = compare([make_cube(np.ones((20, 4), dtype=bool)), make_cube(np.ones((20, 4), dtype=bool))], resamples=100)
    (row,) = check_against([parse_threshold("r50 > 2")], flat).itertuples()
    assert np.isnan(row.value)
    assert row.reason == "rise 0 is below 0.2"
    assert row.violated is not True
    assert row.violated is not False
