"""Images blurred and differentiated with Gaussians: separable, differentiable in image and sigma, on any device.

All take floating-point images (..., H, W), tensors or arrays, and keep type, shape, dtype and device. x runs to the
right, y down. They share these settings:

    sigma    standard deviation of the blur in pixels; a tensor to differentiate by it
    family   "discrete" (default), "sampled" or "integrated": see `bandscope.scalespace.kernels`
    border   "reflect" (default: mirrored, the edge pixel not repeated; SciPy's "mirror"), "replicate" (SciPy's
             "nearest"), "circular" (SciPy's "wrap"), or "zero"
    radius   taps on either side of the centre; None: what `tail` asks for
    tail     share of the kernel's mass that may be cut
    gamma    factor sigma^(gamma n) on derivatives of order n; None: none
    correct  exact moments for sampled and integrated derivatives; False: SciPy's kernels
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bandscope.errors import InputError
from bandscope.scalespace.borders import check_border, correlate
from bandscope.scalespace.derivatives import HIGHEST_ORDER, derivative_taps
from bandscope.scalespace.operators import derivative_name, jet_orders
from bandscope.scalespace.smoothing import TAIL, checked_sigma

Image = TypeVar("Image", Tensor, np.ndarray)


def gaussian_blur(
    image: Image,
    sigma: float | Tensor,
    *,
    family: str = "discrete",
    border: str = "reflect",
    radius: int | None = None,
    tail: float = TAIL,
) -> Image:
    """The image at one scale: L(.; sigma) = g(.; sigma) * image.

    Args:
        image: (..., H, W), floating point.
        sigma: standard deviation in pixels, > 0.
        family: "discrete", "sampled" or "integrated": see `gaussian_taps`.
        border: "reflect" (mirrored, the edge pixel not repeated), "replicate", "circular" or "zero".
        radius: taps on either side of the centre of the kernel; None: what `tail` asks for.
        tail: share of the kernel's mass that may be cut.

    Returns:
        The blurred image: same type, shape, dtype and device.

    Raises:
        InputError: it is not a real floating-point image, a setting is out of range, or the kernel is wider than the
            border allows.
    """
    return gaussian_derivative(image, (0, 0), sigma=sigma, family=family, border=border, radius=radius, tail=tail)


def gaussian_derivative(
    image: Image,
    order: Sequence[int],
    *,
    sigma: float | Tensor,
    family: str = "discrete",
    border: str = "reflect",
    radius: int | None = None,
    tail: float = TAIL,
    gamma: float | None = None,
    correct: bool = True,
) -> Image:
    """The partial derivative d^(ny + nx) L / dy^ny dx^nx of the blurred image, in true units (per pixel).

    Args:
        image: (..., H, W), floating point.
        order: (ny, nx), each 0 to 4, in the order of the image's axes as in SciPy: (0, 1) is dx.
        sigma: standard deviation in pixels, > 0.
        family: "discrete", "sampled" or "integrated": see `gaussian_taps`.
        border: "reflect" (mirrored, the edge pixel not repeated), "replicate", "circular" or "zero".
        radius: taps on either side of the centre of both 1-D kernels; None: what `tail` asks for.
        tail: share of the kernel's mass that may be cut.
        gamma: factor sigma^(gamma n) on derivatives of order n [Lindeberg 1998]; None: none.
        correct: exact moments for sampled and integrated kernels; False: SciPy's kernels.

    Returns:
        The derivative: same type, shape, dtype and device.

    Raises:
        InputError: it is not a real floating-point image, a setting is out of range, or the kernel is wider than the
            border allows.
    """
    kernels = {"family": family, "radius": radius, "tail": tail, "gamma": gamma, "correct": correct}
    out = _partials(_as_tensor(image), [_checked_order(order)], sigma, border, kernels)[0]
    return _as_given(out, image)


def jet(
    image: Image,
    sigma: float | Tensor,
    order: int = 2,
    *,
    family: str = "discrete",
    border: str = "reflect",
    radius: int | None = None,
    tail: float = TAIL,
    gamma: float | None = None,
    correct: bool = True,
) -> dict[str, Image]:
    """All derivatives up to a total order at one scale, by name: g, dx, dy, dxx, dxy, dyy, dxxx, dxxy, ...

    `torch.stack(list(jet(...).values()), -3)` makes channels of them, in this order.

    Args:
        image: (..., H, W), floating point.
        sigma: standard deviation in pixels, > 0.
        order: highest total order, 0 to 4.
        family: "discrete", "sampled" or "integrated": see `gaussian_taps`.
        border: "reflect" (mirrored, the edge pixel not repeated), "replicate", "circular" or "zero".
        radius: taps on either side of the centre of all 1-D kernels; None: what `tail` asks for.
        tail: share of the kernel's mass that may be cut.
        gamma: factor sigma^(gamma n) on derivatives of order n [Lindeberg 1998]; None: none.
        correct: exact moments for sampled and integrated kernels; False: SciPy's kernels.

    Returns:
        The blur and its derivatives by name, each of the image's type, shape, dtype and device.

    Raises:
        InputError: it is not a real floating-point image, a setting is out of range, or the kernel is wider than the
            border allows.
    """
    orders = jet_orders(order)
    kernels = {"family": family, "radius": radius, "tail": tail, "gamma": gamma, "correct": correct}
    found = _partials(_as_tensor(image), orders, sigma, border, kernels)
    return {derivative_name(*o): _as_given(partial, image) for o, partial in zip(orders, found, strict=True)}


def scale_space(
    image: Image,
    sigmas: Sequence[float] | Tensor,
    *,
    family: str = "discrete",
    border: str = "reflect",
    radius: int | None = None,
    tail: float = TAIL,
) -> Image:
    """The image at several scales, each blurred from the original, stacked just before the image axes.

    Args:
        image: (..., H, W), floating point.
        sigmas: standard deviations in pixels, all > 0, in any order.
        family: "discrete", "sampled" or "integrated": see `gaussian_taps`.
        border: "reflect" (mirrored, the edge pixel not repeated), "replicate", "circular" or "zero".
        radius: taps on either side of the centre of all kernels; None: what `tail` asks for.
        tail: share of the kernel's mass that may be cut.

    Returns:
        (..., scales, H, W), of the image's type, dtype and device.

    Raises:
        InputError: it is not a real floating-point image, a setting is out of range, or the kernel is wider than the
            border allows.
    """
    scales = checked_sigma(torch.as_tensor(sigmas, dtype=torch.float64))
    if scales.ndim != 1:
        raise InputError("scale_space takes a sequence of sigmas; for a single one there is gaussian_blur.")
    tensor, kernels = _as_tensor(image), {"family": family, "radius": radius, "tail": tail}
    blurred = [_partials(tensor, [(0, 0)], sigma, border, kernels)[0] for sigma in scales]
    return _as_given(torch.stack(blurred, -3), image)


def _partials(
    image: Float[Tensor, "*batch h w"],
    orders: Sequence[tuple[int, int]],
    sigma: float | Tensor,
    border: str,
    kernels: dict[str, Any],
) -> list[Float[Tensor, "*batch h w"]]:
    """Rows first, once for each order in x; then columns."""
    height, width = image.shape[-2:]
    sigma = _single(sigma)
    taps = {n: derivative_taps(n, sigma, **kernels) for n in {n for pair in orders for n in pair}}
    check_border(border, max(len(t) // 2 for t in taps.values()), height, width)
    # half precision holds neither taps that sum to zero nor their products
    work = image.to(torch.promote_types(image.dtype, torch.float32)).reshape(1, -1, height, width)
    cast = {n: t.to(work) for n, t in taps.items()}
    rows = {nx: correlate(work, cast[nx], -1, border) for nx in {nx for _, nx in orders}}
    columns = [correlate(rows[nx], cast[ny], -2, border) for ny, nx in orders]
    return [c.reshape(image.shape).to(image.dtype) for c in columns]


def _as_tensor(image: Tensor | np.ndarray) -> Float[Tensor, "*batch h w"]:
    if not isinstance(image, Tensor | np.ndarray):
        raise InputError(f"Scale-space filters take tensors or NumPy arrays, not a {type(image).__name__}.")
    tensor = image if isinstance(image, Tensor) else torch.from_numpy(np.require(image, requirements=["C", "W"]))
    if tensor.ndim < 2 or not tensor.dtype.is_floating_point or not tensor.numel():
        raise InputError(
            f"Scale-space filters take real floating-point images of shape (..., H, W), not {tensor.dtype} of shape "
            f"{tuple(tensor.shape)}; convert with image.float() / 255 and put channels first."
        )
    return tensor


def _as_given(out: Tensor, image: Image) -> Image:
    return out if isinstance(image, Tensor) else out.detach().numpy()


def _checked_order(order: Sequence[int]) -> tuple[int, int]:
    allowed = range(HIGHEST_ORDER + 1)
    if not isinstance(order, Sequence) or len(order) != 2 or any(n not in allowed for n in order):
        raise InputError(f"order is a pair (ny, nx), each 0 to {HIGHEST_ORDER}; {order!r} was given.")
    return order[0], order[1]


def _single(sigma: float | Tensor) -> Float[Tensor, ""]:
    sigmas = checked_sigma(sigma)
    if sigmas.ndim:
        raise InputError(
            f"One sigma a call; {len(sigmas)} were given. For several scales there is scale_space, for one sigma a "
            "channel nn.layers."
        )
    return sigmas
