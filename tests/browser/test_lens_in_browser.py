"""The lens in a real browser, used as a person would, against the library's own numbers."""

import base64
import gc
import io
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize, expect
from reports import HOSTILE

import bandscope as bs
from bandscope.classifiers import load_classifier
from bandscope.lens import words
from bandscope.lens.serve import served, sight_of
from bandscope.lens.session import PICKS, Sight
from bandscope.lens.setting import Setting
from bandscope.lens.shelf import MOST_BYTES, Shelf
from bandscope.lens.view import Lens, Look, Subject

DATA = "planted?per_class=12"  # as of the report
PHONE: ViewportSize = {"width": 390, "height": 844}

Open = Callable[..., Page]

# Of connections that browsers leave, and that the server behind Gradio has closed.
pytestmark = pytest.mark.filterwarnings(r"ignore:unclosed <socket.socket \[closed\]:ResourceWarning")


@pytest.fixture(scope="module")
def sight() -> Sight:
    return sight_of("planted", DATA, threads=1)


@pytest.fixture(scope="module")
def address(sight: Sight) -> Iterator[str]:
    with served(sight) as page:
        yield page.address
    gc.collect()


@pytest.fixture
def open_lens(browser: Browser, address: str) -> Iterator[Open]:
    with watched(browser, address) as opened:
        yield opened


@contextmanager
def watched(browser: Browser, address: str) -> Iterator[Open]:
    """Opens the lens; in the end no error was logged, and nobody but the lens was asked for anything."""
    faults: list[str] = []
    contexts = []

    def requested(request: Request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            faults.append(request.url)

    def logged(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(message.text)

    def opened(query: str = "", image: bool = True, **settings: Any) -> Page:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings}))
        page = contexts[-1].new_page()
        page.on("request", requested)
        page.on("websocket", lambda socket: faults.append(socket.url))
        page.on("console", logged)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        page.goto(f"{address}{query}")
        if image:
            expect(page.locator("#chart polyline").first).to_be_attached(timeout=60_000)
        else:
            expect(page.locator("#stage .welcome")).to_be_visible(timeout=60_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def looked(sight: Sight, image: int, setting: Setting) -> Look:
    """What the library says."""
    source, labels = sight.shelf.source, sight.shelf.labels
    return Lens(load_classifier("planted")).look(Subject("", "", source[image], int(labels[image])), setting)


def pixels(page: Page, selector: str = "#stage .filtered") -> np.ndarray:
    url = page.locator(selector).get_attribute("src") or ""
    content = base64.b64decode(url.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def rows(page: Page) -> list[list[str]]:
    return page.locator(".answers tbody tr").evaluate_all(
        "rows => rows.map(row => [row.querySelector('.name').innerText.trim(),"
        " ...[...row.querySelectorAll('td')].map(cell => cell.innerText.trim())])"
    )


def expect_look(page: Page, look: Look, names: tuple[str, ...]) -> None:
    """All that is shown is what the library says."""
    expect(page.locator("#stage .says strong")).to_have_text(words.title(look))
    np.testing.assert_array_equal(pixels(page), look.shown)
    expected = [
        [names[row.output], words.percent(row.now), words.points(row.now - row.clean)] for row in words.rows(look)
    ]
    assert rows(page) == expected
    point = page.locator("#chart .point")
    probability = float(look.answer.probabilities[look.followed])
    assert float(point.get_attribute("data-probability") or "nan") == pytest.approx(probability, abs=1e-6)


def slide(page: Page, name: str, value: float) -> None:
    """Set a slider's number, as one types it."""
    field = page.locator(f"#{name} input[type=number]")
    field.fill(f"{value:g}")
    field.press("Tab")


def title(page: Page, text: str) -> None:
    expect(page.locator("#stage .says strong")).to_have_text(text, timeout=30_000)


def arrived(page: Page, path: str) -> None:
    """Wait until the address names an image."""
    page.wait_for_function("path => new URLSearchParams(location.search).get('image') === path", arg=path)


def test_opens_with_an_image_and_the_numbers_of_an_audit(open_lens: Open, sight: Sight) -> None:
    page = open_lens()
    expect_look(page, looked(sight, 0, Setting("low_pass", high=11)), sight.lens.names)
    source = sight.shelf.source
    cube = bs.audit("planted", source, probes=[bs.LowPass(bs.probes.default_radii((64, 64)))], threads=1)
    image = [*cube["source"].values].index(source.paths[0])
    line = page.locator("#chart .line.c0").first.get_attribute("points") or ""
    drawn = np.array([[float(x) for x in point.split(",")] for point in line.split()])
    np.testing.assert_allclose(drawn[:, 0], cube["low_pass"]["radius"])
    np.testing.assert_allclose(1 - drawn[:, 1], cube["low_pass"]["probability"].values[image], atol=1e-4)
    assert page.locator("#stage .spectrum ellipse").count() == 1


def test_a_slider_is_moved_by_hand_and_by_keys(open_lens: Open, sight: Sight) -> None:
    page = open_lens("?image=4&low_pass=20")
    handle = page.locator("#radius input[type=range]")
    box = handle.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] / 2)
    page.mouse.down()
    for share in (0.4, 0.3, 0.2, 0.15):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
    page.mouse.up()
    moved = float(handle.input_value())
    assert moved < 15
    title(page, f"Low-pass {moved:g} cycles/image")
    expect_look(page, looked(sight, 4, Setting("low_pass", high=moved)), sight.lens.names)
    handle.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    stepped = float(handle.input_value())
    assert stepped == pytest.approx(moved + 1.5)
    title(page, f"Low-pass {stepped:g} cycles/image")
    expect_look(page, looked(sight, 4, Setting("low_pass", high=stepped)), sight.lens.names)
    at = float(page.locator("#chart .here").get_attribute("x1") or "nan")
    assert at == stepped


