"""Zoom x radius as a map with the ridge of r50 on it, and the scale law of classes or groups."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import NullLocator

from bandscope.errors import InputError
from bandscope.report.figures import heatmap, style, tables
from bandscope.report.figures.style import RadiusAxis
from bandscope.report.figures.tables import Quantity, Value

AXES = {"zoom": "Zoom", "object_size": "Object size (pixels)"}
PURE: tuple[tuple[float, str, Any], ...] = (
    (0.0, "constant cycles/image (β = 0)", ":"),
    (1.0, "constant cycles/object (β = 1)", (0, (5, 2))),
)
# What the interval of beta leaves: colour, marker, words.
VERDICTS = {
    "object": (style.COLOURS[0], "o", "holds 1, not 0"),
    "image": (style.COLOURS[1], "s", "holds 0, not 1"),
    "between": (style.COLOURS[2], "D", "between 0 and 1"),
    "beyond": (style.COLOURS[3], "^", "outside 0 to 1"),
    "undecided": (style.GREY, "X", "holds both"),
}
_LAW = ("beta", "beta_ci_low", "beta_ci_high")
_FEW = 45  # rows that have room for a name, a marker and a reason each


@style.drawing()
def figure_scale_surface(
    surface: pd.DataFrame,
    points: pd.DataFrame | None = None,
    law: pd.DataFrame | None = None,
    *,
    value: Value = "probability",
    probes: Sequence[str] | None = None,
    title: str | None = None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """Zoom x radius as a map, both in octaves, with r50 at each zoom and the two pure laws through it at zoom 1.

    Where the band follows the object r50 runs along the dashed line, where it does not along the dotted one.

    Args:
        surface: the table of `scale_surface(cube)`, one group.
        points: the table of `scale_points(cube)` of that group: r50 with its interval. Zooms without an r50 are
            named in italics.
        law: the table of `scale_law(cube)` of that group: beta, printed above.
        value: what the map shows: "probability" (of the label), "accuracy", "relative" (to clean at each zoom) or
            "top5".
        probes: a panel each; by default low-pass and high-pass of the first family that is there.
        title: written above.
        size: width and height in inches.

    Raises:
        InputError: a probe or a column is missing, a table has several groups, or every value is NaN.
    """
    here = "figure_scale_surface"
    tables.check_choice(value, tuple(tables.QUANTITIES), "value", here)
    quantity, axis = tables.QUANTITIES[value], _axis(surface, here)
    tables.require(surface, ("probe", "group", "radius", quantity.column), here)
    for table in (surface, points, law):
        if table is not None:
            tables.check_one_group(table, here)
    columns = _columns(surface, probes, here)
    maps = [_map(surface, probe, axis, quantity, here) for probe in columns]
    figure = style.sheet(*(size or (1.5 + 2.8 * len(columns), 3.5)))
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    scale = Normalize(0.0, max(1.0, *(float(np.nanmax(shown)) for shown in maps)))
    for axes, probe, shown in zip(panels, columns, maps, strict=True):
        mesh = _draw_map(axes, shown, scale)
        edges = style.cell_edges(_coordinate(shown.columns), "log")
        per_pixel = tables.per_pixel([surface[surface["probe"] == probe]])
        RadiusAxis(edges[0], edges[-1], per_pixel, "log", tables.radius_name(probe)).put(axes)
        axes.set_title("\n".join([tables.PROBE_TITLES.get(probe, probe), *_beta(law, probe)]), loc="left")
        if points is not None:
            _draw_ridge(axes, _ridge(points, probe, axis, here), axis)
    _name_scales(panels[0], maps[0], points, axis)
    heatmap.colour_bar(figure, mesh, list(panels), quantity)
    style.heading(figure, title)
    if points is not None:
        style.legend(figure, *_surface_keys())
    return figure


def _axis(table: pd.DataFrame, where: str) -> str:
    for axis in AXES:
        if axis in table:
            return axis
    raise InputError(f"{where}: the table lacks zoom (or object_size): draw the one of `scale_surface`.")


def _columns(table: pd.DataFrame, probes: Sequence[str] | None, where: str) -> list[str]:
    """The probes to draw: those asked for, or the first family that there is."""
    held = set(table["probe"])
    rows = [[probe for probe in row if probe in held and not tables.is_band(probe)] for row in tables.PROBE_ROWS]
    found = list(probes) if probes is not None else next((row for row in rows if row), [])
    for probe in found:
        tables.rows_of(table, probe, where)
    if not found:
        raise InputError(
            f"{where}: no low-pass or high-pass probe; the table holds {', '.join(sorted(held)) or 'none'}."
        )
    return found


def _coordinate(index: pd.Index) -> Float[np.ndarray, " n"]:
    return np.asarray(index, dtype=np.float64)


def _map(surface: pd.DataFrame, probe: str, axis: str, quantity: Quantity, where: str) -> pd.DataFrame:
    """Values of a probe, zoom down, radius across."""
    rows = tables.shown_rows(tables.rows_of(surface, probe, where), "log", where)
    if not np.isfinite(tables.numbers(rows, quantity.column)).any():
        raise InputError(f"{where}: nothing to draw: every {quantity.column} of probe {probe!r} is NaN.")
    return pd.DataFrame(rows.pivot(index=axis, columns="radius", values=quantity.column))


def _draw_map(axes: Axes, shown: pd.DataFrame, scale: Normalize) -> QuadMesh:
    style.dress(axes)
    axes.spines[:].set_visible(False)
    axes.set_facecolor(style.PALE)
    radii, scales = (style.cell_edges(_coordinate(index), "log") for index in (shown.columns, shown.index))
    mesh = axes.pcolormesh(
        radii, scales, np.ma.masked_invalid(shown.to_numpy()), norm=scale, cmap=style.COLOUR_MAP,
        rasterized=True,  # many viewers show seams between vector cells
    )  # fmt: skip
    axes.set_yscale("log", base=2)
    axes.set_ylim(scales[0], scales[-1])
    return mesh


def _name_scales(axes: Axes, shown: pd.DataFrame, points: pd.DataFrame | None, axis: str) -> None:
    """The zooms at the left, in italics where no probe has an r50."""
    known = set(shown.index if points is None else points.loc[np.isfinite(tables.numbers(points, "r50")), axis])
    axes.set_yticks(shown.index, [f"{value:.4g}" for value in shown.index])
    axes.yaxis.set_minor_locator(NullLocator())
    for tick, value in zip(axes.get_yticklabels(), shown.index, strict=True):
        if value not in known:
            tick.set(color=style.GREY, style="italic")
    axes.set_ylabel(AXES[axis] + (" (italic: no $r_{50}$)" if known < set(shown.index) else ""))


def _ridge(points: pd.DataFrame, probe: str, axis: str, where: str) -> pd.DataFrame:
    tables.require(points, ("probe", axis, "r50", "r50_ci_low", "r50_ci_high"), f"{where}, points")
    own = points[(points["probe"] == probe) & np.isfinite(tables.numbers(points, "r50"))]
    return pd.DataFrame(own.sort_values(axis))


def _draw_ridge(axes: Axes, ridge: pd.DataFrame, axis: str) -> None:
    """r50 at each zoom, and what it would be there if either hypothesis held exactly."""
    if ridge.empty:
        return
    at, r50 = tables.numbers(ridge, axis), tables.numbers(ridge, "r50")
    first = int(np.abs(np.log(at)).argmin()) if axis == "zoom" else len(at) // 2
    scales = np.array(axes.get_ylim())
    for beta, _, dashes in PURE:
        axes.plot(r50[first] * (scales / at[first]) ** -beta, scales, **_white(1.3), linestyle=dashes, scalex=False)
    bars = axes.hlines(at, tables.numbers(ridge, "r50_ci_low"), tables.numbers(ridge, "r50_ci_high"), color="white",
                       linewidth=1.1)  # fmt: skip
    bars.set_path_effects(_outlined(1.6))
    axes.plot(r50, at, **_white(0.9), **_dots())


def _white(width: float) -> dict[str, Any]:
    return {"color": "white", "linewidth": width, "path_effects": _outlined(width)}


def _outlined(width: float) -> list[Any]:
    return [Stroke(linewidth=width + 1.2, foreground="black"), Normal()]


def _dots() -> dict[str, Any]:
    return {"marker": "o", "markersize": 3.6, "markeredgewidth": 0}


def _surface_keys() -> tuple[list[str], list[Line2D]]:
    pure = [Line2D([], [], **_white(1.3), linestyle=dashes) for _, _, dashes in PURE]
    return ["r50 and its interval", *(text for _, text, _ in PURE)], [
        Line2D([], [], **_white(0.9), **_dots()),
        *pure,
    ]


def _beta(law: pd.DataFrame | None, probe: str) -> list[str]:
    """A line that says a probe's beta, or why there is none."""
    if law is None or not (law["probe"] == probe).any():
        return []
    row = law[law["probe"] == probe].iloc[0]
    if not np.isfinite(row["beta"]):
        return [style.shorten(f"β unknown: {row['reason']}", 2.4, style.TEXT)]
    return [f"β = {row['beta']:.2f} [{row['beta_ci_low']:.2f}, {row['beta_ci_high']:.2f}]".replace("-", "−")]


