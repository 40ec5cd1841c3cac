"""Where each DFT bin lies: signed frequencies and distances from the centre of the spectrum."""

import numpy as np
from jaxtyping import Float, Int

from bandscope.errors import InputError


def signed_frequencies(n: int) -> Int[np.ndarray, " n"]:
    """Frequency of each DFT bin in cycles per n samples: 0, 1, ..., then negative; Nyquist of even n is -n/2."""
    k = np.arange(n)
    return np.where(k < (n + 1) // 2, k, k - n)


def corner_radius(height: int, width: int) -> float:
    """Radius of the highest frequency of the grid, in cycles per image (112 sqrt(2) at 224 x 224)."""
    return float(np.sqrt(squared_radius(height, width).max()))


def squared_radius(
    height: int, width: int, *, metric: str = "disc", centre: str = "dc"
) -> Float[np.ndarray, "height width"]:
    """Squared distance of every bin of the full spectrum from the centre, (cycles per image)^2, float64.

    A frequency of f cycles per pixel lies at f * min(height, width), so one radius is one spatial frequency in
    every direction. On square grids with `centre="dc"` and `metric="disc"` the values are exact integers.

    Args:
        height: rows of the image.
        width: columns of the image.
        metric: "disc" (fy^2 + fx^2) or "square" (max(|fy|, |fx|)^2).
        centre: "dc", or "half-pixel": the middle (n - 1)/2 of the fftshifted array, +1/2 bin for even n.
    """
    if height < 1 or width < 1:
        raise InputError(f"An image of {height} x {width} pixels has no spectrum; both sides must be at least 1.")
    fy = _axis(height, min(height, width), centre)[:, None]
    fx = _axis(width, min(height, width), centre)[None, :]
    if metric == "square":
        return np.asarray(np.maximum(np.abs(fy), np.abs(fx)) ** 2)
    return np.asarray(fy**2 + fx**2)


def _axis(n: int, side: int, centre: str) -> Float[np.ndarray, " n"]:
    offset = 0.5 if centre == "half-pixel" and n % 2 == 0 else 0.0
    return (signed_frequencies(n) + offset) * (side / n)
