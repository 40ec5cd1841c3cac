"""The planted set against closed forms and NumPy's FFT; its network against the planted truth."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.integrate import quad
from sklearn.isotonic import IsotonicRegression

from bandscope.classifiers import Classifier, load_classifier
from bandscope.datasets.base import ImageSource
from bandscope.datasets.planted import (
    BACKGROUND_CLASS,
    BANDS,
    DIAMETER,
    EDGE,
    MAX_SEED,
    ORIENTATIONS,
    SHIFT,
    SIZE,
    TILT,
    Planted,
    one_over_f,
    paint,
)
from bandscope.errors import InputError
from bandscope.preprocess import Preprocess

SIDE = 64
RADII = np.array([*range(1, 13), *range(14, 31, 2), 46])
CROP = Preprocess((SIDE, SIDE), SIDE, (0.5,) * 3, (0.25,) * 3, interpolation="lanczos")
positions = st.integers(0, 89)
seeds = st.integers(0, MAX_SEED)
striped_positions = positions.filter(lambda position: position % 9 != BACKGROUND_CLASS)


def pixels(source: Planted, position: int) -> np.ndarray:
    return np.asarray(source[position])


# --- the set as an image source -------------------------------------------------------------------------


def test_is_an_image_source_of_rgb_images_in_turn() -> None:
    source = Planted(per_class=2)
    assert isinstance(source, ImageSource)
    assert len(source) == len(source.paths) == len(set(source.paths)) == 18
    assert source.labels.tolist() == [*range(9), *range(9)]
    assert [label.name for label in source.classes][:: len(BANDS)] == ["stripes 3-5", "background"]
    assert (source[0].mode, source[0].size) == ("RGB", (SIZE, SIZE))


@settings(max_examples=15)
@given(seed=seeds, position=positions)
def test_an_image_is_a_function_of_seed_split_and_position(seed: int, position: int) -> None:
    source = Planted(per_class=10, seed=seed)
    expected = pixels(source, position)
    pixels(source, 0)
    np.testing.assert_array_equal(expected, pixels(source, position))
    np.testing.assert_array_equal(expected, pixels(source, position - len(source)))
    np.testing.assert_array_equal(expected, pixels(Planted(per_class=20, seed=seed), position))
    others = (Planted("train", per_class=10, seed=seed), Planted(per_class=10, seed=(seed + 1) % MAX_SEED))
    assert all((pixels(other, position) != expected).mean() > 0.5 for other in others)


def test_threads_do_not_change_images() -> None:
    source = Planted(per_class=2)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda position: pixels(source, position), range(len(source))))
    for position, image in enumerate(together):
        np.testing.assert_array_equal(image, pixels(Planted(per_class=2), position))


def test_fingerprint_and_spec_tell_settings_apart() -> None:
    variants = [
        {},
        {"split": "train"},
        {"per_class": 3},
        {"seed": 1},
        {"texture": "image"},
        {"texture": "image", "zoom": 2.0},
    ]
    sets = [Planted(**variant) for variant in variants]
    assert len({one.fingerprint() for one in sets}) == len({one.spec for one in sets}) == len(variants)
    assert sets[0].spec == "planted"
    assert sets[-1].spec == "planted?texture=image&zoom=2.0"
    assert sets[0].fingerprint() == Planted(per_class=40).fingerprint()


def test_a_position_outside_the_set_ends_iteration() -> None:
    assert len(list(Planted(per_class=1))) == 9
    with pytest.raises(IndexError):
        Planted(per_class=1)[9]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"split": "tset"}, "Did you mean 'test'"),
        ({"texture": "pixel"}, "must be 'object' or 'image'"),
        ({"per_class": 0}, "per_class is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296"),
        ({"texture": "image", "zoom": 5.0}, "1 to 4"),
        ({"texture": "image", "zoom": float("nan")}, "1 to 4"),
        ({"zoom": 2.0}, "texture='image'"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Planted(**setting)


# --- what is planted ------------------------------------------------------------------------------------


@given(seed=seeds, position=striped_positions)
def test_every_wave_lies_in_its_class_band_and_direction(seed: int, position: int) -> None:
    source = Planted(per_class=10, seed=seed)
    stripes, label = source.stripes(position), source.labels[position]
    frequency = np.hypot(*stripes.waves.T)
    direction = np.rad2deg(np.arctan2(stripes.waves[:, 1], stripes.waves[:, 0]))
    off = (direction - ORIENTATIONS[label] + 90) % 180 - 90
    low, high = source.bands[label]
    assert ((low - 1e-9 <= frequency) & (frequency <= high + 1e-9)).all()
    assert frequency[0] == pytest.approx(stripes.carrier)
    assert np.abs(off).max() <= TILT + 1e-9
    assert np.hypot(*stripes.centre) <= SHIFT


@settings(max_examples=30)
@given(seed=seeds, position=striped_positions, zoom=st.floats(1, 4))
def test_energy_depends_on_contrast_alone(seed: int, position: int, zoom: float) -> None:
    stripes = Planted(per_class=10, seed=seed).stripes(position)
    energy = np.sum(paint(stripes, zoom) ** 2) / stripes.contrast**2
    area, _ = quad(lambda r: 2 * np.pi * r * window(r) ** 2, 0, (DIAMETER + EDGE) / 2, points=[(DIAMETER - EDGE) / 2])
    assert energy == pytest.approx(area * SIZE**2, rel=1e-3)


def window(r: float) -> float:
    """The object's profile: 1 inside, half a cosine period down across the edge."""
    return float((1 + np.cos(np.pi * np.clip((r - (DIAMETER - EDGE) / 2) / EDGE, 0, 1))) / 2)


