"""Reports to open, and the browser to open them in: Debian's Chromium, or a visible skip where there is none."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, ViewportSize, sync_playwright
from reports import HOSTILE_MODEL, audited, earlier, halved, hostile, only

import bandscope as bs
from bandscope.report.html import write_report

NAMES = ("chromium", "chromium-browser", "google-chrome")
READY = "document.documentElement.dataset.ready === 'yes'"
DESKTOP: ViewportSize = {"width": 1280, "height": 900}

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def cubes() -> dict[str, xr.DataTree]:
    """Two models on the same images, at three zooms."""
    first = audited()
    return {"first": first, "second": earlier(first)}


@pytest.fixture(scope="session")
def report(cubes: dict[str, xr.DataTree], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of both models."""
    return write_report(cubes, tmp_path_factory.mktemp("report") / "report.html").path


@pytest.fixture(scope="session")
def hostile_report(cubes: dict[str, xr.DataTree], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with names that try to be mark-up, and paths that lead nowhere."""
    tree = hostile(cubes["first"])
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    return write_report({HOSTILE_MODEL: tree, "second": earlier(tree)}, path).path


@pytest.fixture(scope="session")
def unlike(cubes: dict[str, xr.DataTree]) -> dict[str, xr.DataTree]:
    """The first model, and a model of half its input side that was audited over other bands."""
    first = bs.at_zoom(cubes["first"])
    return {"first": first, "half": halved(first)}


@pytest.fixture(scope="session")
def unlike_report(unlike: dict[str, xr.DataTree], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of both."""
    return write_report(unlike, tmp_path_factory.mktemp("unlike") / "report.html").path


@pytest.fixture(scope="session")
def bands_report(cubes: dict[str, xr.DataTree], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an audit that has no probe over radius."""
    path = tmp_path_factory.mktemp("bands") / "report.html"
    return write_report({"bands": only(bs.at_zoom(cubes["first"]), "band_pass")}, path).path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"there is no browser ({', '.join(NAMES)}): the report was not opened in one")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open a file from disk, as often as wanted."""
    with _watched(browser) as opened:
        yield opened


@pytest.fixture(scope="session")
def looked_at(browser: Browser, report: Path) -> Iterator[Page]:
    """The report in a page that tests share, because they only look at it."""
    with _watched(browser) as opened:
        yield opened(report)


@contextmanager
def _watched(browser: Browser) -> Iterator[Open]:
    """Opens pages; in the end no error was logged and nothing outside the files was asked for."""
    faults: list[str] = []
    contexts: list[BrowserContext] = []

    def requested(request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            faults.append(request.url)

    def logged(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(message.text)

    def opened(path: Path, **settings: Any) -> Page:
        contexts.append(browser.new_context(viewport=DESKTOP, accept_downloads=True, **settings))
        page = contexts[-1].new_page()
        page.on("request", requested)
        page.on("console", logged)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        page.goto(path.as_uri())
        page.wait_for_function(READY, timeout=60_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
