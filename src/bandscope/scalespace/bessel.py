r"""The discrete analogue of the Gaussian, exp(-t) I_n(t), to full relative accuracy and without overflow.

I_n is the modified Bessel function. On the line through the saddle point of its integral, with rho = sqrt(t^2 + n^2),

    exp(-t) I_n(t) = exp(rho - t - n asinh(n/t)) / pi  *  integral over theta in [0, pi] of
                     exp(-2 rho sin^2(theta/2)) cos(n (theta - sin theta)).

The factor in front holds the size of the value, so nothing overflows or cancels, at any t and far into the tails. The
integrand is periodic and about 1/sqrt(rho) wide: the trapezoidal rule converges exponentially (Trefethen & Weideman
2014), and `NODES` points do for every (n, t). All of it is plain arithmetic on arrays: autograd differentiates it any
number of times, and compilers see no loop and no shape that depends on data.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

NODES = 28  # on [0, pi]: 4e-16 absolute, 3e-14 relative to exact values for sigma = 1e-3 ... 1e3 (tests/scalespace)
SMALLEST_VARIANCE = 1e-30  # below, the kernel is the identity to the last bit; keeps n/t and its gradient finite


def scaled_bessel(variance: Float[Tensor, "*batch"], orders: Float[Tensor, " n"]) -> Float[Tensor, "*batch n"]:
    """exp(-t) I_n(t) for every variance t > 0 and every order n >= 0; differentiable in t."""
    t = variance.clamp_min(SMALLEST_VARIANCE)[..., None]
    rho = torch.sqrt(t**2 + orders**2)  # hypot has no ONNX form, and nothing overflows here
    log_height = orders**2 / (rho + t) - orders * torch.asinh(orders / t)  # rho - t without cancellation
    theta, weights = _trapezoid(rho.detach())
    phase = orders[:, None] * (theta - theta.sin())
    integrand = torch.exp(-2 * rho[..., None] * torch.sin(theta / 2) ** 2) * phase.cos()
    return log_height.exp() * (weights * integrand).sum(-1)


def _trapezoid(rho: Float[Tensor, "*any"]) -> tuple[Float[Tensor, "*any nodes"], Float[Tensor, "*any nodes"]]:
    """Nodes and weights of the mean over a period cut into 2 half + 1 equal parts; the integrand is even.

    Aliasing costs exp(-(2 half)^2 / (2 rho)), so half grows with sqrt(rho); the integrand narrows at the same rate:
    nodes beyond `NODES` would only add zeros.
    """
    half = torch.floor(4.6 * rho.sqrt() + 6)[..., None]
    node = torch.arange(NODES, dtype=rho.dtype, device=rho.device)
    weights = torch.where(node <= half, 2.0, 0.0).to(rho.dtype) - (node == 0).to(rho.dtype)
    parts = 2 * half + 1
    return 2 * math.pi * node / parts, weights / parts
