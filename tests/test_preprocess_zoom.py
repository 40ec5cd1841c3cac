"""Zoom of the crop, against Pillow, timm, plane waves and round trips."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import map_coordinates
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from bandscope.errors import ImageError, InputError
from bandscope.preprocess import Preprocess

STATISTICS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
USUAL = Preprocess(size=(224, 224), resize=256, interpolation="bicubic", **STATISTICS)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def wave(side: int, cycles: float, phase: float = 0.3) -> Image.Image:
    """A plane wave along x: `cycles` over the width, of 8-bit contrast 100."""
    x = (np.arange(side) + 0.5) / side
    row = 128 + 100 * np.cos(2 * np.pi * cycles * x + phase)
    return Image.fromarray(np.rint(np.tile(row[None, :, None], (side, 1, 3))).astype(np.uint8))


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (224, 224), (255, 1000), (90, 70)])
@pytest.mark.parametrize("zoom", [1, 1.25, 2, 2.75])
def test_zooming_in_is_torchvisions_larger_resize_and_the_same_crop(size, zoom):
    both = Compose([Resize(round(256 * zoom), InterpolationMode.BICUBIC), CenterCrop(224)])
    image = noise(*size)
    view = USUAL.view(image, zoom)
    np.testing.assert_array_equal(view.pixels, np.asarray(both(image)))
    assert view.padded == 0
    assert view.achieved == pytest.approx(zoom, rel=0.005)  # half a pixel of the short side, one of the other


@pytest.mark.parametrize("outside", ["real", "shrink"])
@pytest.mark.parametrize("size", [(500, 375), (300, 1000)])
@pytest.mark.parametrize("zoom", [0.9, 0.71, 0.5, 0.2])
def test_zooming_out_shows_real_pixels_first_then_their_reflection(size, zoom, outside):
    image = noise(*size)
    view = USUAL.view(image, zoom, outside=outside)
    assert view.achieved == pytest.approx(zoom, rel=0.02)
    if outside == "shrink":
        side = round(224 * zoom)
        inner = Image.fromarray(USUAL.crop(image)).resize((side, side), Image.Resampling.BICUBIC)
        start = (224 - side) // 2
        expected = np.full((224, 224, 3), np.rint(255 * np.array(STATISTICS["mean"])), dtype=np.uint8)
        expected[start : start + side, start : start + side] = inner
        shift = (224 - side) % 2  # an odd remainder may lie on either side
        candidates = [np.roll(expected, by, axis=(0, 1)) for by in ((0, 0), (shift, shift))]
        assert any(np.array_equal(view.pixels, candidate) for candidate in candidates)
        assert view.padded == pytest.approx(1 - side**2 / 224**2)
        return
    short = round(256 * zoom)
    new_size = tuple(int(short * side / min(size)) for side in size)
    resized = np.asarray(image.resize(new_size, Image.Resampling.BICUBIC))
    height, width = resized.shape[:2]
    real = min(height, 224) * min(width, 224) / 224**2
    assert view.padded == pytest.approx(1 - real)
    top, left = round((height - 224) / 2), round((width - 224) / 2)
    rows = np.arange(224) + (top if top > 0 else -((224 - height) // 2))
    columns = np.arange(224) + (left if left > 0 else -((224 - width) // 2))
    yy, xx = np.meshgrid(rows, columns, indexing="ij")
    for channel in range(3):  # SciPy's "mirror" is the reflection about the last pixel's centre
        expected = map_coordinates(resized[..., channel].astype(float), [yy, xx], order=0, mode="mirror")
        np.testing.assert_array_equal(view.pixels[..., channel], expected)


@pytest.mark.parametrize("zoom", [0.5, 1, 1.41, 2, 2.83, 4])
def test_a_plane_waves_radius_scales_by_1_over_z(zoom):
    cycles = 24.0
    preprocess = Preprocess(size=(64, 64), resize=64, interpolation="lanczos", **STATISTICS)
    view = preprocess.view(wave(448, cycles), zoom)
    row = view.pixels[32, :, 0].astype(float)
    x = np.arange(64)
    frequencies = np.linspace(0.5, 31, 6101)
    power = np.abs(np.exp(-2j * np.pi * np.outer(frequencies, x) / 64) @ ((row - row.mean()) * np.hanning(64)))
    expected = cycles / view.achieved
    if expected < 30:
        assert frequencies[power.argmax()] == pytest.approx(expected, abs=0.1)
    else:
        assert power.max() < 0.05 * 100 * 32  # beyond Nyquist: the resize removed it, and folded nothing back


@settings(max_examples=25)
@given(zoom=st.sampled_from([1.5, 2.0, 3.0]), seed=st.integers(0, 1000))
def test_zoom_then_unzoom_of_a_band_limited_image_is_the_identity(zoom, seed):
    random = np.random.default_rng(seed)
    spectrum = np.zeros((96, 49), dtype=complex)
    spectrum[:7, :7] = random.normal(size=(7, 7)) + 1j * random.normal(size=(7, 7))
    field = np.fft.irfft2(spectrum, s=(96, 96))
    pixels = np.rint(128 + 90 * field / np.abs(field).max()).astype(np.uint8)
    image = Image.fromarray(np.repeat(pixels[..., None], 3, axis=2))
    whole = Preprocess(size=(round(96 * zoom),) * 2, resize=96, interpolation="bicubic", **STATISTICS)
    back = Preprocess(size=(96, 96), resize=round(96 * zoom), interpolation="bicubic", **STATISTICS)
    enlarged = Image.fromarray(whole.view(image, zoom).pixels)
    returned = back.view(enlarged, 1 / zoom).pixels
    inside = np.s_[8:-8, 8:-8]  # a border has nothing beyond it to interpolate with
    error = returned[inside].astype(float) - np.asarray(image)[inside]
    assert np.abs(error).max() <= 3


@settings(max_examples=80)
@given(
    size=st.tuples(st.integers(26, 120), st.integers(26, 120)),
    corner=st.tuples(st.floats(0, 0.8), st.floats(0, 0.8)),
    zoom=st.sampled_from([0.3, 0.7, 1.0, 1.6, 2.5]),
)
def test_a_box_centres_the_crop_as_far_as_there_are_pixels(size, corner, zoom):
    """On a source whose pixels say where they are: the crop's middle shows the box's, or it lies at a border."""
    width, height = size
    yy, xx = np.mgrid[:height, :width]
    image = Image.fromarray(np.stack([xx, yy, np.zeros_like(xx)], axis=2).astype(np.uint8))
    x0, y0 = corner[0] * width, corner[1] * height
    box = (x0, y0, x0 + 0.2 * width, y0 + 0.2 * height)
    preprocess = Preprocess(size=(16, 16), resize=20, interpolation="bilinear", **STATISTICS)
    view = preprocess.view(image, zoom, box=box)
    scale = preprocess.scale(image.size, zoom)
    if view.padded == 0:
        for axis, middle in ((0, x0 + 0.1 * width), (1, y0 + 0.1 * height)):
            side, half = size[axis], 8 / scale
            wanted = min(max(middle, half), side - half) - 0.5  # pixels number their centres
            shown = view.pixels[7:9, 7:9, axis].mean()
            assert shown == pytest.approx(wanted, abs=1.5 + 1 / scale)


def test_shape_and_channels_of_every_view():
    grey = Preprocess(size=(10, 14), resize=None, mean=(0.5,), std=(0.2,))
    for zoom in (0.1, 0.6, 1, 1.2):
        for outside in ("real", "shrink"):
            view = grey.view(noise(30, 20), zoom, outside=outside)
            assert view.pixels.shape == (10, 14, 1)
            assert view.pixels.dtype == np.uint8
            assert 0 <= view.padded < 1


def test_impossible_zooms_and_images_are_refused():
    for zoom in (0, -1, math.nan, math.inf):
        with pytest.raises(InputError, match="zoom must be"):
            USUAL.view(noise(30, 30), zoom)
    with pytest.raises(InputError, match="outside must be one of real, shrink"):
        USUAL.view(noise(30, 30), 0.5, outside="left")
    with pytest.raises(ImageError, match=r"zoom 4 would show 7\.0 of its pixels"):
        USUAL.view(noise(32, 32), 4)
    assert USUAL.view(noise(32, 32), 3.5).padded == 0
    USUAL.view(noise(1, 1))  # at zoom 1 everything is shown that there is
    with pytest.raises(ImageError, match="1 x 65535 pixels would become 256 x 16776960"):
        USUAL.crop(Image.new("RGB", (1, 65535)))
    with pytest.raises(ImageError, match="too narrow"):
        Preprocess(size=(8, 8), resize=None, **STATISTICS).view(noise(3, 3), 0.1)
