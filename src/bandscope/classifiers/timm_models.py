"""`timm:NAME`: any network of timm, with its published weights or a file of your own."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import timm
import timm.models
from timm.data.config import resolve_data_config

from bandscope.classifiers.names import timm_classes
from bandscope.classifiers.overrides import override, override_config
from bandscope.classifiers.provenance import describe_module
from bandscope.classifiers.request import Request, wants_pretrained
from bandscope.classifiers.torch_classifier import TorchClassifier
from bandscope.classifiers.weights import load_state, read_state
from bandscope.errors import InputError, ModelError, nearest
from bandscope.preprocess import Preprocess

HUBS = ("hf-hub:", "local-dir:")


def load_timm(request: Request) -> TorchClassifier:
    """Build the network, give it weights, and read preprocessing and class names from its configuration.

    Raises:
        ModelError: the name is unknown, an option is refused, weights cannot be had or do not fit.
        InputError: an option or override is out of range.
    """
    spec, options = request.spec, dict(request.spec.options)
    pretrained = wants_pretrained(request)
    options.pop("pretrained", None)
    module = build_timm(spec.name, options, pretrained=pretrained)
    if request.weights is not None:
        load_state(module, read_state(request.weights), request.weights)
    return TorchClassifier(
        module=module,
        spec=spec.text,
        preprocess=_preprocess(request, module.pretrained_cfg, options),
        classes=request.classes or timm_classes(module.num_classes, module.pretrained_cfg),
        provenance=describe_module(module, "timm", _source(request, module, pretrained), options),
    )


def build_timm(name: str, options: Mapping[str, Any], *, pretrained: bool) -> Any:
    """The network `name` of timm, strictly by its registered names (or "hf-hub:..." / "local-dir:...").

    Raises:
        ModelError: the name is unknown (with the nearest), an option is refused, or weights cannot be had.
        InputError: `checkpoint_path` is among the options.
    """
    _check_name(name)
    if "checkpoint_path" in options:
        raise InputError(f"timm:{name}: give weights=FILE instead of checkpoint_path (it loads strictly)")
    if pretrained:
        _check_pretrained(name, options)
    try:
        return timm.create_model(name, pretrained=pretrained, **options)
    except (TypeError, AssertionError) as error:
        raise ModelError(f"timm:{name} cannot be built with {dict(options)}: {error}") from error
    except Exception as error:  # a download fails in the ways of several libraries, with no common base
        reason = f"{type(error).__name__}: {error}"
        if not pretrained:
            raise ModelError(f"timm:{name} cannot be built with {dict(options)}: {reason}") from error
        raise ModelError(
            f"the pretrained weights of timm:{name} cannot be had ({reason}); "
            f"give a file with --weights FILE or timm:{name}?weights=FILE, or use ?pretrained=false"
        ) from error


def config_preprocess(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> Preprocess:
    """Preprocessing from a network's `pretrained_cfg`, as timm resolves it, with overrides.

    Raises:
        InputError: a value is out of range.
    """
    resolved = resolve_data_config({}, pretrained_cfg=dict(config))  # type: ignore[no-untyped-call]
    preprocess = Preprocess.from_timm(override_config(resolved, overrides))
    return override(preprocess, {name: overrides[name] for name in ("resize", "fit") if name in overrides})


def _preprocess(request: Request, config: Mapping[str, Any], options: Mapping[str, Any]) -> Preprocess:
    overrides = request.overrides or {}
    if request.preprocess is not None:
        return override(request.preprocess, overrides)
    return config_preprocess({**config, "input_size": _input_size(config, options)}, overrides)


def _input_size(config: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[int, ...]:
    """(C, H, W) of the network as built: `in_chans` and `img_size` change it without changing its configuration."""
    channels, height, width = config["input_size"]
    size = options.get("img_size") or (height, width)
    sides = (size, size) if isinstance(size, int) else tuple(size)
    return (options.get("in_chans", channels), *sides)


def _check_name(name: str) -> None:
    if name.startswith(HUBS) or timm.is_model(name):
        return
    import_module("bandscope.nn")  # registers our own networks; by name, as classifiers know nothing of layers
    if timm.is_model(name):
        return
    raise ModelError(f"timm has no model {name!r}.{nearest(name, timm.list_models())}")


def _check_pretrained(name: str, options: Mapping[str, Any]) -> None:
    """Refuse what would silently leave (part of) the network at random."""
    if name.startswith(HUBS):
        return
    if not timm.models.is_model_pretrained(name):
        tags = timm.list_pretrained(f"{name.partition('.')[0]}.*")
        hint = f"; it has {', '.join(tags)}" if tags else ""
        raise ModelError(f"timm has no pretrained weights for {name!r}{hint}; give a file with --weights FILE")
    config = timm.get_pretrained_cfg(name)
    outputs = config.num_classes if config else None
    if options.get("num_classes", outputs) != outputs:
        raise ModelError(
            f"the pretrained weights of timm:{name} have {outputs} outputs, so num_classes={options['num_classes']} "
            "would leave them random; give a file with --weights FILE"
        )


def _source(request: Request, module: Any, pretrained: bool) -> str:
    if request.weights is not None:
        return f"file {request.weights}"
    config = module.pretrained_cfg
    return f"pretrained {config.get('hf_hub_id') or config.get('url')}" if pretrained else "random"
