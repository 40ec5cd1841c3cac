"""Derivative kernels, orders 0 to 4: correlation taps with the gain and sign of the true derivative.

discrete             central differences of the smoothing kernel: (f(x+1) - f(x-1))/2, f(x+1) - 2 f(x) + f(x-1), and
                     their products. They commute with the blur and keep the scale-space properties (Lindeberg 1993)
sampled, integrated  derivatives of the Gaussian, at or averaged over pixels. Cut and sampled they answer to
                     constants and miss their gain; `correct` repairs that: no answer to lower powers, gain one
                         (the convention of DIPlib, carried through to order 4)
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bandscope.errors import InputError
from bandscope.scalespace.smoothing import TAIL, checked_sigma, gaussian_taps, half_kernel, resolved_radius

HIGHEST_ORDER = 4
SMALLEST_SIGMA = 0.4  # below, too little of a sampled Gaussian is left beside its centre to make a derivative of
DIFFERENCES = {
    1: (-0.5, 0.0, 0.5),
    2: (1.0, -2.0, 1.0),
    3: (-0.5, 1.0, 0.0, -1.0, 0.5),
    4: (1.0, -4.0, 6.0, -4.0, 1.0),
}


def derivative_taps(
    order: int,
    sigma: float | Tensor,
    *,
    family: str = "discrete",
    radius: int | None = None,
    tail: float = TAIL,
    gamma: float | None = None,
    correct: bool = True,
) -> Float[Tensor, "*n taps"]:
    """Taps that give the derivative of the blurred signal when *correlated* with it, as `conv2d` does.

    Correlated with x^order / order! they give 1, with any lower power 0. float64, differentiable in sigma.

    Args:
        order: 0 (a blur) to 4.
        sigma: standard deviation of the blur in pixels, or a 1-D tensor of them: one row of taps for each.
        family: "discrete", "sampled" or "integrated".
        radius: taps on either side of the centre, at least (order + 1) // 2; None: that much more than the blur's.
            The discrete family blurs with what the difference leaves of it.
        tail: share of the blur's mass that may be cut when `radius` is None.
        gamma: scale normalisation, a factor sigma^(gamma order) (Lindeberg 1998: 1 makes amplitudes comparable across
            scales); None: none, the plain derivative per pixel.
        correct: False leaves sampled and integrated kernels as they are, like SciPy's. The discrete family needs no
            correction.

    Returns:
        Taps (2 radius + 1,), or (n, 2 radius + 1) for n sigmas.

    Raises:
        InputError: an order, sigma, family, radius or tail that is out of range; corrected kernels need sigma >= 0.4.
    """
    reach = checked_reach(order)
    sigmas = checked_sigma(sigma)
    radius = resolved_radius(radius, sigmas, family=family, tail=tail, reach=reach)
    taps = _taps(order, sigmas, radius, family, correct)
    return taps if gamma is None else taps * sigmas[..., None] ** (gamma * order)


def checked_reach(order: int) -> int:
    """How far the central difference of this order reaches, or an InputError."""
    if order not in range(HIGHEST_ORDER + 1):
        raise InputError(f"Derivatives of order 0 to {HIGHEST_ORDER} exist here, not {order}.")
    return (order + 1) // 2


def _taps(
    order: int, sigma: Float[Tensor, "*n"], radius: int, family: str, correct: bool
) -> Float[Tensor, "*n taps"]:
    if order == 0:
        return gaussian_taps(sigma, family=family, radius=radius)
    if family == "discrete":
        return _difference(gaussian_taps(sigma, radius=radius - checked_reach(order)), order)
    blur, raw = gaussian_taps(sigma, family=family, radius=radius), _raw(order, sigma, radius, family)
    return _corrected(order, raw, blur, sigma) if correct else raw


def _difference(taps: Float[Tensor, "*n taps"], order: int) -> Float[Tensor, "*n wider"]:
    stencil = DIFFERENCES[order]
    last = len(stencil) - 1
    return sum((w * F.pad(taps, (i, last - i)) for i, w in enumerate(stencil)), start=torch.zeros(()).to(taps))


def _raw(order: int, sigma: Float[Tensor, "*n"], radius: int, family: str) -> Float[Tensor, "*n taps"]:
    """Derivatives of the Gaussian at, or averaged over, pixels; divided by the mass of the blur inside the radius."""
    n, width = _positions(radius, sigma), sigma[..., None]
    half = half_kernel(sigma, radius, family)
    mass = half[..., :1] + 2 * half[..., 1:].sum(-1, keepdim=True)
    if family == "sampled":
        return _hermite_gaussian(order, n / width) / (mass * width**order)
    before, after = (_hermite_gaussian(order - 1, (n + edge) / width) for edge in (-0.5, 0.5))
    return (before - after) / (math.sqrt(2 * math.pi) * mass * width**order)


def _hermite_gaussian(order: int, u: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """He_order(u) exp(-u^2/2): (-1)^order times the derivative of the Gaussian, hence its correlation kernel."""
    polynomials = (torch.ones_like(u), u, u**2 - 1, u**3 - 3 * u, u**4 - 6 * u**2 + 3)
    return polynomials[order] * torch.exp(-(u**2) / 2)


def _corrected(
    order: int, raw: Float[Tensor, "*n taps"], blur: Float[Tensor, "*n taps"], sigma: Float[Tensor, "*n"]
) -> Float[Tensor, "*n taps"]:
    """The kernel with a derivative's moments that is nearest to `raw`, in the mean square weighted by 1 / blur.

    The moments are 0 for lower powers and order! for its own; powers of the other parity are right by symmetry.
    """
    _refuse_narrow(sigma)
    n = _positions(raw.shape[-1] // 2, sigma)
    width = (blur.detach() * n**2).sum(-1, keepdim=True).sqrt()  # any scale will do; this one conditions the system
    powers = torch.stack([(n / width) ** i / math.factorial(i) for i in range(order % 2, order + 1, 2)], -2)
    missing = -(powers @ raw[..., None])
    missing[..., -1, :] += width**-order
    weighted = powers * blur[..., None, :]
    change: Tensor = weighted.mT @ torch.linalg.solve(weighted @ powers.mT, missing)
    return raw + change[..., 0]


def _refuse_narrow(sigma: Float[Tensor, "*n"]) -> None:
    if not torch.compiler.is_compiling() and bool((sigma < SMALLEST_SIGMA).any()):
        raise InputError(
            f"Corrected sampled and integrated derivatives need sigma >= {SMALLEST_SIGMA}; {sigma.min().item():g} "
            'was given. family="discrete" takes any.'
        )


def _positions(radius: int, sigma: Float[Tensor, "*n"]) -> Float[Tensor, " taps"]:
    return torch.arange(-radius, radius + 1, dtype=sigma.dtype, device=sigma.device)
