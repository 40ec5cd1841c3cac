"""One sample at several zooms: what it looks like filtered, what the network says to it, row below row."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch

from bandscope.errors import InputError
from bandscope.report.figures import sample as one
from bandscope.report.figures import style, tables
from bandscope.report.figures.style import Look, RadiusAxis
from bandscope.report.figures.tables import XScale

_HERE = "figure_sample_zooms"
MOST_ROWS, MOST_CLASSES = 6, 6
_NAMES, _TICKS, _CURVES, _NUMBERS = 0.35, 0.35, 2.35, 0.7  # inches across
_CENTRE: dict[str, Any] = {"color": style.INK, "linewidth": 1.0, "zorder": 3.5}
_ONSET: dict[str, Any] = {"color": style.INK, "linewidth": 0.8, "linestyle": (0, (4, 2)), "zorder": 1.5}
_LOWEST, _HIGHEST, _GAP = 0.62, 1.0, 0.12  # inches of a row, and between rows


@dataclass(frozen=True)
class ZoomRow:
    """One zoom of one sample.

    name: what stands beside the row.
    images: the sample filtered at the radii of the figure, values in [0, 1]; None for the curves alone.
    curves: columns `radius`, `class_name`, `probability` and, for the second x axis, `frequency`.
    takeovers: from_radius, to_radius, usurper.
    onset: radius from which the label stays on top; NaN for none.
    r50: the centre of the band of the label's probability; NaN for none.
    class_curve: a one-group `curves` table to lie behind.
    """

    name: str
    images: Float[np.ndarray, "k h w c"] | None
    curves: pd.DataFrame
    takeovers: pd.DataFrame | None = None
    onset: float = math.nan
    r50: float = math.nan
    class_curve: pd.DataFrame | None = None


@style.drawing()
def figure_sample_zooms(
    rows: Sequence[ZoomRow],
    radii: Sequence[float],
    label: str,
    *,
    class_curve_name: str = "its class",
    probe: str = "low_pass",
    xscale: XScale = "linear",
    title: str | None = None,
    note: str | None = None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """A row a zoom: filtered images, and beside them the probabilities over a radius axis that all rows share.

    One line runs down through r50 of all rows: it leans where the band moves with the zoom.

    Args:
        rows: the zooms from top to bottom, 1 to 6, all with images of one size or all without.
        radii: of the images; rising, in cycles/image; the last may be `math.inf`, which is written "clean".
        label: the `class_name` that is right; the others are usurpers, of one colour in all rows.
        class_curve_name: whose mean lies behind, where it is not the class's own.
        probe: names the axis, and chooses the rows where a table has a column `probe`.
        xscale: "linear", or "log" for octaves (radius 0 is then left out).
        title: written above.
        note: written in the place of the images where there are none: why.
        size: width and height in inches.

    Raises:
        InputError: as `figure_sample`; too many rows, or images in some rows alone.
    """
    tables.check_scale(xscale, _HERE)
    _check_rows(rows, radii)
    curves = [one.checked_curves(row.curves, label, probe, xscale) for row in rows]
    every = pd.concat(curves)
    names = one.names_to_draw(every, label, MOST_CLASSES, _usurpers(rows))
    looks = {name: style.look(index) for index, name in enumerate(names)}
    figure = style.sheet(*(size or _size(rows)))
    strips, panels = _layout(figure, rows)
    low, high = one.limits(every, radii if strips[0] else (), xscale)
    axis = RadiusAxis(low, high, tables.per_pixel([every]), xscale, tables.radius_name(probe))
    for row, table, strip, axes in zip(rows, curves, strips, panels, strict=True):
        _dress(axes, axis, last=axes is panels[-1])
        if row.class_curve is not None:
            one.draw_behind(axes, row.class_curve, class_curve_name, probe, xscale)
        won = one.shade(axes, row.takeovers, probe, tables.numbers(table, "radius"), looks, xscale)
        for name, own in table.groupby("class_name", sort=False):
            if name in looks:
                one.draw_class(axes, own, looks[str(name)], name == label)
        _mark(axes, row)
        _show(strip, axes, row, radii, won)
    for place, radius in zip(strips[0], radii, strict=False):
        one.name_radius(place, radius, _thumbnail_width(len(radii)))
    _join(figure, rows, panels)
    missing = "" if strips[0] else note or ""
    one.write_above(panels[0], missing, figure.get_figwidth() - 1.2, "Probability (%)")
    style.heading(figure, title or tables.PROBE_TITLES.get(probe, probe))
    _legend(figure, looks, label, rows, class_curve_name)
    return figure


def _check_rows(rows: Sequence[ZoomRow], radii: Sequence[float]) -> None:
    if not 1 <= len(rows) <= MOST_ROWS:
        raise InputError(f"{_HERE}: {len(rows)} rows; allowed are 1 to {MOST_ROWS}.")
    pictures = [row.images for row in rows if row.images is not None]
    for images in pictures:
        one.check_images(images, radii)
    if pictures and (len(pictures) < len(rows) or len({images.shape for images in pictures}) > 1):
        raise InputError(f"{_HERE}: every row needs images of one size, or none of them images.")


def _usurpers(rows: Sequence[ZoomRow]) -> list[str]:
    """The classes that take over, those that do at most zooms first."""
    given = [row.takeovers for row in rows if row.takeovers is not None]
    for table in given:
        tables.require(table, ("usurper",), f"{_HERE}, takeovers")
    names = [str(name) for table in given for name in table["usurper"].unique()]
    return [name for name, _ in Counter(names).most_common()]


def _size(rows: Sequence[ZoomRow]) -> tuple[float, float]:
    return style.TWO_COLUMNS, 1.6 + len(rows) * (_row_height(rows[0].images) + _GAP)


def _thumbnail_width(count: int) -> float:
    return (style.TWO_COLUMNS - _NAMES - _TICKS - _CURVES - _NUMBERS) / max(count, 4)


def _row_height(images: Float[np.ndarray, "k h w c"] | None) -> float:
    if images is None:
        return _HIGHEST
    height, width = (float(length) for length in images.shape[1:3])
    return min(_HIGHEST, max(_LOWEST, _thumbnail_width(len(images)) * height / width))


def _layout(figure: Figure, rows: Sequence[ZoomRow]) -> tuple[list[list[Axes]], list[Axes]]:
    """The thumbnails of each row, and the panels of the curves."""
    images = rows[0].images
    across = [] if images is None else [_thumbnail_width(len(images))] * len(images)
    grid = figure.subplots(len(rows), len(across) + 1, squeeze=False, width_ratios=[*across, _CURVES])
    return [list(row[:-1]) for row in grid], list(grid[:, -1])


def _dress(axes: Axes, axis: RadiusAxis, *, last: bool) -> None:
    style.dress(axes)
    axis.put(axes, second="below" if last else None)
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([0, 0.5, 1])
    style.percent(axes.yaxis)
    if not last:
        axes.set_xlabel("")
        axes.xaxis.set_tick_params(labelbottom=False)


def _mark(axes: Axes, row: ZoomRow) -> None:
    """The onset and r50, as lines and as numbers."""
    for at, look in ((row.r50, _CENTRE), (row.onset, _ONSET)):
        if math.isfinite(at):
            axes.axvline(at, **look)
    centre = f"r50 = {row.r50:.1f}" if math.isfinite(row.r50) else "no r50"
    onset = f"onset {row.onset:g}" if math.isfinite(row.onset) else "no onset"
    axes.annotate(
        f"{centre}\n{onset}", (1, 0.5), xycoords="axes fraction", xytext=(4, 0), textcoords="offset points",
        ha="left", va="center", fontsize=style.SMALL, linespacing=1.4,
    )  # fmt: skip


def _show(strip: Sequence[Axes], axes: Axes, row: ZoomRow, radii: Sequence[float], won: Sequence[one.Won]) -> None:
    """The thumbnails, their radii as lines through the curves, and the name of the row."""
    (strip or [axes])[0].set_ylabel(row.name, fontsize=style.SMALL, linespacing=1.3)
    for place, image, radius in zip(strip, () if row.images is None else row.images, radii, strict=False):
        one.show(place, image, radius, won)
        axes.axvline(radius, color=style.GREY, linewidth=0.5, linestyle=(0, (1, 2)), zorder=0.9)


def _join(figure: Figure, rows: Sequence[ZoomRow], panels: Sequence[Axes]) -> None:
    """Lines through the gaps, from the r50 of a row to that of the next."""
    for (row, axes), (below, other) in pairwise(zip(rows, panels, strict=True)):
        if not (math.isfinite(row.r50) and math.isfinite(below.r50)):
            continue
        line = ConnectionPatch(
            (row.r50, 0.0), (below.r50, 1.0), axes.get_xaxis_transform(), other.get_xaxis_transform(), **_CENTRE
        )
        line.set_in_layout(False)
        figure.add_artist(line)


def _legend(
    figure: Figure, looks: Mapping[str, Look], label: str, rows: Sequence[ZoomRow], class_curve_name: str
) -> None:
    named = [(name, _key(look, name == label)) for name, look in looks.items()]
    if any(row.class_curve is not None for row in rows):
        named.append((f"mean of {class_curve_name}", Line2D([], [], color=one.BEHIND.colour, linewidth=1.3)))
    if any(math.isfinite(row.r50) for row in rows):
        named.append(("r50", Line2D([], [], **_CENTRE)))
    if any(math.isfinite(row.onset) for row in rows):
        named.append(("onset", Line2D([], [], **_ONSET)))
    names, keys = zip(*named, strict=True)
    style.legend(figure, [style.shorten(name) for name in names], keys)


def _key(look: Look, right: bool) -> Line2D:
    width, markers = (2.4, 0.0) if right else (1.2, 2.8)
    return Line2D([], [], color=look.colour, linestyle=look.dashes, linewidth=width, marker=look.marker,
                  markersize=markers, markeredgewidth=0)  # fmt: skip
