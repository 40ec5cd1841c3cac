"""The report in a real browser, used as a person would, against the analysis tables."""

import csv
import io
import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from looking import Cubes, Open, lines, pixels, rows, traces
from playwright.sync_api import Page, expect
from reports import HOSTILE, HOSTILE_MODEL

import bandscope as bs
from bandscope.conventions import PRESETS, Convention
from bandscope.report.comparison import Report, sections
from bandscope.report.thumbnails import filtered, reopened
from bandscope.spectral.gains import high_pass_gain, low_pass_gain


@pytest.fixture(scope="module")
def bands(cubes: Cubes) -> dict[str, dict[str, float]]:
    """The low-pass bands of the first model's classes, by name."""
    table = bs.bands(bs.at_zoom(cubes["first"]), "class").query("probe == 'low_pass'")
    return {row["group"]: row for row in table.to_dict("records")}


def test_the_first_screen_says_what_the_tables_say(looked_at: Page, cubes: Cubes) -> None:
    page = looked_at
    for place, cube in enumerate(cubes.values()):
        one = bs.at_zoom(cube)
        clean = bs.clean(one).iloc[0]
        reach = bs.reach(one).query("probe == 'low_pass' and level == 0.9").iloc[0]
        half = bs.reach(one).query("probe == 'high_pass' and level == 0.5").iloc[0]
        values = page.locator(".model").nth(place).locator(".value").all_inner_texts()
        expected = [100 * clean.accuracy, reach.radius, 64 / reach.radius, half.radius]
        assert values == [f"{value:.1f}" for value in expected]
        assert f"at {reach.radius:.1f}" in page.locator("h1").inner_text()
    expect(page.locator("#strip canvas")).to_have_count(12)
    reached = page.locator("#strip .frame b").all_inner_texts()
    accuracies = set((100 * bs.curves(bs.at_zoom(cubes["first"]))["accuracy"]).map("{:.1f} %".format))
    assert set(reached) <= accuracies


def test_curves_are_those_of_the_table(looked_at: Page, cubes: Cubes) -> None:
    page = looked_at
    for probe in ("low_pass", "high_pass"):
        for cube, drawn in zip(cubes.values(), lines(page, f"curve-{probe}"), strict=True):
            table = bs.curves(bs.at_zoom(cube)).query("probe == @probe")
            np.testing.assert_allclose(drawn["x"], table["radius"])
            np.testing.assert_allclose(drawn["y"], 100 * table["accuracy"], rtol=1e-6)
    table = bs.curves(bs.at_zoom(cubes["first"])).query("probe == 'low_pass'")
    band = next(trace for trace in traces(page, "curve-low_pass") if trace.get("fill") == "toself")
    ends = np.concatenate([table["ci_high"], table["ci_low"][::-1]])
    np.testing.assert_allclose(band["y"], 100 * ends, rtol=1e-6)
    page.locator("summary", has_text="Low-pass (d ≤ r kept)").click()
    cells = page.locator("#curves details[open] tbody tr").first.inner_text().split("\t")
    first = table.iloc[0]
    assert cells[1] == f"{100 * first.accuracy:.1f} ({100 * first.ci_low:.1f} to {100 * first.ci_high:.1f})"


def test_models_quantities_and_axes_can_be_switched(open_page: Open, report: Path, cubes: Cubes) -> None:
    page = open_page(report)
    assert len(lines(page, "curve-low_pass")) == 2
    page.get_by_role("checkbox", name="second").uncheck(force=True)
    assert len(lines(page, "curve-low_pass")) == 1
    page.get_by_role("checkbox", name="second").check(force=True)
    table = bs.curves(bs.at_zoom(cubes["first"])).query("probe == 'low_pass'")
    page.get_by_role("radio", name="cycles/pixel").check(force=True)
    np.testing.assert_allclose(lines(page, "curve-low_pass")[0]["x"], table["frequency"])
    page.get_by_role("radio", name="octaves").check(force=True)
    axis = page.evaluate("document.getElementById('curve-low_pass').layout.xaxis")
    assert axis["type"] == "log"
    assert np.allclose(np.diff(np.log2(axis["tickvals"])), 1)
    page.get_by_role("radio", name="probability").first.check(force=True)
    np.testing.assert_allclose(lines(page, "curve-low_pass")[0]["y"], 100 * table["probability"], rtol=1e-6)


