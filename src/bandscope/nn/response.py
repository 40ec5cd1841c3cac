"""The frequency response of small kernels: power over radial frequency, its peak, its half-power band."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from scipy.special import j0
from torch import Tensor

FREQUENCIES = 251  # 0, 0.002, ... 0.5 cycles/pixel
HALF = 0.5


@dataclass(frozen=True)
class Band:
    """Of n kernels, in cycles/pixel: where power over radial frequency is largest, and where around it half is left.

    low is 0 where the power nowhere falls to a half below the peak, high 0.5 where it nowhere does above.
    """

    peak: Float[Tensor, " n"]
    low: Float[Tensor, " n"]
    high: Float[Tensor, " n"]


def radial_power(kernels: Float[Tensor, "n tall wide"], frequency: Float[Tensor, " f"]) -> Float[Tensor, "n f"]:
    """Power |H|^2 averaged over all directions, exactly.

    The average of exp(2 pi i f r cos(theta)) over directions is J0(2 pi f r), so that the power at radial frequency f
    is the sum over all shifts d of r(d) J0(2 pi f |d|), with r the autocorrelation of the kernel.

    Args:
        kernels: taps.
        frequency: in cycles/pixel, 0 to 0.5 (beyond, circles leave the frequencies that pixels can carry).
    """
    tall, wide = kernels.shape[-2:]
    spectrum = torch.fft.rfft2(kernels.double(), s=(2 * tall - 1, 2 * wide - 1))
    shifts = torch.fft.irfft2(spectrum.abs().square(), s=(2 * tall - 1, 2 * wide - 1))
    distance = torch.hypot(_shifts(tall)[:, None], _shifts(wide)[None, :])
    angle = 2 * torch.pi * distance.flatten()[:, None] * frequency
    waves = torch.from_numpy(j0(angle.numpy()))  # torch's own is right to 4e-7 only
    power: Tensor = shifts.flatten(1) @ waves
    return power


def _shifts(length: int) -> Float[Tensor, " shifts"]:
    """Shifts of a kernel against itself, in the order of the FFT."""
    order: Tensor = torch.fft.fftfreq(2 * length - 1, dtype=torch.float64) * (2 * length - 1)
    return order


def band(kernels: Float[Tensor, "n tall wide"]) -> Band:
    """Peak and half-power band of each kernel; NaN for a kernel of zeros."""
    frequency = torch.linspace(0, 0.5, FREQUENCIES, dtype=torch.float64)
    power = radial_power(kernels, frequency)
    top, peak = power.max(1)
    below = power < HALF * top[:, None]
    place = torch.arange(FREQUENCIES)
    before = torch.where(below & (place < peak[:, None]), place, -1).amax(1)
    after = torch.where(below & (place > peak[:, None]), place, FREQUENCIES).amin(1)
    low, high = _crossing(power, before, top, frequency), _crossing(power, after - 1, top, frequency)
    empty = ~(top > 0)
    return Band(
        frequency[peak].masked_fill(empty, torch.nan),
        torch.where(before < 0, 0.0, low).masked_fill(empty, torch.nan),
        torch.where(after == FREQUENCIES, 0.5, high).masked_fill(empty, torch.nan),
    )


def _crossing(
    power: Float[Tensor, "n f"], left: Int64[Tensor, " n"], top: Float[Tensor, " n"], frequency: Float[Tensor, " f"]
) -> Float[Tensor, " n"]:
    """Where power crosses half of its top between frequency `left` and the next, by linear interpolation."""
    at = left.clamp(0, FREQUENCIES - 2)[:, None]
    start, end = power.gather(1, at)[:, 0], power.gather(1, at + 1)[:, 0]
    part = ((HALF * top - start) / (end - start)).nan_to_num(0.0)
    return frequency[at[:, 0]] + part * (frequency[1] - frequency[0])
