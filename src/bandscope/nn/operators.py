"""Which operator each channel gets, and the taps that follow: pure functions."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bandscope.errors import InputError, nearest
from bandscope.scalespace.kernels import PARTIAL, operator_taps, separable_taps

IDENTITY = "identity"
FIRST_ORDER = ("dx", "dy")
SECOND_ORDER = ("dx", "dy", "dxx", "dyy", "dxy")
OPERATORS = (IDENTITY, *PARTIAL, "laplacian")

Layout = Literal["interleaved", "grouped"]
Remainder = Literal["pass", "touch"]


def spread_operators(
    channels: int,
    operators: Sequence[str],
    *,
    share: float = 1.0,
    layout: Layout = "interleaved",
    remainder: Remainder = "pass",
) -> tuple[str, ...]:
    """One operator a channel: the lowest channels get the operators in equal numbers, the others pass unchanged.

    Args:
        channels: number of channels.
        operators: names from `OPERATORS`; a list as long as the channels is taken as it is.
        share: at most floor(share * channels) channels are touched.
        layout: "interleaved" (channel c gets operator c mod n) or "grouped" (equal runs, one an operator).
        remainder: what happens to the floor(share * channels) mod n channels over: "pass" leaves them unchanged,
            "touch" gives one more channel to each of the first operators.

    Returns:
        `channels` names; "identity" for a channel that passes.

    Raises:
        InputError: an unknown name, a share outside (0, 1], or fewer channels to touch than operators.
    """
    names = checked_operators(operators)
    check_choice("layout", layout, ("interleaved", "grouped"))
    check_choice("remainder", remainder, ("pass", "touch"))
    if not 0 < share <= 1:
        raise InputError(f"share is the part of the channels to touch, above 0 and up to 1; {share} was given.")
    budget = int(share * channels)
    if budget < len(names):
        raise InputError(
            f"{len(names)} operators ({', '.join(names)}) do not fit {budget} channels ({share:g} of {channels})."
        )
    touched = budget if remainder == "touch" else budget - budget % len(names)
    return (*_laid_out(names, touched, layout), *[IDENTITY] * (channels - touched))


def _laid_out(names: Sequence[str], touched: int, layout: Layout) -> list[str]:
    interleaved = [names[channel % len(names)] for channel in range(touched)]
    return interleaved if layout == "interleaved" else [n for name in names for n in interleaved if n == name]


def checked_operators(operators: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple, or an InputError that says which one does not exist."""
    if isinstance(operators, str) or not operators:
        raise InputError(f"operators is a list of names, one or more; {operators!r} was given.")
    for name in operators:
        check_choice("operator", name, OPERATORS)
    return tuple(operators)


def touched_channels(operators: Sequence[str]) -> list[int]:
    """The channels that do not just pass."""
    return [channel for channel, name in enumerate(operators) if name != IDENTITY]


def operator_bank(
    operators: Sequence[str], sigma: Float[Tensor, "*touched"], *, radius: int, family: str, gamma: float | None
) -> Float[Tensor, "n side side"]:
    """Float64 correlation taps of every channel; differentiable in sigma.

    Args:
        operators: one name a channel.
        sigma: one for all, or one for each channel that does not pass.
        radius: taps on either side of the centre.
        family: see `bandscope.scalespace.kernels.gaussian_taps`.
        gamma: see `bandscope.scalespace.kernels.derivative_taps`.
    """

    def taps(name: str, sigmas: Tensor) -> Tensor:
        return operator_taps(name, sigmas, radius=radius, family=family, gamma=gamma)

    return _by_channel(operators, sigma, identity_taps(radius, sigma), taps)


def operator_factors(
    operators: Sequence[str], sigma: Float[Tensor, "*touched"], *, radius: int, family: str, gamma: float | None
) -> Float[Tensor, "n 2 side"]:
    """The 1-D factors (down y, along x) of every channel's taps; all operators separable. See `operator_bank`."""

    def factors(name: str, sigmas: Tensor) -> Tensor:
        return torch.stack(separable_taps(PARTIAL[name], sigmas, radius=radius, family=family, gamma=gamma), -2)

    return _by_channel(operators, sigma, identity_taps(radius, sigma)[[radius, radius]], factors)


def separable(operators: Sequence[str]) -> bool:
    """Whether each operator is a product of a 1-D one down y and one along x."""
    return all(name in PARTIAL or name == IDENTITY for name in operators)


def _by_channel(
    operators: Sequence[str], sigma: Tensor, passed: Tensor, build: Callable[[str, Tensor], Tensor]
) -> Tensor:
    """One row a channel. Each operator's rows are built together: one for each sigma, or one where all share it."""
    rows, places = [passed[None]], [0] * len(operators)
    touched = touched_channels(operators)
    for name in dict.fromkeys(operators[channel] for channel in touched):
        mine = [i for i, channel in enumerate(touched) if operators[channel] == name]
        start = sum(map(len, rows))
        rows.append(build(name, sigma[indices(mine, sigma)] if sigma.ndim else sigma[None]))
        for row, i in enumerate(mine):
            places[touched[i]] = start + (row if sigma.ndim else 0)
    return torch.cat(rows).index_select(0, indices(places, sigma))


def identity_taps(radius: int, like: Tensor) -> Float[Tensor, "side side"]:
    """One at the centre: correlation with it changes nothing."""
    line = torch.arange(-radius, radius + 1, device=like.device) == 0
    return (line[:, None] & line).double()


def indices(places: Sequence[int], like: Tensor) -> Int64[Tensor, " n"]:
    """Positions as an index tensor beside another tensor."""
    return torch.tensor(places, dtype=torch.int64, device=like.device)


def check_choice(what: str, given: str, allowed: Sequence[str]) -> None:
    """Refuse a name that is not among the allowed ones, and offer the nearest."""
    if given not in allowed:
        raise InputError(f"No {what} {given!r}; there are {', '.join(allowed)}.{nearest(str(given), allowed)}")
