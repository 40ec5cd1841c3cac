import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import hermite_e
from scipy import integrate, ndimage, stats

from bandscope.errors import InputError
from bandscope.scalespace.kernels import derivative_taps, gaussian_taps

FAMILIES = ["discrete", "sampled", "integrated"]
ORDERS = range(5)


def positions(taps: torch.Tensor) -> np.ndarray:
    return np.arange(taps.shape[-1]) - taps.shape[-1] // 2


def moment(taps: torch.Tensor, power: int) -> float:
    """The taps correlated with x^power / power!, at x = 0."""
    return float((taps.numpy() * positions(taps) ** power).sum() / math.factorial(power))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sigma", [0.4, 0.5, 0.7, 1.0, 1.6, 3.0, 10.0])
@pytest.mark.parametrize("radius", [None, 2, 3])
def test_monomials(family, order, sigma, radius):
    taps = derivative_taps(order, sigma, family=family, radius=radius)
    for power in range(order + 1):
        assert moment(taps, power) == pytest.approx(float(power == order), abs=1e-12)


@given(order=st.integers(0, 4), sigma=st.floats(0.4, 15), family=st.sampled_from(FAMILIES), extra=st.integers(0, 6))
def test_monomials_hold_at_every_sigma_and_radius(order, sigma, family, extra):
    taps = derivative_taps(order, sigma, family=family, radius=(order + 1) // 2 + extra)
    assert len(taps) == 2 * ((order + 1) // 2 + extra) + 1
    for power in range(order + 2):  # order + 1 by symmetry
        assert moment(taps, power) == pytest.approx(float(power == order), abs=2e-12)


def test_tight_kernels_are_the_central_differences():
    for family in FAMILIES:
        first = derivative_taps(1, 0.8, family=family, radius=1)
        second = derivative_taps(2, 0.8, family=family, radius=1)
        np.testing.assert_allclose(first, [-0.5, 0, 0.5], atol=1e-14)
        np.testing.assert_allclose(second, [1, -2, 1], atol=1e-13)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sigma", [0.3, 0.7, 1.0, 4.0])
@pytest.mark.parametrize("radius", [2, 5, 12])
def test_uncorrected_sampled_kernels_are_scipys(order, sigma, radius):
    signal = np.random.default_rng(0).normal(size=40)
    taps = derivative_taps(order, sigma, family="sampled", radius=radius, correct=False)
    expected = ndimage.gaussian_filter1d(signal, sigma, order=order, radius=radius, mode="mirror")
    ours = ndimage.correlate1d(signal, taps.numpy(), mode="mirror")
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sigma", [0.5, 1.3])
def test_uncorrected_integrated_kernels_are_pixel_means_of_the_derivative(order, sigma):
    taps = derivative_taps(order, sigma, family="integrated", radius=9, correct=False)
    basis = np.eye(order + 1)[order]

    def flipped_derivative(x: float) -> float:  # (-1)^n g^(n): what correlation needs
        return hermite_e.hermeval(x / sigma, basis) / sigma**order * stats.norm.pdf(x, scale=sigma)

    expected = [integrate.quad(flipped_derivative, n - 0.5, n + 0.5, epsabs=1e-13)[0] for n in positions(taps)]
    np.testing.assert_allclose(taps, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("family", ["sampled", "integrated"])
def test_correction_is_slight_where_the_kernel_fits(family):
    for order in range(1, 5):
        raw, right = (derivative_taps(order, 2.0, family=family, tail=1e-12, correct=c) for c in (False, True))
        gap = {"sampled": 1e-8, "integrated": 0.3}[family] * raw.abs().max()  # integrated: gain 1, variance + 1/12
        assert (raw - right).abs().max() < gap


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.7])
@pytest.mark.parametrize("omega", [0.1, 1.0, 2.5, math.pi])
@pytest.mark.parametrize("order", ORDERS)
def test_discrete_gain_on_a_wave_in_closed_form(sigma, omega, order):
    # a wave exp(i omega x) is blurred by exp(-2 t sin^2(omega/2)) and differenced by i sin(omega), -4 sin^2(omega/2)
    taps = derivative_taps(order, sigma, tail=1e-16)
    gain = (taps.numpy() * np.exp(1j * omega * positions(taps))).sum()
    slope, curvature = 1j * math.sin(omega), -4 * math.sin(omega / 2) ** 2
    blur = math.exp(curvature * sigma**2 / 2)
    assert abs(gain - slope ** (order % 2) * curvature ** (order // 2) * blur) < 1e-12


@pytest.mark.parametrize("omega", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("order", ORDERS)
def test_sampled_gain_on_a_wave_is_the_continuous_one(omega, order):
    sigma = 2.0  # aliasing is below 1e-24
    taps = derivative_taps(order, sigma, family="sampled", radius=24)
    gain = (taps.numpy() * np.exp(1j * omega * positions(taps))).sum()
    assert abs(gain - (1j * omega) ** order * math.exp(-((sigma * omega) ** 2) / 2)) < 1e-12


@pytest.mark.parametrize("order", ORDERS)
def test_discrete_derivatives_are_differences_of_the_blur(order):
    signal = np.random.default_rng(1).normal(size=60)
    blurred = np.convolve(signal, gaussian_taps(1.4).numpy(), mode="valid")
    differenced = blurred
    for _ in range(order // 2):
        differenced = np.diff(differenced, 2)
    if order % 2:
        differenced = (differenced[2:] - differenced[:-2]) / 2
    ours = np.correlate(signal, derivative_taps(order, 1.4).numpy(), mode="valid")
    np.testing.assert_allclose(ours, differenced, rtol=0, atol=1e-14)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("order", ORDERS)
def test_gradient_in_sigma(family, order):
    sigma = torch.tensor([0.6, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    for correct in (True, False):
        taps = lambda s: derivative_taps(order, s, family=family, radius=4, gamma=0.9, correct=correct)  # noqa: B023, E731
        assert torch.autograd.gradcheck(taps, sigma)


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_and_scale_normalisation(family):
    sigmas = torch.tensor([0.5, 1.0, 2.5], dtype=torch.float64)
    rows = derivative_taps(3, sigmas, family=family, gamma=0.75)
    for row, sigma in zip(rows, sigmas.tolist(), strict=True):
        plain = derivative_taps(3, sigma, family=family, radius=rows.shape[1] // 2)
        torch.testing.assert_close(row, plain * sigma**2.25, rtol=1e-12, atol=1e-14)


def test_normalised_extrema_of_a_gaussian_blob_lie_at_its_scale():
    # Lindeberg 1998: t L_xx (gamma = 1, 1-D, blob of variance t0) peaks at t = 2 t0
    t0 = 9.0
    blob = gaussian_taps(math.sqrt(t0), family="sampled", radius=60)
    sigmas = torch.linspace(4.0, 4.5, 501, dtype=torch.float64)
    strength = derivative_taps(2, sigmas, family="sampled", radius=60, gamma=1.0) @ blob
    assert sigmas[strength.abs().argmax()].item() == pytest.approx(math.sqrt(2 * t0), abs=1e-3)


@pytest.mark.parametrize("order", [-1, 5])
def test_refuses_orders(order):
    with pytest.raises(InputError, match="order 0 to 4"):
        derivative_taps(order, 1.0)


@pytest.mark.parametrize(("order", "radius"), [(1, 0), (2, 0), (3, 1), (4, 1)])
@pytest.mark.parametrize("family", FAMILIES)
def test_refuses_a_radius_without_room(order, radius, family):
    with pytest.raises(InputError, match="at least"):
        derivative_taps(order, 1.0, family=family, radius=radius)


@pytest.mark.parametrize("family", ["sampled", "integrated"])
def test_refuses_corrected_derivatives_of_a_spike(family):
    with pytest.raises(InputError, match="discrete"):
        derivative_taps(2, 0.1, family=family)
    assert derivative_taps(2, 0.1, family="discrete").isfinite().all()


def test_refuses_sigma_and_family():
    with pytest.raises(InputError, match="sigma"):
        derivative_taps(1, math.nan)
    with pytest.raises(InputError, match="family"):
        derivative_taps(1, 1.0, family="recursive")
