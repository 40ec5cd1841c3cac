"""One sample: what it looks like filtered, what the network says to it (figure 4 of the paper)."""

import math
import textwrap
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from bandscope.errors import InputError
from bandscope.report.figures import style, tables
from bandscope.report.figures.style import Look, MarginLabel, RadiusAxis
from bandscope.report.figures.tables import XScale

_HERE = "figure_sample"
_MOST_IMAGES, _MOST_CLASSES = 12, 7
_HEADROOM = 1.12  # the curves end at 1; above is the place for words
Won = tuple[float, float, str]  # first and last radius of a takeover, colour of its usurper
BEHIND = Look("#a8a8a8", "-", "")
_FAN = 0.22  # inches for the lines from the thumbnails to their radii


@style.drawing()
def figure_sample(
    images: Float[np.ndarray, "k h w c"] | None,
    radii: Sequence[float],
    curves: pd.DataFrame,
    label: str,
    *,
    class_curve: pd.DataFrame | None = None,
    class_curve_name: str = "its class",
    takeovers: pd.DataFrame | None = None,
    onset: float | None = None,
    probe: str = "low_pass",
    xscale: XScale = "linear",
    title: str | None = None,
    note: str | None = None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """A strip of filtered images over the probabilities of the label and of the classes that compete with it.

    Args:
        images: the sample filtered at each of `radii`, values in [0, 1], 1 or 3 channels; None for the curves alone.
        radii: rising, in cycles/image; the last may be `math.inf`, which is written "clean".
        curves: columns `radius`, `class_name`, `probability` and, for the second x axis, `frequency`; one row a
            class and radius. NaN where it is not known (the class was not in the stored top 5): a gap.
        label: the `class_name` that is right; the others are usurpers, drawn with their names.
        class_curve: a one-group `curves` table: the label's class, whose mean probability lies behind in grey.
        class_curve_name: whose mean that is, where it is not the class's own.
        takeovers: the sample's rows of `takeovers(cube)`: from_radius, to_radius, usurper; shaded.
        onset: radius from which the label stays on top; NaN or None for none.
        probe: names the figure, and chooses the rows where a table has a column `probe`.
        xscale: "linear", or "log" for octaves (radius 0 is then left out).
        title: written above.
        note: written in the place of the images where there are none: why.
        size: width and height in inches.

    Raises:
        InputError: images that do not fit the radii or leave [0, 1], too many of them, unknown label, missing
            columns, or no finite probability.
    """
    tables.check_scale(xscale, _HERE)
    if images is not None:
        check_images(images, radii)
    rows = checked_curves(curves, label, probe, xscale)
    names = names_to_draw(rows, label)
    looks = {name: style.look(index) for index, name in enumerate(names)}
    figure = style.sheet(*(size or (style.TWO_COLUMNS, 3.4 + _strip_height(images))))
    strip, axes = _layout(figure, images)
    style.dress(axes)
    shown = [] if images is None else list(zip(strip, images, radii, strict=True))
    low, high = limits(rows, radii if shown else (), xscale)
    RadiusAxis(low, high, tables.per_pixel([rows]), xscale, tables.radius_name(probe)).put(axes, second="below")
    behind = [] if class_curve is None else draw_behind(axes, class_curve, class_curve_name, probe, xscale)
    won = shade(axes, takeovers, probe, tables.numbers(rows, "radius"), looks, xscale)
    drawn = [draw_class(axes, rows[rows["class_name"] == name], looks[name], name == label) for name in names]
    _mark_onset(axes, onset)
    _dress_y(axes)
    for place, image, radius in shown:
        show(place, image, radius, won)
        name_radius(place, radius, style.TWO_COLUMNS / len(shown))
        _connect(figure, place, axes, radius)
    style.heading(figure, title or tables.PROBE_TITLES.get(probe, probe))
    if note and not shown:
        write_above(axes, note, figure.get_figwidth() - 1.2)
    style.margin_labels(figure, axes, behind + drawn)
    return figure


def check_images(images: Float[np.ndarray, "k h w c"], radii: Sequence[float]) -> None:
    """Refuse images that are not pictures at `radii`."""
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise InputError(f"{_HERE}: images have shape {images.shape}; allowed is (k, h, w, c) with c 1 or 3.")
    if len(images) != len(radii) or not 1 <= len(radii) <= _MOST_IMAGES:
        raise InputError(
            f"{_HERE}: {len(images)} images and {len(radii)} radii; as many of both, 1 to {_MOST_IMAGES}."
        )
    if not (radii[0] >= 0 and all(before < after for before, after in pairwise(radii))):
        raise InputError(f"{_HERE}: radii are {list(radii)}; they must be rising, from 0 up.")
    if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
        raise InputError(
            f"{_HERE}: images hold values from {images.min():.3g} to {images.max():.3g}; allowed is [0, 1]."
        )


def checked_curves(curves: pd.DataFrame, label: str, probe: str, xscale: XScale) -> pd.DataFrame:
    """The rows to draw, the label's among them."""
    tables.require(curves, ("radius", "class_name", "probability"), _HERE)
    rows = tables.shown_rows(_of_probe(curves, probe), xscale, _HERE)
    tables.check_choice(label, sorted(set(map(str, rows["class_name"]))), "label", _HERE)
    if not np.isfinite(tables.numbers(rows, "probability")).any():
        raise InputError(f"{_HERE}: nothing to draw: every probability is NaN.")
    return rows


def _of_probe(table: pd.DataFrame, probe: str) -> pd.DataFrame:
    return tables.rows_of(table, probe, _HERE) if "probe" in table else table


def names_to_draw(rows: pd.DataFrame, label: str, most: int = _MOST_CLASSES, first: Sequence[str] = ()) -> list[str]:
    """The label, the classes in `first`, then the usurpers with the highest peaks, as many as can be told apart."""
    peaks = rows.groupby("class_name", sort=False)["probability"].max().drop(label).dropna()
    rivals = peaks.sort_values(ascending=False, kind="stable").index
    return list(dict.fromkeys([label, *(name for name in first if name in rivals), *map(str, rivals)]))[:most]


def _strip_height(images: Float[np.ndarray, "k h w c"] | None) -> float:
    """Inches of the strip with its captions, all thumbnails side by side over the whole width."""
    if images is None:
        return 0
    count, height, width = (float(length) for length in images.shape[:3])
    return min(1.3, style.TWO_COLUMNS / count * height / width) + 0.2


def _layout(figure: Figure, images: Float[np.ndarray, "k h w c"] | None) -> tuple[list[Axes], Axes]:
    if images is None:
        return [], figure.add_subplot()
    above = _strip_height(images)
    below = max(0.8, figure.get_figheight() - above - _FAN - 0.4)
    outer = figure.add_gridspec(3, 1, height_ratios=[above, _FAN, below], hspace=0)
    inner = outer[0].subgridspec(1, len(images), wspace=0.02)
    return [figure.add_subplot(inner[place]) for place in range(len(images))], figure.add_subplot(outer[2])


def write_above(axes: Axes, note: str, across: float, heading: str = "") -> None:
    """Small letters above a panel: a note in lines of about `across` inches, then what the panel shows."""
    letters = max(1, int(len(note) * across / style.text_width(note))) if note else 1
    text = "\n\n".join(filter(None, [textwrap.fill(note, letters), heading]))
    axes.set_title(text, loc="left", fontsize=style.SMALL, color=style.GREY, parse_math=False)


def limits(rows: pd.DataFrame, radii: Sequence[float], xscale: XScale) -> tuple[float, float]:
    """The ends of the radius axis: around everything measured and shown."""
    measured = tables.numbers(rows, "radius")
    every = np.concatenate([measured, [radius for radius in radii if math.isfinite(radius)]])
    if xscale == "log":
        return float(every[every > 0].min()) / 1.08, 1.08 * float(every.max())
    largest = float(every.max()) or 1.0
    return -0.015 * largest, 1.015 * largest


def draw_behind(axes: Axes, table: pd.DataFrame, name: str, probe: str, xscale: XScale) -> list[MarginLabel]:
    """The mean probability of a one-group `curves` table, in grey, with its interval."""
    quantity = tables.QUANTITIES["probability"]
    where = f"{_HERE}, class_curve"
    tables.require(table, ("radius", quantity.column, quantity.low, quantity.high), where)
    rows = tables.shown_rows(_of_probe(table, probe), xscale, where)
    x, y = tables.numbers(rows, "radius"), tables.numbers(rows, quantity.column)
    low, high = tables.numbers(rows, quantity.low), tables.numbers(rows, quantity.high)
    axes.fill_between(x, low, high, color=style.PALE, linewidth=0, zorder=0.6)
    axes.plot(x, y, color=BEHIND.colour, linewidth=1.3, zorder=0.7)
    end = np.flatnonzero(np.isfinite(y))
    return [MarginLabel(f"mean of {name}", x[end[-1]], y[end[-1]], style.GREY, BEHIND)] if len(end) else []


def shade(
    axes: Axes,
    takeovers: pd.DataFrame | None,
    probe: str,
    radii: Float[np.ndarray, " n"],
    looks: dict[str, Look],
    xscale: XScale,
) -> list[Won]:
    """Shade each takeover, from half way before its first radius to half way after its last one."""
    if takeovers is None:
        return []
    tables.require(takeovers, ("from_radius", "to_radius", "usurper"), f"{_HERE}, takeovers")
    rows = takeovers[takeovers["probe"] == probe] if "probe" in takeovers else takeovers
    centres = np.unique(radii)
    edges = style.cell_edges(centres, xscale)
    won = []
    for start, end, name in zip(rows["from_radius"], rows["to_radius"], rows["usurper"], strict=True):
        colour = looks[str(name)].colour if str(name) in looks else style.GREY
        inside = np.flatnonzero((centres >= start) & (centres <= end))
        if len(inside):
            axes.axvspan(edges[inside[0]], edges[inside[-1] + 1], color=colour, alpha=0.13, linewidth=0, zorder=0.4)
        won.append((float(start), float(end), colour))
    return won


def draw_class(axes: Axes, rows: pd.DataFrame, look: Look, right: bool) -> MarginLabel:
    """The probabilities of one class; the one that is right is thick."""
    x, y = tables.numbers(rows, "radius"), tables.numbers(rows, "probability")
    width, markers, order = (2.4, 0.0, 3.0) if right else (1.2, 2.8, 2.0)
    axes.plot(x, y, color=look.colour, linestyle=look.dashes, linewidth=width, zorder=order,
              marker=look.marker, markersize=markers, markeredgewidth=0)  # fmt: skip
    end = np.flatnonzero(np.isfinite(y))[-1:]
    at = (float(x[end[0]]), float(y[end[0]])) if len(end) else (float(x[-1]), 0.0)
    name = str(rows["class_name"].iloc[0])
    return MarginLabel(name, *at, look.colour, look, "bold" if right else "normal", at[0] == x[-1])


def _mark_onset(axes: Axes, onset: float | None) -> None:
    if onset is None or not math.isfinite(onset):
        return
    axes.axvline(onset, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1.5)
    left, right = axes.get_xlim()
    place = axes.transScale.transform((onset, 1.0))[0]
    middle = axes.transScale.transform([(left, 1.0), (right, 1.0)])[:, 0].mean()
    shift, side = (3, "left") if place < middle else (-3, "right")
    axes.annotate(
        f"onset r = {onset:g}", (onset, _HEADROOM), xytext=(shift, -1), textcoords="offset points",
        ha=side, va="top", fontsize=style.SMALL,
        bbox={"facecolor": "white", "linewidth": 0, "pad": 0.8, "alpha": 0.8},
    )  # fmt: skip


def _dress_y(axes: Axes) -> None:
    axes.set_ylim(0, _HEADROOM)
    axes.set_yticks(np.linspace(0, 1, 6))
    style.percent(axes.yaxis)
    axes.set_ylabel("Probability (%)")


def show(axes: Axes, image: Float[np.ndarray, "h w c"], radius: float, won: Sequence[Won]) -> None:
    """A thumbnail, framed in the colour of the class that has taken over at its radius."""
    flat = image[..., 0] if image.shape[-1] == 1 else image
    axes.imshow(flat, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    colour = next((colour for start, end, colour in won if start <= radius <= end), style.GREY)
    axes.spines[:].set(color=colour, linewidth=0.7 if colour == style.GREY else 2.0)


def name_radius(axes: Axes, radius: float, across: float) -> None:
    """The radius above a thumbnail that is `across` inches wide."""
    text = f"r = {radius:g}" if math.isfinite(radius) else "clean"
    short = style.text_width(text) > across
    axes.set_title(text.removeprefix("r = ") if short else text, fontsize=style.SMALL, pad=3)


def _connect(figure: Figure, place: Axes, axes: Axes, radius: float) -> None:
    """A thin line from the thumbnail down to its radius, and on through the curves."""
    low, high = axes.get_xlim()
    if not low <= radius <= high:
        return
    axes.axvline(radius, color=style.GREY, linewidth=0.5, linestyle=(0, (1, 2)), zorder=0.9)
    line = ConnectionPatch(
        (0.5, 0.0), (radius, 1.0), place.transAxes, axes.get_xaxis_transform(), color=style.GREY, linewidth=0.5
    )
    line.set_in_layout(False)
    figure.add_artist(line)
