"""The page: Gradio's controls around the stage, the answers and the curve. Nothing is computed here."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from bandscope.errors import BandscopeError, ImageError
from bandscope.lens import words
from bandscope.lens.session import PICKS, Pick, Sight
from bandscope.lens.setting import BANDED, LEAST_ZOOM, MOST_ZOOM, RADIAL, Setting, read_parameters
from bandscope.lens.shelf import MB, MOST_BYTES
from bandscope.spectral.gains import FAMILIES

FINE = 64  # cycles/image: sliders that end before move by halves
WELCOME = '<p class="welcome">Drop an image, or choose one, to begin.</p>'
# Pictures are buttons; what was pressed travels as the event's data.
PICKER = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.image) trigger("pick", { image: button.dataset.image });
  if (button.dataset.page) trigger("turn", { page: button.dataset.page });
});
"""
# The address of the page opens it as it is.
ADDRESS = """
() => {
  const query = document.querySelector("#stage [data-query]")?.dataset.query;
  if (query !== undefined) history.replaceState(null, "", query ? `?${query}` : location.pathname);
}
"""


def build(sight: Sight) -> gr.Blocks:
    """The page of a sight; `serve` opens it."""
    return _Page(sight).blocks


class _Page:
    """Components, and what happens when they are touched: `controls` in, `view` out."""

    def __init__(self, sight: Sight) -> None:
        self.sight = sight
        with gr.Blocks(title="bandscope lens", analytics_enabled=False, delete_cache=(600, 600)) as self.blocks:
            gr.HTML(_header(sight), elem_id="header")
            with gr.Row(elem_id="body"):
                with gr.Column(elem_id="side"):
                    with gr.Column(elem_id="controls"):
                        self._controls()
                    with gr.Column(elem_id="images"):
                        self._images()
                with gr.Column(elem_id="main"):
                    self.message = gr.HTML("", elem_id="message")
                    self.stage = gr.HTML("", elem_id="stage")
                    with gr.Row(elem_id="below"):
                        self.answers = gr.HTML("", elem_id="answers")
                        self.chart = gr.HTML("", elem_id="chart")
            self._listen()

    def _controls(self) -> None:
        end, start = self.sight.end, self.sight.start
        step = 1.0 if end >= FINE else 0.5
        self.key = gr.State("")
        self.kind = gr.Radio(_choices(words.TITLES), value=start.kind, label="Filter", elem_id="kind")
        self.radius = _slider("Radius (cycles/image)", 0, end, start.high, step, "radius", start.radial)
        self.low = _slider("Band from (cycles/image)", 0, end, start.low, step, "low", start.banded)
        self.high = _slider("Band to (cycles/image)", 0, end, start.high, step, "high", start.banded)
        self.family = gr.Radio(
            _choices({family: family.capitalize() for family in FAMILIES}),
            value=start.family,
            label="Edge of the filter",
            visible=start.radial,
            elem_id="family",
        )
        self.zoom = _slider("Zoom", LEAST_ZOOM, MOST_ZOOM, start.zoom, 0.01, "zoom", True)
        self.controls = [self.key, self.kind, self.family, self.radius, self.low, self.high, self.zoom]

    def _images(self) -> None:
        many = len(self.sight.shelf)
        gr.HTML(f'<p class="own">Your own image <small>{MOST_BYTES / MB:g} MB at most</small></p>')
        self.file = gr.File(label="Your own image", show_label=False, type="filepath", height=96, elem_id="file")
        self.picks = gr.HTML("", elem_id="picks", js_on_load=PICKER, visible=many > 0, apply_default_css=False)
        self.named = gr.Textbox(
            label="Go to an image",
            placeholder="its number, or its path",
            max_lines=1,
            elem_id="named",
            visible=many > PICKS,
        )

    def _listen(self) -> None:
        view = [self.stage, self.answers, self.chart, self.message]
        self.view = view
        moved = gr.on(
            [self.kind.input, self.family.input, *(s.input for s in (self.radius, self.low, self.high, self.zoom))],
            self._moved,
            self.controls,
            view,
            **_quick(),
        )
        self.kind.input(self._fitting, [self.kind], [self.radius, self.low, self.high, self.family], **_quick())
        opened = self.blocks.load(
            self._opened, None, [*self.controls, *view, self.picks], show_progress="hidden", api_visibility="private"
        )
        given = self.file.upload(
            self._given, [self.file, *self.controls], [self.key, self.file, *view], **_quick("minimal")
        )
        picked = self.picks.pick(self._picked, self.controls, [self.key, *view], **_quick())
        named = self.named.submit(self._named, [self.named, *self.controls], [self.key, *view], **_quick())
        self.picks.turn(self._turned, None, [self.picks], **_quick())
        for event in (moved, opened, given, picked, named):
            event.then(None, None, None, js=ADDRESS)
            event.then(self._traced, self.controls, [self.chart], **_quick())

    # ---- what happens

    def _opened(self, request: gr.Request) -> list[Any]:
        """A page is opened, as its address says."""
        key, setting, fault = self.sight.first, self.sight.start, ""
        try:
            asked, setting = read_parameters(dict(request.query_params), self.sight.start)
            setting = setting.within(self.sight.end)
            key = key if asked is None else str(self.sight.shelf.position(asked))
        except BandscopeError as error:
            fault = _said(error)
        shown = self._see(key, setting, request)
        if fault:
            shown[-1] = fault
        settings = [setting.kind, setting.family, setting.high, setting.low, setting.high, setting.zoom]
        visible = [None, setting.radial, setting.radial, setting.banded, setting.banded, None]
        updates = [
            gr.update(value=value) if shows is None else gr.update(value=value, visible=shows)
            for value, shows in zip(settings, visible, strict=True)
        ]
        return [key, *updates, *shown, self._pictures(int(key) // PICKS if key.isdigit() else 0)]

    def _moved(self, request: gr.Request, key: str, *controls: Any) -> list[Any]:
        """A control is touched."""
        return self._act(lambda: key, controls, request)[1:]

    def _picked(self, request: gr.Request, event: gr.EventData, key: str, *controls: Any) -> list[Any]:
        """A small picture is pressed."""
        return self._act(lambda: str(event.image), controls, request)

    def _named(self, request: gr.Request, image: str, key: str, *controls: Any) -> list[Any]:
        """A number or a path is typed."""
        return self._act(lambda: str(self.sight.shelf.position(image.strip())), controls, request)

    def _given(self, request: gr.Request, path: str | None, key: str, *controls: Any) -> list[Any]:
        """A file is dropped: it is read, and gone from the disk."""
        key, *shown = self._act(lambda: self._taken(Path(path or "")), controls, request)
        return [key, None, *shown]

    def _taken(self, path: Path) -> str:
        try:
            return self.sight.shelf.take(path)
        finally:
            path.unlink(missing_ok=True)

    def _turned(self, event: gr.EventData) -> str:
        """Other small pictures are asked for."""
        return self._pictures(int(event.page))

    def _traced(self, request: gr.Request, key: str, *controls: Any) -> Any:
        """The curve follows the pictures."""
        try:
            found = self.sight.trace(key, _setting(*controls), _visitor(request)) if key else None
        except BandscopeError:
            return gr.skip()  # what is wrong has been said with the pictures
        return gr.skip() if found is None else found

    def _fitting(self, kind: str) -> list[Any]:
        """The sliders that a filter has."""
        return [gr.update(visible=kind in (BANDED if slider in (1, 2) else RADIAL)) for slider in range(4)]

    def _act(self, find: Callable[[], str], controls: Sequence[Any], request: gr.Request) -> list[Any]:
        """Key and view of an image that is sought; where it is not found, the page stays and says why."""
        try:
            key = find()
            return [key, *self._see(key, _setting(*controls), request)]
        except BandscopeError as error:
            return [gr.skip(), gr.skip(), gr.skip(), gr.skip(), _said(error)]

    def _see(self, key: str, setting: Setting, request: gr.Request) -> list[Any]:
        """Stage, answers, chart and message."""
        if not key:
            return [WELCOME, "", "", ""]
        try:
            shown = self.sight.see(key, setting, _visitor(request))
        except BandscopeError as error:
            return [gr.skip(), gr.skip(), gr.skip(), _said(error)]
        return [shown.stage, shown.answers, shown.chart, ""]

    def _pictures(self, page: int) -> str:
        found, page = self.sight.picks(page)
        return picker(found, page, len(self.sight.shelf))


def picker(found: Sequence[Pick], page: int, images: int) -> str:
    """Small pictures to choose from, as HTML."""
    if not found:
        return ""
    pictures = "".join(
        f'<li><button type="button" data-image="{pick.position}" title="{words.attribute(pick.path)}">{_small(pick)}'
        f'<span class="of">{words.text(pick.name, 60)}</span></button></li>'
        for pick in found
    )
    last = (images - 1) // PICKS
    turn = "".join(
        f'<button type="button" data-page="{to}" aria-label="{label}"{"" if 0 <= to <= last else " disabled"}>'
        f"{sign}</button>"
        for to, label, sign in ((page - 1, "Earlier images", "‹"), (page + 1, "Later images", "›"))
    )
    span = f"{found[0].position} to {found[-1].position} of {images} images"
    return (
        f'<div class="picks"><p><span>Images <small>{span}</small></span><span class="turn">{turn}</span></p>'
        f"<ul>{pictures}</ul></div>"
    )


def _small(pick: Pick) -> str:
    if not pick.picture:
        return '<span class="no-picture">cannot be read</span>'
    return f'<img alt="" src="{pick.picture}">'


def _header(sight: Sight) -> str:
    source = sight.shelf.source
    data = "" if source is None else f"<span>{words.text(source.spec)}</span>"
    return (
        f'<header class="lens-header"><h1>bandscope lens</h1><p><span>{words.text(sight.lens.classifier.spec)}</span>'
        f"{data}</p></header>"
    )


def _said(error: BandscopeError) -> str:
    return f'<p class="fault" role="alert">{words.text(_sentence(error), 600)}</p>'


def _sentence(error: BandscopeError) -> str:
    reason = str(error)
    return f"This image cannot be shown: {reason}." if isinstance(error, ImageError) else reason


def _setting(kind: str, family: str, radius: float, low: float, high: float, zoom: float) -> Setting:
    """What the controls say; of the ends of a band the lower one is its beginning."""
    low, high = sorted((low, high))
    if kind in BANDED:
        return Setting(kind, low, high if high > low else low + 1, zoom=zoom)
    return Setting(kind, 0.0, radius, family if kind in RADIAL else "ideal", zoom)


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)


def _choices(titles: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(title, value) for value, title in titles.items()]


def _slider(label: str, low: float, high: float, value: float, step: float, name: str, visible: bool) -> gr.Slider:
    return gr.Slider(low, high, value, step=step, label=label, elem_id=name, visible=visible, buttons=[])


def _quick(progress: str = "hidden") -> dict[str, Any]:
    """Of several touches while an answer is under way the last one counts."""
    return {"show_progress": progress, "trigger_mode": "always_last", "api_visibility": "private"}
