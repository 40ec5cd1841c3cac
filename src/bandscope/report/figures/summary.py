"""One sheet that says it all: what an audit leaves on disk as its overview."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bandscope.errors import InputError
from bandscope.report.figures import curves as curve_panels
from bandscope.report.figures import heatmap, style, tables
from bandscope.report.figures.style import RadiusAxis
from bandscope.report.figures.tables import GroupMap, Value, XScale

_HERE = "figure_summary"


@style.drawing()
def figure_summary(
    curves: pd.DataFrame,
    curves_by_group: pd.DataFrame | None = None,
    bands_by_group: pd.DataFrame | None = None,
    *,
    value: Value = "accuracy",
    chance: float | None = None,
    max_rows: int | None = None,
    xscale: XScale = "linear",
    title: str | None = None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """Curves of low-pass and high-pass, and under each the map of classes or groups on the same radius axis.

    Args:
        curves: the table of `curves(cube)`, one group.
        curves_by_group: the table of `curves(cube, by=...)`; without it there are no maps.
        bands_by_group: the table of `bands(cube, by=...)`. The first probe's bands give the order of the rows of
            all maps, so that a row is one group all the way across.
        value: what the maps show: "accuracy", "relative", "top5" or "probability".
        chance: accuracy of guessing (a fraction), drawn as a dotted line.
        max_rows: of more groups than this, as many are drawn, evenly spaced in the order.
        xscale: "linear", or "log" for octaves (radius 0 is then left out).
        title: written above, e.g. model, data and number of images.
        size: width and height in inches.

    Raises:
        InputError: there is no low-pass or high-pass probe, or a column is missing.
    """
    tables.check_scale(xscale, _HERE)
    tables.check_choice(value, tuple(tables.QUANTITIES), "value", _HERE)
    probes = _probes(curves)
    maps = _maps(curves_by_group, bands_by_group, probes, value, xscale, max_rows)
    height = heatmap.map_height(len(maps[0].names)) if maps else 0.0
    width = style.TWO_COLUMNS if len(probes) > 1 else 4.6
    figure = style.sheet(*(size or (width, 2.75 + (height + 0.55 if maps else 0.0))))
    ratios = [2.1, max(height, 1.0)] if maps else [1.0]
    panels = figure.subplots(len(ratios), len(probes), sharey="row", squeeze=False, height_ratios=ratios)
    limits = {probe: _limits(shown, xscale) for probe, shown in zip(probes, maps, strict=False)}
    quantity = tables.QUANTITIES["accuracy"]
    levels = {"": tables.first_finite(curves, "clean")}
    for axes, probe in zip(panels[0], probes, strict=True):
        curve_panels.draw_panel(axes, {"": curves}, probe, quantity, xscale, limits.get(probe))
        curve_panels.draw_levels(axes, levels, chance)
    panels[0][0].set_ylabel(quantity.label)
    if maps:
        _draw_maps(figure, panels[1], maps, value, xscale)
    style.heading(figure, title)
    panels[0][0].set_ylim(0, curve_panels.top_of([curves], quantity, levels, chance))
    curve_panels.name_levels(panels[0][0], probes[0], levels, chance)
    return figure


def _probes(curves: pd.DataFrame) -> list[str]:
    """The first family that the table holds."""
    tables.require(curves, ("probe", "group", "radius", "accuracy", "ci_low", "ci_high"), _HERE)
    tables.check_one_group(curves, _HERE)
    held = set(curves.loc[np.isfinite(tables.numbers(curves, "accuracy")), "probe"])
    for row in tables.PROBE_ROWS:
        if not tables.is_band(row[0]) and held & set(row):
            return [probe for probe in row if probe in held]
    raise InputError(
        f"{_HERE}: nothing to draw: no finite accuracy of a low-pass or high-pass probe;"
        f" the table holds {', '.join(sorted(map(str, held))) or 'no finite accuracy at all'}."
    )


def _maps(
    curves: pd.DataFrame | None,
    bands: pd.DataFrame | None,
    probes: list[str],
    value: str,
    xscale: XScale,
    max_rows: int | None,
) -> list[GroupMap]:
    """One map a probe, all in the row order of the first."""
    if curves is None:
        return []
    column = tables.QUANTITIES[value].column
    first = tables.group_map(curves, bands, probes[0], column, xscale=xscale, where=_HERE, max_rows=max_rows)
    others = [
        tables.group_map(curves, bands, probe, column, xscale=xscale, where=_HERE, order=first.keys)
        for probe in probes[1:]
    ]
    return [first, *others]


def _limits(shown: GroupMap, xscale: XScale) -> tuple[float, float]:
    edges = style.cell_edges(shown.radii, xscale)
    return float(edges[0] if xscale == "log" else min(edges[0], 0.0)), float(edges[-1])


def _draw_maps(figure: Figure, panels: np.ndarray, maps: list[GroupMap], value: str, xscale: XScale) -> None:
    scale = heatmap.norm(*maps)
    for axes, shown in zip(panels, maps, strict=True):
        mesh = heatmap.draw_map(axes, shown, scale, xscale)
        low, high = _limits(shown, xscale)
        RadiusAxis(low, high, None, xscale).put(axes)
    panels[0].set_title(heatmap.marks_note(maps[0]), loc="right", fontsize=style.SMALL, color=style.GREY, pad=3)
    heatmap.colour_bar(figure, mesh, list(panels), tables.QUANTITIES[value])
    height = style.inches(figure, panels[0])[1]
    heatmap.name_rows(panels[0], maps[0], height)
    heatmap.count_rows(panels[-1], maps[0], height)
