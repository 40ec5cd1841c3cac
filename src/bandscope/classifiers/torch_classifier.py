"""A PyTorch module, or any function on tensors, as a Classifier."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import nn

from bandscope.classifiers.base import Classifier, ClassifierFacts
from bandscope.errors import InputError, ModelError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess

PRECISIONS = (torch.float32, torch.bfloat16)
CPU = torch.device("cpu")


@dataclass(repr=False)
class TorchClassifier(ClassifierFacts):
    """A `torch.nn.Module`: see `Classifier` for the fields.

    `prepare` changes the module itself (evaluation mode, no gradients, memory format, device).
    """

    module: nn.Module
    spec: str
    preprocess: Preprocess
    classes: tuple[ClassLabel, ...] | None
    provenance: Mapping[str, Any]
    device: torch.device = field(default=CPU, init=False)
    dtype: torch.dtype = field(default=torch.float32, init=False)

    def __post_init__(self) -> None:
        self.prepare(_device(self.module), torch.float32)

    def prepare(self, device: torch.device, dtype: torch.dtype) -> None:
        """Evaluation mode, channels last, on `device`; bfloat16 by autocast.

        Autocast, not a conversion of the module: BatchNorm and LayerNorm keep float32 statistics, networks that
        make float32 tensors in their forward go on working, and it was measured as fast as converted weights.

        Raises:
            InputError: `dtype` is neither float32 nor bfloat16.
        """
        check_precision(dtype)
        self.device, self.dtype = device, dtype
        if not isinstance(self.module, torch.jit.ScriptModule):  # they do not support it
            self.module.requires_grad_(False)
        self.module.eval().to(device).to(memory_format=torch.channels_last)

    def logits(self, batch: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"]:
        """Raw scores, float32.

        Raises:
            ModelError: the output is not one row of scores an image.
        """
        reduced = self.dtype != torch.float32
        with torch.inference_mode(), torch.autocast(batch.device.type, torch.bfloat16, enabled=reduced):
            output = self.module(batch.contiguous(memory_format=torch.channels_last))
        return as_logits(output, len(batch))


@dataclass(repr=False)
class FunctionClassifier(ClassifierFacts):
    """Any function from a normalised batch to logits: see `Classifier` for the fields."""

    function: Callable[[torch.Tensor], Any]
    spec: str
    preprocess: Preprocess
    classes: tuple[ClassLabel, ...] | None
    provenance: Mapping[str, Any]
    device: torch.device = field(default=CPU, init=False)

    def prepare(self, device: torch.device, dtype: torch.dtype) -> None:
        """Nothing to move: the function gets its batches on `device`.

        Raises:
            InputError: `dtype` is not float32: what a function computes in is its own business.
        """
        if dtype != torch.float32:
            raise InputError(f"a function cannot be run in {_name(dtype)}: only float32")
        self.device = device

    def logits(self, batch: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"]:
        """Raw scores, float32.

        Raises:
            ModelError: the output is not one row of scores an image.
        """
        with torch.inference_mode():
            return as_logits(self.function(batch), len(batch))


def as_logits(output: Any, images: int) -> Float[torch.Tensor, "n classes"]:
    """The logits in a network's output: a tensor, something with `.logits`, or a tuple that starts with one.

    Raises:
        ModelError: there is no tensor of shape (images, classes).
    """
    output = getattr(output, "logits", output)
    if isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise ModelError(f"a classifier must give a tensor of logits; given: {type(output).__name__}")
    if output.ndim != 2 or output.shape[0] != images:
        raise ModelError(
            f"a classifier must give one row of logits an image, shape ({images}, classes); given: shape "
            f"{tuple(output.shape)}"
        )
    return output.float()


def probe_outputs(classifier: Classifier) -> int:
    """How many classes a classifier tells apart: one forward of a black crop, on its device.

    Raises:
        ModelError: it does not take the crops that its preprocessing makes (wrong channels or size), gives no
            logits, or has another number of class names than outputs.
    """
    black = np.zeros((1, *classifier.preprocess.size, classifier.preprocess.channels), dtype=np.uint8)
    outputs = _asked(classifier, black).shape[1]
    if classifier.classes is not None and len(classifier.classes) != outputs:
        raise ModelError(f"{classifier.spec} has {outputs} outputs but {len(classifier.classes)} class names")
    return outputs


def answers(classifier: Classifier) -> list[list[float]] | None:
    """What tells classifiers of one name apart that no hash of their weights identifies.

    Returns:
        The least, largest and mean logit and their standard deviation for each of two crops of noise; None where the
        weights have a hash, or where the classifier answers otherwise when it is asked again.
    """
    if "weights_sha256" in classifier.provenance:
        return None
    shape = (2, *classifier.preprocess.size, classifier.preprocess.channels)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    first, again = (_asked(classifier, noise).double().cpu() for _ in range(2))
    if not torch.equal(first, again) or not first.isfinite().all():
        return None
    told = (first.amin(1), first.amax(1), first.mean(1), first.std(1, correction=0))
    return [[float(value) for value in row] for row in torch.stack(told, dim=1)]


def _asked(classifier: Classifier, crops: UInt8[np.ndarray, "n h w c"]) -> Float[torch.Tensor, "n classes"]:
    """The logits of crops, on the classifier's device."""
    pixels = torch.from_numpy(crops).to(getattr(classifier, "device", CPU))
    try:
        return classifier.logits(classifier.preprocess.normalise(pixels))
    except ModelError:
        raise
    except Exception as error:  # a network may fail with anything; here it means: not made for this input
        raise ModelError(_misfit(classifier, error)) from error


def check_precision(dtype: torch.dtype) -> None:
    """Refuse what is neither float32 nor bfloat16.

    Raises:
        InputError: naming the type.
    """
    if dtype not in PRECISIONS:
        raise InputError(f"precision must be float32 or bfloat16; given: {_name(dtype)}")


def _misfit(classifier: Classifier, error: Exception) -> str:
    given, expected = classifier.preprocess.channels, _first_channels(getattr(classifier, "module", None))
    if expected not in (None, given):
        return (
            f"{classifier.spec} expects {expected} channel(s) but its preprocessing gives {given}: "
            f"mean and std must have {expected} value(s) each"
        )
    height, width = classifier.preprocess.size
    return f"{classifier.spec} fails on a crop of {given} x {height} x {width}: {error}"


def _first_channels(module: nn.Module | None) -> int | None:
    """Input channels of a network's first convolution."""
    modules = module.modules() if module is not None else ()
    return next((m.in_channels for m in modules if isinstance(m, nn.Conv2d)), None)


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), CPU)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
