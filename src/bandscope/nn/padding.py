"""How much a convolution pads, and with what."""

import math
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bandscope.errors import InputError

Pair = tuple[int, int]
Border = Literal["zeros", "reflect", "replicate", "circular"]
Padding = int | Pair | Literal["same", "tensorflow"]

BORDERS = ("zeros", "reflect", "replicate", "circular")


def pair(what: str, value: int | Pair, least: int) -> Pair:
    """One number for both axes or (y, x), checked."""
    both = (value, value) if isinstance(value, int) else tuple(value)
    if len(both) != 2 or not all(isinstance(v, int) and v >= least for v in both):
        raise InputError(f"{what} is a whole number from {least} on, or two (y, x); {value!r} was given.")
    return both[0], both[1]


def static_padding(padding: Padding, kernel: Pair, dilation: Pair) -> tuple[Pair, Pair] | None:
    """Pixels (before, after) on the y and the x axis; None where they depend on the image ("tensorflow").

    "same" puts the kernel's centre on the first pixel, so that the output has ceil(size / stride) pixels.
    """
    if padding == "tensorflow":
        return None
    if padding == "same":
        return _halved((kernel[0] - 1) * dilation[0]), _halved((kernel[1] - 1) * dilation[1])
    if isinstance(padding, str):
        raise InputError(f'padding is a whole number, two (y, x), "same" or "tensorflow"; {padding!r} was given.')
    y, x = pair("padding", padding, 0)
    return (y, y), (x, x)


def checked_images(images: Float[Tensor, "*batch c h w"], channels: int) -> Float[Tensor, "*batch c h w"]:
    """The images, or an InputError where they are not what a layer for so many channels takes."""
    if images.ndim not in {3, 4} or images.shape[-3] != channels or not images.is_floating_point():
        raise InputError(
            f"This layer takes floating-point images of shape (N, {channels}, H, W) or ({channels}, H, W), not "
            f"{images.dtype} of shape {tuple(images.shape)}."
        )
    return images


def with_border(
    images: Float[Tensor, "*batch h w"],
    amounts: tuple[Pair, Pair] | None,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    border: str,
) -> Float[Tensor, "*batch tall wide"]:
    """Images with a border: the pixels of `static_padding`, or TensorFlow's.

    Raises:
        InputError: the border takes more pixels than the image has.
    """
    height, width = images.shape[-2:]
    y, x = amounts or (
        _tensorflow(height, kernel[0], stride[0], dilation[0]),
        _tensorflow(width, kernel[1], stride[1], dilation[1]),
    )
    spare = {"reflect": -1, "circular": 0}.get(border)
    if spare is not None and (max(y) > height + spare or max(x) > width + spare):
        raise InputError(
            f"A {border} border of {y} rows and {x} columns does not fit images of {height} x {width}: use a smaller "
            "kernel, larger images, or another border."
        )
    return F.pad(images, (*x, *y), mode="constant" if border == "zeros" else border)


def _tensorflow(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    """What TensorFlow's SAME adds on one axis: ceil(size / stride) outputs, the odd pixel at the end."""
    return _halved(max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0))


def _halved(total: int) -> Pair:
    return total // 2, total - total // 2
