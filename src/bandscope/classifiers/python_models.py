"""`python:package.module:factory`, and networks or functions handed over in Python."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from bandscope.classifiers.base import Classifier
from bandscope.classifiers.provenance import describe_module
from bandscope.classifiers.request import Request, settle_preprocess
from bandscope.classifiers.torch_classifier import FunctionClassifier, TorchClassifier
from bandscope.classifiers.weights import load_state, read_state
from bandscope.errors import InputError, ModelError, nearest
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess


def load_python(request: Request) -> Classifier:
    """Import the factory, call it with the spec's options, and use what it returns.

    Raises:
        ModelError: it cannot be imported or fails, or returns something else than a module, function or Classifier.
    """
    spec = request.spec
    return wrap_object(call_factory(find_factory(spec.name), spec.text, spec.options), request)


def find_factory(name: str) -> Any:
    """What `package.module:factory` names; the current directory counts, as with `python -m`.

    Raises:
        InputError: there is no colon. ModelError: it cannot be imported or has no such name (with the nearest).
    """
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise InputError(f"a Python classifier is python:package.module:factory; given: python:{name}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ModelError(f"python:{name} cannot be imported: {error}") from error
    except (Exception, SystemExit) as error:  # the user's code may fail with anything, or exit
        raise ModelError(f"python:{name} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        raise ModelError(f"module {module_name} has no {attribute!r}.{nearest(attribute, vars(module))}")
    return getattr(module, attribute)


def call_factory(factory: Any, text: str, options: Mapping[str, Any]) -> Any:
    """What the factory makes; a finished network in its place is taken as it is.

    Raises:
        ModelError: the factory is not callable, or fails.
    """
    if isinstance(factory, nn.Module) or (isinstance(factory, Classifier) and not isinstance(factory, type)):
        return factory
    if not callable(factory):
        raise ModelError(f"{text} names a {type(factory).__name__}, not a function or class that makes a classifier")
    try:
        return factory(**options)
    except (Exception, SystemExit) as error:  # the user's code may fail with anything; its traceback stays attached
        raise ModelError(f"{text} fails to make a classifier: {type(error).__name__}: {error}") from error


def wrap_object(thing: Any, request: Request) -> Classifier:
    """A module, a function from batches to logits, or a Classifier, as a Classifier.

    Raises:
        ModelError: it is none of these, or neither it nor the caller says how images are prepared.
        InputError: settings are given for a finished Classifier, or weights for a function.
    """
    if isinstance(thing, nn.Module):
        return _wrap_module(thing, request)
    if isinstance(thing, Classifier):
        return _untouched(thing, request)
    if isinstance(thing, type) or not callable(thing):
        raise ModelError(
            f"{request.spec.text} gives a {type(thing).__name__}; allowed: a torch.nn.Module, a function from a "
            "batch to logits, or a bandscope Classifier"
        )
    return _wrap_function(thing, request)


def _wrap_module(module: nn.Module, request: Request) -> TorchClassifier:
    if request.weights is not None:
        load_state(module, read_state(request.weights), request.weights)
    source = f"file {request.weights}" if request.weights is not None else f"object {type(module).__qualname__}"
    return TorchClassifier(
        module=module,
        spec=request.spec.text,
        preprocess=_preprocess(module, request),
        classes=request.classes or own_classes(module),
        provenance=describe_module(module, "torch", source, request.spec.options),
    )


def _wrap_function(function: Callable[..., Any], request: Request) -> FunctionClassifier:
    if request.weights is not None:
        raise InputError(f"{request.spec.text} is a function: it cannot load weights")
    return FunctionClassifier(
        function=function,
        spec=request.spec.text,
        preprocess=_preprocess(function, request),
        classes=request.classes or own_classes(function),
        provenance={"library": "python", "source": f"function {getattr(function, '__qualname__', repr(function))}"},
    )


def _untouched(classifier: Classifier, request: Request) -> Classifier:
    if request.weights is not None or request.overrides or request.preprocess or request.classes:
        raise InputError(f"{request.spec.text} is a finished Classifier: its settings cannot be changed here")
    return classifier


def _preprocess(thing: Any, request: Request) -> Preprocess:
    """From the object's `preprocess` (a Preprocess or its JSON) or timm-style `pretrained_cfg` / `default_cfg`."""
    own = getattr(thing, "preprocess", None)
    if isinstance(own, Mapping):
        own = Preprocess.from_json(own)
    config = own_config(thing)
    if request.preprocess is None and not isinstance(own, Preprocess) and config:
        # imported here and below: timm loads slowly
        from bandscope.classifiers.timm_models import config_preprocess

        return config_preprocess(config, request.overrides or {})
    return settle_preprocess(request, own if isinstance(own, Preprocess) else None)


def own_config(thing: Any) -> Mapping[str, Any]:
    """The object's timm-style configuration, where it says enough to prepare images; else nothing."""
    for name in ("pretrained_cfg", "default_cfg"):
        config = getattr(thing, name, None)
        if isinstance(config, Mapping) and all(config.get(key) for key in ("input_size", "mean", "std")):
            return config
    return {}


def as_labels(classes: Sequence[Any]) -> tuple[ClassLabel, ...]:
    """Labels as they are, and names as labels."""
    return tuple(label if isinstance(label, ClassLabel) else ClassLabel(str(label)) for label in classes)


def own_classes(thing: Any) -> tuple[ClassLabel, ...] | None:
    """From the object's `classes` (labels or names), or its timm-style configuration; None if unknown."""
    classes = getattr(thing, "classes", None)
    if isinstance(classes, Sequence) and not isinstance(classes, str) and classes:
        return as_labels(classes)
    outputs, config = getattr(thing, "num_classes", None), own_config(thing)
    if not (config and isinstance(outputs, int)):
        return None
    from bandscope.classifiers.names import timm_classes

    return timm_classes(outputs, config)
