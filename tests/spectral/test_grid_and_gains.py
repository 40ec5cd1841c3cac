"""Gains against closed form, integer arithmetic and an independent complex FFT."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandscope.conventions import Convention
from bandscope.errors import InputError
from bandscope.spectral import gains
from bandscope.spectral.grid import corner_radius, signed_frequencies, squared_radius

SIZES = [(8, 8), (9, 9), (224, 224), (6, 11), (10, 7), (1, 1), (1, 5), (2, 2)]
ZHANG = Convention.named("zhang2023")
GAVRIKOV = Convention.named("gavrikov2024")


def full(half: np.ndarray, width: int) -> np.ndarray:
    """The whole spectrum's gain from the half: g(-k) = g(k)."""
    rows = -np.arange(half.shape[0]) % half.shape[0]
    right = [half[rows, width - k] for k in range(half.shape[1], width)]
    return np.column_stack([half, *right]) if right else half


@pytest.mark.parametrize("n", [1, 2, 5, 8, 224, 225])
def test_signed_frequencies_are_those_of_numpy(n):
    np.testing.assert_array_equal(signed_frequencies(n), np.fft.fftfreq(n, 1 / n))


@pytest.mark.parametrize("n", [2, 7, 8, 224])
@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5, 45, 112])
def test_ideal_membership_equals_integer_arithmetic_on_squares(n, radius):
    k = [i if i < (n + 1) // 2 else i - n for i in range(n)]
    expected = [[int(y * y + x * x <= radius * radius) for x in k[: n // 2 + 1]] for y in k]
    np.testing.assert_array_equal(gains.low_pass_gain(n, n, radius), expected)


@pytest.mark.parametrize("squared", [2, 5, 8, 13, 50, 2 * 112**2])
def test_irrational_radii_hold_their_own_bins(squared):
    n = 224
    k = signed_frequencies(n).astype(int)
    expected = (k[:, None] ** 2 + k[None, : n // 2 + 1] ** 2) <= squared
    np.testing.assert_array_equal(gains.low_pass_gain(n, n, math.sqrt(squared)), expected)


@pytest.mark.parametrize(("h", "w"), [(6, 11), (10, 7), (5, 20)])
def test_membership_equals_exact_fractions_on_oblongs(h, w):
    m = min(h, w)
    ky = [i if i < (h + 1) // 2 else i - h for i in range(h)]
    kx = range(w // 2 + 1)
    kx = [x if x < (w + 1) // 2 else x - w for x in kx]
    for radius in (1, 2, 3):
        expected = [[float(Fraction(y * m, h) ** 2 + Fraction(x * m, w) ** 2 <= radius**2) for x in kx] for y in ky]
        np.testing.assert_array_equal(gains.low_pass_gain(h, w, radius), expected)


@pytest.mark.parametrize(("h", "w"), SIZES)
@pytest.mark.parametrize("family", ["ideal", "gaussian", "butterworth"])
@pytest.mark.parametrize("convention", [Convention(), ZHANG, GAVRIKOV], ids=lambda c: c.preset)
def test_gains_filter_real_images_to_real_images(h, w, family, convention):
    gain = full(gains.low_pass_gain(h, w, 2.5, family=family, convention=convention), w)
    image = np.random.default_rng(0).standard_normal((h, w))
    filtered = np.fft.ifft2(np.fft.fft2(image) * gain)
    assert np.abs(filtered.imag).max() < 1e-12


@pytest.mark.parametrize(("h", "w"), SIZES)
@pytest.mark.parametrize("family", ["ideal", "gaussian", "butterworth"])
def test_low_and_high_are_complements(h, w, family):
    for radius in (0, 1, 2.5, 100):
        low = gains.low_pass_gain(h, w, radius, family=family)
        high = gains.high_pass_gain(h, w, radius, family=family)
        np.testing.assert_array_equal(low + high, np.ones_like(low))
        assert high[0, 0] == 0


def test_adjacent_bands_tile_the_spectrum():
    edges = [0, 1, 2.5, 4, 7, 20]
    tiles = [gains.band_pass_gain(16, 13, a, b) for a, b in itertools.pairwise(edges)]
    dc = gains.low_pass_gain(16, 13, 0)
    np.testing.assert_array_equal(sum(tiles) + dc, np.ones_like(dc))
    np.testing.assert_array_equal(gains.band_stop_gain(16, 13, 1, 4), 1 - tiles[1] - tiles[2])


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_radius_beyond_the_corner_is_the_identity(h, w):
    np.testing.assert_array_equal(gains.low_pass_gain(h, w, corner_radius(h, w)), np.ones((h, w // 2 + 1)))


def test_corner_of_the_papers_images():
    assert corner_radius(224, 224) == pytest.approx(112 * math.sqrt(2), rel=1e-15)


@given(radius=st.floats(0.1, 50), order=st.just(2))
def test_soft_families_against_their_formulas(radius, order):
    d = np.sqrt(squared_radius(12, 12))[:, :7]
    np.testing.assert_allclose(
        gains.low_pass_gain(12, 12, radius, family="gaussian"), np.exp(-np.log(2) * (d / radius) ** 2), rtol=1e-12
    )
    np.testing.assert_allclose(
        gains.low_pass_gain(12, 12, radius, family="butterworth"), 1 / (1 + (d / radius) ** (2 * order)), rtol=1e-12
    )


@pytest.mark.parametrize("family", ["gaussian", "butterworth"])
def test_soft_gain_at_the_cutoff_is_one_half(family):
    assert gains.low_pass_gain(16, 16, 5, family=family)[3, 4] == pytest.approx(0.5, abs=1e-15)


def test_gaussian_equals_scipys_blur_of_the_matching_sigma():
    from scipy import ndimage

    n, radius = 64, 6.0
    sigma = n * math.sqrt(2 * math.log(2)) / (2 * math.pi * radius)  # exp(-2 pi^2 sigma^2 f^2) is 1/2 at f = r/n
    image = np.random.default_rng(1).standard_normal((n, n))
    gain = gains.low_pass_gain(n, n, radius, family="gaussian")
    ours = np.fft.irfft2(np.fft.rfft2(image) * gain, s=(n, n))
    scipys = np.fft.ifft2(ndimage.fourier_gaussian(np.fft.fft2(image), sigma)).real
    np.testing.assert_allclose(ours, scipys, atol=1e-13)


def test_butterworth_equals_scipys_analogue_filter():
    from scipy import signal

    numerator, denominator = signal.butter(2, 5.0, analog=True)
    d = np.sqrt(squared_radius(32, 32))[:, :17]
    _, response = signal.freqs(numerator, denominator, worN=np.unique(d))
    by_distance = dict(zip(np.unique(d), np.abs(response) ** 2, strict=True))
    expected = np.vectorize(by_distance.get)(d)
    np.testing.assert_allclose(gains.low_pass_gain(32, 32, 5, family="butterworth"), expected, rtol=1e-10)


@pytest.mark.parametrize("n", [8, 9, 224])
@pytest.mark.parametrize("radius", [1, 3, 10])
def test_zhang2023_equals_a_complex_fft_with_its_mask(n, radius):
    image = np.random.default_rng(2).standard_normal((n, n))
    y, x = np.indices((n, n))
    mask = np.hypot(y - (n - 1) / 2, x - (n - 1) / 2) <= radius
    theirs = np.fft.ifft2(np.fft.ifftshift(np.fft.fftshift(np.fft.fft2(image)) * mask)).real
    gain = gains.low_pass_gain(n, n, radius, convention=ZHANG)
    np.testing.assert_allclose(np.fft.irfft2(np.fft.rfft2(image) * gain, s=(n, n)), theirs, atol=1e-12)
    assert set(np.unique(gain)) <= {0.0, 0.5, 1.0}
    rest = gains.high_pass_gain(n, n, radius, convention=ZHANG)
    np.testing.assert_allclose(np.fft.irfft2(np.fft.rfft2(image) * rest, s=(n, n)), image - theirs, atol=1e-12)


@pytest.mark.parametrize("cutoff", [0.05, 0.3, 0.99])
def test_gavrikov2024_equals_a_complex_fft_with_its_mask(cutoff):
    n = 224
    image = np.random.default_rng(3).standard_normal((n, n))
    radius = int(cutoff * (n // 2))
    mask = np.zeros((n, n))
    mask[n // 2 - radius : n // 2 + radius, n // 2 - radius : n // 2 + radius] = 1
    theirs = np.fft.ifft2(np.fft.ifftshift(np.fft.fftshift(np.fft.fft2(image)) * mask)).real
    gain = gains.low_pass_gain(n, n, radius, convention=GAVRIKOV)
    np.testing.assert_allclose(np.fft.irfft2(np.fft.rfft2(image) * gain, s=(n, n)), theirs, atol=1e-12)


def test_half_pixel_gain_is_the_symmetrised_mask():
    n, radius = 224, 10
    y, x = np.indices((n, n))
    mask = np.fft.ifftshift(np.hypot(y - (n - 1) / 2, x - (n - 1) / 2) <= radius).astype(float)
    mirrored = mask[np.ix_(-np.arange(n) % n, -np.arange(n) % n)]
    kept = full(gains.low_pass_gain(n, n, radius, convention=ZHANG), n)
    np.testing.assert_array_equal(kept, (mask + mirrored) / 2)


def test_keep_mean_gives_every_filter_gain_one_at_dc():
    keep = Convention(keep_mean=True)
    assert gains.high_pass_gain(8, 8, 3, convention=keep)[0, 0] == 1
    assert gains.band_pass_gain(8, 8, 1, 3, convention=keep)[0, 0] == 1
    assert gains.low_pass_gain(8, 8, 0, convention=keep)[0, 0] == 1


@pytest.mark.parametrize("radius", [-1, math.nan, math.inf])
def test_impossible_radii_are_refused(radius):
    with pytest.raises(InputError, match="cycles/image"):
        gains.low_pass_gain(8, 8, radius)


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="ideal, gaussian, butterworth"):
        gains.low_pass_gain(8, 8, 2, family="box")
    with pytest.raises(InputError, match="empty"):
        gains.band_pass_gain(8, 8, 3, 3)
    with pytest.raises(InputError, match="Did you mean 'zhang2023'"):
        Convention.named("zang2023")
    with pytest.raises(InputError, match="disc, square"):
        Convention(metric="round")
    with pytest.raises(InputError, match="no spectrum"):
        squared_radius(0, 4)
