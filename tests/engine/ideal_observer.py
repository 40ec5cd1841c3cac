"""An observer that knows how `planted` is made, and learns nothing: a bank of matched filters, no network.

It weighs nine hypotheses about a crop: 1/f background alone, or a wave of class k on it, inside a disc. With x the
crop, C the covariance of the background, and s the complex wave of one carrier, one direction and one zoom, the best
linear detector of s is h = C^-1 s. Scaled such that the background alone gives E|<h, x>|^2 = 1, the likelihood ratio
of "s of amplitude A and unknown phase" to "background alone" is [Kay 1998, Detection Theory, chapter 7]

    exp(-A^2) I0(2 A |<h, x>|)

and a class's is the mean over the carriers of its band, the directions within its tilt, and the zooms that it may be
looked at: the observer is not told the zoom, as a network is not. Logits are the logarithms of these ratios; the
background's is 0. Every number below follows from the generator's formula.

Why it must see beta = 1: a low-pass at r = |k| cuts a wave's spectrum in half. The ratio of a strong wave of median
contrast turns where half of its amplitude is left, since log I0(2 A y) - A^2 = 0 near y = A / 2. So the label wins
from r = |k| / zoom on; with more contrast a little earlier, with less a little later, at every zoom alike.
"""

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import ArrayLike

from bandscope.datasets.planted import (
    BACKGROUND,
    BANDS,
    CONTRAST,
    DIAMETER,
    EDGE,
    ORIENTATIONS,
    SHIFT,
    SIZE,
    TILT,
    WEIGHTS,
    Planted,
)
from bandscope.preprocess import Preprocess

SIDE = 64
ZOOMS = (1.0, 2**0.5, 2.0, 2**1.5)
PREPROCESS = Preprocess((SIDE, SIDE), SIDE, (0.5,) * 3, (0.25,) * 3, interpolation="lanczos")  # the planted network's
CARRIER_STEP = 0.5  # cycles/image: half of the resolution of a full crop, so that no wave falls between two filters
TILT_STEP = 1.0  # cycles/image along the arc of directions: the resolution of a full crop

# Of all waves the carrier has this share of the stripes' energy; a cosine of amplitude a has the RMS a / sqrt(2).
MEDIAN_CONTRAST = math.sqrt(CONTRAST[0] * CONTRAST[1])  # it is drawn log-uniformly
AMPLITUDE = math.sqrt(2) * MEDIAN_CONTRAST * WEIGHTS[0] / math.sqrt(np.sum(WEIGHTS**2))

# Objects lie anywhere in a disc about the middle, where the filters are: half of them farther out than these.
ASTRAY = [(SHIFT * x / 2, SHIFT * y / 2) for x in (-1, 1) for y in (-1, 1)]


class IdealObserver:
    """From a normalised batch to nine logits."""

    preprocess = PREPROCESS
    classes = Planted.classes

    def __init__(self) -> None:
        filters, amplitudes = zip(*[_bank(label) for label in range(len(BANDS))], strict=True)
        self._sizes = [len(of_class) for of_class in amplitudes]
        matched = np.concatenate(filters)
        self._filters = torch.from_numpy(np.concatenate([matched.real, matched.imag]).T.astype(np.float32))
        self._amplitudes = torch.from_numpy(np.concatenate(amplitudes).astype(np.float32))

    def __call__(self, batch: Float[torch.Tensor, "n 3 64 64"]) -> Float[torch.Tensor, "n 9"]:
        """The logarithm of each class's likelihood ratio to the background."""
        strength = 2 * self._amplitudes * self.responses(batch)
        ratios = torch.special.i0e(strength).log() + strength - self._amplitudes**2
        of_classes = [ratio.logsumexp(1) - math.log(ratio.shape[1]) for ratio in ratios.split(self._sizes, dim=1)]
        return torch.stack([*of_classes, torch.zeros(len(batch))], dim=1)

    def responses(self, batch: Float[torch.Tensor, "n 3 64 64"]) -> Float[torch.Tensor, "n filters"]:
        """|<h, x>| of every filter; its mean square on background alone is 1."""
        light = PREPROCESS.std[0] * batch.mean(1).flatten(1)  # the axis of colour has the mean 1
        return torch.hypot(*(light @ self._filters).chunk(2, dim=1))


