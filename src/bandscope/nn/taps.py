"""Where a layer's taps come from: fixed, rebuilt from a learned sigma, or mixed from a jet with learned weights.

Each is a module that, called without arguments, returns the kernels of a depthwise convolution (n, 1, height, width).
Fixed taps and the jet are buffers that state dicts leave out: they follow from the constructor's arguments, so that
weights load strictly into a network built with other operators.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bandscope.errors import InputError
from bandscope.nn.operators import identity_taps, indices, operator_bank, operator_factors, touched_channels
from bandscope.scalespace.kernels import derivative_name, jet_orders, operator_taps

ON_CPU = torch.device("cpu")  # as a context: values are computed, so not on "meta", where networks may be built


@dataclass(frozen=True)
class Kernels:
    """What the taps of a layer are made of.

    operators: one name an output channel.
    radius: taps on either side of the centre.
    family, gamma: see `bandscope.scalespace.kernels`.
    """

    operators: tuple[str, ...]
    radius: int
    family: str
    gamma: float | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Kernels, height, width."""
        return len(self.operators), 2 * self.radius + 1, 2 * self.radius + 1

    def bank(self, sigma: Float[Tensor, "*touched"]) -> Float[Tensor, "n side side"]:
        """Float64 taps at these sigmas, one for all or one for each channel that does not pass."""
        return operator_bank(self.operators, sigma, radius=self.radius, family=self.family, gamma=self.gamma)

    def factors(self, sigma: Float[Tensor, "*touched"]) -> Float[Tensor, "n 2 side"]:
        """Float64 factors (down y, along x) of those taps."""
        return operator_factors(self.operators, sigma, radius=self.radius, family=self.family, gamma=self.gamma)


class FixedTaps(nn.Module):
    """Taps that never change; dtype and device follow the module, the values stay those given."""

    taps: Tensor
    line: Tensor

    def __init__(self, taps: Float[Tensor, "n tall wide"], factors: Float[Tensor, "n 2 side"] | None = None) -> None:
        super().__init__()
        self._given = [t.detach().to("cpu", torch.float64, copy=True) for t in (taps, factors) if t is not None]
        for name, given in zip(("taps", "line"), self._given, strict=False):
            self.register_buffer(name, torch.empty(given.shape), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Fill in the taps (again)."""
        for buffer, given in zip(self.buffers(), self._given, strict=True):
            buffer.copy_(given)

    def _apply(self, *arguments: Any, **settings: Any) -> "FixedTaps":
        """Fill in the taps after every cast or move: through half precision and back they are exact, as on "meta"."""
        super()._apply(*arguments, **settings)  # type: ignore[no-untyped-call]
        self.reset_parameters()
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """Kernels, height, width."""
        n, tall, wide = self.taps.shape
        return n, tall, wide

    def forward(self) -> Float[Tensor, "n 1 tall wide"]:
        """The taps."""
        return self.taps[:, None]

    def factors(self) -> Float[Tensor, "n 2 side"]:
        """Their factors (down y, along x), if they were given."""
        return self.line

    def extra_repr(self) -> str:
        """Number and size."""
        return "x".join(map(str, self.shape))


class SigmaTaps(nn.Module):
    """Taps rebuilt, differentiably, from learned sigmas in (0, max_sigma)."""

    def __init__(self, kernels: Kernels, sigma: Float[Tensor, "*touched"], max_sigma: float) -> None:
        super().__init__()
        if not bool((sigma < max_sigma).all()):
            raise InputError(f"A learned sigma starts below max_sigma = {max_sigma:g}; {sigma.tolist()} was given.")
        self.kernels = kernels
        self.max_sigma = max_sigma
        self._start = sigma.detach().cpu().double()
        self.logit = nn.Parameter(torch.empty(sigma.shape))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Back to the sigmas given at construction."""
        with torch.no_grad():
            self.logit.copy_(torch.logit(self._start / self.max_sigma))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Kernels, height, width."""
        return self.kernels.shape

    @property
    def sigma(self) -> Float[Tensor, "*touched"]:
        """Sigma in pixels, one for all or one for each channel that does not pass; float64."""
        return self.max_sigma * self.logit.double().sigmoid()

    def forward(self) -> Float[Tensor, "n 1 side side"]:
        """The taps at the present sigmas."""
        return self.kernels.bank(self.sigma)[:, None].to(self.logit.dtype)

    def factors(self) -> Float[Tensor, "n 2 side"]:
        """Their factors (down y, along x)."""
        return self.kernels.factors(self.sigma).to(self.logit.dtype)

    def extra_repr(self) -> str:
        """Number, size, and the bound."""
        return f"{'x'.join(map(str, self.shape))}, learned sigma < {self.max_sigma:g}"


class MixTaps(nn.Module):
    """Each channel's kernel is a learned mixture of the jet (all derivatives up to an order) at its fixed sigma.

    Channels that pass stay as they are; the others start as their operator.
    """

    jet: Tensor

    def __init__(self, kernels: Kernels, sigma: Float[Tensor, "*touched"], order: int) -> None:
        super().__init__()
        self.kernels = kernels
        self.members = tuple(derivative_name(*orders) for orders in jet_orders(order))
        self.touched = touched_channels(kernels.operators)
        with ON_CPU:
            self._jet = torch.stack([self._member(name, sigma) for name in self.members], -3)
            self._start = torch.tensor([self._weights(kernels.operators[c]) for c in self.touched]).double()
        self.register_buffer("jet", torch.empty(self._jet.shape), persistent=False)
        self.mix = nn.Parameter(torch.empty(self._start.shape))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Fill in the jet, and start each channel as its operator (again)."""
        self.jet.copy_(self._jet)
        with torch.no_grad():
            self.mix.copy_(self._start)

    def _apply(self, *arguments: Any, **settings: Any) -> "MixTaps":
        """Fill in the jet after every cast or move."""
        super()._apply(*arguments, **settings)  # type: ignore[no-untyped-call]
        self.jet.copy_(self._jet)
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """Kernels, height, width."""
        return self.kernels.shape

    def forward(self) -> Float[Tensor, "n 1 side side"]:
        """The taps of the present mixture."""
        mixed = (self.mix[..., None, None] * self.jet).sum(-3)
        passed = identity_taps(self.kernels.radius, mixed).to(mixed.dtype)
        return torch.cat((mixed, passed[None])).index_select(0, indices(self._rows(), mixed))[:, None]

    def extra_repr(self) -> str:
        """Number, size, and the members of the jet."""
        return f"{'x'.join(map(str, self.shape))}, learned mix of {', '.join(self.members)}"

    def _member(self, name: str, sigma: Tensor) -> Tensor:
        return operator_taps(
            name, sigma, radius=self.kernels.radius, family=self.kernels.family, gamma=self.kernels.gamma
        )

    def _weights(self, operator: str) -> list[float]:
        parts = ("dxx", "dyy") if operator == "laplacian" else (operator,)
        if not set(parts) <= set(self.members):
            raise InputError(f"A mix of {', '.join(self.members)} cannot start as {operator!r}: raise jet_order.")
        return [float(member in parts) for member in self.members]

    def _rows(self) -> list[int]:
        """Of each channel: its row among the mixtures, or the one after them, which passes."""
        row = {channel: i for i, channel in enumerate(self.touched)}
        return [row.get(channel, len(row)) for channel in range(len(self.kernels.operators))]
