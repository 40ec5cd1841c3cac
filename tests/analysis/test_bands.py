"""Bands of curves whose answer is known, and against scikit-learn with a search by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_cubes import make_cube, random_cube, threshold_curves
from sklearn.isotonic import IsotonicRegression

from bandscope.analysis import bands
from bandscope.analysis.bands import band_quantities

RADII = np.array([5.0, 10, 20, 40, 80, 120])


def quantities(accuracy, kind="low_pass", radius=RADII):
    names = ("rise", "r10", "r50", "r90", "width", "octaves")
    return dict(zip(names, band_quantities(np.array(accuracy, dtype=float), np.array(radius), kind), strict=True))


def by_hand(accuracy: np.ndarray, radius: np.ndarray, kind: str) -> list[float]:
    """rise, r10, r50, r90 as DESIGN defines them: cut at the maximum, fit, rescale, look for the first crossing."""
    if kind == "low_pass":
        stop = list(accuracy).index(max(accuracy)) + 1
        accuracy, radius = accuracy[:stop], radius[:stop]
    fit = IsotonicRegression(increasing=kind == "low_pass").fit(radius, accuracy).predict(radius)
    rise = abs(fit[-1] - fit[0])
    done = np.abs(fit - fit[0]) / rise if rise > 1e-9 else np.full(len(fit), np.nan)
    found = [rise]
    for level in (0.1, 0.5, 0.9):
        i = next((i for i, h in enumerate(done) if h >= level - 1e-9), None)
        if i is None:
            found.append(np.nan)
            continue
        part = min(1, (level - done[i - 1]) / (done[i] - done[i - 1]))
        found.append(radius[i - 1] + part * (radius[i] - radius[i - 1]))
    return found


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=12),
    st.sampled_from(["low_pass", "high_pass"]),
    st.integers(0, 2**32 - 1),
)
def test_bands_are_what_the_definition_says(counts, kind, seed):
    radius = np.cumsum(np.random.default_rng(seed).uniform(0.1, 9, len(counts)))
    accuracy = np.array(counts) / 20
    found = band_quantities(accuracy, radius, kind)[:4]
    np.testing.assert_allclose(found, by_hand(accuracy, radius, kind), rtol=1e-6, atol=1e-12)


def test_a_straight_rise_is_read_off_linearly():
    band = quantities([0, 0.2, 0.4, 0.6, 0.8, 1.0], radius=np.arange(0.0, 60, 10))
    assert [band["r10"], band["r50"], band["r90"], band["width"]] == pytest.approx([5, 25, 45, 40])
    assert band["octaves"] == pytest.approx(np.log2(9))
    assert band["rise"] == pytest.approx(1)


def test_levels_count_from_chance_not_from_zero():
    shifted = quantities(0.25 + 0.5 * np.array([0, 0.1, 0.5, 0.9, 1, 1]))
    assert [shifted["r10"], shifted["r50"], shifted["r90"]] == pytest.approx([10, 20, 40])
    assert shifted["rise"] == pytest.approx(0.5)


def test_a_fall_beyond_the_peak_does_not_move_the_band():
    peaked, held = quantities([0, 0.4, 0.8, 0.8, 0.3, 0.1]), quantities([0, 0.4, 0.8, 0.8, 0.8, 0.8])
    assert peaked == held


def test_a_dip_before_the_peak_is_levelled_out():
    assert quantities([0, 0.6, 0.2, 1, 1, 1]) == pytest.approx(quantities([0, 0.4, 0.4, 1, 1, 1]))


@pytest.mark.parametrize("low", [0.0, 0.2, 0.3])  # 0.2 + 0.4 is not the half of 0.2 to 1.0 in binary
def test_a_plateau_at_a_level_is_reached_where_it_begins(low):
    half = (low + 1) / 2
    assert quantities([low, low, half, half, half, 1])["r50"] == pytest.approx(20)


def test_a_step_lies_between_its_two_radii():
    band = quantities([0, 0, 1, 1, 1, 1])
    assert [band["r10"], band["r50"], band["r90"]] == pytest.approx([11, 15, 19])


def test_of_a_high_pass_the_levels_are_of_the_fall():
    band = quantities([1.0, 0.9, 0.5, 0.1, 0.0, 0.0], "high_pass")
    assert [band["r10"], band["r50"], band["r90"]] == pytest.approx([10, 20, 40])
    assert band["rise"] == pytest.approx(1)


def test_flat_and_single_curves_have_no_band():
    for curve in (quantities(np.full(6, 0.4)), quantities([0.7], radius=[5.0])):
        assert curve.pop("rise") == pytest.approx(0)
        assert np.isnan(list(curve.values())).all()


@given(st.floats(0.01, 100), st.integers(0, 1000))
def test_bands_scale_with_the_radii(scale, seed):
    accuracy = np.random.default_rng(seed).random((3, 6))
    plain, scaled = (band_quantities(accuracy, RADII * s, "low_pass") for s in (1, scale))
    np.testing.assert_allclose(scaled[:, 1:5], plain[:, 1:5] * scale, rtol=1e-6)
    np.testing.assert_allclose(scaled[:, [0, 5]], plain[:, [0, 5]], rtol=1e-6)


def test_the_table_holds_the_band_its_interval_and_the_clean_accuracy():
    thresholds = np.repeat(np.arange(10), 10)  # a tenth of the images becomes right at each radius 10, 20 .. 100
    cube = make_cube(threshold_curves(thresholds, 11), clean=thresholds < 9)
    row = bands(cube).iloc[0]
    assert row["reason"] == ""
    assert [row["r10"], row["r50"], row["r90"]] == pytest.approx([19, 55, 91])
    assert row["accuracy"] == pytest.approx(0.9)
    for name in ("rise", "r10", "r50", "r90", "width", "octaves"):
        assert row[f"{name}_ci_low"] < row[name] < row[f"{name}_ci_high"]


def test_bands_of_the_table_are_those_of_its_curves():
    cube = random_cube(5, n=200)
    table = bands(cube)
    assert list(table["probe"]) == ["low_pass", "high_pass"]
    for row in table.itertuples():
        right = cube[row.probe]["top5_class"].values[..., 0] == cube["label"].values[:, None]
        expected = by_hand(right.mean(axis=0), cube[row.probe]["radius"].values, row.probe)
        np.testing.assert_allclose([row.rise, row.r10, row.r50, row.r90], expected, rtol=1e-6)


def test_there_is_no_band_without_images_rise_or_certainty():
    groups = {
        0: threshold_curves(np.zeros(1), 6),
        1: threshold_curves(np.arange(9) % 6, 6),
        2: threshold_curves(np.where(np.arange(100) < 81, -1, 3), 6),
        3: threshold_curves(np.where(np.arange(12) < 3, 3, 9), 6),
        4: threshold_curves(np.arange(10) % 6, 6),
    }
    labels = np.concatenate([np.full(len(right), k) for k, right in groups.items()])
    table = bands(make_cube(np.concatenate(list(groups.values())), labels=labels), "class").set_index("class_index")
    assert table["reason"].to_dict() == {
        0: "1 image: at least 10 are needed",
        1: "9 images: at least 10 are needed",
        2: "rise 0.19 is below 0.2",
        3: "the 95 % interval of the rise holds 0",
        4: "",
    }
    without = table[table["reason"] != ""]
    assert without.filter(regex="^(r10|r50|r90|width|octaves)").isna().all(axis=None)
    assert table.loc[[0, 1], ["rise", "rise_ci_low", "rise_ci_high"]].isna().all(axis=None)
    assert table.loc[2, "rise_ci_low"] <= table.loc[2, "rise"] == pytest.approx(0.19)
    assert table.loc[3, "rise"] >= 0.2
    assert table.loc[3, "rise_ci_low"] == 0


def test_a_conflict_among_high_frequencies_keeps_its_low_pass_band():
    right = threshold_curves(np.arange(60) % 4, 9)
    right[:30, 6:] = False
    row = bands(make_cube(right)).iloc[0]
    assert row["reason"] == ""
    assert row["r90"] < 50