@style.drawing()
def figure_scale_law(
    law: pd.DataFrame,
    *,
    probes: Sequence[str] | None = None,
    title: str | None = None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """Beta of each class or group with its interval, between the two pure laws.

    Rows are ordered by beta of the first probe. Of up to 45 groups, those without a beta are there with the reason;
    of more groups they are left out and counted.

    Args:
        law: the table of `scale_law(cube, by=...)`.
        probes: a panel each; by default low-pass and high-pass of the first family that is there.
        title: written above.
        size: width and height in inches.

    Raises:
        InputError: a probe or a column is missing, or no group has a beta (the reasons are listed).
    """
    here = "figure_scale_law"
    tables.require(law, ("probe", "group", "n", *_LAW, "verdict", "reason"), here)
    columns = _columns(law, probes, here)
    law = law[law["probe"].isin(columns)]
    keys = _keys(law, columns[0], here)
    names = law.drop_duplicates(tables.key_of(law)).set_index(tables.key_of(law), drop=False)["group"].reindex(keys)
    width = 0.9 + max(style.text_width(style.shorten(name)) for name in names) + 2.9 * len(columns)
    figure = style.sheet(*(size or (width, heatmap.map_height(len(keys)) + 1.3)))
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    limits = _limits(law)
    for axes, probe in zip(panels, columns, strict=True):
        rows = law[law["probe"] == probe].set_index(tables.key_of(law), drop=False).reindex(keys)
        _draw_rows(axes, rows, limits)
        axes.set_title(tables.PROBE_TITLES.get(probe, probe), loc="left")
        axes.set_xlabel(f"β in $r_{{50}}$ ~ {'size' if 'object_size_low' in law else 'zoom'}$^{{-β}}$")
    left_out = law[tables.key_of(law)].nunique() - len(keys)
    if left_out:
        panels[-1].set_title(f"{left_out} left out: no β", loc="right", fontsize=style.SMALL, color=style.GREY)
    _name_rows(figure, panels[0], [str(name) for name in names])
    style.heading(figure, title)
    style.legend(figure, *_law_keys(law))
    return figure


def _keys(law: pd.DataFrame, probe: str, where: str) -> list[Any]:
    """The rows from the top down: by the first probe's beta; those without any last, if there is room for them."""
    key = tables.key_of(law)
    known = law.groupby(key, sort=False)["beta"].count()
    if not known.any():
        reasons = sorted({str(reason) for reason in law["reason"] if reason})
        raise InputError(f"{where}: nothing to draw: no group has a beta ({'; '.join(reasons[:3])}).")
    first = law[law["probe"] == probe].set_index(key)["beta"].reindex(known.index)
    order = first.sort_values(kind="stable", na_position="last").index
    order = order[np.argsort(~known.loc[order].astype(bool), kind="stable")]
    return list(order) if len(order) <= _FEW else [group for group in order if known[group]]


def _limits(law: pd.DataFrame) -> tuple[float, float]:
    """Room for both hypotheses and every beta; an interval may leave the panel."""
    beta = tables.numbers(law, "beta")
    return min(-0.25, float(np.nanmin(beta)) - 0.1), max(1.25, float(np.nanmax(beta)) + 0.1)


def _draw_rows(axes: Axes, rows: pd.DataFrame, limits: tuple[float, float]) -> None:
    style.dress(axes)
    axes.spines["left"].set_visible(False)
    axes.yaxis.set_tick_params(length=0)
    axes.set_xlim(*limits)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    for beta, _, dashes in PURE:
        axes.axvline(beta, color=style.INK, linewidth=0.9, linestyle=dashes, zorder=0.8)
    at, few = np.arange(len(rows)), len(rows) <= _FEW
    if few:
        axes.hlines(at, 0, 1, transform=axes.get_yaxis_transform(), color=style.PALE, linewidth=0.6, zorder=0.5)
    for verdict, (colour, marker, _) in VERDICTS.items():
        own = (rows["verdict"] == verdict).to_numpy()
        centre, low, high = (tables.numbers(rows[own], name) for name in _LAW)
        axes.hlines(at[own], low, high, color=colour, linewidth=1.6 if few else 0.5, alpha=0.8 if few else 0.35)
        axes.plot(centre, at[own], marker, color=colour, markersize=4.2 if few else 2.0,
                  markeredgecolor="white", markeredgewidth=0.5 if few else 0.1)  # fmt: skip
    for place in np.flatnonzero(~np.isfinite(tables.numbers(rows, "beta"))) if few else ():
        _write_reason(axes, int(place), str(rows["reason"].fillna("").iloc[place]))


def _write_reason(axes: Axes, place: int, reason: str) -> None:
    axes.text(
        0.02, place, style.shorten(reason, 2.5), transform=axes.get_yaxis_transform(), va="center_baseline",
        fontsize=style.SMALL, color=style.GREY, style="italic", parse_math=False,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )  # fmt: skip


def _name_rows(figure: Figure, axes: Axes, names: list[str]) -> None:
    """Names at the left; every k-th where there is no room for all."""
    height = style.inches(figure, axes)[1]
    step = -(-len(names) // max(1, int(height / style.LINE_HEIGHT)))
    at = np.arange(0, len(names), step)
    axes.set_yticks(at, [style.shorten(names[row]) for row in at], parse_math=False)
    if step > 1:
        axes.set_ylabel(f"{len(names)} rows, 1 of {step} named")


def _law_keys(law: pd.DataFrame) -> tuple[list[str], list[Line2D]]:
    """The two pure laws, and what the intervals that are there hold."""
    shown = [VERDICTS[verdict] for verdict in VERDICTS if (law["verdict"] == verdict).any()]
    lines = [Line2D([], [], color=style.INK, linewidth=0.9, linestyle=dashes) for _, _, dashes in PURE]
    marks = [
        Line2D([], [], color=colour, linewidth=1.6, marker=marker, markersize=4.2) for colour, marker, _ in shown
    ]
    return [*(text for _, text, _ in PURE), *(f"interval {words}" for _, _, words in shown)], [*lines, *marks]
