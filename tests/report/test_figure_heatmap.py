import numpy as np
import pandas as pd
import pytest
import tables as t
from matplotlib.axes import Axes

from bandscope.errors import InputError
from bandscope.report.figures import figure_heatmap, figure_summary

NAMES = ("coarse", "fine", "middle", "none")


def named(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def colours(axes: Axes) -> np.ndarray:
    return np.ma.filled(axes.collections[0].get_array(), np.nan)


def expected(table: pd.DataFrame, rows: list[str], column: str = "accuracy", probe: str = "low_pass") -> np.ndarray:
    own = table[table["probe"] == probe]
    return np.array([own.loc[own["group"] == name, column] for name in rows])


def bands(r50: list[float]) -> pd.DataFrame:
    centre = np.array(r50)
    return pd.DataFrame({"probe": "low_pass", "group": NAMES, "r10": centre / 2, "r50": centre, "r90": 2 * centre})


def test_rows_are_ordered_by_band_centre_those_without_last():
    table = t.by_group(NAMES)
    axes = figure_heatmap(table, bands([10, 40, 20, np.nan])).axes[0]
    assert named(axes) == ["coarse", "middle", "fine", "none"]
    np.testing.assert_array_equal(colours(axes), expected(table, named(axes)))
    assert axes.yaxis_inverted()


def test_marks_are_the_bands():
    axes = figure_heatmap(t.by_group(NAMES), bands([10, 40, 20, np.nan])).axes[0]
    (dots,) = axes.lines
    assert list(zip(dots.get_xdata(), dots.get_ydata(), strict=True)) == [(10, 0), (20, 1), (40, 2)]
    bars = [segment.tolist() for segment in axes.collections[-1].get_segments()]
    assert bars == [[[5, 0], [20, 0]], [[10, 1], [40, 1]], [[20, 2], [80, 2]]]


def test_without_bands_rows_keep_the_order_of_the_table():
    table = t.by_group(NAMES)
    axes = figure_heatmap(table, value="probability").axes[0]
    assert named(axes) == list(NAMES)
    np.testing.assert_array_equal(colours(axes), expected(table, list(NAMES), "probability"))
    assert not axes.lines


def test_bands_that_are_all_undefined_change_nothing():
    table = t.by_group(NAMES)
    axes = figure_heatmap(table, bands([np.nan] * 4)).axes[0]
    assert named(axes) == list(NAMES)
    assert not axes.lines


def test_images_are_counted_on_the_right_and_units_are_on_the_axes():
    table = t.by_group(NAMES)
    figure = figure_heatmap(table, value="relative")
    axes, bar = figure.axes
    right = next(child for child in axes.child_axes if child.get_ylabel() == "Images")
    top = next(child for child in axes.child_axes if child is not right)
    figure.draw_without_rendering()
    n = table.drop_duplicates("group")["n"]
    assert [label.get_text() for label in right.get_yticklabels()] == [str(count) for count in n]
    assert right.get_ylim() == axes.get_ylim()
    assert axes.get_xlabel() == "Low-pass radius r (cycles/image)"
    assert top.get_xlabel() == "Frequency (cycles/pixel)"
    np.testing.assert_allclose(np.multiply(top.get_xlim(), t.SIDE), axes.get_xlim())
    assert bar.get_ylabel() == "Top-1 accuracy (% of clean)"


def test_classes_of_one_name_stay_apart():
    table = t.by_group(["crane", "crane"], classes=True)
    own = t.bands_of(["crane", "crane"], classes=True)
    own["r50"] = [2.0, 1.0, 2.0, 1.0]
    axes = figure_heatmap(table, own).axes[0]
    low = table[table["probe"] == "low_pass"]
    np.testing.assert_array_equal(
        colours(axes), [low.loc[low["class_index"] == index, "accuracy"] for index in (1, 0)]
    )


def test_max_rows_takes_evenly_spaced_rows_and_says_so():
    names = [f"class {index}" for index in range(101)]
    axes = figure_heatmap(t.by_group(names), max_rows=5).axes[0]
    assert named(axes) == ["class 0", "class 25", "class 50", "class 75", "class 100"]
    assert axes.get_ylabel() == "5 of 101 rows, evenly spaced"


def test_many_rows_are_all_drawn_but_not_all_named():
    names = [f"class {index}" for index in range(300)]
    axes = figure_heatmap(t.by_group(names), t.bands_of(names)).axes[0]
    assert colours(axes).shape == (300, len(t.RADII))
    assert 20 < len(named(axes)) < 60
    order = t.bands_of(names).query("probe == 'low_pass'").sort_values("r50")
    ticks = axes.get_yticks()
    assert len(set(np.diff(ticks))) == 1
    assert named(axes) == [order["group"].iloc[int(tick)] for tick in ticks]
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), order["r50"])


