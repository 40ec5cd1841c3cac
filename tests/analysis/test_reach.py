"""The radius at which a share of the clean accuracy is reached, on curves whose answer is known."""

import numpy as np
import pytest
from planted_cubes import make_cube, random_cube, threshold_curves
from sklearn.isotonic import IsotonicRegression

from bandscope.analysis import reach

TENTHS = threshold_curves(np.repeat(np.arange(1, 11), 10), 11)  # accuracy 0, 0.1 .. 1 at radii 10, 20 .. 110


def test_a_straight_rise_and_a_straight_fall_are_read_off():
    table = reach(make_cube({"low_pass": TENTHS, "high_pass": ~TENTHS}, clean=np.ones(100, dtype=bool)))
    assert list(table["level"]) == [0.5, 0.9, 0.99, 0.5, 0.1]
    assert table["radius"].tolist() == pytest.approx([60, 100, 109, 60, 100])
    assert (table["reason"] == "").all()
    assert (table["radius_ci_low"] <= table["radius"]).all()
    assert (table["radius"] <= table["radius_ci_high"]).all()


def test_levels_are_shares_of_the_clean_accuracy():
    half = np.arange(100) % 2 == 0
    table = reach(make_cube(TENTHS & half[:, None], clean=half), low_pass=[0.5])
    assert table["radius"].tolist() == pytest.approx([60])


def test_what_lies_outside_the_radii_is_said():
    cube = make_cube({"low_pass": TENTHS[:, 2:5], "high_pass": ~TENTHS[:, :4]}, clean=np.ones(100, dtype=bool))
    table = reach(cube, low_pass=[0.1, 0.35, 0.9], high_pass=[0.1])
    assert table["reason"].tolist() == [
        "already above 10% of clean at the smallest radius, 10",
        "",
        "never above 90% of clean, up to radius 30",
        "never below 10% of clean, up to radius 40",
    ]
    assert table["radius"].notna().tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("cube", "reason"),
    [
        (make_cube(TENTHS[:9]), "9 images: at least 10 are needed"),
        (make_cube(TENTHS, clean=np.zeros(100, dtype=bool)), "clean accuracy is 0"),
    ],
)
def test_where_there_is_nothing_to_reach_it_says_so(cube, reason):
    table = reach(cube)
    assert set(table["reason"]) == {reason}
    assert table[["radius", "radius_ci_low"]].isna().all(axis=None)


def test_it_is_the_crossing_of_scikit_learns_fit():
    cube = random_cube(0, n=400)
    right = cube["high_pass"]["top5_class"].values[..., 0] == cube["label"].values[:, None]
    clean = (cube["clean_top5_class"].values[:, 0] == cube["label"].values).mean()
    radius = cube["high_pass"]["radius"].values
    fit = IsotonicRegression(increasing=False).fit(radius, right.mean(axis=0)).predict(radius) / clean
    row = reach(cube, high_pass=[0.6]).query("probe == 'high_pass'").iloc[0]
    assert row["radius"] == pytest.approx(np.interp(-0.6, -fit, radius))
