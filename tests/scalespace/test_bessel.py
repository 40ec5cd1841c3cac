import mpmath
import numpy as np
import pytest
import torch
from scipy.special import ive
from torch.autograd.functional import jvp

from bandscope.scalespace.bessel import scaled_bessel

SIGMAS = np.geomspace(1e-3, 1e3, 25)


def orders(sigma: float) -> torch.Tensor:
    return torch.arange(int(7 * sigma) + 15, dtype=torch.float64)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_equals_scipy(sigma):
    n = orders(sigma)
    ours = scaled_bessel(torch.tensor(sigma**2, dtype=torch.float64), n)
    np.testing.assert_allclose(ours, ive(n.numpy(), sigma**2), rtol=0, atol=1e-14)


def exact(n: int, t: float) -> mpmath.mpf:
    """exp(-t) I_n(t) to 40 digits: SciPy's values are off by 8e-13 of themselves at sigma = 1000."""
    with mpmath.workdps(40):
        return mpmath.exp(-t) * mpmath.besseli(n, t)


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 1.0, 10.0, 1e3])
def test_keeps_relative_accuracy_far_into_the_tails(sigma):
    n = orders(sigma)[:: max(1, int(sigma))]
    t = torch.tensor(sigma**2, dtype=torch.float64)
    expected = np.array([float(exact(int(k), t.item())) for k in n])
    normal = expected > 1e-290  # smaller ones have fewer digits
    np.testing.assert_allclose(scaled_bessel(t, n)[normal], expected[normal], rtol=5e-14)


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 1.0, 10.0, 1e3])
def test_derivatives_in_sigma_follow_the_recurrence(sigma):
    # with T_n = exp(-t) I_n(t): dT_n/dt = (T_{n-1} - 2 T_n + T_{n+1}) / 2, and t = sigma^2
    n = orders(sigma)[:: max(1, int(sigma))]
    s = torch.tensor(sigma, dtype=torch.float64)
    values = lambda v: scaled_bessel(v**2, n)  # noqa: E731
    slopes = lambda v: jvp(values, v, torch.ones_like(v), create_graph=True)[1]  # noqa: E731
    first, second = slopes(s).detach(), jvp(slopes, s, torch.ones_like(s))[1]
    around = np.array([[exact(abs(int(k) + i), (s**2).item()) for i in range(-2, 3)] for k in n])
    step = np.diff(around, 2) / 2
    expected = 2 * sigma * step[:, 1], 4 * sigma**2 * np.diff(step, 2)[:, 0] / 2 + 2 * step[:, 1]
    np.testing.assert_allclose(first, expected[0].astype(float), rtol=0, atol=2e-15)
    np.testing.assert_allclose(second, expected[1].astype(float), rtol=0, atol=2e-14)


def test_no_variance_overflows_or_loses_its_gradient():
    for sigma in (1e-200, 1e-20, 1e-8, 1e4):
        s = torch.tensor(sigma, dtype=torch.float64, requires_grad=True)
        values = scaled_bessel(s**2, torch.arange(5, dtype=torch.float64))
        (slope,) = torch.autograd.grad(values.sum(), s)
        assert torch.isfinite(values).all()
        assert torch.isfinite(slope)
