from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import tables as t
from matplotlib.figure import Figure

from bandscope.errors import InputError
from bandscope.report.figures import figure_scale_law, figure_scale_surface

ZOOMS = np.array([0.71, 1, 1.41, 2, 2.83])
RADII = np.array([0.0, 1, 2, 3, *range(5, 161, 5)])
PROBES = ("low_pass", "high_pass")


def surface(beta: float = 0.6, axis: str = "zoom") -> pd.DataFrame:
    parts = [
        t.overall(centre=40 * zoom**-beta, radii=RADII).assign(**{axis: zoom if axis == "zoom" else 64 * zoom})
        for zoom in ZOOMS
    ]
    return pd.concat(parts, ignore_index=True)


def points(beta: float = 0.6, axis: str = "zoom", padded: int = 1) -> pd.DataFrame:
    r50 = np.where(np.arange(len(ZOOMS)) < padded, np.nan, 40 * ZOOMS**-beta)
    one = pd.DataFrame({
        "group": "all", "n": 321, axis: ZOOMS if axis == "zoom" else 64 * ZOOMS, "r50": r50,
        "r50_ci_low": 0.9 * r50, "r50_ci_high": 1.1 * r50,
    })  # fmt: skip
    return pd.concat([one.assign(probe=probe) for probe in PROBES], ignore_index=True)


def law(names=("all",), beta=0.6, undefined=(), classes: bool = False, width: float = 0.1) -> pd.DataFrame:
    beta = np.where(np.isin(np.arange(len(names)), undefined), np.nan, np.broadcast_to(beta, len(names)))
    low, high = beta - width, beta + width
    said = np.select(
        [np.isnan(beta), (low <= 0) & (high >= 1), (low <= 1) & (high >= 1), (low <= 0) & (high >= 0),
         (low > 0) & (high < 1)],
        ["", "undecided", "object", "image", "between"],
        "beyond",
    )  # fmt: skip
    one = pd.DataFrame({
        "group": list(names), **({"class_index": range(len(names))} if classes else {}), "n": 40, "beta": beta,
        "beta_ci_low": low, "beta_ci_high": high, "verdict": said,
        "reason": np.where(np.isnan(beta), "3 of 40 images usable: at least 5 are needed", ""),
    })  # fmt: skip
    return pd.concat([one.assign(probe=probe) for probe in PROBES], ignore_index=True)


