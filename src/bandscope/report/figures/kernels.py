"""The depthwise kernels of a network: drawn one by one, and what they are nearest to, layer by layer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from bandscope.errors import InputError
from bandscope.report.figures import style, tables

_KERNELS, _LAYERS = "figure_kernels", "figure_kernel_layers"
_SIGNED = "RdBu_r"
_CELL, _ROW = 0.4, 0.56  # inches: a kernel, and a kernel with its caption
_ORDER = "from best to worst: energy that the nearest member explains (%)"
_GAP = 0.12  # between kernels, as a share of a cell
_MEMBERS = {
    "pass": ("pass", "#222222"),
    "nearest_g": ("g", "#707070"),
    "nearest_dx": ("dx", "#0072b2"),
    "nearest_dy": ("dy", "#56b4e9"),
    "nearest_dxx": ("dxx", "#d55e00"),
    "nearest_dyy": ("dyy", "#e69f00"),
    "nearest_dxy": ("dxy", "#cc79a7"),
}
_CHANCE = ("_random", "_random_low", "_random_high", "_shuffled")


@style.drawing()
def figure_kernels(
    kernels: pd.DataFrame,
    taps: Mapping[str, Float[np.ndarray, "n tall wide"]],
    *,
    columns: int = 12,
    max_layers: int = 24,
    title: str | None = None,
) -> Figure:
    """Kernels as small multiples: a row a layer, from the best to the worst explained by one Gaussian derivative.

    Of each layer as many kernels as there are columns are shown, evenly spaced in that order: a fair sample, not a
    choice. Each is scaled to its own largest tap; below it stand its nearest member and the energy that explains.

    Args:
        kernels: the table of `inspect_model`: layer, index, kernel, member, member_share, passes.
        taps: the kernels of each layer.
        columns: kernels a layer.
        max_layers: of more layers than this, as many are drawn, evenly spaced; the title says so.
        title: written above.

    Raises:
        InputError: a column is missing, a layer has no taps, or there is nothing to draw.
    """
    tables.require(kernels, ("layer", "index", "kernel", "member", "member_share", "passes"), _KERNELS)
    _check_counts(columns=columns, max_layers=max_layers)
    known = kernels[kernels["member_share"].notna()]
    every = [str(name) for name in known["layer"].unique()]
    _check_layers(every, taps)
    shown = _spaced(every, max_layers)
    sizes = known.drop_duplicates("layer").set_index("layer")["kernel"]
    names = [_tail(f"{name} {sizes[name].replace(' x ', '×')}") for name in shown]
    margin = max(map(style.text_width, names)) + 0.25
    width = max(columns * _CELL * (1 + _GAP), style.text_width(_ORDER) + 0.2)
    figure = style.sheet(margin + width + 0.55, len(shown) * _ROW + 0.75)
    axes = figure.subplots()
    for row, name in enumerate(shown):
        chosen = _ranked(known[known["layer"] == name], columns)
        for column, (_, kernel) in enumerate(chosen.iterrows()):
            _draw(axes, taps[name][int(kernel["index"])], column, row, _caption(kernel))
    _dress(axes, names, width)
    _colour_bar(figure, axes)
    some = f" ({len(shown)} of {len(every)} layers, evenly spaced)" if len(shown) < len(every) else ""
    style.heading(figure, f"{title or 'Depthwise kernels'}{some}")
    return figure


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{_KERNELS}: {name} is {count}; it must be at least 1.")


def _check_layers(names: Sequence[str], taps: Mapping[str, Float[np.ndarray, "n tall wide"]]) -> None:
    if not names:
        raise InputError(f"{_KERNELS}: nothing to draw: the table has no kernel with a member_share.")
    if missing := [name for name in names if name not in taps]:
        raise InputError(
            f"{_KERNELS}: no taps of layer {missing[0]!r}; there are those of {', '.join(taps) or 'none'}."
        )


def _spaced(items: Sequence[str], most: int) -> list[str]:
    """At most so many items, evenly spaced, the first and the last among them."""
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, min(most, len(items)))]


def _tail(name: str) -> str:
    """A long name without its beginning: what tells modules apart stands at the end."""
    return style.shorten(name[::-1])[::-1]


def _ranked(rows: pd.DataFrame, columns: int) -> pd.DataFrame:
    """Rows evenly spaced from the largest share to the smallest: the middles of equal parts, or all where few."""
    ordered = rows.sort_values("member_share", ascending=False, kind="stable")
    count = min(columns, len(ordered))
    return ordered.iloc[((np.arange(count) + 0.5) * len(ordered) / count).astype(int)]


def _caption(kernel: "pd.Series[Any]") -> str:
    return f"{'pass' if kernel['passes'] else kernel['member']} {100 * kernel['member_share']:.0f}"


def _draw(axes: Axes, kernel: Float[np.ndarray, "tall wide"], column: int, row: int, caption: str) -> None:
    """One kernel in the cell (column, row), square pixels, centred; its caption below."""
    tall, wide = kernel.shape
    side = max(tall, wide)
    x, y, step = column * (1 + _GAP), row * _ROW / _CELL, 1 / side
    left, top = x + (side - wide) * step / 2, y + (side - tall) * step / 2
    extent = (left, left + wide * step, top + tall * step, top)
    largest = np.abs(kernel).max()
    axes.imshow(kernel, cmap=_SIGNED, vmin=-largest, vmax=largest, extent=extent, interpolation="nearest")
    axes.add_patch(Rectangle((left, top), wide * step, tall * step, fill=False, edgecolor=style.LIGHT, linewidth=0.4))
    axes.text(x + 0.5, y + 1.04, caption, ha="center", va="top", fontsize=style.SMALL, parse_math=False)


def _dress(axes: Axes, names: Sequence[str], width: float) -> None:
    style.dress(axes)
    axes.spines[:].set_visible(False)
    axes.set_xlim(-0.1, width / _CELL)
    axes.set_ylim(len(names) * _ROW / _CELL + 0.05, -0.1)
    axes.set_yticks(np.arange(len(names)) * _ROW / _CELL + 0.5, names, parse_math=False)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.set_title(_ORDER, loc="left", fontsize=style.SMALL, color=style.GREY)


def _colour_bar(figure: Figure, axes: Axes) -> None:
    """The scale of colours, which every kernel shares relative to its own largest tap."""
    bar = figure.colorbar(
        axes.images[0], ax=axes, fraction=0.02, pad=0.01, shrink=min(1.0, 1.6 / figure.get_figheight()), anchor=(0, 1)
    )
    largest = axes.images[0].get_clim()[1]
    bar.set_ticks([-largest, 0, largest], labels=["−", "0", "+"])
    style.dress(bar.ax)
    bar.ax.spines[:].set_visible(False)


@style.drawing()
def figure_kernel_layers(layers: pd.DataFrame, *, title: str | None = None) -> Figure:
    """Layer by layer: what the kernels are nearest to, at which scale, and how much of them that explains.

    Beside the shares stands what chance makes of them: the interval of the mean of as many random kernels (pale bars)
    and the layer's own kernels with their taps in random order (open marks).

    Args:
        layers: the table of `inspect_model`; layers without values are left out.
        title: written above.

    Raises:
        InputError: a column is missing, or no layer has values.
    """
    shares = [f"{name}{suffix}" for name in ("member", "jet") for suffix in ("_share", *_CHANCE)]
    nearest = [name for name in _MEMBERS if name != "pass"]
    tables.require(layers, ("layer", "passes", "sigma", "sigma_q25", "sigma_q75", *nearest, *shares), _LAYERS)
    rows = layers[layers["member_share"].notna()]
    if rows.empty:
        raise InputError(f"{_LAYERS}: nothing to draw: every member_share is NaN.")
    names = [_tail(name) for name in rows["layer"]]
    width = style.TWO_COLUMNS + max(map(style.text_width, names))
    figure = style.sheet(width, 0.19 * max(len(rows), 5) + 1.15)
    kinds, scale, explained = figure.subplots(1, 3, sharey=True, width_ratios=[2, 1.3, 2])
    _draw_kinds(kinds, rows)
    _draw_scale(scale, rows)
    _draw_shares(explained, rows)
    kinds.set_yticks(np.arange(len(rows)), names, parse_math=False)
    kinds.set_ylim(len(rows) - 0.4, -0.6)
    style.heading(figure, title)
    _legends(figure, kinds, explained)
    return figure


def _draw_kinds(axes: Axes, rows: pd.DataFrame) -> None:
    """Stacked bars: how many kernels are nearest to which member; those that pass apart from the other g."""
    style.dress(axes)
    passes = tables.numbers(rows, "passes")
    start = np.zeros(len(rows))
    for column, (_, colour) in _MEMBERS.items():
        length = passes if column == "pass" else tables.numbers(rows, column)
        length = length - passes if column == "nearest_g" else length
        axes.barh(np.arange(len(rows)), length, left=start, height=0.72, color=colour, linewidth=0)
        start = start + length
    axes.set_xlim(0, 1)
    style.percent(axes.xaxis)
    axes.set_xlabel("Nearest member (% of kernels)")


def _draw_scale(axes: Axes, rows: pd.DataFrame) -> None:
    style.dress(axes)
    at = np.arange(len(rows))
    low, high = (tables.numbers(rows, f"sigma_{quartile}") for quartile in ("q25", "q75"))
    axes.hlines(at, low, high, color=style.LIGHT, linewidth=2)
    axes.plot(tables.numbers(rows, "sigma"), at, "o", markersize=4, color=style.INK)
    axes.set_xlim(left=0)
    axes.set_xlabel("Scale σ (pixels)")


def _draw_shares(axes: Axes, rows: pd.DataFrame) -> None:
    style.dress(axes)
    at = np.arange(len(rows))
    for name, look in zip(("member", "jet"), _share_looks(), strict=True):
        low, high = (tables.numbers(rows, f"{name}_random_{end}") for end in ("low", "high"))
        axes.barh(at, high - low, left=low, height=0.72, color=look.colour, alpha=0.3, linewidth=0, zorder=0.5)
        axes.plot(
            tables.numbers(rows, f"{name}_shuffled"), at, look.marker,
            markersize=3.5, color=look.colour, markerfacecolor="white", markeredgewidth=0.8,
        )  # fmt: skip
        axes.plot(tables.numbers(rows, f"{name}_share"), at, look.marker, markersize=4.2, color=look.colour)
    axes.set_xlim(0, 1.02)
    style.percent(axes.xaxis)
    axes.set_xlabel("Energy explained (%)")


def _share_looks() -> tuple[style.Look, style.Look]:
    return style.look(0), style.look(1)


def _legends(figure: Figure, kinds: Axes, explained: Axes) -> None:
    """Above the panels that they belong to."""
    patches = [Patch(color=colour, label=label) for label, colour in _MEMBERS.values()]
    member, jet = _share_looks()
    marks = [
        Line2D([], [], linestyle="", marker=member.marker, color=member.colour, label="nearest member"),
        Line2D([], [], linestyle="", marker=jet.marker, color=jet.colour, label="whole jet"),
        Line2D([], [], linestyle="", marker="o", color=style.GREY, markerfacecolor="white", label="taps shuffled"),
        Patch(color=style.LIGHT, label="random kernels"),
    ]
    for axes, handles, columns in ((kinds, patches, 4), (explained, marks, 2)):
        axes.legend(
            handles=handles, ncols=columns, loc="lower center", bbox_to_anchor=(0.5, 1.0),
            handlelength=1.0, columnspacing=0.9, handletextpad=0.4,
        )  # fmt: skip
