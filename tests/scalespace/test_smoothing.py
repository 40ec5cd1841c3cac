import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, special, stats

from bandscope.errors import InputError
from bandscope.scalespace.kernels import gaussian_taps, radius_for

FAMILIES = ["discrete", "sampled", "integrated"]
sigmas = st.floats(1e-3, 1e2)


def impulse_response(sigma: float, radius: int) -> np.ndarray:
    impulse = np.zeros(2 * radius + 1)
    impulse[radius] = 1
    return ndimage.gaussian_filter1d(impulse, sigma, radius=radius, mode="constant")


@pytest.mark.parametrize("sigma", [1e-3, 0.3, 0.7, 1.0, 2.5, 30.0, 1e3])
def test_discrete_taps_are_scaled_bessel_functions(sigma):
    taps = gaussian_taps(sigma, tail=1e-15)
    n = np.arange(len(taps)) - len(taps) // 2
    np.testing.assert_allclose(taps, special.ive(np.abs(n), sigma**2), rtol=0, atol=1e-14)


@pytest.mark.parametrize("sigma", [0.2, 0.7, 1.0, 2.5, 30.0])
@pytest.mark.parametrize("radius", [1, 4, 9])
def test_sampled_taps_are_scipys(sigma, radius):
    taps = gaussian_taps(sigma, family="sampled", radius=radius)
    np.testing.assert_allclose(taps, impulse_response(sigma, radius), rtol=0, atol=1e-15)


@pytest.mark.parametrize("sigma", [0.2, 0.7, 1.0, 2.5, 30.0])
def test_integrated_taps_are_differences_of_erf(sigma):
    taps = gaussian_taps(sigma, family="integrated", tail=1e-15)
    edges = (np.arange(len(taps) + 1) - len(taps) / 2) / (sigma * math.sqrt(2))
    np.testing.assert_allclose(taps, np.diff(special.erf(edges)) / 2, rtol=0, atol=2e-15)


@pytest.mark.parametrize(("family", "sigma", "variance"), [
    ("discrete", 0.4, 0.16), ("discrete", 1.0, 1.0), ("discrete", 7.0, 49.0),
    ("sampled", 1.5, 2.25), ("sampled", 7.0, 49.0),  # below, sampling adds its own error: exp(-2 pi^2 sigma^2)
    ("integrated", 1.5, 2.25 + 1 / 12), ("integrated", 7.0, 49 + 1 / 12),
])  # fmt: skip
def test_variance(family, sigma, variance):
    taps = gaussian_taps(sigma, family=family, tail=1e-16)
    n = torch.arange(len(taps)) - len(taps) // 2
    assert (taps * n**2).sum().item() == pytest.approx(variance, rel=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.4), (1.0, 1.0), (0.5, 12.0), (20.0, 21.0)])
def test_semigroup_of_the_discrete_family(a, b):
    both = np.convolve(gaussian_taps(a, tail=1e-16).numpy(), gaussian_taps(b, tail=1e-16).numpy())
    once = gaussian_taps(math.hypot(a, b), radius=len(both) // 2)
    np.testing.assert_allclose(both, once, rtol=0, atol=1e-12)


def test_the_other_families_are_no_semigroup():
    both = np.convolve(*[gaussian_taps(0.4, family="sampled", radius=6).numpy()] * 2)
    once = gaussian_taps(0.4 * math.sqrt(2), family="sampled", radius=12)
    assert np.abs(both - once.numpy()).max() > 0.01


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 0.5, 1.0, 3.3, 40.0, 1e3])
@pytest.mark.parametrize("tail", [1e-2, 1e-6, 1e-12])
def test_radius_is_the_smallest_with_the_tail(sigma, tail):
    beyond = {  # mass beyond a radius, both sides
        "discrete": lambda r: 2 * stats.skellam.sf(r, sigma**2 / 2, sigma**2 / 2) if sigma < 10 else None,
        "integrated": lambda r: 2 * stats.norm.sf((r + 0.5) / sigma),
    }
    for family, mass in beyond.items():
        radius = radius_for(sigma, family=family, tail=tail)
        if mass(radius) is not None:  # SciPy's Skellam is not accurate to 1e-12 for large sigma
            assert mass(radius) <= tail * (1 + 1e-6)
            assert radius == 0 or mass(radius - 1) > tail * (1 - 1e-6)


@given(sigma=sigmas, family=st.sampled_from(FAMILIES))
def test_taps_are_positive_symmetric_unimodal_and_sum_to_one(sigma, family):
    taps = gaussian_taps(sigma, family=family)
    assert taps.dtype == torch.float64
    assert taps.sum().item() == pytest.approx(1, abs=1e-14)
    assert (taps > 0).all()
    assert torch.equal(taps, taps.flip(0))
    assert (taps.diff()[: len(taps) // 2] >= 0).all()


@given(values=st.lists(sigmas, min_size=1, max_size=5), family=st.sampled_from(FAMILIES))
@settings(max_examples=30)
def test_a_batch_of_sigmas_is_one_sigma_a_row(values, family):
    rows = gaussian_taps(torch.tensor(values), family=family)
    radius = radius_for(float(np.float32(max(values))), family=family)
    assert rows.shape == (len(values), 2 * radius + 1)
    for row, sigma in zip(rows, torch.tensor(values), strict=True):
        torch.testing.assert_close(row, gaussian_taps(sigma, family=family, radius=radius), rtol=0, atol=1e-15)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_in_sigma(family):
    sigma = torch.tensor([0.05, 0.45, 1.0, 6.0], dtype=torch.float64, requires_grad=True)
    taps = lambda s: gaussian_taps(s, family=family, radius=5)  # noqa: E731
    assert torch.autograd.gradcheck(taps, sigma)
    assert torch.autograd.gradgradcheck(taps, sigma)


@pytest.mark.parametrize("family", FAMILIES)
def test_float32_sigma_gets_its_gradient(family):
    sigma = torch.tensor([0.5, 2.0], requires_grad=True)
    gaussian_taps(sigma, family=family, radius=3)[:, 3].sum().backward()
    assert sigma.grad.dtype == torch.float32
    assert (sigma.grad < 0).all()


def test_a_graph_capture_sees_no_branch_on_sigma():
    class Taps(torch.nn.Module):
        def forward(self, sigma: torch.Tensor) -> torch.Tensor:
            return gaussian_taps(sigma, radius=4)

    sigma = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    exported = torch.export.export(Taps(), (sigma,)).module()
    torch.testing.assert_close(exported(sigma * 2), gaussian_taps(sigma * 2, radius=4), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    "sigma", [0.0, -1.0, math.nan, math.inf, 1e5, torch.tensor([1.0, 0.0]), torch.ones(2, 2), torch.ones(0)]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_refuses_sigma(sigma, family):
    with pytest.raises(InputError, match="sigma"):
        gaussian_taps(sigma, family=family)


@pytest.mark.parametrize(("settings", "message"), [
    ({"family": "sample"}, "Did you mean 'sampled'"),
    ({"radius": -1}, "radius"),
    ({"tail": 0.0}, "tail"),
    ({"tail": 1.0}, "tail"),
    ({"tail": math.nan}, "tail"),
])  # fmt: skip
def test_refuses_settings(settings, message):
    with pytest.raises(InputError, match=message):
        gaussian_taps(1.0, **settings)
