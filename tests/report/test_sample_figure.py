"""The figure of one sample: the picture against NumPy's complex FFT, the story against the cube's own tables."""

import math
import re
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import bandscope as bs
from bandscope.conventions import PRESETS, Convention
from bandscope.datasets.planted import Planted
from bandscope.engine.filters import FilterBank
from bandscope.errors import DataError, ImageError, InputError
from bandscope.preprocess import Preprocess
from bandscope.report.sample import Sample, sample_figure, sample_sheet, telling_radii
from bandscope.report.thumbnails import audited_images, filtered, reopened

SIDE = 64
RADII = (2.0, 4.0, 6.0, 8.0, 10.0, 13.0, 17.0, 21.0, 25.0, 30.0, 46.0)
LIMIT = 24
CONVENTIONS = {
    **PRESETS,
    "keep the mean": Convention(keep_mean=True),
    "pixel": Convention(domain="pixel"),
    "pixel, keep the mean": Convention(domain="pixel", keep_mean=True),
    "clip": Convention(clip=True),
}


@pytest.fixture(scope="module")
def cube() -> xr.DataTree:
    return bs.audit(probes=[bs.LowPass(RADII), bs.HighPass(RADII)], limit=LIMIT, threads=1, workers=1)


@pytest.fixture(scope="module")
def crop(cube: xr.DataTree) -> np.ndarray:
    return reopened([cube], 3, Planted())[0]


def changed(cube: xr.DataTree, **attributes: object) -> xr.DataTree:
    """The same cube, other words in its attributes."""
    other = cube.copy(deep=True)
    other.attrs |= attributes
    return other


def usurped(cube: xr.DataTree, image: int, first: int, last: int, usurper: int) -> xr.DataTree:
    """The label on top everywhere but at radii number first to last, where `usurper` is."""
    other = cube.copy(deep=True)
    label = int(cube["label"].values[image])
    top = other["low_pass"]["top5_class"].values
    rest = [k for k in range(9) if k not in (label, usurper)][:3]
    top[image] = [label, usurper, *rest]
    top[image, first : last + 1] = [usurper, label, *rest]
    other["low_pass"]["top5_probability"].values[image] = [0.6, 0.2, 0.1, 0.05, 0.02]
    other["low_pass"]["probability"].values[image] = np.where(top[image, :, 0] == label, 0.6, 0.2)
    return other


def loser(cube: xr.DataTree) -> tuple[xr.DataTree, int, str]:
    """A cube whose image 3 is lost to another class at radii 8 to 13; that class and its name."""
    usurper = (int(cube["label"].values[3]) + 1) % 9
    return usurped(cube, 3, 3, 5, usurper), usurper, str(cube["class_name"].values[usurper])


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[-1].texts]


def strip(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes[:-1]]


# The picture


def test_the_crop_is_the_one_that_was_audited(cube: xr.DataTree):
    planted = Planted()
    for position in (0, LIMIT - 1):
        place = planted.paths.index(str(cube["source"].values[position]))
        expected = np.asarray(planted[place].convert("RGB").resize((SIDE, SIDE), 1))  # 1: Lanczos
        assert cube.attrs["preprocess"]["interpolation"] == "lanczos"
        np.testing.assert_array_equal(reopened([cube], position, audited_images(cube))[0], expected)


