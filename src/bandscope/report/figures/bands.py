"""Sensitivity bands against accuracy (figure 3 of the paper)."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bandscope.errors import InputError
from bandscope.report.figures import style, tables
from bandscope.report.figures.style import MarginLabel, RadiusAxis
from bandscope.report.figures.tables import XScale

_HERE = "figure_band_accuracy"
_FEW = 45  # groups that can have a row each
_ENDS = 3  # of more groups, as many are named at each end of accuracy and of band centre
_SYMBOLS = {"r50": "$r_{50}$", "width": "width", "octaves": "width in octaves"}


@style.drawing()
def figure_band_accuracy(
    bands: pd.DataFrame,
    band_accuracy: pd.DataFrame | None = None,
    *,
    probe: str | None = None,
    pixels: int | None = None,
    xscale: XScale = "linear",
    title: str | None = None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """Each group's band (r10 to r90, with r50 and its interval) against its clean accuracy.

    Up to 45 groups have a row each, ordered by accuracy, with the accuracy beside the band: groups that tie would
    otherwise hide each other. More groups are a cloud, band against accuracy, its extremes named.

    Args:
        bands: the table of `bands(cube, by=...)`; rows without a band are left out and counted. Intervals are drawn
            where it has them.
        band_accuracy: the table of `band_accuracy(bands)`: rank correlations to print above.
        probe: the probe to draw; by default the only one of the table, or low_pass.
        pixels: min(H, W) of the network's input, for the second x axis in cycles/pixel.
        xscale: "linear", or "log" for octaves.
        title: written above; by default the probe's name.
        size: width and height in inches.

    Raises:
        InputError: the probe or a column is missing, or no row has a band (the reasons are listed).
    """
    tables.check_scale(xscale, _HERE)
    if pixels is not None and pixels < 1:
        raise InputError(f"{_HERE}: pixels is {pixels}; it must be at least 1.")
    probe = probe or _only_probe(bands)
    rows = tables.rows_of(bands, probe, _HERE)
    tables.require(rows, ("group", "accuracy", *tables.MARKS), _HERE)
    drawn = rows[np.isfinite(rows[["accuracy", *tables.MARKS]].to_numpy(dtype=np.float64)).all(axis=1)]
    _check_any(rows, drawn, probe)
    axis = RadiusAxis(
        *_limits(drawn, xscale), None if pixels is None else 1 / pixels, xscale, tables.radius_name(probe)
    )
    heading = style.shorten(title or tables.PROBE_TITLES.get(probe, probe), 4.0).replace("$", r"\$")
    heading += _left_out(len(rows) - len(drawn), len(rows))
    lines = [heading, _marks(drawn), *_correlations(band_accuracy, probe)]
    figure = (_rows if len(drawn) <= _FEW else _cloud)(drawn, axis, size)
    figure.axes[0].set_title("\n".join(lines), loc="left", linespacing=1.4, fontsize=style.SMALL)
    return figure


def _only_probe(bands: pd.DataFrame) -> str:
    tables.require(bands, ("probe",), _HERE)
    probes = bands["probe"].unique()
    return str(probes[0]) if len(probes) == 1 else "low_pass"


def _check_any(rows: pd.DataFrame, drawn: pd.DataFrame, probe: str) -> None:
    if not len(drawn):
        reasons = sorted({str(reason) for reason in rows.get("reason", []) if reason})
        raise InputError(
            f"{_HERE}: nothing to draw: none of the {len(rows)} rows of probe {probe!r} has a band"
            f" ({'; '.join(reasons[:3]) or 'no reason given'})."
        )


def _rows(drawn: pd.DataFrame, axis: RadiusAxis, size: tuple[float, float] | None) -> Figure:
    """A row a group, the most accurate on top: its band, and beside it its accuracy."""
    drawn = drawn.sort_values(["accuracy", "r50"], ascending=[False, True], kind="stable")
    names = [style.shorten(name) for name in drawn["group"]]
    width = 4.7 + max(map(style.text_width, names))
    figure = style.sheet(*(size or (width, 1.55 + 0.17 * max(len(drawn), 5))))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    at = np.arange(len(drawn))
    for axes in (left, right):
        style.dress(axes)
        axes.spines["left"].set_visible(False)
        axes.yaxis.set_tick_params(length=0)
        axes.hlines(at, 0, 1, transform=axes.get_yaxis_transform(), color=style.PALE, linewidth=0.6, zorder=0.5)
    left.set_yticks(at, names, parse_math=False)
    left.set_ylim(len(drawn) - 0.4, -0.6)
    _draw_bands(left, drawn, at)
    axis.put(left)
    _interval(right, drawn, "accuracy", at, color=style.LIGHT, linewidth=2.2)
    right.plot(tables.numbers(drawn, "accuracy"), at, "D", markersize=3.2, color=style.INK)
    right.set_xlabel("Clean accuracy (%)")
    style.percent(right.xaxis)
    return figure


def _draw_bands(axes: Axes, drawn: pd.DataFrame, at: Float[np.ndarray, " n"]) -> None:
    r10, r50, r90 = (tables.numbers(drawn, name) for name in tables.MARKS)
    axes.hlines(at, r10, r90, color=style.COLOURS[0], linewidth=1.2)
    _interval(axes, drawn, "r50", at, color=style.COLOURS[0], linewidth=4.5, alpha=0.4)
    axes.plot(r50, at, "o", markersize=4.2, color=style.COLOURS[0], markeredgecolor="white", markeredgewidth=0.6)


def _interval(axes: Axes, drawn: pd.DataFrame, name: str, at: Float[np.ndarray, " n"], **look: Any) -> None:
    """The interval of a column where the table has it."""
    if {f"{name}_ci_low", f"{name}_ci_high"} <= set(drawn):
        axes.hlines(at, tables.numbers(drawn, f"{name}_ci_low"), tables.numbers(drawn, f"{name}_ci_high"), **look)


def _cloud(drawn: pd.DataFrame, axis: RadiusAxis, size: tuple[float, float] | None) -> Figure:
    """A thin band and a dot a group, at the height of its accuracy."""
    drawn = drawn.sort_values("accuracy", kind="stable").reset_index(drop=True)
    figure = style.sheet(*(size or (5.9, 4.0)))
    axes = figure.subplots()
    style.dress(axes)
    y = tables.numbers(drawn, "accuracy")
    r10, r50, r90 = (tables.numbers(drawn, name) for name in tables.MARKS)
    axes.hlines(y, r10, r90, color=style.COLOURS[0], linewidth=0.5, alpha=0.15)
    axes.plot(r50, y, "o", markersize=2.4, color=style.COLOURS[0], markeredgecolor="white", markeredgewidth=0.2)
    axis.put(axes)
    axes.set_ylabel("Clean top-1 accuracy (%)")
    style.percent(axes.yaxis)
    chosen = drawn.iloc[_extremes(drawn)]
    places = zip(chosen["group"], chosen["r50"], chosen["accuracy"], strict=True)
    style.margin_labels(figure, axes, [MarginLabel(str(name), float(x), float(level)) for name, x, level in places])
    return figure


def _extremes(drawn: pd.DataFrame) -> list[int]:
    """Rows at the ends of accuracy and of band centre."""
    by_centre = drawn["r50"].sort_values(kind="stable").index
    ends = [*drawn.index[:_ENDS], *drawn.index[-_ENDS:], *by_centre[:_ENDS], *by_centre[-_ENDS:]]
    return sorted(set(ends))


def _limits(drawn: pd.DataFrame, xscale: XScale) -> tuple[float, float]:
    low, high = float(drawn["r10"].min()), float(drawn["r90"].max())
    return (max(low, 0.5) / 1.15, 1.08 * high) if xscale == "log" else (0.0, 1.04 * high)


def _correlations(table: pd.DataFrame | None, probe: str) -> list[str]:
    if table is None:
        return []
    tables.require(table, ("probe", "quantity", "rho", "ci_low", "ci_high", "p"), f"{_HERE}, band_accuracy")
    rows = table[(table["probe"] == probe) & np.isfinite(tables.numbers(table, "rho"))]
    return [_correlation(row) for row in rows.to_dict("records")]


def _correlation(row: dict[str, object]) -> str:
    rho, low, high, p = (float(str(row[name])) for name in ("rho", "ci_low", "ci_high", "p"))
    name = _SYMBOLS.get(str(row["quantity"]), str(row["quantity"]))
    return f"Spearman ρ({name}, accuracy) = {rho:+.2f} [{low:+.2f}, {high:+.2f}], p = {p:.2g}".replace("-", "−")


def _marks(drawn: pd.DataFrame) -> str:
    box = ", box: its interval" if len(drawn) <= _FEW and "r50_ci_low" in drawn else ""
    return "line: $r_{10}$ to $r_{90}$, dot: $r_{50}$" + box


def _left_out(count: int, rows: int) -> str:
    return f"; {count} of {rows} left out: no band" if count else ""
