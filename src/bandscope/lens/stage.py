"""The pictures and the answers of a look, as HTML."""

from collections.abc import Sequence

from bandscope.conventions import Convention
from bandscope.lens import pictures, words
from bandscope.lens.setting import NONE, Setting, query
from bandscope.lens.view import GIVEN, Look, Subject
from bandscope.report.thumbnails import floating

CLEAN = "Top 5. Mark and change: against the clean image (no filter, zoom 1), in percentage points"


def stage(look: Look, subject: Subject, names: Sequence[str], convention: Convention) -> str:
    """What was done, the filtered picture, and its spectrum."""
    address = words.attribute(_address(subject, look.setting))
    return (
        f'<div class="stage" data-query="{address}">{_head(look, subject, names)}<div class="pictures">'
        f"{_picture(look, convention)}{_spectrum(look, convention)}</div></div>"
    )


def answers(look: Look, names: Sequence[str]) -> str:
    """The list of the best classes, with their change against the clean image."""
    found = words.rows(look)
    extra = look.followed not in look.answer.top
    body = "".join(
        _answer(row, names[row.output], row.output == look.followed, extra and row is found[-1]) for row in found
    )
    return (
        f'<table class="answers"><caption>{CLEAN}</caption>'
        '<thead><tr><th scope="col">Class</th><th scope="col" class="number">Probability</th>'
        f'<th scope="col" class="number">Change</th></tr></thead><tbody>{body}</tbody></table>'
    )


def _address(subject: Subject, setting: Setting) -> str:
    """What opens the page so again; an image that was given has no address."""
    return query(None if subject.key.startswith(GIVEN) else subject.name, setting)


def _answer(row: words.Row, name: str, followed: bool, apart: bool) -> str:
    kind = " ".join(filter(None, ["followed" if followed else "", "apart" if apart else ""]))
    return (
        f'<tr class="{kind}" data-class="{row.output}"><th scope="row"><span class="name">{words.text(name)}</span>'
        f'<span class="bar" aria-hidden="true"><i style="width:{100 * row.now:.2f}%"></i>'
        f'<b style="left:{100 * row.clean:.2f}%"></b></span></th>'
        f'<td class="number">{words.percent(row.now)}</td>'
        f'<td class="number change">{words.points(row.now - row.clean)}</td></tr>'
    )


def _head(look: Look, subject: Subject, names: Sequence[str]) -> str:
    now = float(look.answer.probabilities[look.followed])
    best = int(look.answer.top[0])
    known = words.waves(look)
    whose = "" if subject.label is None else " (its label)"
    return (
        f'<p class="says" role="status"><strong>{words.title(look)}</strong>{f", {known}" if known else ""}. '
        f"{words.text(names[look.followed], 60)}{whose} {words.percent(now)}; on top: "
        f"{words.text(names[best], 60)} {words.percent(float(look.answer.probabilities[best]))}.</p>"
    )


def _picture(look: Look, convention: Convention) -> str:
    floats = floating(look.setting.kind, convention)
    notes = [
        "about mid grey" if floats else "",
        f"{words.percent(look.out_of_range)} of its values beyond black or white" if look.out_of_range > 0 else "",
        f"{words.percent(look.crop.padded)} of it padded" if look.crop.padded > 0 else "",
    ]
    image = pictures.png(look.shown)
    return _figure(
        f'<img class="filtered" decoding="sync" alt="{words.title(look)}" src="{image}">',
        "What the network sees",
        ", ".join(filter(None, notes)),
    )


def _spectrum(look: Look, convention: Convention) -> str:
    image = pictures.png(pictures.spectrum(look.crop.pixels, look.setting, convention))
    height, width = look.crop.pixels.shape[:2]
    outline = _outline(look.setting, height, width, convention)
    kept = "all of it is kept" if look.setting.kind == NONE else "what is kept is blue"
    return _figure(
        f'<div class="spectrum"><img decoding="sync" alt="Spectrum" src="{image}">{outline}</div>',
        "Its spectrum",
        f"zero frequency in the middle; {kept}",
    )


def _outline(setting: Setting, height: int, width: int, convention: Convention) -> str:
    """The cut-offs, drawn over the spectrum."""
    if setting.kind == NONE:
        return ""
    edges = [edge for edge in ((setting.low, setting.high) if setting.banded else (setting.high,)) if edge > 0]
    side = min(height, width)
    x, y = width // 2 + 0.5, height // 2 + 0.5  # the middle of the pixel of zero frequency
    shapes = "".join(
        _edge(x, y, (edge + 0.5) * width / side, (edge + 0.5) * height / side, convention.metric) for edge in edges
    )
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{shapes}</svg>'


def _edge(x: float, y: float, across: float, down: float, metric: str) -> str:
    if metric == "square":
        return f'<rect x="{x - across:g}" y="{y - down:g}" width="{2 * across:g}" height="{2 * down:g}"/>'
    return f'<ellipse cx="{x:g}" cy="{y:g}" rx="{across:g}" ry="{down:g}"/>'


def _figure(picture: str, title: str, note: str) -> str:
    about = f" <span>{note}</span>" if note else ""
    return f"<figure>{picture}<figcaption><strong>{title}</strong>{about}</figcaption></figure>"
