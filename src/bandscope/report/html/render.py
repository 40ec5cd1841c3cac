"""A page into one HTML file: the template filled in, the styles, scripts, data and plotly.js put inside."""

import base64
import gzip
import json
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from bandscope.report.audit import MOST_IMAGES
from bandscope.report.html.build import Page

PACKAGE = "bandscope.report.html"
STYLES = ("style.css", "parts.css", "print.css")
SCRIPTS = (
    "core.js",
    "charts.js",
    "curves.js",
    "explorer.js",
    "detail.js",
    "maps.js",
    "filter.js",
    "viewer.js",
    "start.js",
)


def render(page: Page) -> str:
    """The whole file. Texts of a cube are escaped by Jinja, or travel compressed and are set as text by scripts."""
    environment = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("report.html").render(
        page=page,
        most_images=f"{MOST_IMAGES:,}",
        style=_inlined(STYLES),
        script=_inlined(SCRIPTS),
        plotly=_plotly(),
        data=compressed(json.dumps(page.to_json(), allow_nan=False, separators=(",", ":"))),
    )
    return text.encode("utf-8", "replace").decode()  # a path may hold bytes that are no text


def compressed(text: str) -> str:
    """Text in gzip, in base 64: no character of it means anything to HTML."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


@cache
def _plotly() -> str:
    return compressed(get_plotlyjs())


def _inlined(names: tuple[str, ...]) -> Markup:
    """Our own files, which are trusted."""
    folder = files(PACKAGE) / "static"
    return Markup("\n".join((folder / name).read_text(encoding="utf-8") for name in names))
