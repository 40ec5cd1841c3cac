"""The pictures of a page: those of the telling images, packed once, and what is said where they are lost."""

import base64
import io
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from reading import HOSTILE, RADII, Reader, build, changed
from stand_ins import Broken

import bandscope as bs
from bandscope.datasets.boxes import Boxes, load_boxes
from bandscope.report.html import write_report
from bandscope.report.html.build import Page
from bandscope.report.html.render import render


def test_gallery_holds_the_telling_images_and_their_curves(cube: xr.DataTree, page: Page) -> None:
    one = bs.at_zoom(cube)
    for kind in ("late", "nonmonotone"):
        ranked = bs.telling(one, kind, 6)["image"].tolist()
        assert [e["image"] for e in page.gallery.entries if any(t["kind"] == kind for t in e["kinds"])]
        assert {e["image"] for e in page.gallery.entries if any(t["kind"] == kind for t in e["kinds"])} == set(ranked)
    entry = page.gallery.entries[0]
    curves = bs.sample_curves(one, entry["image"]).query("probe == 'low_pass'")
    of_label = curves[curves["class_index"] == entry["label_index"]]["probability"]
    shown = entry["views"][0]["curves"]["low_pass"]["classes"][0]["probability"]
    np.testing.assert_allclose(shown, of_label, rtol=1e-6)
    highest = curves.groupby("radius")["probability"].max()
    np.testing.assert_allclose(entry["views"][0]["curves"]["low_pass"]["top_probability"], highest, rtol=1e-6)


def test_crops_are_stored_without_loss(cube: xr.DataTree, page: Page) -> None:
    entry = page.gallery.entries[0]
    crop = page.gallery.crops[entry["views"][0]["crop"]]
    source = bs.load_source("planted?per_class=12")
    image = source[list(source.paths).index(entry["source"])]
    with Image.open(io.BytesIO(base64.b64decode(crop.partition(",")[2]))) as stored:
        shown = np.asarray(stored.convert("RGB"))
    assert page.gallery.quality is None
    assert (shown == bs.Preprocess.from_json(cube.attrs["preprocess"]).crop(image)).all()


def test_nothing_is_fetched_and_names_are_text(cube: xr.DataTree) -> None:
    names = cube.dataset["class_name"].values.astype(object)
    names[:3] = HOSTILE, "{{ 7 * 7 }}", "\u202ertl"
    tree = changed(cube, class_name=("class", names))
    tree.attrs |= {"command": HOSTILE, "model": {**tree.attrs["model"], "spec": HOSTILE}}
    text = render(build({HOSTILE: tree}))
    assert HOSTILE not in text
    assert "{{ 7 * 7 }}" not in text  # it travels compressed
    reader = Reader(text)
    assert reader.data()["tables"][0]["bands_by_class"]["group"][0] == HOSTILE
    assert "img" not in [tag for tag, _ in reader.tags]
    for tag, attributes in reader.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            assert re.match(r"#|data:|$", attributes.get(name) or ""), (tag, attributes)
    assert not re.search(r"@import|url\(", text.split("<style>")[1].split("</style>")[0])


def test_a_report_without_pictures_says_so(cube: xr.DataTree, tmp_path: Path) -> None:
    tree = bs.at_zoom(cube).copy()
    tree.attrs = {**tree.attrs, "data": {**tree.attrs["data"], "spec": f"folder:{tmp_path / 'gone'}"}}
    written = write_report({"gone": tree}, tmp_path / "report.html")
    assert written.notes
    assert "Pictures are left out." in written.notes[0]
    data = Reader(written.path.read_text()).data()["gallery"]
    assert (data["crops"], data["small"], data["typical"]) == ({}, [{}], [None])
    given = write_report({"gone": tree}, tmp_path / "report.html", source="planted?per_class=12")
    assert given.notes == ()
    assert Reader(given.path.read_text()).data()["gallery"]["crops"]


def test_pictures_that_cannot_be_opened_are_counted(cube: xr.DataTree) -> None:
    """The others are shown."""
    one = bs.at_zoom(cube)
    whole = build({"planted": one}).gallery
    lost = [one["source"].values[whole.entries[k]["image"]] for k in (0, 1)]
    images = Broken(gone=str(lost[0]), corrupt=str(lost[1]))
    page = build({"planted": one}, images=images)
    (note,) = page.notes
    assert note.startswith("2 pictures could not be opened again, such as ")
    assert "holds no" in note or "truncated" in note
    shown = {entry["source"]: "crop" in entry["views"][0] for entry in page.gallery.entries}
    assert [source for source, has_crop in shown.items() if not has_crop] == [str(path) for path in lost]
    assert len(page.gallery.small[0]) == len(whole.small[0]) - 2
    assert note in unescape(render(page))


def test_equal_pictures_of_several_audits_are_packed_once(cube: xr.DataTree) -> None:
    one = bs.at_zoom(cube)
    double = build({"one": one, "two": one}).gallery
    crops = [{entry["views"][0]["crop"] for entry in double.entries if entry["model"] == k} for k in (0, 1)]
    assert crops[0] == crops[1]
    assert double.crops.keys() == crops[0]
    assert double.small[0] == double.small[1]
    assert double.pictures.keys() == set(double.small[0].values())


def test_boxes_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, file = bs.load_source("planted?per_class=12"), tmp_path / "boxes.csv"
    file.write_text("source,x0,y0,x1,y1\n" + "".join(f"{path},8,8,40,40\n" for path in images.paths))
    sizes = bs.ObjectSize((32.0, 64.0), file)
    small = bs.audit("planted", images, probes=[bs.LowPass(RADII)], zoom=sizes, limit=12, threads=1).load()
    read: list[str] = []

    def reading(path: str, sources: list[str]) -> Boxes:
        read.append(path)
        return load_boxes(path, sources)

    monkeypatch.setattr("bandscope.report.thumbnails.load_boxes", reading)
    assert len(build({"boxed": small}).gallery.crops) > 1
    assert read == [str(file)]
    low = small["low_pass"].to_dataset(inherit=False).isel(radius=slice(0, 2))
    groups = {"/": small.to_dataset(), "/all_pass": small["all_pass"].to_dataset(inherit=False), "/low_pass": low}
    page = build({"no image has an r50": xr.DataTree.from_dict(groups)})
    assert "shifted" not in [kind["kind"] for kind in page.kinds]