def test_bars_stand_at_their_own_bands(open_page: Open, unlike_report: Path, unlike: Cubes) -> None:
    page = open_page(unlike_report)
    drawn = [trace for trace in traces(page, "curve-band_pass") if trace["type"] == "bar"]
    names = page.evaluate("document.getElementById('curve-band_pass').layout.xaxis.ticktext")
    assert names == ["0–8", "8–12", "8–16", "12–46", "16–46"]
    for cube, bars in zip(unlike.values(), drawn, strict=True):
        table = bs.curves(cube).query("probe == 'band_pass'")
        assert [names[x] for x in bars["x"]] == [f"{row.low:g}–{row.high:g}" for row in table.itertuples()]
        np.testing.assert_allclose(bars["y"], 100 * table["accuracy"], rtol=1e-6)


def test_cycles_per_pixel_are_each_models_own(open_page: Open, unlike_report: Path, unlike: Cubes) -> None:
    """Both sweep the same frequencies, so their curves end at the same place, which is where the axis ends."""
    page = open_page(unlike_report)
    page.get_by_role("radio", name="cycles/pixel").check(force=True)
    highest = bs.curves(unlike["first"])["frequency"].max()
    for chart in ("curve-low_pass", "hero-chart"):
        axis = page.evaluate("id => document.getElementById(id).layout.xaxis.range", chart)
        np.testing.assert_allclose(axis, [0, 1.02 * highest])
        ends = [trace["x"][-1] for trace in lines(page, chart) if len(trace["x"]) > 1]
        np.testing.assert_allclose(ends, highest)


def test_an_audit_of_bands_alone_has_no_empty_place(open_page: Open, bands_report: Path, cubes: Cubes) -> None:
    page = open_page(bands_report)
    table = bs.curves(bs.at_zoom(cubes["first"])).query("probe == 'band_pass'")
    (bars,) = traces(page, "hero-chart")
    np.testing.assert_allclose(bars["y"], 100 * table["accuracy"], rtol=1e-6)
    (text,) = page.locator("#detail > p").all_inner_texts()
    clean = bs.clean(bs.at_zoom(cubes["first"]), "class").iloc[0]
    assert f"({100 * clean.ci_low:.1f} to {100 * clean.ci_high:.1f}) of {clean.n} images" in text
    assert page.locator("#explorer-table thead th").all_inner_texts() == ["Name", "Images", "Clean % ↓"]
    own = bs.curves(bs.at_zoom(cubes["first"]), "class").query("probe == 'band_pass'")
    drawn = page.evaluate("document.querySelector('#detail [data-probe=band_pass]').data.map(trace => trace.y)")
    name = page.locator("#detail h3").inner_text()
    np.testing.assert_allclose(drawn[-1], 100 * own[own["group"] == name]["accuracy"], rtol=1e-6)
    expect(page.locator("#map, #bands, #images, label:has(#explorer-probe)").locator("visible=true")).to_have_count(0)


def test_every_cell_of_the_explorer_is_that_of_the_tables(looked_at: Page, cubes: Cubes) -> None:
    page, cube = looked_at, bs.at_zoom(cubes["first"])
    for probe in ("low_pass", "high_pass"):
        page.locator("#explorer-probe").select_option(probe)
        shown = {row[0]: row[1:] for row in rows(page)}
        bands, conflicts = bs.bands(cube, "class"), bs.conflicts(cube, "class")
        bands, conflicts = bands[bands["probe"] == probe], conflicts[conflicts["probe"] == probe]
        usurpers = bs.usurpers(cube, "class").query("probe == @probe").groupby("group").head(1).set_index("group")
        joined = bands.merge(conflicts[["group", "fall", "conflict"]], on="group")
        assert shown.keys() == set(joined["group"])
        for row in joined.itertuples():
            numbers = [
                *(cell(getattr(row, name)) for name in ("r10", "r50", "r90", "width")),
                cell(row.octaves, digits=2),
                cell(100 * row.fall) + " !" * bool(row.conflict),
            ]
            taker = usurpers["usurper"].get(row.group, "–")
            assert shown[row.group] == [f"{row.n}", cell(100 * row.accuracy), *numbers, taker]
    page.locator("#explorer-probe").select_option("low_pass")


def cell(value: float, digits: int = 1) -> str:
    return "–" if math.isnan(value) else f"{value:z.{digits}f}"