def test_every_filter_and_zoom(open_lens: Open, sight: Sight) -> None:
    page = open_lens("?image=5&low_pass=12")
    names = sight.lens.names
    page.get_by_role("radio", name="High-pass").check(force=True)
    title(page, "High-pass 12 cycles/image")
    expect_look(page, looked(sight, 5, Setting("high_pass", high=12)), names)
    page.get_by_role("radio", name="Gaussian").check(force=True)
    title(page, "Gaussian high-pass 12 cycles/image")
    expect_look(page, looked(sight, 5, Setting("high_pass", high=12, family="gaussian")), names)
    slide(page, "zoom", 1.41)
    title(page, "Gaussian high-pass 12 cycles/image, zoom 1.41")
    expect_look(page, looked(sight, 5, Setting("high_pass", high=12, family="gaussian", zoom=1.41)), names)
    page.get_by_role("radio", name="Band-pass").check(force=True)
    expect(page.locator("#radius")).to_have_count(0)
    slide(page, "low", 8)
    slide(page, "high", 16)
    title(page, "Band-pass 8 to 16 cycles/image, zoom 1.41")
    expect_look(page, looked(sight, 5, Setting("band_pass", 8, 16, zoom=1.41)), names)
    expect(page.locator("#stage .spectrum ellipse")).to_have_count(2)
    slide(page, "low", 20)  # beyond the other end: the band lies between both
    title(page, "Band-pass 16 to 20 cycles/image, zoom 1.41")
    page.get_by_role("radio", name="No filter").check(force=True)
    title(page, "No filter, zoom 1.41")
    slide(page, "zoom", 1)
    title(page, "No filter")
    expect_look(page, looked(sight, 5, Setting()), names)
    assert {change for _, _, change in rows(page)} == {"0.0"}


