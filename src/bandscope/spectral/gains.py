"""Gains: real, symmetric multipliers on the half spectrum (`rfft2` layout), float64.

Low-pass gains come in three families, each a function of the distance d from DC and the radius r:

    ideal        1 where d <= r, else 0
    gaussian     2^-(d/r)^2
    butterworth  1 / (1 + (d/r)^(2n)),  n = 2

The soft ones are 1/2 at d = r (scikit-image and SciPy use other scales: convert before you compare).
Every high-pass is 1 - low-pass, every band-pass the difference of two low-passes.
"""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from bandscope.conventions import Convention
from bandscope.errors import InputError
from bandscope.spectral.grid import squared_radius

Family = Literal["ideal", "gaussian", "butterworth"]
FAMILIES: tuple[str, ...] = get_args(Family)

MEMBERSHIP_TOLERANCE = 1e-9  # relative, on squared radii: r = sqrt(2) must hold the bin (1, 1)
BUTTERWORTH_ORDER = 2
DEFAULT = Convention()


def low_pass_gain(
    height: int, width: int, radius: float, *, family: str = "ideal", convention: Convention = DEFAULT
) -> Float[np.ndarray, "height half"]:
    """Gain that keeps distances up to `radius` (cycles per image); radius 0 keeps DC alone.

    Args:
        height: rows of the image.
        width: columns of the image; the gain has width // 2 + 1 columns.
        radius: cut-off in cycles per image, >= 0.
        family: "ideal", "gaussian" or "butterworth".
        convention: metric, centre and keep_mean; the other choices do not concern gains.
    """
    gain = _low(height, width, radius, family, convention)
    return _with_mean(gain) if convention.keep_mean else gain


def high_pass_gain(
    height: int, width: int, radius: float, *, family: str = "ideal", convention: Convention = DEFAULT
) -> Float[np.ndarray, "height half"]:
    """1 - `low_pass_gain`: keeps distances beyond `radius`, never DC unless the convention keeps the mean."""
    gain = 1 - _low(height, width, radius, family, convention)
    return _with_mean(gain) if convention.keep_mean else gain


def band_pass_gain(
    height: int, width: int, low: float, high: float, *, convention: Convention = DEFAULT
) -> Float[np.ndarray, "height half"]:
    """Ideal gain that keeps low < d <= high, so that adjacent bands share no bin and lose none."""
    gain = _band(height, width, low, high, convention)
    return _with_mean(gain) if convention.keep_mean else gain


def band_stop_gain(
    height: int, width: int, low: float, high: float, *, convention: Convention = DEFAULT
) -> Float[np.ndarray, "height half"]:
    """1 - `band_pass_gain`: removes low < d <= high."""
    gain = 1 - _band(height, width, low, high, convention)
    return _with_mean(gain) if convention.keep_mean else gain


def _band(
    height: int, width: int, low: float, high: float, convention: Convention
) -> Float[np.ndarray, "height half"]:
    if not low < high:
        raise InputError(f"The band {low} to {high} is empty: its low end must lie below its high end.")
    outer = _low(height, width, high, "ideal", convention)
    inner = _low(height, width, low, "ideal", convention)
    return np.asarray(outer - inner)


def _low(
    height: int, width: int, radius: float, family: str, convention: Convention
) -> Float[np.ndarray, "height half"]:
    if not (np.isfinite(radius) and radius >= 0):
        raise InputError(f"A radius of {radius} cycles/image is not possible; it must be finite and >= 0.")
    d2 = squared_radius(height, width, metric=convention.metric, centre=convention.centre)
    return _symmetrised(_family(d2, radius, family))[:, : width // 2 + 1]


def _family(d2: Float[np.ndarray, "h w"], radius: float, family: str) -> Float[np.ndarray, "h w"]:
    if family not in FAMILIES:
        raise InputError(f"No filter family {family!r}; there are {', '.join(FAMILIES)}.")
    if family == "ideal" or radius == 0:  # the soft families tend to "DC alone" as r -> 0
        return (d2 <= radius**2 * (1 + MEMBERSHIP_TOLERANCE)).astype(np.float64)
    if family == "gaussian":
        return np.asarray(np.exp2(-d2 / radius**2))
    return 1 / (1 + (d2 / radius**2) ** BUTTERWORTH_ORDER)


def _symmetrised(gain: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """(g(k) + g(-k)) / 2: what remains of g when the real part of the filtered image is taken."""
    rows, columns = (-np.arange(n) % n for n in gain.shape)
    return np.asarray((gain + gain[np.ix_(rows, columns)]) / 2)


def _with_mean(gain: Float[np.ndarray, "h half"]) -> Float[np.ndarray, "h half"]:
    gain = gain.copy()
    gain[0, 0] = 1
    return gain
