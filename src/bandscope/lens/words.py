"""What the lens says, as HTML: foreign texts are escaped, on one line, in their own direction of writing."""

import html
from typing import NamedTuple

from bandscope.lens.setting import NONE
from bandscope.lens.view import Look
from bandscope.report.words import FILTERS

TITLES = {NONE: "No filter", **FILTERS}
UNIT = "cycles/image"
LONGEST = 160  # letters of a text that fit anywhere


class Row(NamedTuple):
    """A class in the list of answers, by its output: its probability now, and to the clean image."""

    output: int
    now: float
    clean: float


def rows(look: Look) -> list[Row]:
    """The best classes, then the one that is followed where it is not among them."""
    indices = [int(index) for index in look.answer.top]
    if look.followed not in indices:
        indices.append(look.followed)
    now, clean = look.answer.probabilities, look.clean.probabilities
    return [Row(index, float(now[index]), float(clean[index])) for index in indices]


def text(value: object, longest: int = LONGEST) -> str:
    """A text from elsewhere as HTML that is nothing but this text."""
    line = " ".join(str(value).split())
    return f"<bdi>{attribute(line if len(line) <= longest else line[: longest - 1] + '…')}</bdi>"


def attribute(value: object) -> str:
    """A text from elsewhere inside an attribute's quotes; braces and dollars are mark-up of Gradio's templates."""
    escaped = html.escape(str(value).encode("utf-8", "replace").decode())
    return escaped.replace("{", "&#123;").replace("}", "&#125;").replace("$", "&#36;")


def percent(value: float) -> str:
    """As the report writes it."""
    return f"{100 * value:.1f} %"


def points(change: float) -> str:
    """A change of probability in percentage points, with its sign."""
    shown = f"{100 * change:+.1f}".replace("-", "−")
    return "0.0" if shown in ("+0.0", "−0.0") else shown


def general(value: float) -> str:
    """A number without digits that say nothing."""
    return f"{value:.6g}"


def title(look: Look) -> str:
    """What was done to the image."""
    setting = look.setting
    name = TITLES[setting.kind]
    if setting.radial:
        soft = "" if setting.family == "ideal" else setting.family
        name = f"{f'{soft} {name}'.strip().capitalize()} {general(setting.high)} {UNIT}"
    if setting.banded:
        name = f"{name} {general(setting.low)} to {general(setting.high)} {UNIT}"
    return name if setting.zoom == 1 else f"{name}, zoom {general(setting.zoom)}"


def waves(look: Look) -> str:
    """Which waves, in pixels of the crop, the filter keeps or takes away."""
    setting, side = look.setting, min(look.crop.pixels.shape[:2])
    if setting.radial and setting.high > 0:
        which = "longer" if setting.kind == "low_pass" else "shorter"
        return f"waves of {side / setting.high:.1f} pixels and {which}"
    if not setting.banded:
        return ""
    end = f"waves of {side / setting.high:.1f}"
    span = f"{end} pixels and longer" if setting.low == 0 else f"{end} to {side / setting.low:.1f} pixels"
    return span if setting.kind == "band_pass" else f"all but {span}"
