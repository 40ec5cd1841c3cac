"""One door to every classifier."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bandscope.classifiers.base import Classifier
from bandscope.classifiers.checkpoint import recorded
from bandscope.classifiers.metadata import Metadata
from bandscope.classifiers.overrides import OVERRIDES, check_overrides
from bandscope.classifiers.python_models import as_labels, wrap_object
from bandscope.classifiers.request import Request
from bandscope.classifiers.specs import Spec, parse_spec
from bandscope.errors import InputError, ModelError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess

PLANTED = "planted.safetensors"
LOADERS = {
    "timm": ("timm_models", "load_timm"),
    "torchvision": ("torchvision_models", "load_torchvision"),
    "hf": ("hf_models", "load_hf"),
    "onnx": ("onnx_models", "load_onnx"),
    "export": ("exported", "load_exported"),
    "python": ("python_models", "load_python"),
    "checkpoint": ("checkpoint", "load_checkpoint"),
}


def load_classifier(
    spec: str | nn.Module | Callable[[torch.Tensor], Any] | Classifier,
    *,
    weights: str | Path | None = None,
    preprocess: Preprocess | None = None,
    overrides: Mapping[str, Any] | None = None,
    classes: Sequence[ClassLabel | str] | None = None,
) -> Classifier:
    """Load a classifier.

    Args:
        spec: one of
            "timm:NAME" or "torchvision:NAME": a network of these libraries, by default with its published weights;
            "hf:ID": an image classifier of transformers, an id of the Hugging Face hub or a folder;
            "onnx:FILE": an ONNX graph; "export:FILE": a program of torch.export; "python:package.module:factory":
            what the factory makes;
            a path ending in .safetensors whose metadata names its network; "planted": the embedded network;
            or, in Python, a `torch.nn.Module` (it is copied), a function from a batch to logits, or a Classifier.
            "?name=value&..." passes options to the network; `pretrained=false` leaves it random; `weights=FILE` and
            the preprocessing settings of `overrides` may stand there too.
        weights: a weights file for the network, loaded strictly (for torchvision also the name of published ones).
            A .safetensors file of bandscope brings its preprocessing and class names with it.
        preprocess: instead of the model's own.
        overrides: settings over the model's own preprocessing (or `preprocess`): `input_size`, `crop_pct`,
            `crop_mode`, `mean`, `std`, `interpolation`, `resize`, `fit`; see `bandscope.classifiers.override`.
        classes: one name or label an output, instead of the model's own.

    Returns:
        The classifier, in evaluation mode: normalised crops in, logits out.

    Raises:
        ModelError: the model is unknown or cannot be loaded, or nothing says how its images are prepared.
        InputError: the spec or a setting is malformed.
    """
    parsed = parse_spec(spec) if isinstance(spec, str) else Spec(_describe(spec), "object", "")
    request = _request(parsed, weights, overrides or {}, preprocess, as_labels(classes) if classes else None)
    if not isinstance(spec, str):
        return wrap_object(_copy(spec) if isinstance(spec, nn.Module) else spec, request)
    return _load(request)


def _request(
    spec: Spec,
    weights: str | Path | None,
    overrides: Mapping[str, Any],
    preprocess: Preprocess | None,
    classes: tuple[ClassLabel, ...] | None,
) -> Request:
    """Sort the spec's options into weights, preprocessing and those of the network."""
    written = {name: value for name, value in spec.options.items() if name in (*OVERRIDES, "weights")}
    network = {name: value for name, value in spec.options.items() if name not in written}
    settings = {**written, **overrides}
    file = settings.pop("weights", None)
    if weights is not None and file is not None and str(weights) != str(file):
        raise InputError(f"two weights are given for {spec.text}: {weights} and {file}")
    check_overrides(settings)
    chosen = weights or file
    own = recorded(chosen) if chosen else Metadata()
    network_spec = replace(spec, options=network)
    return Request(network_spec, chosen, settings, preprocess or own.preprocess, classes or own.classes)


def _copy(module: nn.Module) -> nn.Module:
    """An audit in the middle of training must not switch off the caller's gradients."""
    try:
        return copy.deepcopy(module)
    except Exception as error:  # locks, open files, activations kept from a forward: each fails in its own way
        raise ModelError(
            f"{type(module).__qualname__} cannot be copied ({error}), and an audit must not change the one you have; "
            "give a function instead, such as `lambda batch: model(batch)` of a model in evaluation mode."
        ) from error


def _describe(thing: object) -> str:
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"object:{kind.__module__}.{getattr(kind, '__qualname__', '')}"


def _load_planted(request: Request) -> Classifier:
    with as_file(files("bandscope") / "data" / PLANTED) as path:
        return _load(replace(request, spec=replace(request.spec, kind="checkpoint", name=str(path))))


def _load(request: Request) -> Classifier:
    """By kind; each loader's library is imported only here: they are slow, and onnxruntime is optional."""
    if request.spec.kind == "planted":
        return _load_planted(request)
    module, function = LOADERS[request.spec.kind]
    load: Callable[[Request], Classifier] = getattr(import_module(f"bandscope.classifiers.{module}"), function)
    return load(request)