def _bank(label: int) -> tuple[Complex[np.ndarray, "filters pixels"], Float[np.ndarray, " filters"]]:
    """A class's filters, scaled to unit background, and their responses to a wave of the expected amplitude."""
    power, filters, amplitudes = _background_power(), [], []
    known = np.isfinite(power)
    for zoom, frequency, direction in _carriers(label):
        kx, ky = frequency * np.cos(direction), frequency * np.sin(direction)
        wave = _resize_gain(kx) * _resize_gain(ky) * np.exp(2j * np.pi * (kx * _X + ky * _Y))
        # Tapered to 0 at the border: a zoomed crop does not go on at the other side, as the DFT has it.
        spectrum = np.fft.fft2(_disc(zoom) * _TAPER * wave) / power
        matched = np.fft.ifft2(spectrum / np.sqrt(np.sum(np.abs(spectrum[known]) ** 2 * power[known])))
        found = [np.vdot(matched, _disc(zoom, x, y) * wave) for x, y in ASTRAY]
        filters.append(matched.ravel())
        amplitudes.append(AMPLITUDE / 2 * np.abs(found).mean())  # a cosine is half of the wave, half of its mirror
    return np.array(filters), np.array(amplitudes)


def _carriers(label: int) -> Iterator[tuple[float, float, float]]:
    """(zoom, cycles/image of the crop, direction in radians) of each filter of a class."""
    low, high = BANDS[label]
    for zoom in ZOOMS:
        for frequency in _spread(low / zoom, high / zoom, CARRIER_STEP):
            half_arc = frequency * np.deg2rad(TILT)
            for along in _spread(-half_arc, half_arc, TILT_STEP):
                yield zoom, frequency, np.deg2rad(ORIENTATIONS[label]) + along / frequency


def _spread(low: float, high: float, step: float) -> Float[np.ndarray, " points"]:
    """Middles of equal cells, none wider than `step`: what is drawn uniformly lies in each as often."""
    cells = math.ceil((high - low) / step)
    return low + (high - low) * (np.arange(cells) + 0.5) / cells


@lru_cache(maxsize=1)
def _background_power() -> Float[np.ndarray, "64 64"]:
    """Variance of each DFT coefficient of the crop / its pixels; infinite at DC, of which nothing is known.

    |k|^-2 in two dimensions is its own enlargement: the same power in cycles/image of the crop at every zoom.
    """
    gain = _resize_gain(np.fft.fftfreq(SIDE, 1 / SIDE))
    in_source = np.sum(_falling(SIZE), where=np.isfinite(_falling(SIZE)))
    return BACKGROUND**2 * _falling(SIDE) / in_source * np.outer(gain, gain) ** 2


def _resize_gain(frequency: ArrayLike) -> Float[np.ndarray, "..."]:
    """What the resize leaves of a frequency in cycles/image of the crop: the transform of Lanczos' kernel.

    The kernel spans 6 pixels of the crop whenever the source has more of them, as it has up to zoom 4.
    """
    t = np.linspace(-3, 3, 601)
    kernel = np.sinc(t) * np.sinc(t / 3)
    return np.cos(2 * np.pi * np.multiply.outer(np.asarray(frequency) / SIDE, t)) @ kernel / kernel.sum()


def _falling(side: int) -> Float[np.ndarray, "side side"]:
    y, x = np.meshgrid(*[np.fft.fftfreq(side, 1 / side)] * 2, indexing="ij")
    with np.errstate(divide="ignore"):
        return 1 / (x**2 + y**2)


def _disc(zoom: float, x: float = 0.0, y: float = 0.0) -> Float[np.ndarray, "64 64"]:
    """The object, its centre at (x, y) in image widths of the source."""
    through = ((np.hypot(_X / zoom - x, _Y / zoom - y) - DIAMETER / 2) / EDGE).clip(-0.5, 0.5)
    return (1 - np.sin(np.pi * through)) / 2


_ACROSS = np.arange(SIDE) / SIDE - 0.5
_X, _Y = np.meshgrid(_ACROSS, _ACROSS)
_TAPER = np.outer(np.cos(np.pi * _ACROSS) ** 2, np.cos(np.pi * _ACROSS) ** 2)
