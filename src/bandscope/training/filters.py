"""Frequency filters in training: the audit's gains, applied to whole batches on the device.

Every image takes one condition of the probes: the only one there is (a fixed low-pass), or one drawn at random for
each image and epoch. The filter acts where the audit's convention has it act: by default on the normalised tensor.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8

from bandscope.conventions import Convention
from bandscope.errors import InputError
from bandscope.preprocess import Preprocess
from bandscope.probes import Probe, resolve
from bandscope.spectral.transform import apply_gain

CLEAN = -1  # the condition of an image that is not filtered
COLUMNS = 2  # random numbers an image: whether it is filtered, and how


@dataclass
class TrainingFilter:
    """Filters for one crop size.

    Attributes:
        probes: what may be done to an image; each of their conditions is as likely.
        preprocess: of the network.
        convention: as in an audit.
        share: of the images that are filtered at all.
    """

    probes: Sequence[Probe]
    preprocess: Preprocess
    convention: Convention = field(default_factory=Convention)
    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"The share of filtered images is {self.share!r}; it must be above 0 and at most 1.")
        resolved = resolve(self.probes, self.preprocess.size) if self.probes else ()
        conditions = [(probe, index) for probe in resolved for index in range(len(probe.cutoffs))]
        self.conditions = tuple(probe.describe(index) for probe, index in conditions)
        gains = [probe.gain(index, self.convention) for probe, index in conditions]
        self._gains = torch.from_numpy(np.stack(gains)).float() if gains else torch.empty(0)

    @property
    def fixed(self) -> bool:
        """Whether every image is filtered in the same way: then validation images are, too."""
        return len(self.conditions) == 1 and self.share == 1

    def draw(self, uniforms: Float[np.ndarray, "n 2"]) -> Int64[np.ndarray, " n"]:
        """A condition for each image, or `CLEAN`."""
        if not self.conditions:
            return np.full(len(uniforms), CLEAN, dtype=np.int64)
        drawn = np.floor(uniforms[:, 1] * len(self.conditions)).astype(np.int64)
        return np.where(uniforms[:, 0] < self.share, drawn, CLEAN)

    def __call__(
        self, pixels: UInt8[torch.Tensor, "n h w c"], conditions: Int64[torch.Tensor, " n"] | None
    ) -> Float[torch.Tensor, "n c h w"]:
        """What the network sees of these crops; `conditions` None: of none of them filtered."""
        normalised = self.preprocess.normalise(pixels)
        if not self.conditions or conditions is None:
            return normalised
        filtered = self._filtered(pixels, normalised, self._gains_of(conditions))
        return torch.where((conditions == CLEAN)[:, None, None, None], normalised, filtered)

    def _gains_of(self, conditions: Int64[torch.Tensor, " n"]) -> Float[torch.Tensor, "n 1 h half"]:
        if self._gains.device != conditions.device:
            self._gains = self._gains.to(conditions.device)
        return self._gains[conditions.clamp(min=0)][:, None]

    def _filtered(
        self,
        pixels: UInt8[torch.Tensor, "n h w c"],
        normalised: Float[torch.Tensor, "n c h w"],
        gains: Float[torch.Tensor, "n 1 h half"],
    ) -> Float[torch.Tensor, "n c h w"]:
        if self.convention.domain == "pixel":
            image = apply_gain(pixels.permute(0, 3, 1, 2).contiguous().float() / 255, gains)
            return self.preprocess.affine(image.clamp(0, 1) if self.convention.clip else image)
        image = apply_gain(normalised, gains)
        if not self.convention.clip:
            return image
        zero = torch.zeros(1, self.preprocess.channels, 1, 1, device=image.device)
        return image.clamp(self.preprocess.affine(zero), self.preprocess.affine(zero + 1))

    def describe(self) -> str:
        """In words, for people."""
        names = (
            self.conditions[0]
            if len(self.conditions) == 1
            else (f"one of {len(self.conditions)}, {self.conditions[0]} to {self.conditions[-1]}")
        )
        return names if self.share == 1 else f"{names}, on {self.share:.0%} of the images"

    def to_json(self) -> dict[str, Any]:
        """Conditions, share and convention, ready for JSON."""
        return {
            "conditions": list(self.conditions),
            "share": self.share,
            "convention": self.convention.to_json(),
        }
