"""The fixed operators of GSSDNet: one function from a row of the plan to its layer, for each preset."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from bandscope.errors import InputError
from bandscope.nn.layers import DerivativeConv2d, GaussianBlur2d
from bandscope.nn.operators import FIRST_ORDER, IDENTITY, SECOND_ORDER, check_choice
from bandscope.nn.plan import Row
from bandscope.nn.taps import ON_CPU

Preset = Literal["paper", "exact"]

ORDERS = {1: FIRST_ORDER, 2: SECOND_ORDER}
BLUR_SIGMA = 1.0
LOCAL_SIGMAS = (0.707, 1.414)
NETWORK_TAIL = 1e-2  # keeps the effective sigma within 2.1 % of the nominal one, at 7 x 7 and 9 x 9 taps

PAPER_TAPS = {  # gain against the true derivative: -2, +2, -1, -1, -4; batch norm takes it up
    "dx": ((0, 0, 0), (1, 0, -1), (0, 0, 0)),
    "dy": ((0, -1, 0), (0, 0, 0), (0, 1, 0)),
    "dxx": ((0, 0, 0), (-1, 2, -1), (0, 0, 0)),
    "dyy": ((0, -1, 0), (0, 2, 0), (0, -1, 0)),
    "dxy": ((-1, 0, 1), (0, 0, 0), (1, 0, -1)),
    IDENTITY: ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
}


def fixed_operator(row: Row, *, preset: Preset, order: int) -> DerivativeConv2d:
    """The operator of a row.

    paper: the taps of [Zhang2023]: 3 x 3 everywhere. Cut to three taps, blurs of sigma 0.707, 1 and 1.414 have an
        effective sigma of 0.651, 0.740 and 0.780, and the widest turn the sign of the highest frequencies.
    exact: the same channels, operators and sigmas with kernels of Lindeberg's discrete scale space. Blurs get the
        support that their sigma needs (7 x 7, and 9 x 9 for the local ones); no frequency changes sign. Derivatives
        are central differences with the gain and sign of the true derivative, without a blur of their own: blur and
        derivative commute, so the difference of features that a "blur" row has brought to a scale is their
        derivative *at* that scale, which is what the plan asks for; a second blur would move them to another one.

    Raises:
        InputError: no such preset or order.
    """
    check_choice("preset", preset, tuple(_BUILDERS))
    if order not in ORDERS:
        raise InputError(f"order is the highest derivative, 1 or 2; {order!r} was given.")
    return _BUILDERS[preset](row, ORDERS[order])


def row_operators(row: Row, derivatives: tuple[str, ...]) -> tuple[str, ...]:
    """The operator of each channel of a row: all blurred, the first half blurred, or derivatives interleaved.

    Derivatives touch n floor(floor(C/2) / n) channels for n operators: none where half the channels are fewer.
    """
    channels, n = row.inputs, len(derivatives)
    if row.role == "blur":
        return ("g",) * channels
    touched = channels // 2 if row.role == "local" else n * (channels // 2 // n)
    names = ("g",) if row.role == "local" else derivatives
    return (*(names[c % len(names)] for c in range(touched)), *[IDENTITY] * (channels - touched))


def _sigmas(row: Row) -> Float[Tensor, " touched"]:
    """Sigma of each blurred channel."""
    if row.role == "blur":
        return torch.full((row.inputs,), BLUR_SIGMA, dtype=torch.float64)
    return torch.linspace(*LOCAL_SIGMAS, row.inputs // 2, dtype=torch.float64)


def _paper(row: Row, derivatives: tuple[str, ...]) -> DerivativeConv2d:
    operators = row_operators(row, derivatives)
    with ON_CPU:
        taps = torch.tensor([PAPER_TAPS.get(name, PAPER_TAPS[IDENTITY]) for name in operators], dtype=torch.float64)
        if row.role != "derive":
            sigmas = _sigmas(row)
            taps[: len(sigmas)] = _three_by_three(sigmas)
    return DerivativeConv2d.from_taps(taps, stride=row.stride, operators=operators)


def _three_by_three(sigma: Float[Tensor, " n"]) -> Float[Tensor, "n 3 3"]:
    """The Gaussian sampled at 3 x 3 pixels, with sum one."""
    line = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    taps = torch.exp(-(line[:, None] + line) / (2 * sigma[:, None, None] ** 2))
    return taps / taps.sum((1, 2), keepdim=True)


def _exact(row: Row, derivatives: tuple[str, ...]) -> DerivativeConv2d:
    if row.role == "blur":
        return GaussianBlur2d(row.inputs, BLUR_SIGMA, tail=NETWORK_TAIL, stride=row.stride)
    operators = row_operators(row, derivatives)
    if row.role == "local":
        with ON_CPU:
            sigmas = _sigmas(row)
        return DerivativeConv2d(row.inputs, operators, sigma=sigmas, tail=NETWORK_TAIL, stride=row.stride)
    return DerivativeConv2d(row.inputs, operators, radius=1, stride=row.stride)


_BUILDERS: Mapping[str, Callable[[Row, tuple[str, ...]], DerivativeConv2d]] = {"paper": _paper, "exact": _exact}