CLASSES = [f"class number {index}" for index in range(1000)]
MANY = np.random.default_rng(0).normal(0.6, 0.3, 1000)
FIGURES: dict[str, Callable[[], Figure]] = {
    "surface": lambda: figure_scale_surface(surface(), points(), law(), title="model on data"),
    "accuracy of one probe": lambda: figure_scale_surface(
        surface(), points(), value="accuracy", probes=["high_pass"]
    ),
    "surface alone": lambda: figure_scale_surface(surface(), value="relative"),
    "no r50 anywhere": lambda: figure_scale_surface(surface(), points(padded=5), law(undefined=[0])),
    "object sizes": lambda: figure_scale_surface(surface(axis="object_size"), points(axis="object_size")),
    "one zoom": lambda: figure_scale_surface(surface().query("zoom == 1")),
    "groups": lambda: figure_scale_law(law(t.GROUPS, np.linspace(-0.3, 1.3, 17), undefined=[3, 5]), title="on data"),
    "long names": lambda: figure_scale_law(law(["W" * 40, "x"], [0.5, 1.0], width=3)),
    "1000 classes": lambda: figure_scale_law(law(CLASSES, MANY, undefined=range(99), classes=True)),
    "one probe": lambda: figure_scale_law(law(t.GROUPS, 0.5), probes=["high_pass"]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_overlaps_or_is_cut_off(name: str, check_legible: Callable[[Figure], None]):
    check_legible(FIGURES[name]())


def test_the_map_is_the_table_and_leaves_radius_0_out():
    table = surface()
    axes = figure_scale_surface(table, value="accuracy").axes[0]
    low = table.query("probe == 'low_pass' and radius > 0")
    expected = low.pivot(index="zoom", columns="radius", values="accuracy").to_numpy()
    np.testing.assert_array_equal(axes.collections[0].get_array(), expected)
    edges = axes.collections[0].get_coordinates()
    np.testing.assert_allclose(edges[1, 0, 1], np.sqrt(0.71))  # half way from 0.71 to 1 by ratio
    assert axes.get_xscale() == axes.get_yscale() == "log"


@pytest.mark.parametrize("beta", [0, 1])
def test_where_a_pure_law_holds_the_ridge_lies_on_its_line(beta: int):
    axes = figure_scale_surface(surface(beta), points(beta)).axes[0]
    image, object_, ridge = axes.lines
    np.testing.assert_array_equal(ridge.get_ydata(), ZOOMS[1:])
    np.testing.assert_allclose(ridge.get_xdata(), 40 * ZOOMS[1:] ** -beta)
    for line, exponent in ((image, 0), (object_, 1)):
        np.testing.assert_allclose(line.get_xdata(), 40 * line.get_ydata() ** -float(exponent))
    bars = [segment.tolist() for segment in axes.collections[-1].get_segments()]
    np.testing.assert_allclose([bar[0][0] for bar in bars], 0.9 * ridge.get_xdata())


def test_of_object_sizes_the_middle_one_is_the_reference():
    axes = figure_scale_surface(surface(axis="object_size"), points(axis="object_size")).axes[0]
    image, object_, ridge = axes.lines
    assert image.get_xdata()[0] == ridge.get_xdata()[2]
    np.testing.assert_allclose(
        np.prod([object_.get_xdata(), object_.get_ydata()], axis=0), 64 * 2 * image.get_xdata()[0]
    )
    assert axes.get_ylabel() == "Object size (pixels) (italic: no $r_{50}$)"


def test_beta_stands_above_and_zooms_without_a_centre_in_italics():
    figure = figure_scale_surface(surface(), points(), law(beta=-0.05))
    axes = figure.axes[0]
    assert axes.get_title(loc="left").splitlines()[1] == "β = −0.05 [−0.15, 0.05]"
    assert [label.get_style() for label in axes.get_yticklabels()] == ["italic", *["normal"] * 4]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0.71", "1", "1.41", "2", "2.83"]
    unknown = figure_scale_surface(surface(), points(), law(undefined=[0]))
    assert "β unknown: 3 of 40 images usable" in unknown.axes[0].get_title(loc="left")


def test_laws_are_ordered_by_beta_and_those_without_come_last_with_the_reason():
    table = law(["a", "b", "c", "d"], [0.9, 0.1, np.nan, 0.5], undefined=[2])
    axes = figure_scale_law(table).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "d", "a", "c"]
    drawn = {
        (float(x), int(y))
        for line in axes.lines
        if line.get_marker() != "None"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    assert drawn == {(0.1, 0), (0.5, 1), (0.9, 2)}
    assert [(text.get_position()[1], text.get_text()[:6]) for text in axes.texts] == [(3, "3 of 4")]
    assert [line.get_xdata()[0] for line in axes.lines[:2]] == [0, 1]


def test_of_many_groups_those_without_a_law_are_counted():
    figure = figure_scale_law(law(CLASSES, MANY, undefined=range(99), classes=True))
    assert figure.axes[1].get_title(loc="right") == "99 left out: no β"
    assert not figure.axes[0].texts


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: figure_scale_surface(t.overall()), "lacks zoom"),
        (lambda: figure_scale_surface(surface(), probes=["low_passs"]), "Did you mean 'low_pass'"),
        (lambda: figure_scale_surface(surface(), value="acuracy"), "Did you mean 'accuracy'"),
        (lambda: figure_scale_surface(surface().assign(probability=np.nan)), "every probability of probe 'low_pass'"),
        (lambda: figure_scale_surface(surface().assign(probe="band_pass")), "no low-pass or high-pass probe"),
        (lambda: figure_scale_surface(surface(), points().drop(columns="r50")), "points: the table lacks r50"),
        (lambda: figure_scale_surface(surface(), law=law(["a", "b"])), "2 groups, allowed is one"),
        (lambda: figure_scale_law(law().drop(columns="verdict")), "lacks verdict"),
        (lambda: figure_scale_law(law(undefined=[0])), r"no group has a beta \(3 of 40 images usable"),
    ],
)
def test_what_cannot_be_drawn_is_named(draw: Callable[[], Figure], words: str):
    with pytest.raises(InputError, match=words):
        draw()
