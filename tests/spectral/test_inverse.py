"""The three ways from a spectrum to filtered images, against NumPy's inverse transform in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bandscope.conventions import Convention
from bandscope.spectral.gains import band_pass_gain, low_pass_gain
from bandscope.spectral.inverse import Inverse, fastest

CPU = torch.device("cpu")
METHODS = ("whole", "columns", "products")


def filtered(image: np.ndarray, gain: np.ndarray, method: str | None) -> np.ndarray:
    spectrum = torch.fft.rfft2(torch.from_numpy(image).float())
    return Inverse(gain, image.shape[-1], CPU, method)(spectrum).numpy()


def truth(image: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return np.fft.irfft2(np.fft.rfft2(image) * gain, s=image.shape[-2:])


@pytest.mark.parametrize("method", METHODS)
@given(height=st.integers(1, 17), width=st.integers(1, 17), radius=st.floats(0, 14), seed=st.integers(0, 99))
def test_every_way_gives_numpys_pixels(method, height, width, radius, seed):
    image = np.random.default_rng(seed).standard_normal((2, 3, height, width))
    gain = low_pass_gain(height, width, radius)
    np.testing.assert_allclose(filtered(image, gain, method), truth(image, gain), atol=2e-6)


@pytest.mark.parametrize("method", METHODS)
@given(height=st.integers(1, 13), width=st.integers(1, 13), seed=st.integers(0, 99))
def test_every_way_takes_any_gain(method, height, width, seed):
    """Also such as no filter has: holes, nothing kept, not even symmetric."""
    random = np.random.default_rng(seed)
    image = random.standard_normal((height, width))
    gain = random.standard_normal((height, width // 2 + 1)) * (random.random((height, width // 2 + 1)) < 0.4)
    np.testing.assert_allclose(filtered(image, gain, method), truth(image, gain), atol=5e-6)


@pytest.mark.parametrize("convention", ["bandscope", "zhang2023", "gavrikov2024"])
@pytest.mark.parametrize("radius", [0, 3, 20, 60, 100, 160])
def test_at_the_size_of_real_crops(convention, radius):
    image = np.random.default_rng(0).standard_normal((3, 224, 224))
    gain = low_pass_gain(224, 224, radius, convention=Convention.named(convention))
    np.testing.assert_allclose(filtered(image, gain, None), truth(image, gain), atol=5e-6)


def test_a_band_pass_is_as_cheap_as_its_upper_end():
    assert fastest(band_pass_gain(224, 224, 5, 20), CPU) == fastest(low_pass_gain(224, 224, 20), CPU) == "products"
    assert fastest(low_pass_gain(224, 224, 60), CPU) == "columns"
    assert fastest(low_pass_gain(224, 224, 110), CPU) == "whole"


def test_a_soft_gain_has_no_zeros_to_leave_out():
    assert fastest(low_pass_gain(224, 224, 5, family="butterworth"), CPU) == "whole"


def test_only_what_was_measured_is_chosen():
    assert fastest(low_pass_gain(224, 224, 5), torch.device("cuda")) == "whole"