@pytest.mark.parametrize("radius", [6.0, 17.0])
@pytest.mark.parametrize("domain", ["normalised", "pixel"])
def test_filtered_pixels_are_those_of_a_complex_transform(cube, crop, radius, domain):
    y, x = np.indices((SIDE, SIDE)) - SIDE // 2
    keep = (np.hypot(y, x) <= radius)[..., None]
    spectrum = np.fft.fftshift(np.fft.fft2(crop / 255, axes=(0, 1)), axes=(0, 1))
    low = np.fft.ifft2(np.fft.ifftshift(spectrum * keep, axes=(0, 1)), axes=(0, 1)).real
    other = changed(cube, convention=asdict(Convention(domain=domain)))
    np.testing.assert_allclose(filtered(other, "low_pass", crop, radius), low.clip(0, 1), atol=1e-9)
    high = (crop / 255 - low + 0.5).clip(0, 1)
    np.testing.assert_allclose(filtered(other, "high_pass", crop, radius), high, atol=1e-9)
    mean = changed(cube, convention=asdict(Convention(domain=domain, keep_mean=True)))
    high = crop / 255 - low + (crop / 255).mean((0, 1))
    np.testing.assert_allclose(filtered(mean, "high_pass", crop, radius), high.clip(0, 1), atol=1e-9)


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("family", ["ideal", "gaussian"])
def test_what_is_shown_is_what_the_network_saw(cube, crop, name, family):
    """But for clipping, and for the grey on which a high-pass without a mean is shown."""
    convention, radius = CONVENTIONS[name], 9.0
    preprocess = replace(Preprocess.from_json(cube.attrs["preprocess"]), mean=(0.4, 0.5, 0.3), std=(0.2, 0.3, 0.25))
    probes = [probe((radius,), family).at_size((SIDE, SIDE)) for probe in (bs.LowPass, bs.HighPass)]
    other = changed(cube, convention=asdict(convention), preprocess=preprocess.to_json())
    for kind in ("low_pass", "high_pass"):
        other[kind].attrs["family"] = family
    bank = FilterBank(probes, convention, preprocess, torch.device("cpu"))
    for probe, _, seen, _ in bank(torch.from_numpy(crop)[None]):
        kind = "low_pass" if probe.startswith("low") else "high_pass"
        pixels = np.moveaxis(seen[0].numpy(), 0, -1) * preprocess.std + preprocess.mean
        if kind == "high_pass" and not (convention.keep_mean or convention.clip):
            pixels = pixels + 0.5 - (np.array(preprocess.mean) if convention.domain == "normalised" else 0)
        np.testing.assert_allclose(filtered(other, kind, crop, radius), pixels.clip(0, 1), atol=1e-5)


def test_infinity_is_the_clean_image(cube, crop):
    np.testing.assert_array_equal(filtered(cube, "low_pass", crop, math.inf), crop / 255)


# The figure


def test_position_and_source_name_the_same_image(cube: xr.DataTree):
    path = str(cube["source"].values[3])
    one, other = (sample_figure(cube, image, radii=[5, math.inf]) for image in (3, path))
    assert one.get_suptitle() == other.get_suptitle() == f"{path}, planted"
    for a, b in zip(one.axes[:-1], other.axes[:-1], strict=True):
        np.testing.assert_array_equal(a.images[0].get_array(), b.images[0].get_array())


@pytest.mark.parametrize("probe", ["low_pass", "high_pass"])
def test_thumbnails_and_curves_are_those_of_the_cube(cube, crop, probe, check_legible: Callable):
    figure = sample_figure(cube, 3, probe=probe, radii=[4, 10.5])
    assert strip(figure) == ["r = 4", "r = 10.5"]
    for axes, radius in zip(figure.axes[:-1], (4, 10.5), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), filtered(cube, probe, crop, radius))
    label = next(line for line in figure.axes[-1].lines if line.get_linewidth() > 2)
    np.testing.assert_array_equal(label.get_ydata(), cube[probe]["probability"].values[3].astype(np.float64))
    assert str(cube["class_name"].values[cube["label"].values[3]]) in texts(figure)
    check_legible(figure)


def test_a_takeover_is_shaded_framed_and_named(cube: xr.DataTree):
    other, _, name = loser(cube)
    figure = sample_figure(other, 3)
    (span,) = figure.axes[-1].patches
    assert (span.get_x(), span.get_x() + span.get_width()) == (7, 15)  # half way to the radii 6 and 17
    assert name in texts(figure)
    assert "onset r = 17" in texts(figure)
    assert {"r = 6", "r = 10", "r = 17", "clean"} <= set(strip(figure))
    framed = [axes.get_title() for axes in figure.axes[:-1] if axes.spines["top"].get_linewidth() > 1]
    assert "r = 10" in framed
    assert {"r = 6", "r = 17", "clean"}.isdisjoint(framed)


def test_classes_of_one_name_are_told_apart_by_index(cube: xr.DataTree):
    other, usurper, _ = loser(cube)
    label = int(other["label"].values[3])
    other["class_name"].values[[label, usurper]] = "crane"
    figure = sample_figure(other, 3)
    assert {f"crane [{label}]", f"crane [{usurper}]"} <= set(texts(figure))
    assert len(figure.axes[-1].patches) == 1


