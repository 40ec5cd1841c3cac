"""Classes or groups x radius as a map (figure 2 of the paper)."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from bandscope.report.figures import style, tables
from bandscope.report.figures.style import RadiusAxis
from bandscope.report.figures.tables import GroupMap, Quantity, Value, XScale

_HERE = "figure_heatmap"
_FEW = 60  # rows that are tall enough to be marked one by one


@style.drawing()
def figure_heatmap(
    curves_by_group: pd.DataFrame,
    bands: pd.DataFrame | None = None,
    *,
    probe: str = "low_pass",
    value: Value = "accuracy",
    max_rows: int | None = None,
    xscale: XScale = "linear",
    title: str | None = None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """Classes or groups x radius, ordered by band centre, with each one's band drawn over its row.

    Args:
        curves_by_group: the table of `curves(cube, by=...)`.
        bands: the table of `bands(cube, by=...)`: gives the order (by r50, those without a band last) and the
            marks. Without it rows keep the order of the table.
        probe: the probe to draw; one over radius.
        value: "accuracy", "relative" (to clean), "top5" or "probability".
        max_rows: of more groups than this, as many are drawn, evenly spaced in the order; the axis says so.
        xscale: "linear", or "log" for octaves (radius 0 is then left out).
        title: written above.
        size: width and height in inches.

    Raises:
        InputError: the probe or a column is missing, a group has a radius twice, or every value is NaN.
    """
    tables.check_scale(xscale, _HERE)
    tables.check_choice(value, tuple(tables.QUANTITIES), "value", _HERE)
    quantity = tables.QUANTITIES[value]
    shown = tables.group_map(
        curves_by_group, bands, probe, quantity.column, xscale=xscale, where=_HERE, max_rows=max_rows
    )
    width = 4.4 + max(style.text_width(style.shorten(name)) for name in shown.names)
    figure = style.sheet(*(size or (width, map_height(len(shown.names)) + (1.1 if title else 0.9))))
    axes = figure.subplots()
    mesh = draw_map(axes, shown, norm(shown), xscale)
    edges = style.cell_edges(shown.radii, xscale)
    RadiusAxis(edges[0], edges[-1], shown.per_pixel, xscale, tables.radius_name(probe)).put(axes)
    axes.set_title(tables.PROBE_TITLES.get(probe, probe), loc="left")
    style.heading(figure, title)
    axes.set_title(marks_note(shown), loc="right", fontsize=style.SMALL, color=style.GREY)
    colour_bar(figure, mesh, axes, quantity)
    height = style.inches(figure, axes)[1]
    name_rows(axes, shown, height)
    count_rows(axes, shown, height)
    return figure


def map_height(rows: int) -> float:
    """Inches a map of so many rows should have."""
    return min(6.5, 0.17 * max(rows, 7))


def norm(*maps: GroupMap) -> Normalize:
    """One scale of colours from 0 to at least 1, so that maps compare."""
    return Normalize(0.0, max(float(np.fmax.reduce(shown.values, axis=None, initial=1.0)) for shown in maps))


def draw_map(axes: Axes, shown: GroupMap, scale: Normalize, xscale: XScale) -> QuadMesh:
    """The map with its marks; rows from the top down, at 0, 1, 2 ..."""
    style.dress(axes)
    axes.spines[:].set_visible(False)
    axes.yaxis.set_tick_params(length=0)
    axes.set_facecolor(style.PALE)
    rows = len(shown.names)
    edges = style.cell_edges(shown.radii, xscale)
    mesh = axes.pcolormesh(
        edges, np.arange(rows + 1) - 0.5, np.ma.masked_invalid(shown.values), norm=scale,
        cmap=style.COLOUR_MAP, rasterized=True,  # many viewers show seams between vector cells
    )  # fmt: skip
    axes.set_ylim(rows - 0.5, -0.5)
    if rows <= _FEW:
        axes.hlines(np.arange(1, rows) - 0.5, edges[0], edges[-1], color="white", linewidth=0.8)
        _mark_rows(axes, shown.bands)
    else:
        _mark_lines(axes, shown.bands)
    return mesh


def _outlined(width: float) -> list[Any]:
    return [Stroke(linewidth=width, foreground="black"), Normal()]


def _mark_rows(axes: Axes, bands: Float[np.ndarray, "rows 3"]) -> None:
    at = np.flatnonzero(np.isfinite(bands).all(axis=1))
    if not len(at):
        return
    bars = axes.hlines(at, bands[at, 0], bands[at, 2], color="white", linewidth=0.9)
    bars.set_path_effects(_outlined(1.8))
    axes.plot(bands[at, 1], at, "o", markersize=4, color="white", markeredgecolor="black", markeredgewidth=0.5)


def _mark_lines(axes: Axes, bands: Float[np.ndarray, "rows 3"]) -> None:
    for mark, width in zip(bands.T, (0.7, 1.4, 0.7), strict=True):
        if np.isfinite(mark).any():
            axes.plot(mark, np.arange(len(mark)), color="white", linewidth=width, path_effects=_outlined(width + 1))


def marks_note(shown: GroupMap) -> str:
    """What the white marks mean, in a few words."""
    defined = np.isfinite(shown.bands).all(axis=1)
    if not defined.any():
        return ""
    marks = "dot: $r_{50}$, bar: $r_{10}$ to $r_{90}$"
    if len(defined) > _FEW:
        marks = "lines: $r_{10}$, $r_{50}$, $r_{90}$"
    return marks if defined.all() else f"{marks}; italic: no band"


def _named(rows: int, height: float) -> np.ndarray:
    """The rows that have room for a name: all, or evenly spaced ones."""
    most = max(1, int(height / style.LINE_HEIGHT))
    return np.arange(0, rows, -(-rows // most))


def name_rows(axes: Axes, shown: GroupMap, height: float) -> None:
    """Group names on the left of a map `height` inches tall; every k-th where there is no room for all."""
    rows, at = len(shown.names), _named(len(shown.names), height)
    axes.set_yticks(at, [style.shorten(shown.names[row]) for row in at], parse_math=False)
    marked = np.isfinite(shown.bands).all(axis=1)
    for tick, row in zip(axes.get_yticklabels(), at, strict=True):
        if marked.any() and not marked[row]:
            tick.set(color=style.GREY, style="italic")
    some = f"{rows} of {shown.total} rows, evenly spaced" if rows < shown.total else f"{rows} rows"
    named = "" if len(at) == rows else f", 1 of {at[1] - at[0] if len(at) > 1 else rows} named"
    if rows < shown.total or named:
        axes.set_ylabel(some + named)


def count_rows(axes: Axes, shown: GroupMap, height: float) -> None:
    """The number of images of each named row, on the right."""
    at = _named(len(shown.names), height)
    right = axes.secondary_yaxis("right")
    right.spines["right"].set_visible(False)
    right.set_yticks(at, [f"{count:.0f}" for count in np.nan_to_num(shown.images[at])])
    right.yaxis.set_tick_params(length=0, labelsize=style.SMALL, labelcolor=style.GREY, pad=2)
    right.set_ylabel("Images", color=style.GREY)


def colour_bar(figure: Figure, mesh: QuadMesh, axes: Any, quantity: Quantity) -> None:
    """The scale of colours on the right of `axes` (one or several)."""
    bar = figure.colorbar(mesh, ax=axes, fraction=0.05, pad=0.02, aspect=28)
    style.dress(bar.ax)
    bar.ax.spines[:].set_visible(False)
    style.percent(bar.ax.yaxis)
    bar.set_label(quantity.label)
