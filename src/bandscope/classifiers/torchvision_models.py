"""`torchvision:NAME`: the classification networks of torchvision."""

from collections.abc import Mapping
from typing import Any

import torchvision
from torch import nn
from torchvision.models import Weights, WeightsEnum

from bandscope.classifiers.names import imagenet_1k
from bandscope.classifiers.provenance import describe_module
from bandscope.classifiers.request import Request, settle_preprocess
from bandscope.classifiers.torch_classifier import TorchClassifier
from bandscope.classifiers.weights import load_state, read_state
from bandscope.errors import InputError, ModelError, nearest
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
    pretrained = options.pop("pretrained", request.weights is None)
    if pretrained and request.weights is not None:
        raise InputError(f"{spec.text}: pretrained weights and a weights file exclude each other")
    published = _published(spec.name, request.weights)
    used = published if pretrained or _is_published(spec.name, request.weights) else None
    if pretrained and used is None:
        raise ModelError(f"torchvision has no weights for {spec.name!r}; give a file with --weights FILE")
    module = build_torchvision(spec.name, options, used)
    if used is None and request.weights is not None:
        load_state(module, read_state(request.weights), request.weights)
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
    except (TypeError, ValueError) as error:
        raise ModelError(f"torchvision:{name} cannot be built with {dict(options)}: {error}") from error
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"the pretrained weights of torchvision:{name} cannot be had ({type(error).__name__}: {error}); "
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


def _published(name: str, weights: Any) -> WeightsEnum | None:
    """The published weights called `weights`, or else the default ones; None where there are none."""
    members = torchvision.models.get_model_weights(name).__members__
    return members.get(str(weights), members.get("DEFAULT"))


def _is_published(name: str, weights: Any) -> bool:
    return str(weights) in torchvision.models.get_model_weights(name).__members__


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
