from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import tables as t

from bandscope.errors import InputError
from bandscope.report.figures import figure_band_accuracy

MANY = [f"class {index}" for index in range(200)]


def segments(axes) -> list[list[list[float]]]:
    return [line.tolist() for lines in axes.collections for line in lines.get_segments()]


def test_a_row_a_group_the_most_accurate_on_top():
    table = t.bands_of(undefined=[2])
    left, right = figure_band_accuracy(table).axes
    rows = table[(table["probe"] == "low_pass") & table["r50"].notna()].sort_values("accuracy", ascending=False)
    assert [label.get_text() for label in left.get_yticklabels()] == list(rows["group"])
    assert left.yaxis_inverted()
    (dots,) = left.lines
    np.testing.assert_array_equal(dots.get_xdata(), rows["r50"])
    (levels,) = right.lines
    np.testing.assert_array_equal(levels.get_xdata(), rows["accuracy"])
    for place, row in enumerate(rows.itertuples()):
        assert [[row.r10, place], [row.r90, place]] in segments(left)
        assert [[row.r50_ci_low, place], [row.r50_ci_high, place]] in segments(left)
        assert [[row.accuracy_ci_low, place], [row.accuracy_ci_high, place]] in segments(right)


def test_units_and_second_axis():
    figure = figure_band_accuracy(t.bands_of(), pixels=160, probe="high_pass")
    left, right = figure.axes
    assert left.get_xlabel() == "High-pass radius r (cycles/image)"
    assert right.get_xlabel() == "Clean accuracy (%)"
    figure.draw_without_rendering()
    (second,) = left.child_axes
    np.testing.assert_allclose(np.multiply(second.get_xlim(), 160), left.get_xlim())
    assert not figure_band_accuracy(t.bands_of()).axes[0].child_axes


def test_a_table_of_one_probe_needs_no_name_of_it():
    table = t.bands_of(probes=("high_pass",))
    assert figure_band_accuracy(table).axes[0].get_xlabel() == "High-pass radius r (cycles/image)"
    assert figure_band_accuracy(t.bands_of()).axes[0].get_xlabel() == "Low-pass radius r (cycles/image)"


def test_intervals_are_optional():
    table = t.bands_of()[["probe", "group", "r10", "r50", "r90", "accuracy"]]
    left, right = figure_band_accuracy(table).axes
    assert len(segments(left)) == 2 * len(t.GROUPS)  # a grid line and a band each
    assert len(segments(right)) == len(t.GROUPS)


def test_correlations_of_the_probe_are_printed():
    table = t.correlations()
    table.loc[len(table)] = {"probe": "high_pass", "quantity": "r50", "rho": 0.99}
    text = figure_band_accuracy(t.bands_of(undefined=[2]), table).axes[0].get_title(loc="left")
    assert "1 of 17 left out" in text
    assert "accuracy) = −0.71 [−0.88, −0.36], p = 0.0014" in text
    assert text.count("Spearman") == 3
    assert "0.99" not in text


def test_many_groups_are_a_cloud_with_its_extremes_named(texts_of: Callable):
    table = t.bands_of(MANY, classes=True)
    figure = figure_band_accuracy(table)
    (axes,) = figure.axes
    rows = table[table["probe"] == "low_pass"].sort_values("accuracy", kind="stable")
    dots = max(axes.lines, key=lambda line: len(line.get_xdata()))
    np.testing.assert_array_equal(dots.get_xdata(), rows["r50"])
    np.testing.assert_array_equal(dots.get_ydata(), rows["accuracy"])
    assert axes.get_ylabel() == "Clean top-1 accuracy (%)"
    names = {text for text, _ in texts_of(figure)}
    assert set(rows["group"].iloc[[0, -1]]) <= names
    assert set(rows.sort_values("r50")["group"].iloc[[0, -1]]) <= names
    assert len(names & set(MANY)) <= 12


def test_no_band_at_all_says_why():
    table = t.bands_of(undefined=range(17))
    with pytest.raises(InputError, match=r"none of the 17 rows of probe 'low_pass' has a band \(too few images\)"):
        figure_band_accuracy(table)


@pytest.mark.parametrize(
    ("table", "settings", "words"),
    [
        (t.bands_of(), {"probe": "band_pass"}, "no rows of probe 'band_pass'"),
        (t.bands_of().drop(columns="r90"), {}, "lacks r90"),
        (t.bands_of(), {"pixels": 0}, "pixels is 0"),
        (t.bands_of(), {"band_accuracy": pd.DataFrame({"probe": ["low_pass"]})}, "band_accuracy: the table lacks"),
        (t.bands_of(), {"xscale": "octaves"}, "allowed are linear, log"),
    ],
)
def test_what_cannot_be_drawn_is_named(table: pd.DataFrame, settings: dict, words: str):
    with pytest.raises(InputError, match=words):
        figure_band_accuracy(table, **settings)
