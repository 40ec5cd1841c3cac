"""Gains applied to images, and the public one-line filters."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float

from bandscope.conventions import Convention
from bandscope.errors import InputError
from bandscope.spectral import gains
from bandscope.spectral.gains import DEFAULT

Array = np.ndarray | torch.Tensor


def apply_gain(
    images: Float[torch.Tensor, "*batch h w"], gain: Float[torch.Tensor, "*gains h half"]
) -> Float[torch.Tensor, "*batch h w"]:
    """Multiply the spectrum of real images by a gain, or one for each; differentiable, keeps dtype."""
    height, width = images.shape[-2:]
    filtered: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(images) * gain, s=(height, width))
    return filtered


def low_pass(image: Array, radius: float, *, family: str = "ideal", convention: Convention = DEFAULT) -> Array:
    """Keep spatial frequencies up to `radius` cycles per image.

    Args:
        image: real tensor or array (..., H, W), floating point; the last two axes are filtered.
        radius: cut-off in cycles per min(H, W) pixels.
        family: "ideal", "gaussian" or "butterworth" (both soft ones have gain 1/2 at the radius).
        convention: see `Convention`; `domain` and `clip` concern audits, not this function.

    Returns:
        The filtered image: same type, shape, dtype and device.

    Raises:
        InputError: the image is not real floating point (..., H, W), or the radius or the family is not possible.
    """
    return _filtered(image, lambda h, w: gains.low_pass_gain(h, w, radius, family=family, convention=convention))


def high_pass(image: Array, radius: float, *, family: str = "ideal", convention: Convention = DEFAULT) -> Array:
    """Keep spatial frequencies beyond `radius` cycles per image: image - low_pass(image).

    Args:
        image: real tensor or array (..., H, W), floating point; the last two axes are filtered.
        radius: cut-off in cycles per min(H, W) pixels.
        family: as of `low_pass`.
        convention: as of `low_pass`.

    Returns:
        The filtered image: same type, shape, dtype and device.

    Raises:
        InputError: as `low_pass`.
    """
    return _filtered(image, lambda h, w: gains.high_pass_gain(h, w, radius, family=family, convention=convention))


def band_pass(image: Array, low: float, high: float, *, convention: Convention = DEFAULT) -> Array:
    """Keep spatial frequencies low < d <= high, by an ideal filter.

    Args:
        image: real tensor or array (..., H, W), floating point; the last two axes are filtered.
        low: in cycles per min(H, W) pixels; this frequency itself goes.
        high: likewise; this one stays.
        convention: as of `low_pass`.

    Returns:
        The filtered image: same type, shape, dtype and device.

    Raises:
        InputError: as `low_pass`, or the band is empty.
    """
    return _filtered(image, lambda h, w: gains.band_pass_gain(h, w, low, high, convention=convention))


def band_stop(image: Array, low: float, high: float, *, convention: Convention = DEFAULT) -> Array:
    """Remove spatial frequencies low < d <= high: image - band_pass(image).

    Args:
        image: real tensor or array (..., H, W), floating point; the last two axes are filtered.
        low: in cycles per min(H, W) pixels; this frequency itself stays.
        high: likewise; this one goes.
        convention: as of `low_pass`.

    Returns:
        The filtered image: same type, shape, dtype and device.

    Raises:
        InputError: as `low_pass`, or the band is empty.
    """
    return _filtered(image, lambda h, w: gains.band_stop_gain(h, w, low, high, convention=convention))


def _filtered(image: Array, gain_of_size: Callable[[int, int], Float[np.ndarray, "h half"]]) -> Array:
    tensor = torch.as_tensor(image)
    if tensor.ndim < 2 or not tensor.dtype.is_floating_point:
        raise InputError(
            f"Filters take real floating-point images of shape (..., H, W), not {tensor.dtype} of shape "
            f"{tuple(tensor.shape)}; convert with image.float() / 255 and put channels first."
        )
    gain = torch.from_numpy(gain_of_size(*tensor.shape[-2:])).to(tensor.device, tensor.dtype)
    out = apply_gain(tensor, gain)
    return out.numpy() if isinstance(image, np.ndarray) else out
