"""The report by keyboard, on phones and paper, in the dark, and to those who cannot see it."""

import re
from pathlib import Path

import pytest
from looking import Cubes, Open, lines, rows
from playwright.sync_api import expect

import bandscope as bs


def test_the_explorer_is_one_stop_of_the_keyboard(open_page: Open, report: Path) -> None:
    page = open_page(report)
    names = [row[0] for row in rows(page)]
    buttons = page.locator("#explorer-table tbody button")
    assert [tab for tab in buttons.evaluate_all("all => all.map(one => one.tabIndex)") if tab == 0] == [0]
    buttons.first.focus()
    walk = {"ArrowDown": 1, "End": -1, "ArrowUp": -2, "Home": 0}
    for key, place in walk.items():
        page.keyboard.press(key)
        focused = page.evaluate("[document.activeElement.textContent, document.activeElement.tabIndex]")
        assert focused == [names[place], 0]
    page.keyboard.press("ArrowUp")  # it stays at the end
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#detail h3")).to_have_text(names[1])
    assert buttons.evaluate_all("all => all.filter(one => one.tabIndex === 0).length") == 1


def test_the_gallery_is_one_stop_of_the_keyboard(open_page: Open, report: Path) -> None:
    page = open_page(report)
    thumbs = page.locator("#thumbs .thumb")
    title, focused = page.locator("#stage-title"), "document.activeElement.dataset.entry"
    entries = thumbs.evaluate_all("all => all.map(one => one.dataset.entry)")
    assert len(entries) > 3
    tops = thumbs.evaluate_all("all => all.map(one => one.getBoundingClientRect().top)")
    beside = tops.count(tops[0])
    page.locator('input[name="kind"]:checked').focus()
    page.keyboard.press("Tab")
    for key, place in (("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowUp", 0), ("ArrowDown", beside), ("End", -1)):
        page.keyboard.press(key)
        assert page.evaluate(focused) == entries[place]
    page.keyboard.press("Enter")
    expect(thumbs.last).to_have_attribute("aria-pressed", "true")
    expect(title).to_have_text(thumbs.last.inner_text())
    page.keyboard.press("Tab")
    expect(page.locator("#stage-probe")).to_be_focused()
    page.keyboard.press("Shift+Tab")  # back to the one that is open
    assert page.evaluate(focused) == entries[-1]
    page.keyboard.press("Home")
    assert page.evaluate(focused) == entries[0]


def test_downloads_of_an_audit_are_one_stop_of_the_keyboard(open_page: Open, report: Path) -> None:
    page = open_page(report)
    first = page.locator("#download-list tbody").first.locator(".download")
    names = first.evaluate_all("all => all.map(one => one.ariaLabel)")
    first.first.focus()
    for key, place in (("ArrowDown", 2), ("ArrowRight", 3), ("ArrowUp", 1), ("End", -1), ("ArrowDown", -1)):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.ariaLabel") == names[place]
    page.keyboard.press("Tab")
    expect(page.locator("#download-list .scroll").nth(1)).to_be_focused()
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == names[-1]


def test_the_map_is_read_and_opened_by_keys(open_page: Open, report: Path, cubes: Cubes) -> None:
    page = open_page(report)
    names = page.evaluate("document.getElementById('map-chart').layout.yaxis.ticktext")
    named = [name.strip("\u2068\u2069") for name in names[::-1]]
    page.locator("#map-order").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#map-chart")).to_be_focused()
    table = bs.curves(bs.at_zoom(cubes["first"]), "class").query("probe == 'low_pass'")
    radii = sorted(table["radius"].unique())
    for key, row, column in (
        ("Home", 0, 0),
        ("ArrowDown", 1, 0),
        ("ArrowRight", 1, 1),
        ("End", -1, 1),
        ("ArrowUp", -2, 1),
    ):
        page.keyboard.press(key)
        cell = table[(table["group"] == named[row]) & (table["radius"] == radii[column])].iloc[0]
        share = (
            f"{100 * cell.accuracy:.1f} ({100 * cell.ci_low:.1f} to {100 * cell.ci_high:.1f}) % of {cell.n} images"
        )
        told = f"{named[row]}: radius {radii[column]:g} cycles/image, {share}."
        expect(page.locator("#map-says")).to_have_text(told)
    page.keyboard.press("Enter")
    expect(page.locator("#detail h3")).to_have_text(named[-2])
    expect(page.locator("#map-says")).to_be_empty()


