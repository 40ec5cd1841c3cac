"""From a spectrum and a gain to filtered images, by the cheapest of three ways that give the same pixels.

    whole      multiply the half spectrum, one inverse transform
    columns    the same, but only over the columns in which the gain is not zero, before the rows are transformed
    products   two matrix products over the rows and columns in which the gain is not zero

A low-pass of a small radius keeps few coefficients, and a full inverse transform mostly moves zeros.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex, Float

Method = Literal["whole", "columns", "products"]

# Shares of the half spectrum's columns up to which each way is the fastest on a CPU (benchmarks/filters.py).
PRODUCTS, COLUMNS = 0.4, 0.55


class Inverse:
    """One gain, ready for the spectra of many images.

    Args:
        gain: real, on the half spectrum, (H, W // 2 + 1).
        width: W of the images; the gain cannot tell an even width from the odd one that follows.
        device: of the spectra.
        method: one of the three ways; by default the fastest on that device.
    """

    def __init__(
        self,
        gain: Float[np.ndarray, "h half"],
        width: int,
        device: torch.device,
        method: Method | None = None,
    ) -> None:
        self._size = len(gain), width
        self._columns = _extent(gain)
        self.method = method or fastest(gain, device)
        rows = np.flatnonzero(gain.any(axis=1)) if self.method == "products" else np.arange(len(gain))
        columns = gain.shape[1] if self.method == "whole" else self._columns
        self._rows = torch.from_numpy(rows).to(device)
        self._gain = torch.from_numpy(gain[rows, :columns]).to(device, torch.float32)
        if self.method == "products":
            vertical, horizontal = _columns_matrix(len(gain), rows), _rows_matrix(width, columns)
            self._vertical = torch.from_numpy(vertical).to(device, torch.complex64)
            self._horizontal = torch.from_numpy(horizontal).to(device, torch.float32)

    def __call__(self, spectrum: Complex[torch.Tensor, "*n h half"]) -> Float[torch.Tensor, "*n h w"]:
        """The images whose half spectrum is `spectrum * gain`, complex64 in, float32 out."""
        if self.method == "whole":
            whole: torch.Tensor = torch.fft.irfft2(spectrum * self._gain, s=self._size)
            return whole
        kept = spectrum[..., : self._columns]
        if self.method == "columns":
            columns = torch.fft.ifft(kept * self._gain, dim=-2)
            rows: torch.Tensor = torch.fft.irfft(columns, n=self._size[1], dim=-1)
            return rows
        columns = self._vertical @ (kept[..., self._rows, :] * self._gain)
        return torch.view_as_real(columns).flatten(-2) @ self._horizontal


def fastest(gain: Float[np.ndarray, "h half"], device: torch.device) -> Method:
    """The way that was measured to be the fastest for gains of that extent on that kind of device."""
    share = _extent(gain) / gain.shape[1]
    if device.type != "cpu" or share > COLUMNS:
        return "whole"
    return "products" if share <= PRODUCTS else "columns"


def _extent(gain: Float[np.ndarray, "h half"]) -> int:
    """How many columns reach from the mean to the last one that is not all zeros; at least one."""
    return int(np.flatnonzero(gain.any(axis=0)).max(initial=0)) + 1


def _columns_matrix(height: int, rows: np.ndarray) -> np.ndarray:
    """The inverse DFT along the columns, from some of their frequencies: exp(2 pi i y k / H) / H."""
    return np.asarray(np.exp(2j * np.pi * np.outer(np.arange(height), rows) / height) / height)


def _rows_matrix(width: int, columns: int) -> np.ndarray:
    """The inverse real DFT along the rows, from the real and imaginary parts of the first frequencies in turn.

    x(n) = 1/W sum_k w_k (Re cos(2 pi k n / W) - Im sin(2 pi k n / W)): w = 2 where a frequency stands for its
    negative too, 1 at DC and at an even width's Nyquist frequency.
    """
    k = np.arange(columns)
    weight = np.where((k == 0) | (2 * k == width), 1.0, 2.0)[:, None] / width
    angle = 2 * np.pi * np.outer(k, np.arange(width)) / width
    return np.stack([weight * np.cos(angle), -weight * np.sin(angle)], axis=1).reshape(2 * columns, width)
