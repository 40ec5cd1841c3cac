"""The lens says and shows what an audit says and the report shows, condition by condition."""

import numpy as np
import pytest
import torch
from PIL import Image

import bandscope as bs
from bandscope.classifiers import load_classifier
from bandscope.conventions import PRESETS, Convention
from bandscope.errors import ImageError, ModelError
from bandscope.lens import pictures
from bandscope.lens.setting import Setting
from bandscope.lens.view import CHUNK, Curve, Lens, Subject
from bandscope.report.thumbnails import filtered

DATA = "planted?per_class=1"
RADII, BANDS, ZOOMS = (0, 11, 60), ((0, 8), (8, 16)), (0.71, 1, 2)
PIXEL = Convention(domain="pixel", keep_mean=True)


@pytest.fixture(scope="module")
def source():
    return bs.load_source(DATA)


@pytest.fixture(scope="module")
def lens():
    return Lens(load_classifier("planted"))


def settings(zoom: float) -> list[tuple[Setting, str, int]]:
    """Each with the group of the cube, and the place in it."""
    radial = [
        (Setting(kind, high=radius, family=family, zoom=zoom), f"{kind}{suffix}", place)
        for kind in ("low_pass", "high_pass")
        for family, suffix in (("ideal", ""), ("gaussian", "_gaussian"))
        for place, radius in enumerate(RADII)
    ]
    return radial + [
        (Setting(kind, low, high, zoom=zoom), kind, place)
        for kind in ("band_pass", "band_stop")
        for place, (low, high) in enumerate(BANDS)
    ]


