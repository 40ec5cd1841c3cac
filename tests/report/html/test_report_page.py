"""The page before any browser: the numbers of the tables in it, names as text, nothing from outside, its size."""

import errno
import math
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from large_cube import large_cube
from reading import Reader, build, changed
from stand_ins import Photographs

import bandscope as bs
from bandscope.errors import InputError, StoreError
from bandscope.report.grouping import Grouping
from bandscope.report.html import write_report
from bandscope.report.html.build import Page
from bandscope.report.html.render import render
from bandscope.report.words import FOLLOWS

BANDS = [(0, 8), (8, 16), (16, 46)]


def test_headline_says_where_ninety_percent_are_reached(cube: xr.DataTree, page: Page) -> None:
    row = bs.reach(bs.at_zoom(cube)).query("probe == 'low_pass' and level == 0.9").iloc[0]
    assert f"up to {row.radius:.1f} cycles per image" in page.headline.sentence
    assert f"{64 / row.radius:.1f} pixels long" in page.headline.meaning
    ((name, (clean, radius, period, _)),) = page.headline.figures
    assert name == "planted"
    assert radius.interval == f"{row.radius_ci_low:.1f} to {row.radius_ci_high:.1f}"
    assert period.interval == f"{64 / row.radius_ci_high:.1f} to {64 / row.radius_ci_low:.1f}"
    table = bs.clean(bs.at_zoom(cube)).iloc[0]
    assert (clean.value, clean.note) == (f"{100 * table.accuracy:.1f}", f"{table.n} images")


def test_headline_tells_why_ninety_percent_are_not_known(cube: xr.DataTree) -> None:
    low = bs.at_zoom(cube).isel(image=slice(0, 3))
    found = build({"few": low})
    assert "3 images: at least 10 are needed" in found.headline.meaning
    assert "is right on 100.0 % of its images" in found.headline.sentence
    one = bs.at_zoom(cube)
    high = xr.DataTree.from_dict({"/": one.to_dataset(), "/high_pass": one["high_pass"].to_dataset(inherit=False)})
    assert "no low-pass probe" in build({"high": high}).headline.meaning


def test_a_wave_whose_radius_is_not_known_has_no_length(cube: xr.DataTree) -> None:
    """Nor is anything said of the frequencies that are needed: they may be very few."""
    one = bs.at_zoom(cube).copy(deep=True)
    one["low_pass"]["top5_class"][:, :, 0] = one["label"].values[:, None]  # right at every radius
    found = build({"few": one}).headline
    assert "already above 90% of clean at the smallest radius" in found.meaning
    figures = [figure.what for figures in found.figures for figure in figures[1]]
    assert any("90 % of it" in what for what in figures)
    assert "one such wave is" not in figures


