"""Scale space: Gaussian kernels, their derivatives, and images filtered with them."""

from bandscope.scalespace.filters import gaussian_blur, gaussian_derivative, jet, scale_space
from bandscope.scalespace.kernels import derivative_taps, gaussian_taps, operator_taps, radius_for, separable_taps

__all__ = [
    "derivative_taps",
    "gaussian_blur",
    "gaussian_derivative",
    "gaussian_taps",
    "jet",
    "operator_taps",
    "radius_for",
    "scale_space",
    "separable_taps",
]
