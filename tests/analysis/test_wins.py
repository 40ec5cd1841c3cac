"""Ranges in which one model wins, of tables written by hand."""

import numpy as np
import pandas as pd
import pytest
from model_pairs import planted_pair

from bandscope.analysis import differences, wins
from bandscope.errors import InputError

RADII = np.arange(10.0, 110.0, 10.0)
RISING = np.linspace(0, 0.9, 10)  # r10 = 19, r90 = 91: thirds end at 43 and 67


def table(difference, p, *, probe="low_pass", radius=RADII, mean=RISING, **columns):
    difference = np.array(difference)
    return pd.DataFrame({
        "a": "A", "b": "B", "probe": probe, "group": "all", "radius": radius, "difference": difference,
        "accuracy_a": mean - difference / 2, "accuracy_b": mean + difference / 2, "p_adjusted": p, **columns,
    })  # fmt: skip


def found(differences, **settings):
    columns = ["winner", "from_radius", "to_radius", "conditions", "difference", "at_radius", "part"]
    return [tuple(row) for row in wins(differences, **settings)[columns].itertuples(index=False)]


def test_ranges_are_of_neighbours_with_one_sign_that_are_all_sure():
    rows = table(
        [0.1, 0.2, 0.1, -0.1, -0.2, 0, 0.1, 0.1, 0.3, 0.1], [0.01, 0.01, 0.04, 0.01, 0.01, 1, 0.2, 0.01, 0.06, 0]
    )
    assert found(rows) == [
        ("B", 10, 30, 3, 0.2, 20, "low"),
        ("A", 40, 50, 2, -0.2, 50, "low, middle"),
        ("B", 80, 80, 1, 0.1, 80, "high"),
        ("B", 100, 100, 1, 0.1, 100, "high"),
    ]
    assert found(rows, alpha=0.1)[2] == ("B", 80, 100, 3, 0.3, 90, "high")
    assert found(rows, alpha=1e-6) == [("B", 100, 100, 1, 0.1, 100, "high")]


def test_the_edge_of_a_range_is_the_last_that_is_sure():
    assert found(table(np.full(10, 0.1), np.full(10, 0.0)))[0] == ("B", 10, 100, 10, 0.1, 10, "low, middle, high")
    assert found(table(np.zeros(10), np.zeros(10))) == []
    assert found(table(np.full(10, 0.1), np.full(10, 0.05))) == []  # alpha itself is not below alpha


def test_thirds_are_of_the_mean_band_whoever_is_a():
    sure, other = np.full(10, 0.001), {"a": "B", "b": "A"}
    forth, back = table(np.full(10, 0.04), sure), table(np.full(10, -0.04), sure).assign(**other)
    assert [row[-1] for row in found(forth)] == [row[-1] for row in found(back)]
    assert {row[0] for row in found(forth)} == {row[0] for row in found(back)} == {"B"}
    falling = table(np.full(10, 0.04), np.where(RADII == 40, 0, 1), probe="high_pass", mean=RISING[::-1])
    assert found(falling) == [("B", 40, 40, 1, 0.04, 40, "low")]
    assert found(falling.assign(p_adjusted=np.where(RADII == 50, 0, 1)))[0][-1] == "middle"


def test_without_a_band_there_is_no_part():
    row = wins(table(np.full(10, 0.1), np.zeros(10), mean=np.full(10, 0.5))).iloc[0]
    assert row["part"] == ""
    assert "below 0.2" in row["reason"]
    bands = table([0.1, 0.2], [0, 0], probe="band_pass", radius=np.nan, mean=0.5).assign(low=[0, 5], high=[5, 20])
    row = wins(bands).iloc[0]
    assert row[["from_radius", "to_radius", "at_radius", "part"]].tolist() == [0, 20, 12.5, ""]


def test_probes_models_and_groups_are_apart_and_clean_is_no_probe():
    one = table(np.full(10, 0.1), np.zeros(10))
    parts = [one, one.assign(b="C"), one.assign(group="x"), one.assign(probe="high_pass"), one.assign(probe="clean")]
    keys = wins(pd.concat(parts))[["probe", "b", "group"]]
    assert [tuple(key) for key in keys.itertuples(index=False)] == [
        ("low_pass", "B", "all"), ("low_pass", "C", "all"), ("low_pass", "B", "x"), ("high_pass", "B", "all"),
    ]  # fmt: skip
    twins = wins(pd.concat([one.assign(class_index=3), one.assign(class_index=5)]))
    assert twins["class_index"].tolist() == [3, 5]  # of one name, as ImageNet's cranes


def test_no_winner_is_an_empty_table_with_its_columns():
    empty = wins(table(np.zeros(10), np.ones(10)))
    assert len(empty) == 0
    assert {"winner", "part", "reason"} <= set(empty)


def test_the_model_that_needs_lower_frequencies_wins_low_passed_and_loses_high_passed():
    rows = wins(differences(planted_pair(n=300, shift=-0.4), resamples=100))
    assert rows["winner"].tolist() == ["B", "A"]
    assert rows["probe"].tolist() == ["low_pass", "high_pass"]


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0, -0.1])
def test_impossible_errors_are_refused(alpha):
    with pytest.raises(InputError, match="between 0 and 1"):
        wins(table(np.zeros(10), np.ones(10)), alpha=alpha)