@pytest.mark.parametrize("label", range(len(BANDS)))
def test_stripes_fill_their_band_and_no_other(label: int) -> None:
    source = Planted(per_class=20)
    power = sum(np.abs(np.fft.fft2(paint(source.stripes(9 * i + label)))) ** 2 for i in range(20))
    y, x = np.meshgrid(*[np.fft.fftfreq(SIZE, 1 / SIZE)] * 2, indexing="ij")
    distance, along = np.hypot(x, y), np.rad2deg(np.arctan2(y, x))
    low, high = BANDS[label]
    smear = 1 / DIAMETER  # what a finite object does to any spectrum
    inside = (distance > low - smear) & (distance < high + smear)
    upper = distance > (low + high) / 2
    off = np.abs((along - ORIENTATIONS[label] + 90) % 180 - 90)
    assert power[inside].sum() / power.sum() > 0.95
    assert 0.25 < power[upper].sum() / power.sum() < 0.75
    assert power[off < TILT + np.rad2deg(smear / low)].sum() / power.sum() > 0.9


def test_background_is_one_over_f() -> None:
    field = one_over_f(np.random.default_rng(3))
    y, x = np.meshgrid(*[np.fft.fftfreq(SIZE, 1 / SIZE)] * 2, indexing="ij")
    product = np.abs(np.fft.fft2(field)) * np.hypot(x, y)
    assert field.std() == pytest.approx(1)
    assert field.mean() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(product.ravel()[1:], product[0, 1])


def test_images_are_not_clipped() -> None:
    source = Planted(per_class=3)
    values = np.stack([pixels(source, position) for position in range(len(source))])
    assert np.isin(values, (0, 255)).mean() < 1e-3


def test_cycles_per_object_are_cycles_per_image_times_the_diameter() -> None:
    np.testing.assert_allclose(np.array(Planted.object_bands) / np.array(Planted.bands), DIAMETER)