def test_missing_values_are_left_blank():
    table = t.by_group(NAMES)
    table.loc[table["group"] == "none", "accuracy"] = np.nan
    assert np.isnan(colours(figure_heatmap(table).axes[0])[3]).all()


@pytest.mark.parametrize("xscale", ["linear", "log"])
def test_cells_surround_their_radii(xscale: str):
    radii = np.array([0.0, 2, 4, 8, 16, 64])
    axes = figure_heatmap(t.by_group(NAMES, radii=radii), xscale=xscale).axes[0]
    edges = axes.collections[0].get_coordinates()[0, :, 0]
    shown = radii[radii > 0] if xscale == "log" else radii
    assert (edges[:-1] < shown).all()
    assert (shown < edges[1:]).all()
    assert tuple(edges[[0, -1]]) == axes.get_xlim()


TABLE = t.by_group(NAMES)


@pytest.mark.parametrize(
    ("table", "settings", "words"),
    [
        (TABLE, {"probe": "low_passs"}, "'low_passs'; the table holds high_pass, low_pass. Did you mean 'low_pass'"),
        (TABLE, {"value": "acuracy"}, "Did you mean 'accuracy'"),
        (TABLE, {"max_rows": 0}, "max_rows is 0"),
        (TABLE, {"bands": pd.DataFrame({"probe": ["low_pass"]})}, "bands: the table lacks group, r10, r50, r90"),
        (TABLE.drop(columns="n"), {}, "lacks n"),
        (TABLE.assign(accuracy=np.nan), {}, "every accuracy of probe 'low_pass' is NaN"),
        (pd.concat([TABLE, TABLE.iloc[[3]]]), {}, "'coarse' has radius 20 of probe 'low_pass' more than once"),
        (t.band_probe(), {"probe": "band_pass"}, "lacks radius"),
    ],
)
def test_what_cannot_be_drawn_is_named(table: pd.DataFrame, settings: dict, words: str):
    with pytest.raises(InputError, match=words):
        figure_heatmap(table, **settings)


def test_summary_has_one_row_order_and_one_radius_axis_a_column():
    curves, groups = t.overall(), t.by_group()
    own = t.bands_of()
    own.loc[own["probe"] == "high_pass", "r50"] *= -1  # the other way round: must not matter
    figure = figure_summary(curves, groups, own, title="model on data")
    low, high, low_map, high_map, _ = figure.axes
    order = list(own[own["probe"] == "low_pass"].sort_values("r50")["group"])
    assert named(low_map) == order
    np.testing.assert_array_equal(colours(low_map), expected(groups, order))
    np.testing.assert_array_equal(colours(high_map), expected(groups, order, probe="high_pass"))
    assert low.get_xlim() == low_map.get_xlim()
    assert high.get_xlim() == high_map.get_xlim()
    assert low_map.collections[0].norm is high_map.collections[0].norm
    assert figure.get_suptitle() == "model on data"
    for axes, probe in ((low, "low_pass"), (high, "high_pass")):
        rows = curves[curves["probe"] == probe]
        assert any(np.array_equal(line.get_ydata(), rows["accuracy"]) for line in axes.lines)


def test_summary_takes_the_family_that_is_there():
    figure = figure_summary(t.overall(("low_pass_gaussian",)), t.by_group(probes=("low_pass_gaussian",)))
    assert figure.axes[0].get_title() == "Gaussian low-pass (half at r)"


def test_summary_without_a_radius_probe_is_refused():
    with pytest.raises(InputError, match="lacks radius"):
        figure_summary(t.band_probe())
    with pytest.raises(InputError, match="17 groups, allowed is one"):
        figure_summary(t.by_group())
    with pytest.raises(InputError, match="the table holds zoom"):
        figure_summary(t.overall().assign(probe="zoom"))
