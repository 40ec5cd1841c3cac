from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import tables as t
from matplotlib.axes import Axes

from bandscope.errors import InputError
from bandscope.report.figures import figure_curves, figure_summary


def line_of(axes: Axes, rows: pd.DataFrame, column: str = "accuracy") -> bool:
    return any(
        len(line.get_xdata()) == len(rows)
        and np.array_equal(line.get_xdata(), rows["radius"])
        and np.array_equal(line.get_ydata(), rows[column])
        for line in axes.lines
    )


def corners(axes: Axes) -> set[tuple[float, float]]:
    """Corners of all interval areas."""
    return {tuple(map(float, xy)) for area in axes.collections for path in area.get_paths() for xy in path.vertices}


def levels(axes: Axes) -> list[float]:
    """Heights of the horizontal reference lines."""
    return [line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]]


def test_lines_and_areas_are_the_table():
    table = t.overall()
    panels = figure_curves(table).axes
    for axes, probe in zip(panels, ("low_pass", "high_pass"), strict=True):
        rows = table[table["probe"] == probe]
        assert line_of(axes, rows)
        assert corners(axes) >= set(zip(rows["radius"], rows["ci_low"], strict=True))
        assert corners(axes) >= set(zip(rows["radius"], rows["ci_high"], strict=True))


def test_axes_say_what_and_in_which_unit():
    low, high = figure_curves(t.overall()).axes
    assert low.get_ylabel() == "Top-1 accuracy (%)"
    assert {axes.get_xlabel() for axes in (low, high)} == {"Radius r (cycles/image)"}
    assert "Low-pass" in low.get_title()
    assert "High-pass" in high.get_title()
    assert low.yaxis.get_major_formatter()(0.4, 0) == "40"


@pytest.mark.parametrize("xscale", ["linear", "log"])
def test_second_axis_converts_to_cycles_per_pixel(xscale: str):
    figure = figure_curves(t.overall(side=160), xscale=xscale)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (second,) = axes.child_axes
    assert second.get_xlabel() == "Frequency (cycles/pixel)"
    np.testing.assert_allclose(np.multiply(second.get_xlim(), 160), axes.get_xlim())


def test_second_axis_only_where_input_sizes_agree():
    same = {"a": t.overall(side=224), "b": t.overall(side=224)}
    different = {"a": t.overall(side=224), "b": t.overall(side=64)}
    assert all(axes.child_axes for axes in figure_curves(same).axes)
    assert not any(axes.child_axes for axes in figure_curves(different).axes)
    assert not any(axes.child_axes for axes in figure_curves(t.overall().drop(columns="frequency")).axes)


def test_each_model_has_its_curve_its_clean_line_and_its_name():
    models = {"first": t.overall(clean=0.7), "second": t.overall(clean=0.5)}
    figure = figure_curves(models)
    for axes, probe in zip(figure.axes, ("low_pass", "high_pass"), strict=True):
        assert all(line_of(axes, table[table["probe"] == probe]) for table in models.values())
        assert levels(axes) == [0.7, 0.5]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["first (clean 70.0)", "second (clean 50.0)"]


def test_relative_draws_relative_accuracy_and_clean_at_one():
    table = t.overall()
    figure = figure_curves(table, relative=True, chance=0.1)
    low = figure.axes[0]
    assert line_of(low, table[table["probe"] == "low_pass"], "relative")
    assert levels(low) == [1.0]
    assert low.get_ylabel() == "Top-1 accuracy (% of clean)"


@pytest.mark.parametrize(("clean", "expected"), [(0.9, [0.9]), ({"": 0.8}, [0.8]), (None, [0.72]), ({}, [])])
def test_clean_can_be_given(clean, expected: list[float]):
    assert levels(figure_curves(t.overall(clean=0.72), clean=clean).axes[0]) == expected


def test_chance_is_a_line_with_its_value(texts_of: Callable):
    figure = figure_curves(t.overall(), chance=0.001)
    assert levels(figure.axes[0]) == [0.72, 0.001]
    assert "chance 0.1" in [text for text, _ in texts_of(figure)]


