"""Conflicts that are planted, and curves that have none."""

import numpy as np
import pandas as pd
import pytest
from planted_cubes import make_cube, threshold_curves

from bandscope.analysis import conflicts


def spider_cube() -> object:
    """100 images, right from radius 30 at the latest; from radius 60 on, 25 go to class 3 and 5 to class 4."""
    right = threshold_curves(np.arange(100) % 3, 8)
    right[:30, 5:] = False
    winner = np.full((100, 8), 1)
    winner[:25, 5:], winner[25:30, 5:] = 3, 4
    return make_cube({"low_pass": right, "high_pass": right[:, ::-1]}, winner=winner)


def test_a_planted_conflict_is_measured_and_its_usurper_named():
    row = conflicts(spider_cube()).query("probe == 'low_pass'").iloc[0]
    assert (row["peak_radius"], row["peak"], row["end_radius"], row["end"]) == (30, 1.0, 80, pytest.approx(0.7))
    assert row["fall"] == pytest.approx(0.3)
    assert 0.1 < row["fall_ci_low"] < 0.3 < row["fall_ci_high"] < 0.5
    assert row["conflict"]
    assert (row["lost"], row["usurper_index"], row["usurper"], row["usurper_images"]) == (30, 3, "class 3", 25)


def test_of_a_high_pass_the_end_is_the_smallest_radius():
    row = conflicts(spider_cube()).query("probe == 'high_pass'").iloc[0]
    assert (row["peak_radius"], row["end_radius"]) == (40, 10)
    assert row["fall"] == pytest.approx(0.3)
    assert row["conflict"]
    assert row["lost"] == 30
    assert row["usurper"] == "class 1"  # the winners were planted along the low-pass radii


@pytest.mark.parametrize("kind", ["low_pass", "high_pass"])
def test_a_monotone_curve_has_no_conflict_and_no_usurper(kind):
    right = threshold_curves(np.arange(50) % 6, 7)
    row = conflicts(make_cube({kind: right if kind == "low_pass" else right[:, ::-1]})).iloc[0]
    assert row["fall"] == row["fall_ci_low"] == 0
    assert 0 < row["fall_ci_high"] < 0.1
    assert not row["conflict"]
    assert row["lost"] == row["usurper_images"] == 0
    assert pd.isna(row["usurper"])
    assert pd.isna(row["usurper_index"])
    assert row["peak_radius"] == (60 if kind == "low_pass" else 10)


def test_a_dip_that_recovers_is_no_conflict():
    right = threshold_curves(np.zeros(40), 6)
    right[:30, 3] = False
    row = conflicts(make_cube(right)).iloc[0]
    assert row["fall"] == 0
    assert not row["conflict"]


def test_too_few_images_have_a_fall_but_no_interval():
    right = np.array([[True, False]] * 4)
    row = conflicts(make_cube(right)).iloc[0]
    assert row["fall"] == 1
    assert np.isnan(row["fall_ci_low"])
    assert not row["conflict"]
    assert row["reason"] == "4 images: at least 5 are needed"


def test_of_equal_usurpers_the_first_output_is_named():
    right = np.array([[True, False]] * 6)
    winner = np.array([[1, k] for k in (5, 2, 7, 2, 5, 3)])
    row = conflicts(make_cube(right, winner=winner)).iloc[0]
    assert (row["usurper_index"], row["usurper_images"], row["lost"]) == (2, 2, 6)
