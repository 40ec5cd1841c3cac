"""Frequency filters as a torchvision-v2 transform, for pipelines and training."""

from typing import Any

import torch
from torchvision.transforms import v2

from bandscope.conventions import Convention
from bandscope.errors import InputError
from bandscope.spectral import transform
from bandscope.spectral.gains import DEFAULT

KINDS = {
    "low_pass": transform.low_pass,
    "high_pass": transform.high_pass,
    "band_pass": transform.band_pass,
    "band_stop": transform.band_stop,
}


class FrequencyFilter(v2.Transform):  # type: ignore[misc]
    """Filter images (..., H, W) inside a `torchvision.transforms.v2` pipeline, after `ToDtype(float, scale=True)`.

    Where the audit's convention is "normalised" (the default), put it after `Normalize`.

    Args:
        kind: "low_pass", "high_pass", "band_pass" or "band_stop".
        cutoffs: one radius, or the band's low and high end, in cycles per image.
        family: "ideal", "gaussian" or "butterworth"; bands are ideal.
        convention: see `Convention`.

    Raises:
        InputError: the kind is unknown, or the number of cut-offs is not that of its kind.
    """

    _transformed_types = (torch.Tensor,)

    def __init__(self, kind: str, *cutoffs: float, family: str = "ideal", convention: Convention = DEFAULT) -> None:
        super().__init__()
        if kind not in KINDS:
            raise InputError(f"No filter kind {kind!r}; there are {', '.join(KINDS)}.")
        wanted = 1 if kind in ("low_pass", "high_pass") else 2
        if len(cutoffs) != wanted:
            raise InputError(f"{kind} takes {wanted} cut-off(s) in cycles/image; {len(cutoffs)} were given.")
        self.kind, self.cutoffs, self.family, self.convention = kind, cutoffs, family, convention

    def transform(self, inpt: torch.Tensor, params: dict[str, Any]) -> torch.Tensor:
        """Filter one image or batch; torchvision calls this."""
        soft = {"family": self.family} if len(self.cutoffs) == 1 else {}
        out: torch.Tensor = KINDS[self.kind](inpt, *self.cutoffs, convention=self.convention, **soft)  # type: ignore[operator]
        return out

    def extra_repr(self) -> str:
        """Shown by `print`."""
        return f"{self.kind}, {', '.join(map(str, self.cutoffs))}, family={self.family!r}"
