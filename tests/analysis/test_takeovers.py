"""Onsets, takeovers and usurpers against plain loops over one image at a time, and on planted stories."""

from collections import Counter
from itertools import groupby, pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_cubes import make_cube, random_cube, threshold_curves
from scipy import stats

from bandscope.analysis import samples, takeovers, usurpers
from bandscope.analysis.samples import onset
from bandscope.analysis.takeovers import lost_again

kinds = st.sampled_from(["low_pass", "high_pass"])
sequences = st.lists(st.booleans(), min_size=1, max_size=9)


def inwards(values: np.ndarray, kind: str) -> list:
    """In the order in which frequencies come in."""
    return list(values if kind == "low_pass" else values[::-1])


@given(sequences, kinds)
def test_onset_is_where_the_label_stays(right, kind):
    radius = np.arange(1.0, len(right) + 1)
    expected = np.nan
    for r, good in reversed(list(zip(inwards(radius, kind), inwards(np.array(right), kind), strict=True))):
        if not good:
            break
        expected = r
    np.testing.assert_array_equal(onset(np.array([right]), radius, kind), [expected])


@given(sequences, kinds)
def test_lost_again_is_wrong_after_right(right, kind):
    path = inwards(np.array(right), kind)
    expected = [not good and any(path[:i]) for i, good in enumerate(path)]
    found = lost_again(np.array([right]), kind)[0]
    assert inwards(found, kind) == expected
    changes = sum(a != b for a, b in pairwise(path))
    assert (not any(expected)) == (changes == 0 or (changes == 1 and path[-1]))  # the word: monotone


def by_hand(cube, probe: str) -> list[tuple]:
    """(image, from, to, usurper, probability, regained) of every takeover."""
    node, found = cube[probe], []
    radius, label = node["radius"].values, cube["label"].values
    top, p = node["top5_class"].values, node["top5_probability"].values
    for i in range(len(label)):
        order = range(len(radius)) if probe == "low_pass" else range(len(radius))[::-1]
        right = [top[i, r, 0] == label[i] for r in order]
        path = [(r, not good and any(right[:k])) for k, (r, good) in enumerate(zip(order, right, strict=True))]
        for lost, cells in groupby(path, key=lambda cell: cell[1]):
            run = [r for r, _ in cells]
            if not lost:
                continue
            votes = Counter(int(top[i, r, 0]) for r in run)
            usurper = max(sorted(votes), key=lambda k: (votes[k], sum(p[i, r, 0] for r in run if top[i, r, 0] == k)))
            seen = [p[i, r, list(top[i, r]).index(usurper)] for r in run if usurper in top[i, r]]
            regained = order[-1] not in run
            found.append((i, radius[min(run)], radius[max(run)], usurper, np.mean(seen), regained))
    return sorted(found)


@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_takeovers_are_those_found_by_hand(seed):
    cube = random_cube(seed, n=20, conditions=7, classes=7)
    for probe in ("low_pass", "high_pass"):
        table = takeovers(cube).query("probe == @probe")
        columns = ["image", "from_radius", "to_radius", "usurper_index", "usurper_probability", "regained"]
        found = sorted(table[columns].itertuples(index=False, name=None))
        expected = by_hand(cube, probe)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-6)


@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_samples_agree_with_takeovers(seed):
    cube = random_cube(seed, n=20)
    table, runs = samples(cube), takeovers(cube)
    for row in table.itertuples():
        mine = runs[(runs["image"] == row.image) & (runs["probe"] == row.probe)]
        assert row.takeovers == len(mine)
        assert row.monotone == (len(mine) == 0)
        assert np.isnan(row.onset) == bool(row.reason)
        if len(mine):
            longest = mine.sort_values(["conditions", "from_radius"], ascending=[False, True]).iloc[0]
            assert row.longest_takeover_from == longest["from_radius"]
            assert row.longest_takeover_to == longest["to_radius"]
            assert row.usurper_index == longest["usurper_index"]
            assert row.usurper == longest["usurper"]
        else:
            assert pd.isna([row.longest_takeover_from, row.usurper_index, row.usurper]).all()


def test_a_spider_becomes_a_harvestman():
    right = np.array([[0, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1]], dtype=bool)
    cube = make_cube(right, labels=[4, 4], winner=np.array([[1, 1, 1, 0, 6, 0]] * 2))
    row = takeovers(cube, "class").iloc[0]
    assert (row["image"], row["label_name"], row["group"], row["class_index"]) == (0, "class 4", "class 4", 4)
    assert (row["from_radius"], row["to_radius"], row["conditions"], row["regained"]) == (40, 60, 3, False)
    assert (row["usurper_index"], row["usurper"]) == (0, "class 0")
    assert row["usurper_probability"] == pytest.approx((0.5 + 0.1 + 0.5) / 3)  # third behind 6 and the label at 50
    spider, other = samples(cube).itertuples()
    assert np.isnan(spider.onset)
    assert spider.reason == "the label is not on top at the largest radius"
    assert (other.onset, other.monotone, other.takeovers, other.reason) == (30, True, 0, "")
    assert (other.source, other.class_name, other.clean_right) == ("4/1.png", "class 4", True)


def test_images_of_other_classes_are_left_out_of_a_mapping():
    cube = random_cube(2)
    everything, some = takeovers(cube), takeovers(cube, {0: "a", 2: "b"})
    assert len(some) == everything["label"].isin([0, 2]).sum()
    assert dict(zip(some["label"], some["group"], strict=True)) == {0: "a", 2: "b"}
    assert list(some.index) == list(range(len(some)))


def test_usurpers_count_each_image_once():
    cube = random_cube(6, n=80)
    runs, by = takeovers(cube, {0: "a", 1: "a", 2: "b"}), {0: "a", 1: "a", 2: "b"}
    table = usurpers(cube, by)
    for row in table.itertuples():
        mine = runs[(runs["probe"] == row.probe) & (runs["group"] == row.group)]
        labels = [k for k, name in by.items() if name == row.group]
        assert row.images == mine.loc[mine["usurper_index"] == row.usurper_index, "image"].nunique()
        assert row.n == np.isin(cube["label"].values, labels).sum()
        theirs = stats.binomtest(row.images, row.n).proportion_ci(method="wilson")
        np.testing.assert_allclose([row.share, row.ci_low, row.ci_high], [row.images / row.n, *theirs])
    for _, rows in table.groupby(["probe", "group"]):
        assert (rows["images"].diff().dropna() <= 0).all()
    assert len(table) == runs.groupby(["probe", "group"])["usurper_index"].nunique().sum()


def test_without_takeovers_the_tables_are_empty_but_whole():
    cube = make_cube(threshold_curves(np.arange(5), 6), labels=np.arange(5))
    for table, columns in (
        (takeovers(cube, "class"), {"image", "group", "class_index", "from_radius", "usurper"}),
        (usurpers(cube, "class"), {"probe", "group", "class_index", "n", "usurper", "images", "share"}),
    ):
        assert len(table) == 0
        assert columns <= set(table.columns)
