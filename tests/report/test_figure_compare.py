"""The comparison panel draws the tables, marks what is sure, and can be read."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import tables as t
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bandscope.errors import InputError
from bandscope.report.figures import figure_comparison, style
from bandscope.report.figures.compare import probe_rows

PROBES = ("low_pass", "high_pass")


def models(count: int = 2, probes=PROBES, **settings) -> dict[str, pd.DataFrame]:
    return {
        f"model {k}": t.overall(probes, clean=0.7 - 0.06 * k, centre=40 + 9 * k, **settings) for k in range(count)
    }


def differences(curves: dict[str, pd.DataFrame]) -> pd.DataFrame:
    (a, one), *others = curves.items()
    parts = [
        pd.DataFrame({
            "a": a, "b": b, **one[one.columns.intersection(["probe", "group", "radius", "low", "high"])],
            "difference": other["accuracy"] - one["accuracy"],
            "difference_ci_low": other["accuracy"] - one["accuracy"] - 0.03,
            "difference_ci_high": other["accuracy"] - one["accuracy"] + 0.03,
            "p_adjusted": np.where((other["accuracy"] - one["accuracy"]).abs() > 0.05, 0.001, 0.5),
        })
        for b, other in others
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def draw(curves: dict[str, pd.DataFrame], **settings) -> Figure:
    return figure_comparison(curves, differences(curves), **settings)


def lines(axes: Axes) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]


def test_each_probe_has_its_curves_and_below_them_the_differences():
    curves = models(3)
    table = differences(curves)
    low, high, low_below, high_below = draw(curves).axes
    for above, below, probe in ((low, low_below, "low_pass"), (high, high_below, "high_pass")):
        for name, own in curves.items():
            rows = own[own["probe"] == probe]
            assert (list(rows["radius"]), list(rows["accuracy"])) in lines(above)
            if name != "model 0":
                rows = table[(table["probe"] == probe) & (table["b"] == name)]
                assert (list(rows["radius"]), list(rows["difference"])) in lines(below)
                corners = {
                    tuple(xy) for area in below.collections for path in area.get_paths() for xy in path.vertices
                }
                assert corners >= set(zip(rows["radius"], rows["difference_ci_low"], strict=True))
                assert corners >= set(zip(rows["radius"], rows["difference_ci_high"], strict=True))
        assert above.get_xlim() == below.get_xlim()


def test_a_models_look_is_the_same_above_and_below():
    low, _, below, _ = draw(models(3)).axes
    above = [line.get_color() for line in low.lines if len(line.get_xdata()) == len(t.RADII)]
    under = [line.get_color() for line in below.lines if len(line.get_xdata()) == len(t.RADII)]
    assert above == [style.look(k).colour for k in range(3)]
    assert under == above[1:]


@pytest.mark.parametrize("alpha", [0.05, 0.0001, 0.9])
def test_marks_stand_where_p_is_below_alpha_in_a_row_for_each_model(alpha: float):
    curves = models(3)
    table = differences(curves)
    _, _, below, _ = draw(curves, alpha=alpha).axes
    marks = [line for line in below.lines if line.get_linestyle() == "None"]
    heights = []
    for line, name in zip(marks, ("model 1", "model 2"), strict=True):
        rows = table[(table["probe"] == "low_pass") & (table["b"] == name) & (table["p_adjusted"] < alpha)]
        assert list(line.get_xdata()) == list(rows["radius"])
        heights += [*set(line.get_ydata())]
    assert len(set(heights)) == len(heights)
    bottom, top = below.get_ylim()
    lowest = table[["difference_ci_low", "difference"]].min(axis=None)
    assert all(bottom + height * (top - bottom) < min(lowest, 0) for height in heights)
    assert f"p < {alpha:g}" in below.get_title(loc="left")


def test_zero_is_a_line_and_always_in_view():
    curves = models(2)
    table = differences(curves)
    for shift in (0.5, -0.5):
        moved = table.assign(**{name: table[name] + shift for name in table if name.startswith("difference")})
        _, _, below, _ = figure_comparison(curves, moved).axes
        assert ([0, 1], [0, 0]) in lines(below)
        assert below.get_ylim()[0] < 0 < below.get_ylim()[1]


def test_models_that_never_differ_are_a_flat_line_in_a_panel_of_some_height():
    same = dict.fromkeys(("a", "b"), t.overall())
    table = differences(same).assign(difference_ci_low=0.0, difference_ci_high=0.0)
    _, _, below, _ = figure_comparison(same, table).axes
    bottom, top = below.get_ylim()
    assert top - bottom >= 0.02


def test_band_probes_have_bars_and_marks_in_their_middles():
    curves = {
        name: t.band_probe().assign(accuracy=lambda table, k=k: table["accuracy"] * k)
        for k, name in ((1, "a"), (0.7, "b"))
    }
    _, below = draw(curves).axes
    marks = next(line for line in below.lines if line.get_linestyle() == "None")
    assert list(marks.get_xdata()) == [30, 60]
    assert len(below.patches) == 5


def test_probes_can_be_chosen():
    every = models(2, ("low_pass", "high_pass", "low_pass_gaussian", "high_pass_butterworth"))
    assert probe_rows(differences(every)) == [PROBES, ("low_pass_gaussian",), ("high_pass_butterworth",)]
    assert [axes.get_title() for axes in draw(every).axes[:2]] == ["Low-pass (d ≤ r kept)", "High-pass (d > r kept)"]
    assert len(draw(every, probes=["low_pass_gaussian"]).axes) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c, d: (c, d.drop(columns="p_adjusted")), "differences: the table lacks p_adjusted"),
        (lambda c, d: (c, d.assign(group=range(len(d)))), "groups, allowed is one"),
        (lambda c, d: ({**c, "model 1": t.by_group()}, d), "'model 1'.*17 groups"),
        (
            lambda c, d: ({**c, "model 9": c["model 0"]}, d),
            "curves are of model 0, model 1, model 9.*model 1 - model 0",
        ),
        (lambda c, d: (dict(reversed(c.items())), d), "curves are of model 1, model 0"),
        (lambda c, d: (c, d.iloc[:0]), "the differences are of nothing"),
        (lambda c, d: (c, d.assign(difference=np.nan)), "nothing to draw"),
    ],
)
def test_what_cannot_be_drawn_is_named(change: Callable, words: str):
    curves = models(2)
    with pytest.raises(InputError, match=words):
        figure_comparison(*change(curves, differences(curves)))
    with pytest.raises(InputError, match="no finite difference of band_pass"):
        draw(curves, probes=["band_pass"])


LEGIBLE: dict[str, Callable[[], Figure]] = {
    "two models": lambda: draw(models(2), chance=0.001),
    "seven models": lambda: draw(models(7), title="seven models and a title"),
    "log": lambda: draw(models(3), xscale="log"),
    "one probe": lambda: draw(models(2, ("high_pass",)), chance=0.1),
    "one radius": lambda: draw(models(2, radii=np.array([45.0]))),
    "long names": lambda: draw({f"{'W' * 60} $_{k}$": table for k, table in enumerate(models(3).values())}),
    "bands": lambda: draw({name: t.band_probe() for name in ("a", "b")}),
}


@pytest.mark.parametrize("name", LEGIBLE)
def test_nothing_overlaps_or_is_cut_off(name: str, check_legible: Callable[[Figure], None]):
    check_legible(LEGIBLE[name]())
