"""What bandscope asks of a classifier, and nothing more."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float

from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess
from bandscope.reprs import Facts, counted


@runtime_checkable
class Classifier(Protocol):
    """An image classifier: normalised crops in, logits out."""

    @property
    def spec(self) -> str:
        """What the user wrote to name the model."""

    @property
    def preprocess(self) -> Preprocess:
        """From source pixels to the tensor the network sees."""

    @property
    def classes(self) -> tuple[ClassLabel, ...] | None:
        """One label an output, or None where the model does not know them."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Library and its version, source and hash of the weights, number of parameters; ready for JSON."""

    def prepare(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move to `device` and get ready for inference in `dtype`; called once, before `logits`."""

    def logits(self, batch: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"]:
        """Raw scores before softmax, float32, on the batch's device."""


class ClassifierFacts(Facts):
    """The `repr` of a classifier: what it is called, its outputs, what it sees, how large it is."""

    spec: str
    preprocess: Preprocess
    classes: tuple[ClassLabel, ...] | None
    provenance: Mapping[str, Any]

    def _told(self) -> dict[str, str]:
        height, width = self.preprocess.size
        found = {
            "model": self.spec,
            "classes": "classes unknown" if self.classes is None else counted(len(self.classes), "class", "classes"),
            "input": f"{height} x {width} pixels",
        }
        parameters = self.provenance.get("parameters")
        return found | ({"size": counted(int(parameters), "parameter")} if parameters else {})

    def _told_in_full(self) -> dict[str, str]:
        seen = {name: str(value) for name, value in self.preprocess.to_json().items()}
        known = {name: str(value) for name, value in self.provenance.items() if name not in ("parameters", "outputs")}
        return self._told() | {"preprocessing": ", ".join(f"{name} {value}" for name, value in seen.items())} | known
