"""`torchvision:NAME`: the classification networks of torchvision."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torchvision
from torch import nn
from torchvision.models import Weights, WeightsEnum

from bandscope.classifiers.names import imagenet_1k
from bandscope.classifiers.provenance import describe_module
from bandscope.classifiers.request import Request, settle_preprocess, wants_pretrained
from bandscope.classifiers.torch_classifier import TorchClassifier
from bandscope.classifiers.weights import State, load_state, read_state
from bandscope.errors import ModelError, first_line, nearest
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess

# what torchvision itself sets when it loads these two's published weights, and would warn about otherwise
INCEPTION_OPTIONS = {"transform_input": True, "init_weights": False}
INCEPTIONS = ("googlenet", "inception_v3")


def load_torchvision(request: Request) -> TorchClassifier:
    """Build the network with its default weights, the published weights `request.weights` names, or a file.

    Preprocessing and class names are those of the published weights; with a file, those of the default weights
    where the number of outputs agrees.

    Raises:
        ModelError: the name is unknown, an option is refused, weights cannot be had or do not fit.
        InputError: an option or override is out of range.
    """
    spec, options = request.spec, dict(request.spec.options)
    check_torchvision_name(spec.name)
    pretrained = wants_pretrained(request)
    options.pop("pretrained", None)
    members = torchvision.models.get_model_weights(spec.name).__members__
    published = members.get(str(request.weights), members.get("DEFAULT"))
    used = published if pretrained or str(request.weights) in members else None
    if pretrained and used is None:
        raise ModelError(f"torchvision has no weights for {spec.name!r}; give a file with --weights FILE")
    module = build_torchvision(spec.name, options, used)
    if used is None and request.weights is not None:
        load_state(module, _state(request.weights, members), request.weights)
    own = published if _outputs(options) == _outputs_of(published) else None
    return TorchClassifier(
        module=module,
        spec=spec.text,
        preprocess=settle_preprocess(request, own and Preprocess.from_torchvision(own.transforms())),
        classes=request.classes or (_classes(own) if own else None),
        provenance=describe_module(module, "torchvision", _source(request, used), options),
    )


def build_torchvision(name: str, options: Mapping[str, Any], weights: WeightsEnum | None = None) -> nn.Module:
    """The network `name` of torchvision, with published weights or random ones.

    Raises:
        ModelError: the name is unknown (with the nearest), an option is refused, or weights cannot be had.
    """
    check_torchvision_name(name)
    defaults = INCEPTION_OPTIONS if name in INCEPTIONS and weights is None else {}
    try:
        module: nn.Module = torchvision.models.get_model(name, weights=weights, **{**defaults, **options})
    except Exception as error:  # options fail with anything, as do downloads and what they left damaged
        reason = f"{type(error).__name__}: {first_line(error)}"
        if weights is None or isinstance(error, TypeError | ValueError):
            raise ModelError(f"torchvision:{name} cannot be built with {dict(options)}: {reason}") from error
        raise ModelError(
            f"the pretrained weights of torchvision:{name} cannot be had ({reason}); "
            f"give a file with --weights FILE or torchvision:{name}?weights=FILE, or use ?pretrained=false"
        ) from error
    return module


def check_torchvision_name(name: str) -> None:
    """Refuse what is not a classification network of torchvision.

    Raises:
        ModelError: with the nearest name.
    """
    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        raise ModelError(f"torchvision has no classification model {name!r}.{nearest(name, names)}")


def _state(weights: str | Path, names: Mapping[str, WeightsEnum]) -> State:
    """The weights in a file; what cannot be one is a name of published weights gone wrong."""
    if not Path(weights).suffix and not Path(weights).expanduser().exists():
        hint = nearest(str(weights), names)
        raise ModelError(f"{weights} is neither a weights file nor one of torchvision's: {', '.join(names)}.{hint}")
    return read_state(weights)


def _outputs(options: Mapping[str, Any]) -> int:
    return int(options.get("num_classes", 1000))


def _outputs_of(weights: Weights | None) -> int | None:
    return len(weights.meta["categories"]) if weights is not None else None


def _classes(weights: Weights) -> tuple[ClassLabel, ...]:
    """Their names, with the WordNet ids where they are ImageNet's."""
    names = weights.meta["categories"]
    imagenet = imagenet_1k()
    if len(names) == len(imagenet):
        return tuple(ClassLabel(name, known.wnid) for name, known in zip(names, imagenet, strict=True))
    return tuple(ClassLabel(name) for name in names)


def _source(request: Request, used: WeightsEnum | None) -> str:
    if used is not None:
        return f"pretrained {used} {used.url}"
    return f"file {request.weights}" if request.weights is not None else "random"
