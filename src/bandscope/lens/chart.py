"""The curve over radius as HTML: lines in an SVG that stretches, words and the point in HTML that does not."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bandscope.lens import words
from bandscope.lens.setting import NONE
from bandscope.lens.view import Curve, Look

MOST_RIVALS = 4
ENOUGH = 2  # radii on top: a class on top at a single one is a dot, not a curve
TICKS = 5


def chart(look: Look, curve: Curve | None, names: Sequence[str], right: float) -> str:
    """Probability over radius of the class that is followed, of those that take its place, and where the look is.

    Args:
        look: the current point.
        curve: None while it is being measured.
        names: by output index.
        right: the radius at which the axis ends; nothing changes beyond it.
    """
    shown = _drawn(look, curve) if curve else [look.followed]
    waiting = "" if curve else '<p class="waiting">Measuring the curve …</p>'
    lines = "".join(_line(curve, index, place, right) for place, index in enumerate(shown)) if curve else ""
    return (
        f'<figure class="curve"><figcaption><strong>Probability over radius</strong> '
        f"<span>{_caption(look)}</span></figcaption>"
        f'<div class="plot" role="img" aria-label="Probability over radius of {len(shown)} classes">'
        f'<svg viewBox="0 0 {right:g} 1" preserveAspectRatio="none" aria-hidden="true">{_grid(right)}{lines}'
        f"{_here(look, right)}</svg>{_point(look, right)}{_ticks(right)}{waiting}</div>"
        f'<p class="unit">radius r ({words.UNIT})</p><ul class="legend">{_legend(shown, names)}</ul></figure>'
    )


def _caption(look: Look) -> str:
    kind = "low_pass" if look.setting.kind == NONE else look.setting.kind
    name = words.TITLES[kind].lower()
    at = "" if look.setting.zoom == 1 else f" at zoom {words.general(look.setting.zoom)}"
    return f"{'of each octave, ' if look.setting.banded else ''}{name}{at}"


def _drawn(look: Look, curve: Curve) -> list[int]:
    """The class that is followed, then those that are on top most often."""
    found, counts = np.unique(curve.best, return_counts=True)
    often = [int(index) for index in found[np.argsort(-counts, kind="stable")] if counts[found == index] >= ENOUGH]
    return [look.followed, *(index for index in often if index != look.followed)][: 1 + MOST_RIVALS]


def _line(curve: Curve, index: int, place: int, right: float) -> str:
    values = curve.probabilities[:, index]
    banded = len({low for low, _ in curve.cutoffs}) > 1
    if banded:  # a step for each band
        ends = [(point, value) for band, value in zip(curve.cutoffs, values, strict=True) for point in band]
    else:
        ends = [(high, value) for (_, high), value in zip(curve.cutoffs, values, strict=True)]
    points = " ".join(f"{min(radius, right):g},{1 - float(value):.4f}" for radius, value in ends)
    return f'<polyline class="line c{place}" data-class="{index}" points="{points}"/>'


def _grid(right: float) -> str:
    across = "".join(
        f'<line class="grid" x1="0" x2="{right:g}" y1="{y:g}" y2="{y:g}"/>' for y in (0, 0.25, 0.5, 0.75)
    )
    return f'{across}<line class="base" x1="0" x2="{right:g}" y1="1" y2="1"/>'


def _here(look: Look, right: float) -> str:
    """The cut-off: a line at the radius, or the band."""
    setting = look.setting
    if setting.banded:
        low, high = min(setting.low, right), min(setting.high, right)
        return f'<rect class="band" x="{low:g}" width="{high - low:g}" y="0" height="1"/>'
    if setting.radial:
        at = min(setting.high, right)
        return f'<line class="here" x1="{at:g}" x2="{at:g}" y1="0" y2="1"/>'
    return ""


def _point(look: Look, right: float) -> str:
    setting = look.setting
    value = float(look.answer.probabilities[look.followed])
    radius = (setting.low + min(setting.high, right)) / 2 if setting.banded else setting.high
    at = right if setting.kind == NONE else min(radius, right)
    return (
        f'<span class="point" data-radius="{words.general(at)}" data-probability="{value:.6f}" '
        f'style="left:{100 * at / right:.3f}%;top:{100 * (1 - value):.3f}%"></span>'
    )


def _ticks(right: float) -> str:
    step = _step(right / TICKS)
    across = "".join(
        f'<span class="x" style="left:{100 * value / right:.3f}%">{words.general(value)}</span>'
        for value in np.arange(0, right + 1e-9, step)
    )
    return across + "".join(
        f'<span class="y" style="top:{100 - value}%">{value}{" %" if value == 100 else ""}</span>'
        for value in (0, 25, 50, 75, 100)
    )


def _step(about: float) -> float:
    """A round number of about that size."""
    unit = 10.0 ** math.floor(math.log10(about))
    return next((unit * m for m, after in pairwise((1, 2, 5, 10)) if unit * after > about), 10 * unit)


def _legend(shown: Sequence[int], names: Sequence[str]) -> str:
    return "".join(
        f'<li data-class="{index}"><svg viewBox="0 0 26 8" aria-hidden="true"><line class="line c{place}" x1="0" '
        f'x2="26" y1="4" y2="4"/></svg>{words.text(names[index], 48)}</li>'
        for place, index in enumerate(shown)
    )
