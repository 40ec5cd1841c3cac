"""How every figure looks: sizes, colours that survive colour-blindness and print, axes with units.

Nothing here knows a table. Sizes are in inches and points, as in print: one column is 3.5 inches, two are 7.
"""

import bisect
import contextlib
import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib.style
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from scipy.optimize import isotonic_regression

from bandscope.report.figures.tables import XScale

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.0
SMALL, TEXT = 7.0, 8.0
NAME_WIDTH = 2.1  # inches for the longest names: some 40 letters
NOTEBOOK_DPI = 150  # sharp on screens with two pixels a point, and no larger than a page
LINE_HEIGHT = 1.35 * SMALL / 72  # inches a line of small text needs

INK, GREY, LIGHT, PALE = "#222222", "#707070", "#b4b4b4", "#e4e4e4"
# Okabe and Ito's palette without its yellow, which vanishes on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#222222")
DASHES = ("-", (0, (5, 1.5)), (0, (5, 1.2, 1, 1.2)), (0, (1, 1.1)), (0, (7, 1.2, 1, 1.2, 1, 1.2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
COLOUR_MAP = "viridis"

_RC: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: the same picture everywhere
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "axes.linewidth": 0.7,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "figure.titlesize": TEXT + 1,
    "hatch.linewidth": 0.5,
    "svg.fonttype": "none",  # text stays text: searchable, and set in the reader's own font
    "svg.hashsalt": "bandscope",  # ids that do not change from run to run
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
}
_LOCK = threading.RLock()


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Draw in our style, whatever the caller's matplotlib settings; they are back afterwards.

    matplotlib reads its settings from one place in the process, so only one thread draws at a time.
    """
    with _LOCK, matplotlib.style.context(["default", _RC]):
        yield


@dataclass(frozen=True)
class Look:
    """A curve told apart three times: by colour, by dashes and by marker."""

    colour: str
    dashes: Any
    marker: str


def look(index: int) -> Look:
    """The look of curve number `index`; the first 35 all differ."""
    turn = index + index // len(COLOURS)
    return Look(COLOURS[index % len(COLOURS)], DASHES[turn % len(DASHES)], MARKERS[index % len(MARKERS)])


class Drawing(Figure):
    """A figure that notebooks show by itself: they know only those of pyplot."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        with drawing():
            self.savefig(content, format="png", dpi=NOTEBOOK_DPI)
        return content.getvalue()


def sheet(width: float, height: float) -> Figure:
    """An empty figure with constrained layout, in inches."""
    gaps = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
    return Drawing(figsize=(width, height), layout=gaps, facecolor="white")


def shorten(text: object, inches: float = NAME_WIDTH, size: float = SMALL) -> str:
    """One line that takes at most `inches` in letters of `size`, its end cut off where it must."""
    line = " ".join(str(text).split())
    if text_width(line, size) <= inches:
        return line
    too_long = bisect.bisect_left(range(len(line)), inches, key=lambda end: text_width(line[:end] + "…", size))
    return line[: max(0, too_long - 1)].rstrip(" ,;") + "…"


def text_width(text: str, size: float = SMALL) -> float:
    """Inches that a line takes in letters of `size`."""
    letters = FontProperties(family=_RC["font.family"], size=size)
    return float(text_to_path.get_text_width_height_descent(text, letters, ismath=False)[0]) / 72


def heading(figure: Figure, title: str | None) -> None:
    """A title over all panels, where there is one."""
    if title:
        line = shorten(title, figure.get_figwidth() - 0.2, TEXT + 1)
        figure.suptitle(line, fontsize=TEXT + 1, parse_math=False)


def dress(axes: Axes) -> None:
    """Our ticks and spines. Set on the axes, because matplotlib makes ticks late, at drawing time."""
    axes.spines[["top", "right"]].set_visible(False)
    _ticks(axes.xaxis)
    _ticks(axes.yaxis)


def _ticks(axis: Axis) -> None:
    axis.set_tick_params(which="both", labelsize=SMALL, color=INK, labelcolor=INK, length=2.5, width=0.7, pad=2.5)


def percent(axis: Axis) -> None:
    """Show fractions as percentages; the axis label carries the sign."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g}"))


@dataclass(frozen=True)
class RadiusAxis:
    """The x axis that all figures share: radius in cycles/image, and the same in cycles/pixel.

    low, high: limits in cycles/image. per_pixel: cycles/pixel in one cycle/image, or None for no second axis.
    name: what the radius is of.
    """

    low: float
    high: float
    per_pixel: float | None = None
    scale: XScale = "linear"
    name: str = "Radius r"

    def put(self, axes: Axes, *, second: Literal["top", "below"] | None = "top") -> None:
        """Set limits, ticks and labels of `axes`, with the second axis on top or below the first."""
        axes.set_xscale(self.scale, **({"base": 2} if self.scale == "log" else {}))
        axes.set_xlim(self.low, self.high)
        _plain_ticks(axes.xaxis, self.scale, base=2)
        axes.set_xlabel(f"{self.name} (cycles/image)")
        if second is not None and self.per_pixel is not None:
            self._second(axes, self.per_pixel, below=second == "below")

    def _second(self, axes: Axes, per_pixel: float, *, below: bool) -> None:
        both_ways = (lambda radius: radius * per_pixel, lambda frequency: frequency / per_pixel)
        axis = axes.secondary_xaxis("bottom" if below else "top", functions=both_ways)
        if below:
            axis.spines["bottom"].set_position(("outward", 27))
        _plain_ticks(axis.xaxis, self.scale, base=10)
        _ticks(axis.xaxis)
        axis.set_xlabel("Frequency (cycles/pixel)", labelpad=2.5)


def _plain_ticks(axis: Axis, scale: XScale, *, base: int) -> None:
    """Octaves of the radius or 1-2-5 steps of the frequency, written as plain numbers."""
    if scale == "log":
        axis.set_major_locator(LogLocator(base=base, subs=(1.0,) if base == 2 else (1.0, 2.0, 5.0), numticks=20))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def cell_edges(centres: Float[np.ndarray, " n"], scale: XScale) -> Float[np.ndarray, " n+1"]:
    """Borders of the cells around `centres`: half way between neighbours, on a log scale by ratio."""
    if scale == "log":
        return np.asarray(np.exp2(cell_edges(np.log2(centres), "linear")))
    if len(centres) == 1:
        return np.asarray([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def spread(wanted: Float[np.ndarray, " n"], gap: float, low: float, high: float) -> Float[np.ndarray, " n"]:
    """Places nearest to `wanted` (rising), in the same order, `gap` apart and within [low, high].

    Least squares: with the gaps taken out, "in order and apart" is an isotonic regression.
    """
    if not len(wanted):
        return wanted
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    steps = gap * np.arange(len(wanted))
    packed = np.asarray(isotonic_regression(wanted - steps).x)
    return np.clip(packed, low, max(low, high - steps[-1])) + steps


def inches(figure: Figure, axes: Axes) -> tuple[float, float]:
    """Width and height of `axes` after layout."""
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
    box = axes.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
    return float(box.width), float(box.height)


def legend(figure: Figure, texts: Sequence[str], keys: Sequence[Line2D]) -> None:
    """A legend below all panels, in as many columns as fit."""
    widest = max(map(text_width, texts)) + 0.56  # inches, with key and gaps
    columns = max(1, min(len(texts), int((figure.get_figwidth() - 0.2) / widest)))
    drawn = figure.legend(keys, texts, loc="outside lower center", ncols=columns)
    for text in drawn.get_texts():
        text.set_parse_math(False)


@dataclass(frozen=True)
class MarginLabel:
    """A name to write in the right margin, level with the point (x, y) of the data it belongs to."""

    text: str
    x: float
    y: float
    colour: str = INK
    key: Look | None = None  # drawn before the text, as in a legend
    weight: str = "normal"
    leader: bool = True  # a thin line from the point to the text


def margin_labels(figure: Figure, axes: Axes, labels: Sequence[MarginLabel], *, width: float = 1.6) -> None:
    """Write `labels` in the right margin, pushed apart where they would touch, each with a leader line."""
    if not labels:
        return
    width_in, height_in = inches(figure, axes)
    order = sorted(labels, key=lambda label: (label.y, -label.x))
    points = (axes.transScale + axes.transLimits).transform([(label.x, label.y) for label in order])
    places = spread(points[:, 1], LINE_HEIGHT / height_in, 0.0, 1.0)
    for label, point, place in zip(order, points, places, strict=True):
        _margin_label(axes, label, tuple(point), float(place), 1 / width_in, width)


def _margin_label(
    axes: Axes, label: MarginLabel, point: tuple[float, float], place: float, inch: float, width: float
) -> None:
    start = 1 + 0.16 * inch
    if label.leader:
        _margin_line(axes, [point[0], 1 + 0.02 * inch, start - 0.02 * inch], [point[1], point[1], place])
    if label.key is not None:
        end = start + 0.26 * inch
        _margin_line(axes, [start, end], [place, place], label.key)
        start = end + 0.05 * inch
    axes.text(
        start, place, shorten(label.text, width), transform=axes.transAxes, ha="left", va="center_baseline",
        fontsize=SMALL, color=label.colour, weight=label.weight, parse_math=False,
    )  # fmt: skip


def _margin_line(axes: Axes, x: list[float], y: list[float], key: Look | None = None) -> None:
    line = Line2D(x, y, transform=axes.transAxes, clip_on=False, color=LIGHT, lw=0.5, zorder=1.2)
    line.set_in_layout(False)
    if key is not None:
        line.set(color=key.colour, linestyle=key.dashes, linewidth=1.3)
    axes.add_line(line)
