"""Images continued beyond their border, and filtered along one axis."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bandscope.errors import InputError, nearest

Axis = Literal[-2, -1]

# Our name -> PyTorch's. SciPy's: reflect is "mirror" (the edge is not repeated), replicate is "nearest", circular is
# "wrap", zero is "constant" with cval = 0.
BORDERS = {"zero": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def check_border(border: str, radius: int, height: int, width: int) -> None:
    """Refuse unknown borders, and kernels that reach beyond the mirror image."""
    if border not in BORDERS:
        raise InputError(f"No border {border!r}; there are {', '.join(BORDERS)}.{nearest(border, BORDERS)}")
    side = min(height, width)
    if border == "reflect" and radius >= side:
        raise InputError(
            f"A kernel of radius {radius} is wider than the mirrored image: {height} x {width} pixels with border "
            f'"reflect" allow a radius up to {side - 1}. Give a smaller sigma or radius, or another border.'
        )


def correlate(
    image: Float[Tensor, "1 n h w"], taps: Float[Tensor, " taps"], axis: Axis, border: str
) -> Float[Tensor, "1 n h w"]:
    """Correlate every channel with 1-D taps down the columns (axis -2) or along the rows (axis -1); same size.

    All images are channels of one depthwise convolution, on a CPU far faster than a batch of one-channel images.
    """
    kernel = taps[:, None] if axis == -2 else taps[None, :]
    n = image.shape[1]
    return F.conv2d(extend(image, len(taps) // 2, axis, border), kernel.expand(n, 1, *kernel.shape), groups=n)


def extend(image: Float[Tensor, "1 n h w"], radius: int, axis: Axis, border: str) -> Float[Tensor, "1 n h2 w2"]:
    """The image with `radius` more pixels at both ends of one axis."""
    if border == "circular":  # F.pad goes round at most once
        turns, radius = divmod(radius, image.shape[axis])
        image = torch.cat([image] * (2 * turns + 1), axis)
    margins = [0, 0, radius, radius] if axis == -2 else [radius, radius, 0, 0]
    return F.pad(image, margins, mode=BORDERS[border])