@pytest.mark.parametrize(("frequency", "kept"), [(5, 0.95), (13, 0.95), (21, 0.95), (28, 0.7)])
def test_the_resize_keeps_contrast(frequency: int, kept: float) -> None:
    wave = 127.5 + 100 * np.cos(2 * np.pi * frequency * np.arange(SIZE) / SIZE + 1)
    source = Image.fromarray(np.tile(np.rint(wave).astype(np.uint8), (SIZE, 1)))
    row = CROP.crop(source)[SIDE // 2, :, 0]
    assert kept <= np.abs(np.fft.fft(row))[frequency] / (SIDE / 2 * 100) <= 1.02


# --- the pixels, seen by an observer that is no network -------------------------------------------------


def seen_frequency(source: Planted, position: int, zoom: float) -> float:
    """Mean frequency of what stands out of the whitened spectrum along the class's direction, at a zoom."""
    crop = replace(CROP, resize=round(SIDE * zoom)).crop(source[position]).astype(float).mean(axis=2)
    taper = np.outer(np.hanning(SIDE), np.hanning(SIDE))
    power = np.abs(np.fft.fft2((crop - crop.mean()) * taper)) ** 2
    y, x = np.meshgrid(*[np.fft.fftfreq(SIDE, 1 / SIDE)] * 2, indexing="ij")
    distance = np.hypot(x, y)
    off = np.abs((np.rad2deg(np.arctan2(y, x)) - ORIENTATIONS[source.labels[position]] + 90) % 180 - 90)
    whitened = power * distance**2 * (off < 20) * (distance > 1.5)
    return float(np.average(distance, weights=whitened * (whitened > whitened.max() / 4)))


def scale_exponents(make: Callable[[float], Planted], label: int) -> np.ndarray:
    """-d log(frequency) / d log(zoom) of the first six images of a class."""
    zooms = np.array([1, 2**0.5, 2, 2**1.5])
    seen = [[seen_frequency(make(z), 9 * i + label, z) for z in zooms] for i in range(6)]
    return -np.polyfit(np.log(zooms), np.log(np.array(seen).T), 1)[0]


@pytest.mark.parametrize("label", range(len(BANDS)))
def test_the_pixels_hold_the_carrier(label: int) -> None:
    source = Planted(per_class=10)
    for position in range(label, len(source), 9):
        assert seen_frequency(source, position, 1.0) == pytest.approx(source.stripes(position).carrier, abs=1)


@pytest.mark.parametrize("label", range(3, len(BANDS)))
def test_stripes_scale_with_the_object_and_those_of_the_control_set_do_not(label: int) -> None:
    objects = scale_exponents(lambda z: Planted(per_class=10), label)
    control = scale_exponents(lambda z: Planted(per_class=10, texture="image", zoom=float(z)), label)
    assert np.mean(objects) == pytest.approx(1, abs=0.05)
    assert np.mean(control) == pytest.approx(0, abs=0.05)


# --- the network against the planted truth --------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> Classifier:
    classifier = load_classifier("planted")
    classifier.prepare(torch.device("cpu"), torch.float32)
    return classifier


@pytest.fixture(scope="module")
def predictions(network: Classifier) -> dict[str, np.ndarray]:
    """Predicted class (radius, image) of the default set under ideal filters, by a plain complex FFT."""
    spectra = torch.fft.fft2(inputs_of(network, Planted(), 1.0))
    y, x = np.meshgrid(*[np.fft.fftfreq(SIDE, 1 / SIDE)] * 2, indexing="ij")
    disc = [torch.from_numpy(x**2 + y**2 <= r**2) for r in RADII]
    masks = {"low_pass": disc, "high_pass": [~d for d in disc], "clean": [torch.ones(SIDE, SIDE)]}
    return {
        kind: np.stack([predict(network, torch.fft.ifft2(spectra * mask).real) for mask in of_kind])
        for kind, of_kind in masks.items()
    }


def inputs_of(network: Classifier, source: Planted, zoom: float) -> torch.Tensor:
    preprocess = replace(network.preprocess, resize=round(SIDE * zoom))
    crops = np.stack([preprocess.crop(source[i]) for i in range(len(source))])
    return preprocess.normalise(torch.from_numpy(crops))


def predict(network: Classifier, inputs: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return torch.cat([network.logits(batch).argmax(dim=1) for batch in inputs.split(60)]).numpy()


def centre_radius(accuracy: np.ndarray, *, rising: bool) -> float:
    """r50 as the band's definition has it, by scikit-learn's isotonic fit and numpy's interpolation."""
    used = slice(accuracy.argmax() + 1) if rising else slice(None)
    fit = IsotonicRegression(increasing=rising).fit_transform(RADII[used], accuracy[used])
    height = (fit - fit[0]) / (fit[-1] - fit[0])
    after = int(np.argmax(height >= 0.5))
    return float(np.interp(0.5, height[after - 1 : after + 1], RADII[used][after - 1 : after + 1]))


def test_checkpoint_is_small_and_names_the_classes(network: Classifier) -> None:
    assert files("bandscope").joinpath("data/planted.safetensors").stat().st_size < 300_000
    assert network.classes == Planted.classes
    assert network.preprocess.size == (SIDE, SIDE)


def test_clean_accuracy(predictions: dict[str, np.ndarray]) -> None:
    assert (predictions["clean"][0] == Planted().labels).mean() >= 0.95


@pytest.mark.parametrize("kind", ["low_pass", "high_pass"])
def test_recovered_bands_are_the_planted_ones(predictions: dict[str, np.ndarray], kind: str) -> None:
    labels = Planted().labels
    accuracy = [(predictions[kind][:, labels == k] == k).mean(axis=1) for k in range(len(BANDS))]
    centres = np.array([centre_radius(curve, rising=kind == "low_pass") for curve in accuracy])
    inside = [low <= centre <= high for centre, (low, high) in zip(centres, BANDS, strict=True)]
    assert sum(inside) >= 7, centres
    assert (np.diff(centres) > 0).all(), centres


@pytest.mark.parametrize("kind", ["low_pass", "high_pass"])
def test_missing_evidence_is_answered_background(predictions: dict[str, np.ndarray], kind: str) -> None:
    labels = Planted().labels
    wrong = predictions[kind][predictions[kind] != labels]
    assert (wrong == BACKGROUND_CLASS).mean() > 0.95


def test_the_network_knows_enlarged_objects(network: Classifier) -> None:
    source = Planted(per_class=10, seed=1)
    assert (predict(network, inputs_of(network, source, 2.0)) == source.labels).mean() >= 0.9
