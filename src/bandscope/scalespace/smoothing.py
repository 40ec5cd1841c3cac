"""Smoothing kernels: three discrete versions of the Gaussian, cut where little is left, with sum one.

discrete    exp(-t) I_n(t), t = sigma^2: the only one that obeys the semigroup law and never adds detail on a grid
            (Lindeberg 1990); variance exactly sigma^2
sampled     exp(-n^2 / (2 sigma^2)), normalised; what most libraries use; poor below sigma = 0.7
integrated  the Gaussian averaged over each pixel; variance sigma^2 + 1/12
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from bandscope.errors import InputError, nearest
from bandscope.scalespace.bessel import SMALLEST_VARIANCE, scaled_bessel

TAIL = 1e-6  # mass cut off: no output moves by more than 2e-6 of the image's range, 1/2000 of an 8-bit grey level
LARGEST_SIGMA = 1e4  # pixels; wider than any image, and a bound on the memory that a slip can ask for


def gaussian_taps(
    sigma: float | Tensor, *, family: str = "discrete", radius: int | None = None, tail: float = TAIL
) -> Float[Tensor, "*n taps"]:
    """Taps of a Gaussian blur, 2 radius + 1 of them, symmetric, with sum 1; float64, differentiable in sigma.

    With t = sigma^2, the tap n pixels from the centre is, before the cut taps are normalised:

    - "discrete": exp(-t) I_n(t), I_n the modified Bessel function; the scale space of a grid [Lindeberg 1990].
    - "sampled": exp(-n^2 / 2t), as in most libraries.
    - "integrated": the mean of the Gaussian over the pixel.

    Args:
        sigma: standard deviation in pixels, > 0. A 1-D tensor gives one row of taps for each of its values, all with
            the radius that the largest needs. Values are not checked inside `torch.compile` and `torch.export`.
        family: "discrete", "sampled" or "integrated".
        radius: taps on either side of the centre; None: `radius_for(sigma, family=family, tail=tail)`.
        tail: share of the kernel's mass that the cut may lose when `radius` is None.

    Returns:
        Taps (2 radius + 1,), or (n, 2 radius + 1) for n sigmas.

    Raises:
        InputError: sigma, family, radius or tail is out of range.
    """
    sigmas = checked_sigma(sigma)
    radius = resolved_radius(radius, sigmas, family=family, tail=tail, reach=0)
    half = half_kernel(sigmas, radius, family)
    taps = torch.cat((half[..., 1:].flip(-1), half), -1)
    return taps / taps.sum(-1, keepdim=True)


def radius_for(sigma: float, *, family: str = "discrete", tail: float = TAIL) -> int:
    """Smallest radius beyond which at most the share `tail` of the kernel's mass lies, both sides together.

    Args:
        sigma: standard deviation in pixels, > 0.
        family: "discrete", "sampled" or "integrated".
        tail: mass that may be cut, between 0 and 1.

    Returns:
        Taps on either side of the centre.

    Raises:
        InputError: sigma, family or tail is out of range.
    """
    if not 0 < tail < 1:
        raise InputError(f"tail is the share of a kernel's mass that may be cut, between 0 and 1; {tail} was given.")
    half = half_kernel(checked_sigma(sigma).detach(), _negligible_radius(float(sigma), tail), family)
    beyond = 2 * (half.flip(-1).cumsum(-1).flip(-1) - half)
    total = half[0] + 2 * half[1:].sum()
    return int((beyond > tail * total).sum())


def half_kernel(sigma: Float[Tensor, "*n"], radius: int, family: str) -> Float[Tensor, "*n half"]:
    """The kernel at 0 ... radius, before renormalisation."""
    if family not in _HALVES:
        raise InputError(f"No kernel family {family!r}; there are {', '.join(_HALVES)}.{nearest(family, _HALVES)}")
    return _HALVES[family](sigma, torch.arange(radius + 1, dtype=sigma.dtype, device=sigma.device))


def checked_sigma(sigma: float | Tensor) -> Float[Tensor, "*n"]:
    """Sigma as a float64 tensor of 0 or 1 dimensions on its own device, or an InputError."""
    sigmas = torch.as_tensor(sigma, dtype=torch.float64)
    if sigmas.ndim > 1 or not sigmas.numel():
        raise InputError(
            f"sigma is a number or a 1-D tensor of numbers, not a tensor of shape {tuple(sigmas.shape)}."
        )
    if not torch.compiler.is_compiling() and not bool(((sigmas > 0) & (sigmas <= LARGEST_SIGMA)).all()):
        raise InputError(f"sigma must lie above 0 and up to {LARGEST_SIGMA:g} pixels; {sigmas.tolist()} was given.")
    return sigmas


def resolved_radius(radius: int | None, sigma: Float[Tensor, "*n"], *, family: str, tail: float, reach: int) -> int:
    """The radius given, or that of the widest smoothing kernel plus `reach`, which is also the least allowed."""
    if radius is None:
        return radius_for(float(sigma.detach().max()), family=family, tail=tail) + reach
    if radius < reach:
        raise InputError(f"A radius of {radius} is too small: this kernel needs at least {reach}.")
    return radius


def _negligible_radius(sigma: float, tail: float) -> int:
    """Beyond it lies less than 1e-16 of `tail`: Bernstein's bound, which holds for all three families."""
    logarithm = math.log(2e16 / tail)
    return math.ceil(logarithm / 3 + math.sqrt(logarithm**2 / 9 + 2 * sigma**2 * logarithm)) + 1


def _discrete(sigma: Float[Tensor, "*n"], n: Float[Tensor, " half"]) -> Float[Tensor, "*n half"]:
    return scaled_bessel(sigma**2, n)


def _sampled(sigma: Float[Tensor, "*n"], n: Float[Tensor, " half"]) -> Float[Tensor, "*n half"]:
    return torch.exp(-(n**2) / (2 * (sigma**2).clamp_min(SMALLEST_VARIANCE)[..., None]))


def _integrated(sigma: Float[Tensor, "*n"], n: Float[Tensor, " half"]) -> Float[Tensor, "*n half"]:
    beyond = torch.erfc((n + 0.5) / (math.sqrt(2) * sigma[..., None])) / 2  # erfc, not erf: exact in the tails
    return torch.cat((1 - 2 * beyond[..., :1], beyond[..., :-1] - beyond[..., 1:]), -1)


_HALVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "discrete": _discrete,
    "sampled": _sampled,
    "integrated": _integrated,
}