def test_a_class_on_top_at_one_radius_is_no_rival_unless_it_takes_over(cube: xr.DataTree):
    usurper = (int(cube["label"].values[3]) + 1) % 9
    name = str(cube["class_name"].values[usurper])
    first, later = usurped(cube, 3, 0, 0, usurper), usurped(cube, 3, 1, 1, usurper)
    assert name not in texts(sample_figure(first, 3))
    assert name in texts(sample_figure(later, 3))


def behind(figure: Figure) -> np.ndarray | None:
    """The grey curve."""
    found = [line for line in figure.axes[-1].lines if line.get_color() == "#a8a8a8" and len(line.get_xdata()) > 2]
    return np.asarray(found[0].get_ydata()) if found else None


def test_the_class_lies_behind(cube: xr.DataTree):
    figure = sample_figure(cube, 3, radii=[5])
    own = cube["label"].values == cube["label"].values[3]
    assert own.sum() > 1
    np.testing.assert_allclose(behind(figure), cube["low_pass"]["probability"].values[own].mean(axis=0), rtol=1e-5)
    assert "mean of its class" in texts(figure)


def test_behind_an_only_child_lies_its_group(cube: xr.DataTree):
    labels = cube["label"].values
    own = int(labels[3])
    alone = cube.isel(image=[3, *np.flatnonzero(labels != own)])
    assert behind(sample_figure(alone, 0, radii=[5])) is None
    cousin = (own + 1) % 9
    figure = sample_figure(alone, 0, radii=[5], by={own: "stripes & co.", cousin: "stripes & co."})
    members = np.isin(alone["label"].values, [own, cousin])
    assert members.sum() > 2
    np.testing.assert_allclose(
        behind(figure), alone["low_pass"]["probability"].values[members].mean(axis=0), rtol=1e-5
    )
    assert "mean of stripes & co." in texts(figure)
    assert behind(sample_figure(alone, 0, radii=[5], by={own: "nobody else"})) is None


def test_images_that_failed_are_not_behind(cube: xr.DataTree):
    other = cube.copy(deep=True)
    bad = next(i for i in np.flatnonzero(cube["label"].values == cube["label"].values[3]) if i != 3)
    other["status"].values[bad] = "corrupt: no image"
    own = (cube["label"].values == cube["label"].values[3]) & (np.arange(LIMIT) != bad)
    expected = cube["low_pass"]["probability"].values[own].mean(axis=0) if own.sum() > 1 else None
    found = behind(sample_figure(other, 3, radii=[5]))
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_allclose(found, expected, rtol=1e-5)


# Which radii


def story(cube: xr.DataTree, **changes: object) -> Sample:
    table = bs.takeovers(cube).query("image == 3 and probe == 'low_pass'")
    fields = {"source": "", "index": 0, "label": "", "kind": "low_pass", "radius": np.array(RADII), "curves": table,
              "corner": 45.3, "takeovers": table, "onset": math.nan}  # fmt: skip
    return Sample(**(fields | changes))


def test_without_a_turn_radii_are_even_by_ratio(cube: xr.DataTree):
    none = story(usurped(cube, 3, 1, 0, 5))
    # 2 first, then 10, nearest to sqrt(2 x 45.3), then 21, nearest to sqrt(10 x 45.3), which is farther off than 4
    assert telling_radii([none], 4) == [2, 10, 21, math.inf]
    assert telling_radii([replace(none, kind="high_pass")], 3) == [2, 10, 21]


def test_turns_come_first_and_are_never_crowded_out(cube: xr.DataTree):
    lost = story(loser(cube)[0], onset=17.0)
    assert telling_radii([lost], 2) == [10, math.inf]
    assert telling_radii([lost], 3) == [10, 17, math.inf]
    assert telling_radii([lost], 4) == [6, 10, 17, math.inf]
    assert set(telling_radii([lost], 7)) > {6, 10, 17, math.inf}


def test_under_high_pass_before_means_a_larger_radius(cube: xr.DataTree):
    lost = story(loser(cube)[0], kind="high_pass", onset=6.0)
    assert telling_radii([lost], 3) == [6, 10, 17]


@pytest.mark.parametrize("radius", [(0.0,), (50.0,), (0.0, 7.0)])
def test_small_grids_are_shown_whole(cube: xr.DataTree, radius):
    found = telling_radii([story(usurped(cube, 3, 1, 0, 5), radius=np.array(radius))])
    assert found == [max(radius), math.inf]