def test_the_address_follows_and_opens_the_page_again(open_lens: Open, sight: Sight) -> None:
    page = open_lens("?image=3&band_stop=8-16&zoom=2")
    expect_look(page, looked(sight, 3, Setting("band_stop", 8, 16, zoom=2)), sight.lens.names)
    page.get_by_role("radio", name="Low-pass").check(force=True)
    slide(page, "radius", 7.5)
    title(page, "Low-pass 7.5 cycles/image, zoom 2")
    page.wait_for_function("location.search.includes('low_pass=7.5')")
    assert parse_qs(urlsplit(page.url).query) == {
        "image": [str(sight.shelf.source.paths[3])],
        "low_pass": ["7.5"],
        "zoom": ["2"],
    }
    page = open_lens(f"?{urlsplit(page.url).query}")
    title(page, "Low-pass 7.5 cycles/image, zoom 2")
    assert page.locator("#radius input[type=number]").input_value() == "7.5"


def test_what_an_address_asks_in_vain_is_said(open_lens: Open) -> None:
    page = open_lens("?low_pas=3")
    expect(page.get_by_role("alert")).to_contain_text("Did you mean 'low_pass'?")
    page = open_lens("?image=%3Cscript%3Ewindow.hacked=1%3C/script%3E")
    expect(page.get_by_role("alert")).to_contain_text("There is no image '<script>window.hacked=1</script>'")
    slide(page, "radius", 5)
    title(page, "Low-pass 5 cycles/image")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_an_image_is_picked_and_sought(open_lens: Open, sight: Sight) -> None:
    page = open_lens("?low_pass=9")
    expect(page.locator("#picks li")).to_have_count(PICKS)
    page.locator("#picks button[data-image='6']").click()
    arrived(page, str(sight.shelf.source.paths[6]))
    expect_look(page, looked(sight, 6, Setting("low_pass", high=9)), sight.lens.names)
    page.get_by_role("button", name="Later images").click()
    expect(page.locator("#picks p")).to_contain_text(f"{PICKS} to {2 * PICKS - 1} of 108")
    page.locator("#named input, #named textarea").fill("17")
    page.keyboard.press("Enter")
    arrived(page, str(sight.shelf.source.paths[17]))
    expect_look(page, looked(sight, 17, Setting("low_pass", high=9)), sight.lens.names)
    page.locator("#named input, #named textarea").fill("no such image")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("There is no image 'no such image'")


