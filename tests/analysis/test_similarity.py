"""Similarity of curves against `numpy.corrcoef`, one image at a time."""

import sys

import numpy as np
import pandas as pd
import pytest
from planted_cubes import make_cube, random_cube
from scipy import stats

from bandscope.analysis import similarity, similarity_summary
from bandscope.errors import InputError


def cube_of(curves, labels, classes=8):
    curves = np.asarray(curves, dtype=np.float32)
    return make_cube(np.ones(curves.shape, dtype=bool), labels=np.array(labels), probability=curves, classes=classes)


def test_correlations_are_numpys_with_leave_one_out_means():
    cube = random_cube(0, n=40)
    labels = cube["label"].values
    for row in similarity(cube).itertuples():
        curves = cube[row.probe]["probability"].values.astype(float)
        mine = labels == row.label
        own = curves[mine & (np.arange(40) != row.image)].mean(axis=0)
        others = {k: curves[labels == k].mean(axis=0) for k in np.unique(labels) if k != row.label}
        r = {k: np.corrcoef(curves[row.image], mean)[0, 1] for k, mean in others.items()}
        best = max(r, key=r.get)
        np.testing.assert_allclose([row.own, row.best_other], [np.corrcoef(curves[row.image], own)[0, 1], r[best]])
        assert row.best_other_group == f"class {best}"
        assert row.nearest_own == (row.own > row.best_other)
        assert row.reason == ""


def test_the_result_does_not_depend_on_how_rows_are_cut(monkeypatch):
    cube = random_cube(1)
    whole = similarity(cube)
    monkeypatch.setattr(sys.modules["bandscope.analysis.similarity"], "ROWS_AT_ONCE", 7)
    pd.testing.assert_frame_equal(similarity(cube), whole, rtol=1e-12)


def test_what_cannot_be_compared_says_why():
    up, down, flat = [0.1, 0.2, 0.4], [0.5, 0.2, 0.1], [0.3, 0.3, 0.3]
    cube = cube_of([up, up, flat, down, up, flat, flat, up], [0, 0, 0, 1, 2, 2, 3, 3])
    table = similarity(cube)
    assert list(table["reason"]) == [
        "",
        "",
        "the image's curve is constant",
        "no other image in its group",
        "the mean curve of its group is constant",
        "the image's curve is constant",
        "the image's curve is constant",
        "the mean curve of its group is constant",
    ]
    assert table["nearest_own"].isna().tolist() == [bool(reason) for reason in table["reason"]]
    assert table.loc[3, "best_other"] < 0


def test_a_single_group_has_none_to_compare_with():
    table = similarity(random_cube(2), dict.fromkeys(range(4), "everything"))
    assert set(table["reason"]) == {"no other group to compare with"}
    assert table["best_other_group"].isna().all()
    assert table["own"].notna().all()


def test_images_without_a_group_are_left_out_altogether():
    cube = random_cube(3)
    table = similarity(cube, {0: "a", 3: "b"})
    assert set(table["group"]) == {"a", "b"}
    assert len(table) == 2 * np.isin(cube["label"].values, [0, 3]).sum()
    assert set(table["best_other_group"]) == {"a", "b"}


def shaped_cube(seed=0, n=90):
    """Three classes that differ in the shape of their curves."""
    rng = np.random.default_rng(seed)
    labels, x = np.arange(n) % 3, np.linspace(0, 1, 12)
    shapes = np.array([x, 1 - x, 4 * x * (1 - x)])
    return cube_of(0.8 * shapes[labels] + 0.2 * rng.random((n, 12)), labels)


def test_summary_counts_the_nearest_overall_and_by_group():
    cube = random_cube(4, n=90)
    table, each = similarity_summary(cube), similarity(cube)
    for row in table.itertuples():
        rows = each[each["probe"] == row.probe]
        rows = rows if row.group == "all" else rows[rows["class_index"] == row.class_index]
        hits = int(rows["nearest_own"].sum())
        assert (row.n, row.nearest_own) == (len(rows), hits / len(rows))
        theirs = stats.binomtest(hits, len(rows)).proportion_ci(method="wilson")
        np.testing.assert_allclose([row.ci_low, row.ci_high], theirs, atol=1e-12)
        assert row.own_median == pytest.approx(rows["own"].median())
    assert list(table["group"]) == ["all", "class 0", "class 1", "class 2", "class 3"] * 2


def test_chance_is_what_random_groups_give_and_shapes_beat_it():
    row = similarity_summary(shaped_cube(), permutations=100).iloc[0]
    assert row["nearest_own"] == 1
    assert 0.2 < row["chance"] < 0.45
    assert row["ci_low"] > row["chance"]


def test_curves_without_classes_stay_at_chance():
    rng = np.random.default_rng(0)
    cube = cube_of(rng.random((300, 12)), rng.integers(0, 3, 300))
    row = similarity_summary(cube, permutations=50).iloc[0]
    assert stats.binomtest(round(row["nearest_own"] * 300), 300, row["chance"]).pvalue > 0.001


def test_summary_of_single_images_has_a_reason():
    table = similarity_summary(cube_of(np.random.default_rng(0).random((4, 5)), np.arange(4)))
    assert set(table["reason"]) == {"no image can be compared"}
    assert table[["nearest_own", "ci_low", "chance", "own_median"]].isna().all(axis=None)


def test_similarity_needs_groups():
    with pytest.raises(InputError, match="by = None"):
        similarity(random_cube(0), None)
    with pytest.raises(InputError, match="permutations = 0"):
        similarity_summary(random_cube(0), permutations=0)