def test_stores_of_other_rows_are_shown_by_class(cube: xr.DataTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would choose rows of its own; the page has one switch for all."""
    groups = Grouping(dict.fromkeys(range(cube.sizes["class"]), "all"), "group")
    chosen = iter([groups, Grouping("class", "class")])
    monkeypatch.setattr("bandscope.report.audit.grouping", lambda cube, by: next(chosen))
    page = build({"one": cube, "two": cube})
    assert [[level.noun for level in audit.levels] for audit in page.audits] == [["class"], ["class"]]


def test_images_that_do_not_count_are_told(cube: xr.DataTree) -> None:
    status = cube.dataset["status"].values.astype(object)
    status[:2], status[2] = "", "unreadable: no image"
    found = build({"part": changed(cube, status=("image", status))})
    assert [warning for warning in found.headline.warnings if "2 images not computed yet" in warning]
    assert [warning for warning in found.headline.warnings if "1 image failed" in warning]


def test_tables_travel_whole(cube: xr.DataTree, page: Page) -> None:
    shown = Reader(render(page)).data()["tables"][0]
    one = bs.at_zoom(cube)
    expected = {
        "curves": bs.curves(one),
        "curves_by_class": bs.curves(one, "class"),
        "bands_by_class": bs.bands(one, "class"),
        "conflicts_by_class": bs.conflicts(one, "class"),
        "scale_surface": bs.scale_surface(cube),
    }
    for name, table in expected.items():
        found = pd.DataFrame(shown[name])
        assert list(found) == list(table)
        for column in table:
            if pd.api.types.is_float_dtype(table[column]):
                np.testing.assert_allclose(found[column].astype(float), table[column], rtol=1e-6)
            else:
                assert found[column].fillna("").tolist() == table[column].astype(object).fillna("").tolist()


def test_every_cell_on_the_page_is_that_of_a_table(cube: xr.DataTree, page: Page) -> None:
    """Curves, reach and scale laws, as a reader without scripts has them."""
    one, cells = bs.at_zoom(cube), [*map(list, Cells(render(page)).rows)]
    curves, reach, laws = bs.curves(one), bs.reach(one), bs.scale_law(cube)
    percents = curves[["accuracy", "ci_low", "ci_high"]] * 100
    expected = [
        [f"{radius:g}", f"{row.accuracy:.1f} ({row.ci_low:.1f} to {row.ci_high:.1f})"]
        for radius, row in zip(curves["radius"], percents.itertuples(), strict=True)
    ]
    verbs = {"low_pass": "Low-pass reaches", "high_pass": "High-pass falls to"}
    reached = [
        [
            f"{verbs[row.probe]} {row.level:.0%}",
            row.reason or f"{row.radius:.1f} ({row.radius_ci_low:.1f} to {row.radius_ci_high:.1f})",
        ]
        for row in reach.itertuples()
    ]
    law = [
        [
            "planted", row.probe.replace("_", "-"), "–" if row.reason else f"{row.beta:.2f}",
            "" if row.reason else f"{row.beta_ci_low:.2f} to {row.beta_ci_high:.2f}",
            "" if row.reason else FOLLOWS[row.verdict], str(row.n), row.reason or row.left_out_because,
        ]
        for row in laws.itertuples()
    ]  # fmt: skip
    assert cells == [*reached, *expected, *law]


class Cells(HTMLParser):
    """The rows of all tables, the texts of their cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._body = self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._body = tag == "tbody" or (self._body and tag != "thead")
        self._cell = tag in ("th", "td", "bdi") and (self._cell or tag != "bdi")
        if self._body and tag == "tr":
            self.rows.append([])
        if self._body and tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._body = self._body and tag != "tbody"
        self._cell = self._cell and tag not in ("th", "td")

    def handle_data(self, data: str) -> None:
        if self._body and self._cell:
            self.rows[-1][-1] += data


def test_styles_and_scripts_hold_nothing_unused() -> None:
    """Every class of the styles is given to something, every class given has a style, every function is called."""
    folder = files("bandscope.report.html")
    texts = {
        path.name: path.read_text(encoding="utf-8")
        for name in ("static", "templates")
        for path in (folder / name).iterdir()
    }
    styles = "".join(
        re.sub(r"/\*.*?\*/|\{[^{}]*\}", "", text) for name, text in texts.items() if name.endswith(".css")
    )
    rest = "".join(text for name, text in texts.items() if not name.endswith(".css"))
    scripts = "".join(text for name, text in texts.items() if name.endswith(".js"))
    styled = set(re.findall(r"\.([a-zA-Z][\w-]*)", styles))
    assert [name for name in sorted(styled) if not re.search(rf"(?<![\w-]){name}(?![\w-])", rest)] == []
    given = re.findall(r"class(?:Name)?(?:=\"|: \")([^\"{}]*)\"", rest)
    assert sorted({name for names in given for name in names.split()} - styled) == []
    defined = re.findall(r"^(?:async )?(?:function|const) (\w+)", scripts, re.MULTILINE)
    assert [name for name in defined if len(re.findall(rf"\b{name}\b", scripts)) < 2] == []


def test_an_audit_of_bands_alone_speaks_of_bands() -> None:
    audited = bs.audit("planted", "planted?per_class=12", probes=[bs.BandPass(BANDS)], threads=1).load()
    best = bs.curves(audited).sort_values("accuracy").iloc[-1]
    page = build({"bands": audited})
    told = f"on {100 * best.accuracy:.1f} % with frequencies of {best.low:g} to {best.high:g} cycles per image alone"
    assert told in page.headline.sentence
    figure = page.headline.figures[0][1][1]
    assert (figure.value, figure.interval) == (
        f"{100 * best.accuracy:.1f}",
        f"{100 * best.ci_low:.1f} to {100 * best.ci_high:.1f} %",
    )
    text = render(page)
    for absent in ('id="map"', 'id="bands"', 'id="images"', 'href="#map"', "<tbody>\n</tbody>"):
        assert absent not in text
    both = build({"one": audited, "two": audited}).headline
    assert both.sentence == "2 audits side by side"
    assert both.meaning.count(f"is right on {100 * best.accuracy:.1f} % with frequencies of {best.low:g}") == 2
    assert "low-pass" not in text.split('id="curves"')[1].split('id="method"')[0]
    stopped = bs.audit("planted", "planted?per_class=12", probes=[bs.BandStop(BANDS)], threads=1).load()
    worst = bs.curves(stopped).sort_values("accuracy").iloc[0]
    told = f"without frequencies of {worst.low:g} to {worst.high:g} cycles per image"
    assert told in build({"bands": stopped}).headline.sentence


def test_stores_that_cannot_be_compared_are_still_reported(cube: xr.DataTree) -> None:
    one = bs.at_zoom(cube)
    other = changed(one, source=("image", np.array([f"other/{k}" for k in range(one.sizes["image"])], dtype=object)))
    found = build({"one": one, "other": other})
    assert found.against is not None
    assert "No image is in all stores" in found.against.missing
    assert "cannot be compared" in render(found)


def test_groups_are_those_asked_for(cube: xr.DataTree, tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("class,group\n" + "".join(f"{name},odd\n" for name in cube.dataset["class_name"].values[1:4]))
    data = build({"planted": bs.at_zoom(cube)}, by=str(table)).to_json()
    model = data["models"][0]
    assert [level["noun"] for level in model["levels"]] == ["group", "class"]
    assert model["members"] == {"odd": [1, 2, 3]}
    assert data["tables"][0]["bands_by_group"]["group"] == ["odd", "odd"]
    with pytest.raises(InputError, match="imagenet"):
        build({"planted": cube}, by="imagenet")


def test_a_file_that_cannot_be_written_is_an_error(
    cube: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StoreError, match=r"report.html cannot be written: No space left"):
        write_report({"planted": bs.at_zoom(cube).isel(image=slice(0, 20))}, tmp_path / "report.html")


@pytest.mark.slow
def test_a_thousand_classes_with_photographs_weigh_little(tmp_path: Path) -> None:
    classes, per_class = 1000, 20
    images = Photographs(classes * per_class)
    cube = large_cube(classes, per_class, images.spec, images.paths)
    written = write_report({"large": cube}, tmp_path / "large.html", source=images)
    assert written.notes == ()
    assert written.size < 15e6
    data = Reader(written.path.read_text()).data()
    assert len(data["tables"][0]["bands_by_class"]["group"]) == 2 * classes
    assert len(data["gallery"]["small"][0]) >= classes
    assert len(data["gallery"]["pictures"]) == len(data["gallery"]["small"][0])  # all of them differ
    assert not math.isnan(data["tables"][0]["curves_by_class"]["accuracy"][0])