def test_every_cell_of_the_comparison_is_that_of_the_terminal(looked_at: Page, cubes: Cubes) -> None:
    report = Report(bs.compare(cubes))
    for section in sections(report):
        block = looked_at.locator("#comparison div", has=looked_at.locator("h3", has_text=section.title)).last
        shown = block.locator("tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
        )
        assert shown == [list(row) for row in section.rows], section.title


def test_explorer_searches_sorts_and_opens(open_page: Open, report: Path, bands: dict[str, dict]) -> None:
    page = open_page(report)
    shown = {row[0]: row[1:] for row in rows(page)}
    assert shown.keys() == bands.keys()
    for name, band in bands.items():
        assert shown[name][0] == str(band["n"])
        known = [f"{band[key]:.1f}" if not math.isnan(band[key]) else "–" for key in ("r10", "r50", "r90", "width")]
        assert shown[name][2:6] == known
    page.get_by_role("searchbox", name="Search").fill("15-")
    expect(page.locator("#found")).to_have_text(f"1 of {len(bands)} classes")
    assert [row[0] for row in rows(page)] == ["stripes 15-19"]
    page.get_by_role("searchbox", name="Search").fill("")
    for heading, key in (("r90", "r90"), ("Clean %", "accuracy"), ("Name", "group")):
        header = page.locator("#explorer-table thead").get_by_role("button", name=heading)
        for _ in range(2):
            header.click()
            direction = page.locator(f"#explorer-table th:has(button[data-key={key}])").get_attribute("aria-sort")
            values = [bands[row[0]][key] for row in rows(page)]
            values = [value for value in values if value == value]  # noqa: PLR0124  (what has none goes last)
            assert values == sorted(values, reverse=direction == "descending")
    page.locator("#explorer-table tbody").get_by_role("button", name="stripes 7-9").press("Enter")
    detail = page.locator("#detail")
    expect(detail).to_be_focused()
    expect(detail.locator("h3")).to_have_text("stripes 7-9")
    expect(detail).to_contain_text(f"its centre r50 is {bands['stripes 7-9']['r50']:.1f}")
    expect(detail.locator(".examples img")).to_have_count(4)
    assert not re.search(r"null|undefined|NaN", page.locator("main").inner_text())


def test_detail_shows_the_curves_of_the_class(open_page: Open, report: Path, cubes: Cubes) -> None:
    page = open_page(report)
    page.locator("#explorer-table tbody").get_by_role("button", name="stripes 7-9").click()
    drawn = page.evaluate(
        """() => JSON.parse(JSON.stringify(document.querySelector('#detail [data-probe="low_pass"]').data))"""
    )
    table = bs.curves(bs.at_zoom(cubes["first"]), "class").query("probe == 'low_pass' and group == 'stripes 7-9'")
    own = next(trace for trace in drawn if "first" in trace.get("name", ""))
    np.testing.assert_allclose(own["y"], 100 * table["accuracy"], rtol=1e-6)


def test_map_and_surfaces_hold_the_tables(looked_at: Page, cubes: Cubes, bands: dict[str, dict]) -> None:
    page = looked_at
    shown = traces(page, "map-chart")[0]
    names = page.evaluate("document.getElementById('map-chart').layout.yaxis.ticktext")
    table = bs.curves(bs.at_zoom(cubes["first"]), "class").query("probe == 'low_pass'")
    for name, row in zip(names, shown["z"], strict=True):
        own = table[table["group"] == name.strip("\u2068\u2069")]
        np.testing.assert_allclose(row, 100 * own["accuracy"], rtol=1e-6)
    named = [name.strip("\u2068\u2069") for name in names[::-1]]
    known = [name for name in named if not math.isnan(bands[name]["r50"])]
    assert known == sorted(known, key=lambda name: bands[name]["r50"])
    surface = traces(page, "scale-low_pass")[0]
    of_zoom = bs.scale_surface(cubes["first"]).query("probe == 'low_pass'")
    wide = of_zoom.pivot(index="zoom", columns="radius", values="probability")
    np.testing.assert_allclose(surface["z"], 100 * wide.to_numpy(), rtol=1e-5, atol=1e-9)
    law = bs.scale_law(cubes["first"]).iloc[0]
    first = page.locator("#scale tbody tr").first.locator("td").all_inner_texts()
    assert first[1:3] == [f"{law.beta:.2f}", f"{law.beta_ci_low:.2f} to {law.beta_ci_high:.2f}"]