@pytest.mark.parametrize("width", [1280, 820])
def test_names_do_not_break_where_there_is_room(open_page: Open, report: Path, width: int) -> None:
    """No word of a table's cell is cut in two lines: a table can be wider than the page."""
    page = open_page(report)
    page.set_viewport_size({"width": width, "height": 740})
    broken = page.evaluate("""() => {
        document.querySelectorAll("details").forEach(one => { one.open = true; });
        document.querySelectorAll("td bdi, th bdi").forEach(one => {
            if (["first", "second"].includes(one.textContent)) one.textContent = "convolutional_network-500";
        });
        const range = document.createRange();
        return [...document.querySelectorAll("td, th")].flatMap(cell => {
            const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
            const found = [];
            while (walker.nextNode()) for (const match of walker.currentNode.data.matchAll(/\\S+/g)) {
                range.setStart(walker.currentNode, match.index);
                range.setEnd(walker.currentNode, match.index + match[0].length);
                const lines = new Set([...range.getClientRects()].map(box => box.top));
                if (match[0].length < 30 && lines.size > 1) found.push(match[0]);
            }
            return found;
        });
    }""")
    assert broken == []


def test_theme_follows_the_reader(open_page: Open, report: Path) -> None:
    page = open_page(report, color_scheme="dark")
    colours = {"dark": lines(page, "curve-low_pass")[0]["line"]["color"]}
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    button = page.locator("#theme")
    expect(button).to_have_attribute("aria-pressed", "true")
    button.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "false")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    colours["light"] = lines(page, "curve-low_pass")[0]["line"]["color"]
    assert colours == {"dark": "#4aa8e0", "light": "#0072b2"}


def test_print_is_light_and_without_controls(open_page: Open, report: Path) -> None:
    page = open_page(report, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert lines(page, "curve-low_pass")[0]["line"]["color"] == "#0072b2"
    expect(page.locator(".bar")).to_be_hidden()
    swatch = page.locator(".model .swatch").first
    assert swatch.evaluate("one => getComputedStyle(one).backgroundColor") == "rgb(0, 114, 178)"
    expect(page.locator("#method dl.pairs").first).to_be_visible()
    wide = page.evaluate("""() => [...document.querySelectorAll("main table")]
        .filter(one => one.getBoundingClientRect().right > document.body.getBoundingClientRect().right + 1)
        .map(one => one.caption.textContent)""")
    assert wide == []
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(page.locator("#method dl.pairs").first).to_be_hidden()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("which", ["report", "hostile_report"])
def test_phones_need_no_sideways_scrolling(open_page: Open, which: str, request: pytest.FixtureRequest) -> None:
    page = open_page(request.getfixturevalue(which))
    for width in (820, 360):
        page.set_viewport_size({"width": width, "height": 740})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#explorer-table tbody button").first.click()
    expect(page.locator("#detail h3")).to_be_in_viewport()


def test_everything_has_a_name_and_a_place(open_page: Open, report: Path) -> None:
    page = open_page(report)
    for role in ("banner", "main", "contentinfo", "navigation"):
        assert page.get_by_role(role).count() == 1
    named = r'^\s*- (?:\'?)(button|checkbox|radio|combobox|slider|searchbox|link|img|application|region|figure)(?! ")'
    tree = page.locator("body").aria_snapshot()
    assert [line for line in tree.splitlines() if re.match(named, line)] == []
    for role in ("button", "radio", "combobox", "slider", "searchbox", "img", "application", "region"):
        assert re.search(rf'- \'?{role} "', tree), role
    for chart in page.locator(".chart:visible").all():
        assert chart.get_attribute("role") in ("img", "application")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