# What cannot be shown


class Mine:
    """An image set that only its owner can open."""

    spec = "mine"

    def __init__(self, paths: tuple[str, ...] | None = None) -> None:
        planted = Planted()
        self.classes, self.labels, self.paths = planted.classes, planted.labels, paths or planted.paths
        self._images = planted

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int):
        return self._images[position]

    def fingerprint(self) -> str:
        return "mine"


class Broken(Mine):
    def __getitem__(self, position: int):
        raise ImageError("it is broken")


def moved(cube: xr.DataTree) -> xr.DataTree:
    return changed(cube, data={**cube.attrs["data"], "spec": "folder:/nowhere/to/be/seen"})


def note(figure: Figure) -> str:
    return " ".join(figure.axes[0].get_title(loc="left").split())


def test_without_its_source_an_image_shows_its_curves_and_says_why(cube: xr.DataTree, check_legible: Callable):
    sheet = sample_sheet(moved(cube), 3)
    assert len(sheet.figure.axes) == 1
    label = next(line for line in sheet.figure.axes[0].lines if line.get_linewidth() > 2)
    np.testing.assert_array_equal(label.get_ydata(), cube["low_pass"]["probability"].values[3].astype(np.float64))
    assert note(sheet.figure) == sheet.missing
    assert re.match(r"The image cannot be shown\. .*opened again: The folder '/nowhere.* not exist", sheet.missing)
    check_legible(sheet.figure)


def test_images_that_have_moved_can_be_pointed_at(cube: xr.DataTree, crop: np.ndarray):
    for source in ("planted", Mine()):
        sheet = sample_sheet(moved(cube), 3, source=source, radii=[5, math.inf])
        assert sheet.missing == ""
        assert strip(sheet.figure) == ["r = 5", "clean"]
        np.testing.assert_array_equal(sheet.figure.axes[1].images[0].get_array(), crop / 255)


def test_what_cannot_be_opened_again_is_said(cube: xr.DataTree):
    other = changed(cube, data={**cube.attrs["data"], "spec": "mine"})
    assert "cannot be opened again: 'mine' is not a known image set" in note(sample_figure(other, 3))
    path = str(cube["source"].values[3])
    assert f"'mine' holds no '{path}'" in note(sample_figure(cube, 3, source=Mine(("a.png", "b.png"))))
    assert "it is broken" in note(sample_figure(cube, 3, source=Broken()))


def test_a_source_that_was_asked_for_must_open(cube: xr.DataTree):
    with pytest.raises(DataError, match="'/nowhere' does not exist"):
        sample_figure(cube, 3, source="folder:/nowhere")
    with pytest.raises(InputError, match="'mine' is not a known image set"):
        sample_figure(cube, 3, source="mine")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"image": LIMIT}, f"0 to {LIMIT - 1}"),
        ({"image": "nobody"}, "no image of the cube has this source"),
        ({"probe": "low-pass"}, "'low-pass'.*low_pass.*Did you mean 'low_pass'"),
        ({"probe": "band_pass"}, "a sample under high_pass, low_pass"),
        ({"radii": []}, "No radii"),
        ({"radii": [5, 4]}, "strictly increasing"),
        ({"radii": [-1]}, "radii must be finite and >= 0"),
        ({"radii": [math.inf, 5]}, "radii must be finite"),
        ({"radii": [5, math.inf], "probe": "high_pass"}, "radii must be finite"),
        ({"radii": range(13)}, "1 to 12"),
    ],
)
def test_impossible_requests_are_named(cube: xr.DataTree, settings: dict, words: str):
    with pytest.raises(InputError, match=words):
        sample_figure(cube, **({"image": 3} | settings))


def test_an_image_without_results_is_refused(cube: xr.DataTree):
    other = cube.copy(deep=True)
    other["status"].values[3] = "corrupt: no image"
    with pytest.raises(InputError, match="corrupt: no image"):
        sample_figure(other, 3)


@pytest.mark.parametrize("probe", ["low_pass", "high_pass"])
def test_every_sample_can_be_read(cube: xr.DataTree, probe: str, check_legible: Callable):
    for position in range(0, LIMIT, 12):
        check_legible(sample_figure(cube, position, probe=probe))


# Over zooms

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