def test_slider_shows_what_the_network_saw(open_page: Open, report: Path, cubes: Cubes) -> None:
    page = open_page(report)
    page.get_by_role("radio", name="Late").check(force=True)
    cube = bs.at_zoom(cubes["first"])
    row = bs.telling(cube, "late", 1).iloc[0]
    crop = reopened([cube], int(row["image"]), bs.load_source("planted?per_class=12"))[0]
    curves = bs.sample_curves(cube, int(row["image"]))
    slider = page.get_by_role("slider", name="Radius")
    radii = cube["low_pass"]["radius"].values
    slider.focus()
    page.keyboard.press("Home")
    for radius in radii[:3]:
        expect(page.locator("#radius-text")).to_contain_text(f"Low-pass {radius:g} cycles/image")
        page.wait_for_timeout(100)
        wanted = 255 * filtered(cube, "low_pass", crop, float(radius))
        assert np.abs(pixels(page) - wanted).max() <= 0.6
        of_label = curves.query("probe == 'low_pass' and radius == @radius and class_index == @row.label")
        assert f"{100 * of_label['probability'].item():.1f} %" in page.locator("#radius-text").inner_text()
        page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    expect(page.locator("#radius-text")).to_contain_text("No filter")
    page.wait_for_timeout(100)
    assert (pixels(page) == crop).all()
    page.locator("#stage-probe").select_option("high_pass")
    slider.focus()
    page.keyboard.press("End")
    expect(page.locator("#radius-text")).to_contain_text(f"High-pass {radii[-1]:g} cycles/image")
    page.wait_for_timeout(100)
    assert np.abs(pixels(page) - 255 * filtered(cube, "high_pass", crop, float(radii[-1]))).max() <= 0.6


def test_filters_equal_bandscopes_under_every_convention(looked_at: Page, cubes: Cubes) -> None:
    page = looked_at
    for preset in PRESETS:
        for keep_mean in (False, True):
            for size in ((16, 16), (15, 22), (7, 13)):
                check_filters(page, cubes, size, Convention.named(preset, keep_mean=keep_mean))


def check_filters(page: Page, cubes: Cubes, size: tuple[int, int], convention: Convention) -> None:
    cube = bs.at_zoom(cubes["first"]).copy()
    cube.attrs = {**cube.attrs, "convention": convention.to_json()}
    crop = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    flat = np.concatenate([crop, np.full((*size, 1), 255, np.uint8)], axis=2).ravel().tolist()
    for probe in ("low_pass", "high_pass"):
        for radius in (0.0, 2.0, math.sqrt(8), 5.0):
            shown = page.evaluate(
                """([pixels, height, width, mean, convention, kind, radius]) => {
                    const spectrum = spectrumOf(Uint8ClampedArray.from(pixels), height, width, mean, convention);
                    return [...filteredPixels(spectrum, {kind, family: "ideal"}, radius)];
                }""",
                [flat, *size, cube.attrs["preprocess"]["mean"], convention.to_json(), probe, radius],
            )
            wanted = 255 * filtered(cube, probe, crop, radius)
            assert np.abs(np.array(shown).reshape(*size, 4)[:, :, :3] - wanted).max() <= 0.501, (
                convention,
                size,
                probe,
                radius,
            )


def test_soft_gains_equal_bandscopes(looked_at: Page) -> None:
    for family in ("ideal", "gaussian", "butterworth"):
        for preset in PRESETS:
            convention = Convention.named(preset)
            for size, radius in itertools.product(((16, 16), (15, 22)), (0.0, 2.0, 5.5)):
                for kind, gain in (("low_pass", low_pass_gain), ("high_pass", high_pass_gain)):
                    found = looked_at.evaluate(
                        "([h, w, r, probe, convention]) => [...gainOf(h, w, r, probe, convention)]",
                        [*size, radius, {"kind": kind, "family": family}, convention.to_json()],
                    )
                    wanted = gain(*size, radius, family=family, convention=convention)
                    half = np.array(found).reshape(size)[:, : wanted.shape[1]]
                    np.testing.assert_allclose(half, wanted, atol=1e-12, err_msg=f"{family} {preset} {size} {kind}")


def test_comparison_is_that_of_the_analysis(looked_at: Page, cubes: Cubes) -> None:
    page = looked_at
    table = bs.compare(cubes).differences.query("probe == 'low_pass'")
    drawn = lines(page, "difference-low_pass")[0]
    np.testing.assert_allclose(drawn["y"], 100 * table["difference"], rtol=1e-6)
    filled = [symbol == "circle" for symbol in drawn["marker"]["symbol"]]
    assert filled == (table["p_adjusted"] < 0.05).tolist()
    assert any(filled)


