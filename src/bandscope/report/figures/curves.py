"""Accuracy against radius, of one or several models (figure 1 of the paper)."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bandscope.errors import InputError
from bandscope.report.figures import style, tables
from bandscope.report.figures.style import Look, RadiusAxis
from bandscope.report.figures.tables import Quantity, XScale

_HERE = "figure_curves"
NAME_HEIGHT = 0.1  # of the panel, with the gap to the line that is named


@style.drawing()
def figure_curves(
    curves: pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    relative: bool = False,
    clean: Mapping[str, float] | float | None = None,
    chance: float | None = None,
    xscale: XScale = "linear",
    title: str | None = None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """Accuracy against radius with its intervals, of one or several models; a panel for each probe.

    Args:
        curves: the table of `curves(cube)`, or one for each model by its label. One group a table.
        relative: draw accuracy relative to clean instead of accuracy.
        clean: clean accuracy (a fraction), or one for each label; by default the tables' own column `clean`.
        chance: accuracy of guessing (a fraction), drawn as a dotted line; not with `relative`.
        xscale: "linear", or "log" for octaves (radius 0 is then left out).
        title: written above the panels.
        size: width and height in inches.

    Returns:
        The figure. Its second x axis, in cycles/pixel, is there where all models have the same input size.

    Raises:
        InputError: a column is missing, a table has several groups, or no probe has a finite accuracy.
    """
    tables.check_scale(xscale, _HERE)
    by_label = dict(curves) if isinstance(curves, Mapping) else {"": curves}
    quantity = tables.QUANTITIES["relative" if relative else "accuracy"]
    grid = _grid(by_label, quantity)
    rows, columns = grid.shape
    default = (style.TWO_COLUMNS if columns > 1 else style.ONE_COLUMN, 0.3 + 2.4 * rows)
    figure = style.sheet(*(size or default))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    levels, guess = _clean_levels(by_label, clean, relative=relative), None if relative else chance
    drawn = {probe: axes for probe, axes in zip(grid.flat, panels.flat, strict=True) if probe}
    for probe, axes in drawn.items():
        draw_panel(axes, by_label, probe, quantity, xscale)
        draw_levels(axes, levels, guess)
    for axes in set(panels.flat) - set(drawn.values()):
        axes.remove()
    for row in grid:
        _label_y(drawn[next(probe for probe in row if probe)], quantity)
    style.heading(figure, title)
    if len(by_label) > 1:
        name_models(figure, levels, relative=relative)
    first, axes = next(iter(drawn.items()))
    axes.set_ylim(0, top_of(by_label.values(), quantity, levels, guess))
    name_levels(axes, first, levels, guess, relative=relative)
    return figure


def _label_y(axes: Axes, quantity: Quantity) -> None:
    axes.set_ylabel(quantity.label)
    axes.yaxis.set_tick_params(labelleft=True)  # hidden in a second column, which may be the first that is drawn


def _grid(by_label: Mapping[str, pd.DataFrame], quantity: Quantity) -> np.ndarray:
    """Probes to draw, by row and column of panels; "" where there is none."""
    shown = set().union(*(_probes(table, quantity, label) for label, table in by_label.items()))
    if not shown:
        raise InputError(
            f"{_HERE}: nothing to draw: no finite {quantity.column} of any of {', '.join(tables.PROBE_TITLES)}."
        )
    grid = np.array([[probe if probe in shown else "" for probe in row] for row in tables.PROBE_ROWS], object)
    there = grid.astype(bool)
    return np.asarray(grid[there.any(axis=1)][:, there.any(axis=0)])


def _probes(table: pd.DataFrame, quantity: Quantity, label: str) -> set[str]:
    where = f"{_HERE}, {label!r}" if label else _HERE
    tables.require(table, ("probe", "group", quantity.column, quantity.low, quantity.high), where)
    tables.check_one_group(table, where)
    finite = table.loc[np.isfinite(tables.numbers(table, quantity.column)), "probe"]
    return set(finite) & set(tables.PROBE_TITLES)


def draw_panel(
    axes: Axes,
    by_label: Mapping[str, pd.DataFrame],
    probe: str,
    quantity: Quantity,
    xscale: XScale,
    limits: tuple[float, float] | None = None,
) -> None:
    """One probe's curves of all models on `axes`, dressed and titled; `limits` of x in cycles/image."""
    style.dress(axes)
    axes.set_title(tables.PROBE_TITLES[probe])
    rows = {label: table[table["probe"] == probe] for label, table in by_label.items()}
    for index, table in enumerate(rows.values()):
        if len(table) and tables.is_band(probe):
            _draw_bars(axes, table, quantity, style.look(index))
        elif len(table):
            draw_curve(axes, tables.shown_rows(table, xscale, _HERE), quantity, style.look(index))
    used = [table for table in rows.values() if len(table)]
    low, high = limits or _limits(used, probe, xscale)
    RadiusAxis(low, high, tables.per_pixel(used), xscale).put(axes)
    style.percent(axes.yaxis)


