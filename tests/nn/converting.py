"""Depthwise convolutions to convert, and the kernels that they should become."""

import numpy as np
import torch
from scipy.special import ive
from torch import nn

MODES = ("paper", "project", "learn-mix")


SIZES = [(3, 3), (5, 5), (7, 7), (9, 9), (1, 7), (7, 1), (1, 3), (3, 1), (3, 5)]


def depthwise(channels: int = 12, size: tuple[int, int] = (3, 3), multiplier: int = 1, **options) -> nn.Conv2d:
    padding = tuple(length // 2 for length in size)
    options = {"padding": padding, **options}
    return nn.Conv2d(channels, channels * multiplier, size, groups=channels, **options)


def discrete_gaussian(sigma: float, radius: int) -> np.ndarray:
    taps = ive(np.abs(np.arange(-radius, radius + 1)), sigma**2)
    return taps / taps.sum()


def line(order: int, sigma: float, length: int) -> np.ndarray:
    """Lindeberg's kernels with SciPy: central differences of the cut and normalised discrete Gaussian."""
    difference = {0: [1.0], 1: [-0.5, 0, 0.5], 2: [1.0, -2, 1]}[order]
    if length == 1:
        return np.ones(1)
    return np.convolve(discrete_gaussian(sigma, length // 2 - (len(difference) - 1) // 2), difference[::-1])[::-1]


ORDERS = {"g": (0, 0), "dx": (0, 1), "dy": (1, 0), "dxx": (0, 2), "dxy": (1, 1), "dyy": (2, 0)}


def fitting(size: tuple[int, int]) -> list[str]:
    return [n for n, orders in ORDERS.items() if all(k > 1 or not o for k, o in zip(size, orders, strict=True))]


def jet(sigma: float, size: tuple[int, int]) -> np.ndarray:
    lines = [[line(o, sigma, k) for o, k in zip(ORDERS[n], size, strict=True)] for n in fitting(size)]
    return np.stack([np.outer(y, x) for y, x in lines])


def planted(size: tuple[int, int], seed: int = 0) -> tuple[nn.Conv2d, list[str], np.ndarray]:
    """A layer whose kernels are jet members, their names and their scales."""
    rng = np.random.default_rng(seed)
    names = fitting(size) * 4
    sigmas = rng.uniform(0.4, 0.75 * max(size), len(names))
    taps = [rng.normal() * jet(s, size)[fitting(size).index(n)] for n, s in zip(names, sigmas, strict=True)]
    layer = depthwise(len(names), size).double()
    layer.weight.data = torch.tensor(np.stack(taps))[:, None]
    return layer, names, sigmas
