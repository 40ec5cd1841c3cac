"""Gaussian kernels and their derivatives: the public names.

Taps are float64, differentiable in sigma, and meant for correlation (what `conv2d` computes).
"""

from bandscope.scalespace.derivatives import HIGHEST_ORDER, derivative_taps
from bandscope.scalespace.operators import (
    PARTIAL,
    STEERED,
    derivative_name,
    jet_orders,
    operator_taps,
    separable_taps,
)
from bandscope.scalespace.smoothing import LARGEST_SIGMA, TAIL, gaussian_taps, radius_for

__all__ = [
    "HIGHEST_ORDER",
    "LARGEST_SIGMA",
    "PARTIAL",
    "STEERED",
    "TAIL",
    "derivative_name",
    "derivative_taps",
    "gaussian_taps",
    "jet_orders",
    "operator_taps",
    "radius_for",
    "separable_taps",
]
