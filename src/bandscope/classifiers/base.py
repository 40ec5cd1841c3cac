"""What bandscope asks of a classifier, and nothing more."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float

from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess


@runtime_checkable
class Classifier(Protocol):
    """An image classifier: normalised crops in, logits out."""

    @property
    def spec(self) -> str:
        """What the user wrote, e.g. "timm:resnet50"."""

    @property
    def preprocess(self) -> Preprocess:
        """From source pixels to the tensor the network sees."""

    @property
    def classes(self) -> tuple[ClassLabel, ...] | None:
        """One label an output, or None where the model does not know them."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """JSON-ready facts: library and its version, source and hash of the weights, number of parameters."""

    def prepare(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move to `device` and get ready for inference in `dtype`; called once, before `logits`."""

    def logits(self, batch: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"]:
        """Raw scores before softmax, float32, on the batch's device."""
