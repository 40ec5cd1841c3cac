"""The figure of one sample: the picture against NumPy's complex FFT, the story against the cube's own tables."""

import math
import re
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure
from sampled import LIMIT, SIDE, changed, moved, note, story, strip

import bandscope as bs
from bandscope.conventions import PRESETS, Convention
from bandscope.datasets.planted import Planted
from bandscope.engine.filters import FilterBank
from bandscope.errors import DataError, ImageError, InputError
from bandscope.preprocess import Preprocess
from bandscope.report.sample import sample_figure, sample_sheet, telling_radii
from bandscope.report.thumbnails import audited_images, filtered, reopened

CONVENTIONS = {
    **PRESETS,
    "keep the mean": Convention(keep_mean=True),
    "pixel": Convention(domain="pixel"),
    "pixel, keep the mean": Convention(domain="pixel", keep_mean=True),
    "clip": Convention(clip=True),
}


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


def test_a_model_at_a_path_is_named_by_its_file_and_folder(cube: xr.DataTree):
    model = {**cube.attrs["model"], "spec": "/home/me/runs/low45/best.safetensors"}
    title = sample_figure(changed(cube, model=model), 3).get_suptitle()
    assert title == f"{cube['source'].values[3]}, low45/best.safetensors"


def test_what_cannot_be_opened_again_is_said(cube: xr.DataTree):
    other = changed(cube, data={**cube.attrs["data"], "spec": "mine"})
    assert "cannot be opened again: 'mine' was given in Python" in note(sample_figure(other, 3))
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