@pytest.mark.parametrize(
    "convention",
    [
        Convention(),
        PRESETS["gavrikov2024"],
        pytest.param(PRESETS["zhang2023"], marks=pytest.mark.slow),
        pytest.param(PIXEL, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_answers_are_those_of_an_audit_bit_for_bit(source, convention):
    probes = [
        *(probe(RADII, family) for probe in (bs.LowPass, bs.HighPass) for family in ("ideal", "gaussian")),
        bs.BandPass(BANDS),
        bs.BandStop(BANDS),
    ]
    alone = {"limit": 1, "batch_size": 1, "threads": 1}
    cube = bs.audit("planted", source, probes=probes, zoom=ZOOMS, convention=convention, **alone)
    lens = Lens(load_classifier("planted"), convention)
    place = [*source.paths].index(str(cube["source"].values[0]))
    subject = Subject("", "", source[place], int(cube["label"].values[0]))
    clean = lens.look(subject, Setting()).answer
    assert clean.probabilities[subject.label] == cube["clean_probability"].values[0]
    assert clean.top.tolist() == cube["clean_top5_class"].values[0].tolist()
    for at, zoom in enumerate(ZOOMS):
        plain = lens.look(subject, Setting(zoom=zoom))
        assert plain.answer.probabilities[subject.label] == cube["all_pass/probability"].values[0, at]
        assert plain.crop.padded == pytest.approx(cube["all_pass/padded"].values[0, at])
        for setting, group, where in settings(zoom):
            look, measured = lens.look(subject, setting), cube[group]
            assert look.followed == subject.label
            assert look.answer.probabilities[subject.label] == measured["probability"].values[0, at, where]
            assert look.answer.top.tolist() == measured["top5_class"].values[0, at, where].tolist()
            top = look.answer.probabilities[look.answer.top]
            np.testing.assert_array_equal(top, measured["top5_probability"].values[0, at, where])
            assert look.out_of_range == measured["out_of_range"].values[0, at, where]
            np.testing.assert_array_equal(look.clean.probabilities, clean.probabilities)


def measured_curve(lens: Lens, subject: Subject, setting: Setting) -> Curve:
    *steps, curve = lens.measure_curve(subject, setting)
    assert steps == [None] * -(-len(curve.cutoffs) // CHUNK)
    assert lens.curve(subject, setting) is curve
    return curve


def test_curves_are_those_of_an_audit(lens, source):
    cube = bs.audit("planted", source, limit=1, threads=1)
    place = [*source.paths].index(str(cube["source"].values[0]))
    subject = Subject("", "", source[place], int(cube["label"].values[0]))
    for kind in ("low_pass", "high_pass"):
        curve = measured_curve(lens, subject, Setting(kind, high=7))
        assert [high for _, high in curve.cutoffs] == cube[kind]["radius"].values.tolist()
        own = curve.probabilities[:, subject.label]
        np.testing.assert_allclose(own, cube[kind]["probability"].values[0], atol=2e-6)
        assert curve.best.tolist() == cube[kind]["top5_class"].values[0, :, 0].tolist()


def test_the_point_lies_on_its_curve(lens, source):
    subject = Subject("", "", source[4], 4)
    for setting in (
        Setting("low_pass", high=14, zoom=1.41),
        Setting("band_stop", 8, 16),
        Setting("high_pass", high=5),
    ):
        curve = measured_curve(lens, subject, setting)
        at = curve.cutoffs.index((setting.low, setting.high))
        answer = lens.look(subject, setting).answer
        np.testing.assert_allclose(curve.probabilities[at], answer.probabilities, atol=2e-6)
        assert curve.best[at] == answer.top[0]
    assert lens.curve(subject, Setting("low_pass", high=3, zoom=1.41)) is not None  # one curve for all radii
    assert lens.curve(subject, Setting("low_pass", high=14, zoom=1.41, family="gaussian")) is None


@pytest.mark.parametrize("convention", [Convention(), PIXEL, PRESETS["gavrikov2024"]], ids=str)
def test_pictures_are_those_of_the_report(source, convention):
    cube = bs.audit(
        "planted", source, probes=[bs.LowPass([9]), bs.HighPass([9])], convention=convention, limit=1, threads=1
    )
    lens = Lens(load_classifier("planted"), convention)
    subject = Subject("", "", source[3])
    crop = lens.crop(subject, 1.0).pixels
    np.testing.assert_array_equal(lens.look(subject, Setting()).shown, crop)
    for kind in ("low_pass", "high_pass"):
        shown = lens.look(subject, Setting(kind, high=9)).shown.astype(int)
        expected = filtered(cube, kind, crop, 9) * 255
        assert np.abs(shown - expected).max() <= 0.51  # rounded to whole grey levels


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (12, 6), (7, 10)])
@pytest.mark.parametrize("setting", [Setting("low_pass", high=2), Setting("high_pass", high=2, family="gaussian")])
def test_the_drawn_part_of_the_spectrum_is_what_is_kept(size, setting):
    image = np.random.default_rng(0).random(size)
    gain = pictures.full_gain(setting, size, Convention())
    function = {"low_pass": bs.low_pass, "high_pass": bs.high_pass}[setting.kind]
    kept = np.fft.ifft2(np.fft.fft2(image) * gain)
    np.testing.assert_allclose(kept, function(image, setting.high, family=setting.family), atol=1e-12)


def test_a_spectrum_is_drawn_with_its_waves_in_place():
    rows, columns = np.mgrid[:32, :48]
    waves = 127 + 100 * np.cos(2 * np.pi * (3 * rows / 32 + 5 * columns / 48))
    crop = np.repeat(waves[:, :, None], 3, axis=2).round().astype(np.uint8)
    power = np.fft.fftshift(pictures.log_power(crop))
    brightest = set(zip(*np.nonzero(power == power.max()), strict=True))
    assert brightest == {(16, 24), (16 + 3, 24 + 5), (16 - 3, 24 - 5)}
    band = Setting("band_pass", 2, 4)  # 3/32 and 5/48 cycles/pixel: 4.5 cycles in the shorter side
    drawn = pictures.spectrum(crop, band, Convention()).astype(int)
    coloured = {(int(y), int(x)) for y, x in zip(*np.nonzero(np.ptp(drawn, axis=2) > 20), strict=True)}
    assert coloured
    radii = [32 * np.hypot((y - 16) / 32, (x - 24) / 48) for y, x in coloured]
    assert min(radii) > 2
    assert max(radii) <= 4


@pytest.mark.parametrize("shade", [0, 255])
def test_an_image_without_any_wave_is_shown(lens, shade):
    subject = Subject("", "", Image.new("RGB", (64, 64), (shade,) * 3))
    for setting in (Setting(), Setting("high_pass", high=0), Setting("band_pass", 1, 2)):
        look = lens.look(subject, setting)
        assert np.isfinite(pictures.spectrum(look.crop.pixels, setting, lens.convention)).all()
        assert look.followed == look.clean.top[0]


class Grey(torch.nn.Module):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        assert batch.shape[1:] == (1, 12, 20)
        return torch.stack([batch.mean((1, 2, 3)), batch.std((1, 2, 3)), batch.amax((1, 2, 3))], dim=1)


def test_grey_crops_of_any_shape():
    preprocess = bs.Preprocess(size=(12, 20), resize=(12, 20), mean=(0.5,), std=(0.25,))
    lens = Lens(load_classifier(Grey(), preprocess=preprocess))
    pixels = np.random.default_rng(1).integers(0, 256, (30, 40), dtype=np.uint8)
    look = lens.look(Subject("", "", Image.fromarray(pixels)), Setting("low_pass", high=3))
    assert look.shown.shape == (12, 20, 1)
    assert len(look.answer.top) == 3
    assert pictures.png(look.shown).startswith("data:image/png;base64,")


@pytest.mark.parametrize(("answer", "says"), [("nan", "no finite output"), ("raise", "RuntimeError: no more")])
def test_a_classifier_that_fails_is_an_error_of_ours(answer, says):
    def classifier(batch: torch.Tensor) -> torch.Tensor:
        if batch.abs().sum() == 0 or batch.std() < 1e-6:  # the black crop of the first check
            return torch.zeros(len(batch), 2)
        if answer == "raise":
            raise RuntimeError("no\nmore")
        return torch.full((len(batch), 2), torch.nan)

    preprocess = bs.Preprocess(size=(8, 8), resize=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    lens = Lens(load_classifier(classifier, preprocess=preprocess))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    with pytest.raises(ModelError, match=says):
        lens.look(Subject("", "", noise), Setting())


def test_a_zoom_that_shows_too_little_is_said(lens):
    with pytest.raises(ImageError, match="8"):
        lens.look(Subject("", "", Image.new("RGB", (16, 16))), Setting(zoom=4))


def test_classes_of_one_name_are_told_apart():
    preprocess = bs.Preprocess(size=(8, 8), resize=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    classes = [bs.ClassLabel("crane"), bs.ClassLabel("tench"), bs.ClassLabel("crane")]
    classifier = load_classifier(lambda batch: torch.zeros(len(batch), 3), preprocess=preprocess, classes=classes)
    assert Lens(classifier).names == ("crane [0]", "tench", "crane [2]")