def test_names_stay_texts(open_page: Open, hostile_report: Path) -> None:
    page = open_page(hostile_report)
    assert {row[0] for row in rows(page)} >= {name for name in HOSTILE if len(name) < 100 and "\u202e" not in name}
    assert HOSTILE[4] in page.locator("#explorer-table tbody").inner_text().replace("\n", "")
    for name in HOSTILE:
        page.locator("#explorer-table tbody button").and_(page.get_by_title(name, exact=True)).click()
        assert page.locator("#detail h3").evaluate("heading => heading.textContent") == name
    assert HOSTILE_MODEL in page.locator(".model-name").first.inner_text()
    expect(page.locator("#images .warning")).to_contain_text(HOSTILE[0])
    for chart in ("map-chart", "bands-chart"):
        texts = page.locator(f"#{chart} text").all_text_contents()
        assert any(text.strip("\u2068\u2069").startswith(("<script>window", "<b>bold</b> &lt;")) for text in texts)
    box = page.locator("#map-chart .nsewdrag").first.bounding_box()
    assert box
    page.locator("#map-chart").scroll_into_view_if_needed()
    box = page.locator("#map-chart .nsewdrag").first.bounding_box()
    seen = ""
    for step in range(9):
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + (step + 0.5) * box["height"] / 9)
        page.wait_for_timeout(120)
        seen += " ".join(page.locator("#map-chart .hoverlayer text").all_text_contents())
    assert "</script><script>window.hacked=1</script>" in seen
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x'], a[href^='javascript']").count() == 0


def test_downloads_are_the_tables(open_page: Open, report: Path, hostile_report: Path, cubes: Cubes) -> None:
    page = open_page(report)
    table = bs.bands(bs.at_zoom(cubes["first"]), "class")
    with page.expect_download() as started:
        page.get_by_role("button", name="bands_by_class of first as CSV").click()
    assert started.value.suggested_filename == "first-bands_by_class.csv"
    text = Path(started.value.path()).read_text(encoding="utf-8")
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["group"] for row in found] == table["group"].tolist()
    np.testing.assert_allclose([float(row["r50"] or "nan") for row in found], table["r50"], rtol=1e-6)
    with page.expect_download() as started:
        page.locator("#everything").click()
    everything = json.loads(Path(started.value.path()).read_text(encoding="utf-8"))
    assert [model["name"] for model in everything["models"]] == ["first", "second"]
    page = open_page(hostile_report)
    with page.expect_download() as started:
        page.get_by_role("button", name=re.compile("^bands_by_class of .* as CSV")).first.click()
    text = Path(started.value.path()).read_text(encoding="utf-8")
    assert {row["group"] for row in csv.DictReader(io.StringIO(text, newline=""))} == set(HOSTILE)


def test_numbers_are_rounded_as_python_rounds_them(looked_at: Page) -> None:
    """Ties, such as 13 right images of 16, and what would be minus zero."""
    shares = [13 / 16, 1 / 16, 3 / 16, 0.0, -0.0, -0.0004, 0.123456, 1.0]
    shown = looked_at.evaluate("shares => shares.map(share => percent(share))", shares)
    assert shown == [f"{100 * share:z.1f} %" for share in shares]
    assert looked_at.evaluate("() => [fixed(2.5, 0), fixed(0.25), fixed(-0.02)]") == ["2", "0.2", "0.0"]


def test_a_slow_picture_does_not_paint_over_a_later_one(looked_at: Page) -> None:
    """Two pictures are asked for; the first is decoded after the second."""
    painted = looked_at.evaluate("""async () => {
        const canvas = document.createElement("canvas");
        const probe = { name: "low_pass", kind: "low_pass", family: "ideal" };
        const real = [cropSpectrum, filteredPixels];
        const waits = {};
        cropSpectrum = (key) => new Promise((resolve) => {
            waits[key] = () => resolve({ width: 1, height: 1, shade: key });
        });
        filteredPixels = (found) => [found.shade === "late" ? 255 : 0, 0, 0, 255];
        const both = [paint(canvas, "late", 0, probe, 1), paint(canvas, "wanted", 0, probe, 1)];
        waits.wanted(); await both[1];
        waits.late(); await both[0];
        [cropSpectrum, filteredPixels] = real;
        return canvas.getContext("2d").getImageData(0, 0, 1, 1).data[0];
    }""")
    assert painted == 0
