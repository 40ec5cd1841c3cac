"""A report's page read without a browser, and cubes to make one of."""

import base64
import gzip
import json
from html.parser import HTMLParser
from typing import Any

import xarray as xr

from bandscope.datasets import ImageSource
from bandscope.report.audit import read_audit
from bandscope.report.html.build import Page
from bandscope.report.html.build import build as build_page

HOSTILE = '</script><img src=x onerror="alert(1)">\''


RADII = (2, 6, 10, 14, 20, 30, 46)


class Reader(HTMLParser):
    """Tags with their attributes, and the text of scripts by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._script = str(dict(attrs).get("id", "code")) if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(self.scripts["data-source"])))
        return found


def build(cubes: dict[str, xr.DataTree], by: str | None = None, images: ImageSource | None = None) -> Page:
    return build_page([read_audit(name, cube, by) for name, cube in cubes.items()], images)


def changed(cube: xr.DataTree, **variables: Any) -> xr.DataTree:
    """The cube with other variables at its root."""
    groups = {f"/{name}": node.to_dataset(inherit=False) for name, node in cube.children.items()}
    root = cube.to_dataset().assign(variables)
    return xr.DataTree.from_dict({"/": root, **groups})
