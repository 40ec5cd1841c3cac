"""Taps made from a trained network's kernels: unlike those that follow from a plan, state dicts hold them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class StoredTaps(nn.Module):
    """Fixed taps in a buffer of the state dict."""

    taps: Tensor

    def __init__(self, taps: Float[Tensor, "n tall wide"]) -> None:
        super().__init__()
        self.register_buffer("taps", taps.clone())

    @property
    def shape(self) -> tuple[int, int, int]:
        """Kernels, their height, their width."""
        n, tall, wide = self.taps.shape
        return n, tall, wide

    def forward(self) -> Float[Tensor, "n 1 tall wide"]:
        """The taps."""
        return self.taps[:, None]

    def extra_repr(self) -> str:
        """Number and size."""
        return "x".join(map(str, self.shape))


class StoredMix(nn.Module):
    """A learned mixture of fixed kernels for each channel; the kernels stand in the state dict beside the mixture."""

    basis: Tensor

    def __init__(self, basis: Float[Tensor, "n members tall wide"], mix: Float[Tensor, "n members"]) -> None:
        super().__init__()
        self.register_buffer("basis", basis.clone())
        self.mix = nn.Parameter(mix.clone())

    @property
    def shape(self) -> tuple[int, int, int]:
        """Kernels, their height, their width."""
        n, _, tall, wide = self.basis.shape
        return n, tall, wide

    def forward(self) -> Float[Tensor, "n 1 tall wide"]:
        """The taps of the present mixture."""
        return torch.einsum("nm,nmyx->nyx", self.mix, self.basis)[:, None]

    def extra_repr(self) -> str:
        """Number and size, and how many kernels are mixed."""
        return f"{'x'.join(map(str, self.shape))}, learned mix of {self.basis.shape[1]}"
