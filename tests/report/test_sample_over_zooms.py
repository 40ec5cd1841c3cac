"""The figure of one sample of an audit over zooms: a row a zoom."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from sampled import SIDE, moved, note, story

import bandscope as bs
from bandscope.datasets.planted import Planted
from bandscope.errors import InputError
from bandscope.report.sample import sample_figure, sample_sheet, telling_radii
from bandscope.report.thumbnails import filtered

ZOOMS = (0.5, 1.0, 2.0)


SAME = 3  # an image that is right at all of them, and its class


@pytest.fixture(scope="module")
def zoomed() -> xr.DataTree:
    probes = [bs.LowPass((1, 3, 5, 8, 13, 21)), bs.HighPass((1, 5, 13))]
    return bs.audit(probes=probes, zoom=ZOOMS, limit=27, threads=1, workers=1)


def rows_of(figure: Figure, count: int) -> list[tuple[list[Axes], Axes]]:
    """The thumbnails and the panel of each row."""
    across = len(figure.axes) // count
    rows = [figure.axes[start : start + across] for start in range(0, len(figure.axes), across)]
    return [(row[:-1], row[-1]) for row in rows]


def by_pillow(position: int, zoom: float, cube: xr.DataTree) -> np.ndarray:
    """The middle of a planted image, resized as a whole."""
    planted = Planted()
    image = planted[planted.paths.index(str(cube["source"].values[position]))].convert("RGB")
    side = round(SIDE * zoom)
    resized = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS))
    start = max(0, side - SIDE) // 2
    return resized[start : start + SIDE, start : start + SIDE]


@pytest.mark.parametrize("probe", ["low_pass", "high_pass"])
def test_each_zoom_has_its_images_and_its_curves(zoomed: xr.DataTree, probe: str, check_legible: Callable):
    figure = sample_figure(zoomed, SAME, probe=probe, radii=[5, 13])
    rows = rows_of(figure, len(ZOOMS))
    assert [row[0][0].get_ylabel() for row in rows] == ["zoom 0.5\n75% padded", "zoom 1", "zoom 2"]
    assert [axes.get_title() for axes in rows[0][0]] == ["r = 5", "r = 13"]
    for z, (strip, panel) in enumerate(rows):
        label = next(line for line in panel.lines if line.get_linewidth() > 2)
        expected = zoomed[probe]["probability"].values[SAME, z].astype(np.float64)
        np.testing.assert_array_equal(label.get_ydata(), expected)
        if ZOOMS[z] >= 1:
            crop = by_pillow(SAME, ZOOMS[z], zoomed)
            for axes, radius in zip(strip, (5, 13), strict=True):
                np.testing.assert_array_equal(axes.images[0].get_array(), filtered(zoomed, probe, crop, radius))
    check_legible(figure)


def test_a_small_zoom_shows_the_whole_image_within_its_reflection(zoomed: xr.DataTree):
    figure = sample_figure(zoomed, SAME, radii=[math.inf], zoom=0.5)
    shown = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_array_equal(shown[16:48, 16:48] * 255, by_pillow(SAME, 0.5, zoomed))


def test_r50_is_that_of_the_scale_points(zoomed: xr.DataTree):
    points = bs.scale_points(zoomed, by="image", padded=True).query("probe == 'low_pass' and image == @SAME")
    sheet = sample_sheet(zoomed, SAME)
    np.testing.assert_array_equal([sample.r50 for sample in sheet.samples], points["r50"])
    assert np.isfinite(points["r50"]).sum() > 1
    for (_, panel), r50 in zip(rows_of(sheet.figure, 3), points["r50"], strict=True):
        marked = [list(line.get_xdata()) for line in panel.lines]
        assert ([r50, r50] in marked) == math.isfinite(r50)
        assert (f"r50 = {r50:.1f}" if math.isfinite(r50) else "no r50") in panel.texts[0].get_text()


def test_behind_each_zoom_lies_the_class_at_that_zoom(zoomed: xr.DataTree):
    own = zoomed["label"].values == zoomed["label"].values[SAME]
    assert own.sum() > 1
    for z, (_, panel) in enumerate(rows_of(sample_figure(zoomed, SAME), 3)):
        grey = next(line for line in panel.lines if line.get_color() == "#a8a8a8" and len(line.get_xdata()) > 2)
        mean = zoomed["low_pass"]["probability"].values[own, z].mean(axis=0)
        np.testing.assert_allclose(grey.get_ydata(), mean, rtol=1e-5)


def test_one_zoom_is_drawn_as_a_cube_without_zoom(zoomed: xr.DataTree):
    one, other = sample_figure(zoomed, SAME, zoom=2), sample_figure(bs.at_zoom(zoomed, 2), SAME)
    assert one.get_suptitle() == other.get_suptitle() == f"{zoomed['source'].values[SAME]}, planted, zoom 2"
    assert len(one.axes) == len(other.axes) == 8  # six radii and clean
    np.testing.assert_array_equal(one.axes[-2].images[0].get_array() * 255, by_pillow(SAME, 2, zoomed))
    for a, b in zip(one.axes[:-1], other.axes[:-1], strict=True):
        np.testing.assert_array_equal(a.images[0].get_array(), b.images[0].get_array())


def test_one_zoom_of_many_is_that_of_an_audit_without(zoomed: xr.DataTree):
    plain = bs.audit(probes=[bs.LowPass((1, 3, 5, 8, 13, 21))], limit=27, threads=1, workers=1)
    one, other = sample_sheet(zoomed, SAME, zoom=1), sample_sheet(plain, SAME)
    assert one.samples[0].onset == other.samples[0].onset
    assert one.samples[0].clean_probability == pytest.approx(other.samples[0].clean_probability, rel=1e-5)
    for a, b in zip(one.figure.axes[:-1], other.figure.axes[:-1], strict=True):
        np.testing.assert_array_equal(a.images[0].get_array(), b.images[0].get_array())


def test_without_its_source_a_zoomed_image_shows_its_curves(zoomed: xr.DataTree, check_legible: Callable):
    figure = sample_figure(moved(zoomed), SAME)
    assert len(figure.axes) == len(ZOOMS)
    assert "The image cannot be shown." in note(figure)
    check_legible(figure)


def test_of_many_zooms_six_are_spread(zoomed: xr.DataTree):
    many = moved(zoomed.isel(zoom=[1] * 11))
    many.dataset = many.to_dataset().assign_coords(zoom=np.arange(1.0, 12))
    samples = sample_sheet(many, SAME).samples
    assert [sample.zoom for sample in samples] == ["zoom 1", "zoom 3", "zoom 5", "zoom 7", "zoom 9", "zoom 11"]


def test_half_of_the_radii_of_several_zooms_are_turns(zoomed: xr.DataTree):
    none = story(zoomed)
    turns = [replace(none, takeovers=none.takeovers.head(0), onset=onset) for onset in (25.0, 17.0, 10.0, 8.0)]
    # 25 and 8, the outermost zooms; then 2, two octaves from 8; then 4, half way
    assert telling_radii(turns, 5) == [2, 4, 8, 25, math.inf]


def test_zooms_that_the_cube_does_not_have_are_refused(cube: xr.DataTree, zoomed: xr.DataTree):
    with pytest.raises(InputError, match=r"no zoom 3; it has zoom 0\.5, 1, 2"):
        sample_figure(zoomed, SAME, zoom=3)
    with pytest.raises(InputError, match="no zoom 2; it has zoom 1"):
        sample_figure(cube, 3, zoom=2)


def test_object_sizes_are_cut_around_their_boxes(tmp_path):
    planted = Planted(per_class=1)
    boxes = tmp_path / "boxes.csv"
    lines = [f"{path},32,32,160,160" for path in planted.paths]
    boxes.write_text("\n".join(["source,x0,y0,x1,y1", *lines]))
    sizes = bs.ObjectSize((32.0, 64.0), boxes)
    cube = bs.audit("planted", "planted?per_class=1", probes=[bs.LowPass((5, 20))], zoom=sizes, threads=1)
    figure = sample_figure(cube, 0, radii=[math.inf])
    _, ((large,), _) = rows_of(figure, 2)
    assert large.get_ylabel() == "object size 64"
    whole = np.asarray(planted[0].convert("RGB").resize((128, 128), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(large.images[0].get_array() * 255, whole[16:80, 16:80])  # about 96 / 256 of it
    some = sample_figure(cube.isel(image=[2, 0]), 1, radii=[math.inf])
    np.testing.assert_array_equal(rows_of(some, 2)[1][0][0].images[0].get_array(), large.images[0].get_array())
    boxes.write_text("\n".join(["source,x0,y0,x1,y1", *lines[1:], f"{planted.paths[0]},0,0,9,9"]))
    assert "not those that were audited" in note(sample_figure(cube, 0))
    boxes.unlink()
    assert "There is no file of boxes" in note(sample_figure(cube, 0))
