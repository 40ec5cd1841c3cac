"""Filters on images: plane waves, Parseval, properties."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2

import bandscope as bs
from bandscope.errors import InputError

SIZE = st.tuples(st.integers(1, 12), st.integers(1, 12))


def plane_wave(h: int, w: int, ky: int, kx: int) -> np.ndarray:
    y, x = np.indices((h, w))
    return np.cos(2 * np.pi * (ky * y / h + kx * x / w) + 0.3)


@pytest.mark.parametrize(("ky", "kx"), [(0, 5), (3, 4), (-3, 4), (5, 0), (-4, -3)])
def test_a_plane_wave_passes_or_dies_exactly_at_its_radius(ky, kx):
    wave = plane_wave(32, 32, ky, kx)
    np.testing.assert_allclose(bs.low_pass(wave, 5), wave, atol=1e-14)
    np.testing.assert_allclose(bs.low_pass(wave, 4.999), 0, atol=1e-14)
    np.testing.assert_allclose(bs.high_pass(wave, 4.999), wave, atol=1e-14)
    np.testing.assert_allclose(bs.high_pass(wave, 5), 0, atol=1e-14)
    np.testing.assert_allclose(bs.band_pass(wave, 4, 5), wave, atol=1e-14)
    np.testing.assert_allclose(bs.band_pass(wave, 5, 6), 0, atol=1e-14)


def test_radius_of_a_wave_on_an_oblong_is_its_cycles_per_pixel_times_the_short_side():
    wave = plane_wave(16, 48, 0, 12)  # 12 cycles in 48 pixels = 4 cycles in 16
    np.testing.assert_allclose(bs.low_pass(wave, 4), wave, atol=1e-14)
    np.testing.assert_allclose(bs.low_pass(wave, 3.99), 0, atol=1e-14)


@given(size=SIZE, radius=st.floats(0, 12), seed=st.integers(0, 99))
def test_low_plus_high_is_the_image_and_their_energies_add(size, radius, seed):
    image = np.random.default_rng(seed).standard_normal(size)
    low, high = bs.low_pass(image, radius), bs.high_pass(image, radius)
    np.testing.assert_allclose(low + high, image, atol=1e-12)
    # Parseval: ideal parts are orthogonal.
    assert (low**2).sum() + (high**2).sum() == pytest.approx((image**2).sum(), rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(bs.low_pass(low, radius), low, atol=1e-12)


@given(size=SIZE, radius=st.floats(0, 12))
def test_constants_pass_low_and_die_high(size, radius):
    constant = np.full(size, 3.0)
    np.testing.assert_allclose(bs.low_pass(constant, radius), 3, atol=1e-13)
    np.testing.assert_allclose(bs.high_pass(constant, radius), 0, atol=1e-13)


@given(seed=st.integers(0, 99), radius=st.floats(0.5, 8))
def test_filters_are_linear_and_commute_with_shifts(seed, radius):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 9, 10))
    np.testing.assert_allclose(
        bs.low_pass(2 * a - b, radius), 2 * bs.low_pass(a, radius) - bs.low_pass(b, radius), atol=1e-12
    )
    np.testing.assert_allclose(
        np.roll(bs.low_pass(a, radius), (2, 3), (0, 1)), bs.low_pass(np.roll(a, (2, 3), (0, 1)), radius), atol=1e-12
    )


def test_type_shape_and_gradient_survive():
    image = torch.randn(2, 3, 8, 9, dtype=torch.float64, requires_grad=True)
    out = bs.low_pass(image, 2)
    assert out.shape == image.shape
    assert out.dtype == image.dtype
    assert torch.autograd.gradcheck(lambda x: bs.high_pass(x, 2), image)
    assert isinstance(bs.low_pass(np.zeros((4, 4), dtype=np.float32), 1), np.ndarray)
    assert bs.low_pass(np.zeros((4, 4), dtype=np.float32), 1).dtype == np.float32


@pytest.mark.parametrize(
    "bad", [torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(5), np.zeros((4, 4), dtype=int)]
)
def test_integer_or_flat_images_are_refused(bad):
    with pytest.raises(InputError, match="floating-point images"):
        bs.low_pass(bad, 2)


def test_transform_in_a_torchvision_pipeline():
    image = torch.randint(0, 256, (3, 20, 20), dtype=torch.uint8)
    scale = v2.ToDtype(torch.float32, scale=True)
    pipeline = v2.Compose([scale, bs.FrequencyFilter("low_pass", 4)])
    torch.testing.assert_close(pipeline(image), bs.low_pass(scale(image), 4))
    band = bs.FrequencyFilter("band_stop", 2, 5)
    torch.testing.assert_close(band(scale(image)), bs.band_stop(scale(image), 2, 5))
    assert "band_stop, 2, 5" in repr(band)
    with pytest.raises(InputError, match="takes 2 cut-off"):
        bs.FrequencyFilter("band_pass", 3)
    with pytest.raises(InputError, match="low_pass, high_pass"):
        bs.FrequencyFilter("lowpass", 3)
