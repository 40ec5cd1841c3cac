"""From what a user wrote for a model to a network that can be trained, and the spec that rebuilds it."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from bandscope.classifiers import load_classifier
from bandscope.classifiers.checkpoint import recorded
from bandscope.classifiers.python_models import call_factory, find_factory
from bandscope.classifiers.specs import Spec, parse_spec
from bandscope.classifiers.timm_models import build_timm
from bandscope.classifiers.torch_classifier import TorchClassifier, as_logits
from bandscope.classifiers.torchvision_models import build_torchvision
from bandscope.classifiers.weights import load_state, read_state, weights_hash
from bandscope.datasets import ImageSource, match_labels
from bandscope.errors import InputError, ModelError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess
from bandscope.training.pixels import samples

GREY_MODES = ("1", "L", "I", "I;16", "I;16B", "I;16L", "I;16N")
TRAINED_KINDS = ("timm", "torchvision", "python", "checkpoint", "planted")
PUBLISHED_KINDS = ("timm", "torchvision")


@dataclass(frozen=True)
class Start:
    """Where the training starts.

    module: the network, ready to train.
    spec: what rebuilds it without weights; None where nobody said.
    channels: of its images, 1 or 3.
    preprocess: that of its weights; None where it starts at random.
    weights: where they come from, in words, and their hash.
    classes: one label an output.
    label_of: for each class of the data, the right output.
    """

    module: nn.Module
    spec: str | None
    channels: int
    preprocess: Preprocess | None
    weights: str
    classes: tuple[ClassLabel, ...]
    label_of: Int[np.ndarray, " classes"]


def start_from(
    model: str | nn.Module,
    source: ImageSource,
    *,
    weights: str | Path | None,
    pretrained: bool,
    spec: str | None,
    seed: int,
) -> Start:
    """The network to train, with one output a class of the source.

    Args:
        model: a spec or a network.
        source: the training images.
        weights: a file to start from.
        pretrained: start from published weights; with another number of classes, under a fresh classifier.
        spec: of a network given as an object: what rebuilds it.
        seed: of random weights.

    Raises:
        ModelError, InputError: it cannot be built or trained, or has other outputs than there are classes.
    """
    if isinstance(model, nn.Module):
        return _given(model, source, weights, spec)
    if not isinstance(model, str):
        raise InputError(f"a model to train is a spec such as timm:resnet18, or an nn.Module; given: {model!r}")
    if spec is not None:
        raise InputError(
            "spec names what rebuilds a network that is given as an object; here the model is one itself."
        )
    parsed = parse_spec(model)
    if parsed.kind not in TRAINED_KINDS:
        raise InputError(f"{model} cannot be trained; allowed: timm:, torchvision:, python:, or a .safetensors path.")
    options = dict(parsed.options)
    written = options.pop("weights", None)
    if written is not None and weights is not None and str(written) != str(weights):
        raise InputError(f"two weights are given for {model}: {written} and {weights}")
    weights = weights or written
    asked = options.pop("pretrained", None)
    if asked is False and pretrained:
        raise InputError(f"{model} says pretrained=false, but pretrained weights are asked for: leave one out.")
    pretrained = bool(pretrained or asked)
    if pretrained and weights is not None:
        raise InputError(f"{model}: pretrained weights and a weights file exclude each other.")
    if pretrained and parsed.kind not in PUBLISHED_KINDS:
        raise InputError(f"{model} has no published weights; only timm: and torchvision: networks have.")
    parsed = replace(parsed, options=options)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if parsed.kind in ("checkpoint", "planted") or pretrained:
            if weights is not None:
                raise InputError(f"{model} holds its own weights; another weights file cannot be given.")
            return _with_own_weights(parsed, source)
        return _built(parsed, source, weights)


def _built(spec: Spec, source: ImageSource, weights: str | Path | None) -> Start:
    """A network at random, or with the weights of a file."""
    filled = _filled(spec, len(source.classes), source_channels(source))
    module = _build(filled)
    origin, preprocess = "random", None
    if weights is not None:
        preprocess = recorded(weights).preprocess
        load_state(module, read_state(weights), weights)
        origin = f"file {Path(weights).name} ({weights_hash(module.state_dict())[:12]})"
    channels = input_channels(module) or source_channels(source)
    return Start(module, filled.text, channels, preprocess, origin, source.classes, _identity(source))


def _with_own_weights(spec: Spec, source: ImageSource) -> Start:
    """A checkpoint's network, or a published one."""
    text = _text(spec, spec.options)
    known = load_classifier(text)
    if not isinstance(known, TorchClassifier):
        raise InputError(f"{spec.text} is no PyTorch network, so it cannot be trained.")
    recorded = known.provenance.get("model", text)  # a checkpoint records what rebuilds it
    rebuilt = parse_spec(recorded)
    module = _build(rebuilt)  # anew, since a classifier's parameters are frozen
    module.load_state_dict(known.module.state_dict())
    channels = known.preprocess.channels
    origin = f"{known.provenance['source']} ({known.provenance['weights_sha256'][:12]})"
    outputs = count_outputs(module, known.preprocess)
    if outputs == len(source.classes):
        label_of = match_labels(source.classes, known.classes, outputs)
        classes = known.classes or source.classes
        return Start(module, recorded, channels, known.preprocess, origin, classes, label_of)
    if spec.kind != "timm":
        raise ModelError(
            f"{spec.text} has {outputs} outputs, but {source.spec} has {len(source.classes)} classes. "
            "Only the published weights of timm's networks get a fresh classifier."
        )
    module.reset_classifier(len(source.classes))  # type: ignore[operator]
    fresh = _text(rebuilt, {**rebuilt.options, "num_classes": len(source.classes)})
    return Start(module, fresh, channels, known.preprocess, origin, source.classes, _identity(source))


