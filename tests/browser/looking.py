"""What a page shows: charts, rows and pixels, as plotly, the table and the canvas hold them."""

from collections.abc import Callable

import numpy as np
import xarray as xr
from playwright.sync_api import Page

Open = Callable[..., Page]
Cubes = dict[str, xr.DataTree]


def traces(page: Page, chart: str) -> list[dict]:
    """What plotly draws in a chart."""
    return page.evaluate("id => JSON.parse(JSON.stringify(document.getElementById(id).data))", chart)


def lines(page: Page, chart: str) -> list[dict]:
    """The curves of a chart, without their interval bands."""
    return [trace for trace in traces(page, chart) if trace.get("hoverinfo") != "skip"]


def rows(page: Page) -> list[list[str]]:
    return page.locator("#explorer-table tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.children].map(cell => cell.innerText.trim()))"
    )


def pixels(page: Page) -> np.ndarray:
    shown = page.evaluate("""() => {
        const canvas = document.getElementById("canvas");
        const { width, height } = canvas;
        return [width, height, [...canvas.getContext("2d").getImageData(0, 0, width, height).data]];
    }""")
    width, height, values = shown
    return np.array(values).reshape(height, width, 4)[:, :, :3]