@pytest.mark.parametrize("chance", [0.5, 1 / 9, 0.001])
@pytest.mark.parametrize("probes", [("low_pass", "high_pass"), ("high_pass",)])
@pytest.mark.parametrize("figure_of", [figure_curves, figure_summary])
def test_the_levels_of_a_model_that_is_never_right_are_named_inside(
    figure_of: Callable, probes: tuple, chance: float, texts_of: Callable, check_legible: Callable
):
    table = t.overall(probes).assign(accuracy=0.0, ci_low=0.0, ci_high=0.01, clean=0.0)
    figure = figure_of(table, chance=chance)
    check_legible(figure)
    panel = figure.axes[0].get_window_extent()
    named = [box for text, box in texts_of(figure) if text.startswith(("clean", "chance"))]
    assert len(named) == 2
    assert all(panel.y0 <= box.y0 and box.y1 <= panel.y1 for box in named)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.99])
def test_everything_is_within_the_limits(level: float):
    table = t.overall(clean=level)
    figure = figure_curves(table)
    bottom, top = figure.axes[0].get_ylim()
    assert bottom == 0
    assert top > max(table["ci_high"].max(), level)
    assert all(axes.get_xlim()[1] > table["radius"].max() for axes in figure.axes)


def test_only_probes_that_are_there():
    assert len(figure_curves(t.overall(("low_pass",))).axes) == 1
    families = t.overall(("low_pass", "high_pass", "low_pass_gaussian", "high_pass_butterworth"))
    titles = [axes.get_title() for axes in figure_curves(families).axes]
    assert [title.split(" (")[0] for title in titles] == [
        "Low-pass", "High-pass", "Gaussian low-pass", "Butterworth high-pass",
    ]  # fmt: skip


def test_every_row_of_panels_has_its_numbers_on_the_left(texts_of: Callable):
    figure = figure_curves(t.overall(("low_pass", "high_pass_gaussian")))
    assert [text for text, _ in texts_of(figure)].count("60") == 2


def test_band_probes_are_bars():
    table = t.band_probe("band_stop")
    (axes,) = figure_curves(table).axes
    drawn = corners(axes)
    assert drawn >= set(zip(table["low"], table["accuracy"], strict=True))
    assert drawn >= set(zip(table["high"], table["accuracy"], strict=True))
    boxes = {(bar.get_x(), bar.get_y()) for bar in axes.patches}
    assert boxes == set(zip(table["low"], table["ci_low"], strict=True))


def test_log_axis_is_in_octaves_and_leaves_out_zero():
    table = t.overall(radii=np.array([0.0, 5, 10, 20, 40]))
    axes = figure_curves(table, xscale="log").axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[0] > 0
    assert line_of(axes, table[(table["probe"] == "low_pass") & (table["radius"] > 0)])


def test_one_radius_shows_its_interval():
    table = t.overall(radii=np.array([45.0]))
    axes = figure_curves(table).axes[0]
    row = table.iloc[0]
    segments = [segment.tolist() for lines in axes.collections[1:] for segment in lines.get_segments()]
    assert segments == [[[45.0, row["ci_low"]], [45.0, row["ci_high"]]]]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (t.overall().drop(columns="ci_low"), "lacks ci_low"),
        (t.by_group(), "17 groups, allowed is one"),
        (t.overall().assign(accuracy=np.nan), "no finite accuracy"),
        (t.overall().assign(probe="zoom"), "no finite accuracy of any of low_pass"),
        ({"a": t.overall(), "b": t.overall().drop(columns="accuracy")}, "'b'.*lacks accuracy"),
        (t.overall().iloc[:0], "nothing to draw"),
        ({}, "nothing to draw"),
    ],
)
def test_what_cannot_be_drawn_is_named(table, words: str):
    with pytest.raises(InputError, match=words):
        figure_curves(table)


def test_wrong_scales_are_refused():
    with pytest.raises(InputError, match=r"'lineal'.*Did you mean 'linear'"):
        figure_curves(t.overall(), xscale="lineal")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="radii above 0"):
        figure_curves(t.overall(radii=np.array([0.0])), xscale="log")