def _given(module: nn.Module, source: ImageSource, weights: str | Path | None, spec: str | None) -> Start:
    """A network handed over in Python; it is trained itself, not a copy."""
    if weights is not None:
        raise InputError("weights are loaded into networks that are named; a network given as an object has its own.")
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise InputError(
            f"{type(module).__qualname__} has no parameter that may change (requires_grad is False for all): thaw "
            "what shall be trained, or name the network instead."
        )
    channels = input_channels(module) or source_channels(source)
    if spec is not None:
        _check_rebuilds(spec, module)
    return Start(module.train(), spec, channels, None, "as given", source.classes, _identity(source))


def _build(spec: Spec) -> nn.Module:
    """The network of a spec without weights, in training mode."""
    if spec.kind == "timm":
        module = build_timm(spec.name, spec.options, pretrained=False)
    elif spec.kind == "torchvision":
        module = build_torchvision(spec.name, spec.options)
    else:
        module = call_factory(find_factory(spec.name), spec.text, spec.options)
    if not isinstance(module, nn.Module):
        raise ModelError(f"{spec.text} makes a {type(module).__name__}; only a torch.nn.Module can be trained.")
    return module.train()


def _filled(spec: Spec, classes: int, channels: int) -> Spec:
    """The spec with the number of classes and image channels, where its network takes them and nothing is said."""
    accepted = _accepted(spec)
    wanted = {"num_classes": classes} | ({"in_chans": channels} if channels != 3 else {})
    options = {**{name: value for name, value in wanted.items() if name in accepted}, **spec.options}
    return Spec(_text(spec, options), spec.kind, spec.name, options)


def _accepted(spec: Spec) -> Sequence[str]:
    if spec.kind == "timm":
        return ("num_classes", "in_chans")
    if spec.kind == "torchvision":
        return ("num_classes",)
    try:
        return tuple(inspect.signature(find_factory(spec.name)).parameters)
    except (TypeError, ValueError):  # a finished network, or a callable without a signature
        return ()


def _text(spec: Spec, options: Mapping[str, Any]) -> str:
    head = spec.name if spec.kind in ("checkpoint", "planted") else f"{spec.kind}:{spec.name}"
    written = "&".join(f"{name}={_shown(value)}" for name, value in options.items())
    return f"{head}?{written}" if written else head


def _shown(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _identity(source: ImageSource) -> Int[np.ndarray, " classes"]:
    return np.arange(len(source.classes))


def input_channels(module: nn.Module) -> int | None:
    """Channels of the images that the network's first convolution takes, where these are 1 or 3."""
    first = next((m.in_channels for m in module.modules() if isinstance(m, nn.Conv2d)), None)
    return first if first in (1, 3) else None


def source_channels(source: ImageSource) -> int:
    """1 where a sample of the images is grey, else 3."""
    return 1 if all(image.mode in GREY_MODES for image in samples(source)) else 3


def check_outputs(start: Start, preprocess: Preprocess, source: ImageSource) -> None:
    """Refuse a network that tells apart another number of classes than the data have.

    Raises:
        ModelError: naming both numbers.
    """
    outputs = count_outputs(start.module, preprocess)
    if outputs != len(start.classes):
        raise ModelError(
            f"{start.spec or type(start.module).__qualname__} has {outputs} outputs, but {source.spec} has "
            f"{len(start.classes)} classes; build it with as many (num_classes={len(start.classes)})."
        )


def count_outputs(module: nn.Module, preprocess: Preprocess) -> int:
    """How many logits an image gets; the network is left as it was.

    Raises:
        ModelError: it does not take such images, or gives no logits.
    """
    like = next(module.parameters(), torch.empty(0))
    images = torch.zeros(2, preprocess.channels, *preprocess.size, device=like.device)
    modes = {part: part.training for part in module.modules()}
    try:
        with torch.no_grad():
            output = module.eval()(images)
    except Exception as error:  # a network may fail with anything; here it means: not made for this input
        raise ModelError(f"the network fails on images of {tuple(images.shape[1:])}: {error}") from error
    finally:
        for part, training in modes.items():
            part.training = training
    return as_logits(output, len(images)).shape[1]


def _check_rebuilds(spec: str, module: nn.Module) -> None:
    """Before any work: does the spec make a network that takes these weights?

    Raises:
        ModelError: it makes another one.
    """
    parsed = parse_spec(spec)
    with torch.random.fork_rng():
        built = _build(parsed).state_dict()
    own = module.state_dict()
    shapes = [{name: tuple(value.shape) for name, value in state.items()} for state in (built, own)]
    if shapes[0] != shapes[1]:
        differing = sorted({*shapes[0].items()} ^ {*shapes[1].items()})
        raise ModelError(f"spec={spec!r} builds another network than the one given: {differing[0][0]} differs.")
