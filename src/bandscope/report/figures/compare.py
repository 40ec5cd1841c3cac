"""Models held against the first one: their curves, and under each the difference with its interval."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bandscope.errors import InputError
from bandscope.report.figures import curves as curve_panels
from bandscope.report.figures import style, tables
from bandscope.report.figures.tables import Quantity, XScale

_HERE = "figure_comparison"
DIFFERENCE = Quantity("difference", "difference_ci_low", "difference_ci_high", "Difference (points)")
NEEDED = ("a", "b", "probe", "group", "p_adjusted", DIFFERENCE.column, DIFFERENCE.low, DIFFERENCE.high)
ROW_HEIGHT = 0.06  # of the panel, for one model's marks


@style.drawing()
def figure_comparison(
    curves: Mapping[str, pd.DataFrame],
    differences: pd.DataFrame,
    *,
    alpha: float = 0.05,
    probes: Sequence[str] | None = None,
    chance: float | None = None,
    xscale: XScale = "linear",
    title: str | None = None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """Accuracy of all models against radius; below it every other model minus the first, in percentage points.

    Args:
        curves: the table of `curves(cube)` on the common images, of each model by its name; the baseline first.
        differences: the table of `differences(cubes)`. Where its p_adjusted is below `alpha`, a mark in the model's
            colour stands at the foot of the panel.
        alpha: of the marks.
        probes: a column of panels each; by default the first of `probe_rows`.
        chance: accuracy of guessing (a fraction), drawn as a dotted line.
        xscale: "linear", or "log" for octaves (radius 0 is then left out).
        title: written above the panels.
        size: width and height in inches.

    Raises:
        InputError: a column is missing, a table has several groups, or there is nothing to draw.
    """
    tables.check_scale(xscale, _HERE)
    rows = _by_model(curves, differences)
    columns = _columns(curves, differences, probes)
    accuracy, names = tables.QUANTITIES["accuracy"], list(curves)
    figure = style.sheet(*(size or (style.TWO_COLUMNS if len(columns) > 1 else 4.2, 4.3)))
    panels = figure.subplots(2, len(columns), sharey="row", squeeze=False, height_ratios=[1.2, 1])
    levels = {name: tables.first_finite(table, "clean") for name, table in curves.items()}
    for probe, above, below in zip(columns, *panels, strict=True):
        curve_panels.draw_panel(above, curves, probe, accuracy, xscale)
        curve_panels.draw_levels(above, levels, chance)
        above.set_xlabel("")
        curve_panels.draw_panel(below, rows, probe, DIFFERENCE, xscale, above.get_xlim())
        below.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
        below.set_title("")
    panels[1][0].set_ylim(_limits(differences[differences["probe"].isin(columns)], len(names) - 1))
    for probe, below in zip(columns, panels[1], strict=True):
        for place, name in enumerate(names[1:], start=1):
            _draw_marks(below, rows[name], probe, place, len(names) - place, alpha)
    panels[0][0].set_ylabel(accuracy.label)
    panels[0][0].set_ylim(0, curve_panels.top_of(curves.values(), accuracy, levels, chance))
    curve_panels.name_levels(panels[0][0], columns[0], levels, chance)
    panels[1][0].set_ylabel(DIFFERENCE.label)
    note = f"minus {style.shorten(names[0], 1.4)}; marks at the foot: p < {alpha:g}"
    panels[1][0].set_title(note, loc="left", fontsize=style.SMALL, color=style.GREY, pad=3, parse_math=False)
    style.heading(figure, title)
    curve_panels.name_models(figure, levels)
    return figure


def probe_rows(differences: pd.DataFrame) -> list[tuple[str, ...]]:
    """The probes that the table holds, in groups that share a figure: low-pass with high-pass of one family."""
    held = set(differences["probe"])
    rows = [tuple(probe for probe in row if probe in held) for row in tables.PROBE_ROWS]
    return [row for row in rows if row]


def _by_model(curves: Mapping[str, pd.DataFrame], differences: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The differences of each model; the baseline has none, but its place, which gives the others their look."""
    tables.require(differences, NEEDED, f"{_HERE}, differences")
    tables.check_one_group(differences, f"{_HERE}, differences")
    for name, table in curves.items():
        where = f"{_HERE}, {name!r}"
        tables.require(table, ("probe", "group", "accuracy", "ci_low", "ci_high"), where)
        tables.check_one_group(table, where)
    baseline, *others = curves
    pairs = sorted({*zip(differences["a"], differences["b"], strict=True)})
    if pairs != sorted((baseline, other) for other in others):
        raise InputError(
            f"{_HERE}: the curves are of {', '.join(curves)}; the differences are of "
            f"{', '.join(f'{b} - {a}' for a, b in pairs) or 'nothing'}."
        )
    return {name: differences[differences["b"] == name] for name in curves}


def _columns(
    curves: Mapping[str, pd.DataFrame], differences: pd.DataFrame, probes: Sequence[str] | None
) -> list[str]:
    """The probes to draw: those asked for, or the first row that there is, where they hold a number."""
    finite = differences[np.isfinite(tables.numbers(differences, DIFFERENCE.column))]
    wanted = next(iter(probe_rows(finite)), ()) if probes is None else probes
    held = set(finite["probe"]).intersection(*(set(table["probe"]) for table in curves.values()))
    if drawable := [probe for probe in wanted if probe in held]:
        return drawable
    raise InputError(f"{_HERE}: nothing to draw: no finite difference of {', '.join(probes or tables.PROBE_TITLES)}.")


def _limits(differences: pd.DataFrame, models: int) -> tuple[float, float]:
    """Limits of y that hold 0 and all intervals above the marks; never narrower than two points."""
    columns = [tables.numbers(differences, name) for name in (DIFFERENCE.column, DIFFERENCE.low, DIFFERENCE.high)]
    values = np.concatenate(columns)
    low, high = min(-0.01, float(np.nanmin(values))), max(0.01, float(np.nanmax(values)))
    foot = ROW_HEIGHT * (models + 0.5)
    return low - (high - low) * foot / (1 - foot), high + 0.05 * (high - low)


def _draw_marks(axes: Axes, rows: pd.DataFrame, probe: str, place: int, row: int, alpha: float) -> None:
    """Marks of model number `place` in row number `row` from the foot, at every condition where it differs."""
    sure = rows[(rows["probe"] == probe) & (tables.numbers(rows, "p_adjusted") < alpha)]
    names = ("low", "high") if tables.is_band(probe) else ("radius", "radius")
    x = (tables.numbers(sure, names[0]) + tables.numbers(sure, names[1])) / 2
    look = style.look(place)
    axes.plot(
        x, np.full(len(x), ROW_HEIGHT * (row - 0.25)), transform=axes.get_xaxis_transform(), linestyle="none",
        marker=look.marker, markersize=3.6, markeredgewidth=0, color=look.colour,
    )  # fmt: skip