def test_own_images_are_taken_or_refused_in_words(open_lens: Open, sight: Sight, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    (tmp_path / "text.png").write_text("this is no image")
    (tmp_path / "half.png").write_bytes((tmp_path / "noise.png").read_bytes()[:3000])
    page = open_lens("?high_pass=4")
    give = page.locator("#file input[type=file]")
    give.set_input_files(tmp_path / "noise.png")
    page.wait_for_function("!location.search.includes('image')")
    look = sight.lens.look(Subject("", "", Image.fromarray(noise)), Setting("high_pass", high=4))
    expect_look(page, look, sight.lens.names)
    for name, says in (("text.png", "not an image that Pillow can read"), ("half.png", "truncated")):
        page.locator("#file input[type=file]").set_input_files(tmp_path / name)
        expect(page.get_by_role("alert")).to_contain_text(says)
        np.testing.assert_array_equal(pixels(page), look.shown)
    slide(page, "radius", 6)
    title(page, "High-pass 6 cycles/image")
    assert [*Path(tempfile.gettempdir()).glob("bandscope-lens-*/*/*.png")] == []


def test_a_file_that_is_too_large_is_not_even_sent(browser: Browser, address: str, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(bytes(MOST_BYTES + 1))
    page = browser.new_page()  # not watched: Gradio itself logs an error of an upload that it refuses
    page.goto(address)
    page.locator("#file input[type=file]").set_input_files(tmp_path / "large.png")
    expect(page.get_by_text("exceed the maximum allowed size of 25")).to_be_visible()
    page.close()


def test_no_file_of_the_disk_is_served(address: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    for path in (secret, Path("/etc/passwd"), Path(__file__), Path("pyproject.toml").absolute()):
        for form in (f"gradio_api/file={path}", f"file={path}", f"gradio_api/file=/..{path}"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(address + form)
            assert refused.value.code in (403, 404)


def test_a_link_of_a_report_opens_the_lens_there(looked_at: Page, open_lens: Open, sight: Sight) -> None:
    report = looked_at
    report.locator("#thumbs button").first.click()
    shown = report.locator("#lens")
    assert shown.locator("code").inner_text() == f"bandscope lens planted '{DATA}'"
    for step in ("ArrowRight", "ArrowLeft", "End"):
        report.locator("#radius").press(step)
        said = report.locator("#radius-text").inner_text()
        link = shown.locator("a").get_attribute("href") or ""
        assert link.startswith("http://127.0.0.1:7860/?")
        page = open_lens(link.removeprefix("http://127.0.0.1:7860/"))
        title(page, report.locator("#radius-text strong").inner_text().rstrip(". "))
        in_report, in_lens = (re.findall(r"[0-9.]+ %", text) for text in (said, page.locator(".says").inner_text()))
        assert in_report == in_lens
        assert report.locator("#stage-about .path").inner_text() in parse_qs(urlsplit(page.url).query)["image"]


def test_a_phone_sees_all_of_it(open_lens: Open, sight: Sight) -> None:
    page = open_lens("?image=2&low_pass=8", viewport=PHONE, has_touch=True, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    places = [page.locator(f"#{name}").bounding_box() for name in ("stage", "controls", "below", "images")]
    tops = [place["y"] for place in places if place]
    assert tops == sorted(tops)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 24)"
    expect_look(page, looked(sight, 2, Setting("low_pass", high=8)), sight.lens.names)


class Named:
    """Images whose classes and paths try to be mark-up."""

    spec = f"folder:{HOSTILE[0]}"
    classes = tuple(bs.ClassLabel(name) for name in HOSTILE)
    labels = np.arange(len(HOSTILE))
    paths = tuple(f"{name}/{k}.png" for k, name in enumerate(HOSTILE))

    def __len__(self) -> int:
        return len(HOSTILE)

    def __getitem__(self, position: int) -> Image.Image:
        noise = np.random.default_rng(position).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        return Image.fromarray(noise)

    def fingerprint(self) -> str:
        return ""


def test_hostile_names_and_paths_are_texts(browser: Browser) -> None:
    preprocess = bs.Preprocess(size=(32, 32), resize=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, len(HOSTILE)))
    lens = Lens(load_classifier(net, preprocess=preprocess, classes=Named.classes))
    sight = Sight(lens, Shelf(Named(), Named.labels), Setting("low_pass", high=9), "0")
    with served(sight) as served_page, watched(browser, served_page.address) as opened:
        page = opened()
        for image in range(PICKS):
            page.locator(f"#picks button[data-image='{image}']").click()
            arrived(page, Named.paths[image])
            look = lens.look(Subject("", "", Named()[image], image), Setting("low_pass", high=9))
            names = [" ".join(HOSTILE[row.output].split()) for row in words.rows(look)]
            cut = [name if len(name) <= words.LONGEST else name[: words.LONGEST - 1] + "…" for name in names]
            assert [row[0] for row in rows(page)] == cut
            assert page.evaluate("window.hacked") is None
        assert page.locator("main script, main b b, #main a, #picks img[src='x'], #header script").count() == 0
        page.locator("#named input, #named textarea").fill(HOSTILE[1])
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("onerror")
        assert page.evaluate("window.hacked") is None


def test_without_images_it_waits_for_one(browser: Browser, tmp_path: Path) -> None:
    sight = sight_of("planted", None, threads=1)
    Image.new("RGB", (80, 80), (200, 30, 90)).save(tmp_path / "red.png")
    with served(sight) as served_page, watched(browser, served_page.address) as opened:
        page = opened(image=False)
        slide(page, "radius", 5)  # nothing to look at, nothing happens
        page.locator("#file input[type=file]").set_input_files(tmp_path / "red.png")
        title(page, "Low-pass 5 cycles/image")
        expect(page.locator("#picks li")).to_have_count(0)
