"""A network in one file: a .safetensors whose metadata says how to build it and how its images are prepared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from bandscope.classifiers.metadata import KEY, Metadata, read_metadata, write_metadata
from bandscope.classifiers.provenance import describe_module
from bandscope.classifiers.python_models import call_factory, find_factory
from bandscope.classifiers.request import Request, settle_preprocess
from bandscope.classifiers.specs import Spec, parse_spec
from bandscope.classifiers.torch_classifier import TorchClassifier
from bandscope.classifiers.weights import load_state, read_state
from bandscope.errors import InputError, ModelError
from bandscope.files import write_bytes
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess

BUILDABLE = ("timm", "torchvision", "python")


def save_checkpoint(
    path: str | Path,
    module: nn.Module,
    *,
    model: str | None,
    preprocess: Preprocess,
    classes: Sequence[ClassLabel] | None,
) -> None:
    """Write a network's weights, with all that `load_classifier(path)` needs to use them.

    Args:
        path: ends in .safetensors; appears only once it is complete.
        module: the network.
        model: the spec that builds it, without weights, e.g. "timm:mobilenetv1_100?num_classes=9"; None where nobody
            knows: then the file needs its network named beside it.
        preprocess: how its images are prepared.
        classes: one label an output, or None.

    Raises:
        InputError: the path or the spec is not of that form.
        ModelError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"a checkpoint's path must end in .safetensors; given: {path}")
    if model is not None:
        _check_buildable(parse_spec(model))
    text = write_metadata(Metadata(model, preprocess, tuple(classes) if classes else None))
    # cloned: safetensors refuses tensors that share memory
    state = {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
    content = save(state, metadata={KEY: text})  # not save_file: it makes files private
    write_bytes(path, content, "the checkpoint", ModelError)


def recorded(weights: str | Path) -> Metadata:
    """What a weights file named beside its network says of itself: nothing, unless it is a .safetensors file.

    Raises:
        ModelError: it is one, but cannot be read.
    """
    path = Path(weights).expanduser()
    if path.suffix != ".safetensors" or not path.is_file():  # its reader says what is wrong
        return Metadata()
    return read_metadata(_metadata_text(path), path)


def load_checkpoint(request: Request) -> TorchClassifier:
    """Build the network that the file's metadata names, and load its weights.

    Raises:
        ModelError: the file is missing, says nothing of its network, or does not fit it.
        InputError: weights or network options are given too.
    """
    path = Path(request.spec.name).expanduser()
    if request.weights is not None or request.spec.options:
        raise InputError(f"{request.spec.text} holds its own weights and network: only preprocessing can be given")
    metadata = read_metadata(_metadata_text(path), path)
    if metadata.model is None:
        raise ModelError(
            f"{path} does not say which network its weights belong to (no {KEY!r} metadata): "
            f"name it, e.g. timm:NAME with --weights {path}"
        )
    module = _build(parse_spec(metadata.model), path)
    load_state(module, read_state(path), path)
    return TorchClassifier(
        module=module,
        spec=request.spec.text,
        preprocess=settle_preprocess(request, metadata.preprocess),
        classes=request.classes or metadata.classes,
        provenance={**describe_module(module, "torch", f"file {request.spec.text}"), "model": metadata.model},
    )


def _metadata_text(path: Path) -> str | None:
    if not path.is_file():
        raise ModelError(f"the checkpoint {path} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get(KEY)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a readable safetensors file: {error}") from error


def _build(spec: Spec, path: Path) -> nn.Module:
    """The network of `spec`, random; a file may name published networks and our own, never other people's code."""
    _check_buildable(spec)
    if spec.kind == "python":
        return _build_own(spec, path)
    if ":" in spec.name:
        raise ModelError(f"{path} names a network to be downloaded ({spec.text}): refused")
    if spec.kind == "timm":
        # imported here and below: both libraries load slowly
        from bandscope.classifiers.timm_models import build_timm

        module: nn.Module = build_timm(spec.name, spec.options, pretrained=False)
        return module
    from bandscope.classifiers.torchvision_models import build_torchvision

    return build_torchvision(spec.name, spec.options)


def _build_own(spec: Spec, path: Path) -> nn.Module:
    """A network class of bandscope itself: importing and calling what a file names must not run foreign code."""
    factory: Any = find_factory(spec.name) if spec.name.startswith("bandscope.") else None
    own = isinstance(factory, type) and issubclass(factory, nn.Module) and factory.__module__.startswith("bandscope.")
    if not own:
        raise ModelError(
            f"{path} asks for code outside bandscope ({spec.text}), which a weights file may not; if you trust it, "
            f"use {spec.text} with --weights {path}"
        )
    module: nn.Module = call_factory(factory, spec.text, spec.options)
    return module


def _check_buildable(spec: Spec) -> None:
    if spec.kind not in BUILDABLE or {"weights", "pretrained"} & set(spec.options):
        raise InputError(
            f"a checkpoint's model must be a timm:, torchvision: or python: spec without weights; given: {spec.text}"
        )