def draw_curve(axes: Axes, rows: pd.DataFrame, quantity: Quantity, look: Look) -> None:
    """A line with markers over its interval."""
    x, y = tables.numbers(rows, "radius"), tables.numbers(rows, quantity.column)
    low, high = tables.numbers(rows, quantity.low), tables.numbers(rows, quantity.high)
    axes.fill_between(x, low, high, color=look.colour, alpha=0.22, linewidth=0)
    if np.isfinite(y).sum() == 1:  # an area of one point is invisible
        axes.vlines(x, low, high, color=look.colour, linewidth=1)
    step = max(1, len(x) // 8)
    axes.plot(x, y, color=look.colour, linestyle=look.dashes, linewidth=1.3, marker=look.marker,
              markersize=3.2, markeredgewidth=0, markevery=(step // 2, step), clip_on=False)  # fmt: skip


def _draw_bars(axes: Axes, rows: pd.DataFrame, quantity: Quantity, look: Look) -> None:
    low, high, y = (tables.numbers(rows, name) for name in ("low", "high", quantity.column))
    bottom, top = tables.numbers(rows, quantity.low), tables.numbers(rows, quantity.high)
    axes.bar(low, top - bottom, high - low, bottom, align="edge", color=look.colour, alpha=0.22, linewidth=0)
    axes.hlines(y, low, high, color=look.colour, linestyle=look.dashes, linewidth=1.3)


def _limits(used: list[pd.DataFrame], probe: str, xscale: XScale) -> tuple[float, float]:
    names = ("low", "high") if tables.is_band(probe) else ("radius",)
    radii = np.concatenate([tables.numbers(table, name) for table in used for name in names])
    largest = float(radii.max()) or 1.0
    if xscale == "log":
        return float(radii[radii > 0].min()) / 1.08, 1.08 * largest
    return -0.015 * largest, 1.015 * largest


def _clean_levels(
    by_label: Mapping[str, pd.DataFrame], clean: Mapping[str, float] | float | None, *, relative: bool
) -> dict[str, float]:
    if relative:
        return dict.fromkeys(by_label, 1.0)
    if isinstance(clean, Mapping):
        return {label: float(clean.get(label, np.nan)) for label in by_label}
    if clean is not None:
        return dict.fromkeys(by_label, float(clean))
    return {label: tables.first_finite(table, "clean") for label, table in by_label.items()}


def draw_levels(axes: Axes, clean: Mapping[str, float], chance: float | None) -> None:
    """Clean accuracies as dashed lines, chance as a dotted one."""
    for index, level in enumerate(clean.values()):
        if np.isfinite(level):
            colour = style.look(index).colour if len(set(clean.values())) > 1 else style.GREY
            axes.axhline(level, color=colour, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    if chance is not None:
        axes.axhline(chance, color=style.GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)


def name_levels(
    axes: Axes, probe: str, clean: Mapping[str, float], chance: float | None, *, relative: bool = False
) -> None:
    """Name the lines of `draw_levels` where the curves are not: low-pass starts low, high-pass ends low.

    The limits of y must have been set.
    """
    sides = ("left", "right") if probe.startswith("low") else ("right", "left")
    if len(set(clean.values())) == 1 and np.isfinite(level := next(iter(clean.values()))):
        text = "clean" if relative else f"clean {100 * level:.1f}"
        _name_level(axes, text, level, sides[0], above=level < NAME_HEIGHT * axes.get_ylim()[1])
    if chance is not None:
        _name_level(axes, f"chance {100 * chance:.3g}", chance, sides[1], above=True)


def _name_level(axes: Axes, text: str, level: float, side: str, *, above: bool) -> None:
    axes.annotate(
        text, (0.025 if side == "left" else 0.975, level), xycoords=axes.get_yaxis_transform(),
        xytext=(0, 2.5 if above else -2.5), textcoords="offset points", ha=side, va="bottom" if above else "top",
        fontsize=style.SMALL, color=style.GREY,
    )  # fmt: skip


def top_of(
    every: Iterable[pd.DataFrame], quantity: Quantity, clean: Mapping[str, float], chance: float | None
) -> float:
    """The upper limit of y: above all intervals and clean levels, and above chance with its name."""
    columns = [tables.numbers(table, name) for table in every for name in (quantity.column, quantity.high)]
    highest = float(np.nanmax(np.concatenate([*columns, list(clean.values())])))
    return max(1.06 * highest, (chance or 0) / (1 - NAME_HEIGHT))


def name_models(figure: Figure, clean: Mapping[str, float], *, relative: bool = False) -> None:
    """A legend below all panels: each model with its look and its clean accuracy."""
    texts = [
        style.shorten(label, 2.6) + ("" if relative or not np.isfinite(level) else f" (clean {100 * level:.1f})")
        for label, level in clean.items()
    ]
    style.legend(figure, texts, [_key(style.look(index)) for index in range(len(texts))])


def _key(look: Look) -> Line2D:
    return Line2D([], [], color=look.colour, linestyle=look.dashes, linewidth=1.3, marker=look.marker,
                  markersize=3.2, markeredgewidth=0)  # fmt: skip
