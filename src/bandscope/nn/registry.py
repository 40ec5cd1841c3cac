"""The networks' names in timm: registered when `bandscope.nn` is imported."""

from collections.abc import Callable
from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from bandscope.nn.gssdnet import GSSDNet
from bandscope.nn.mobilenet import MobileNetV1
from bandscope.nn.network import STAGES

WIDTHS = {"100": 1.0, "075": 0.75, "050": 0.5}

_SETTINGS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    f"{family}_{digits}{suffix}": (network, {**settings, "width": width})
    for family, network, suffix, settings in (
        ("gssdnet", GSSDNet, "", {"preset": "paper", "order": 2}),
        ("gssdnet", GSSDNet, "_o1", {"preset": "paper", "order": 1}),
        ("gssdnet_exact", GSSDNet, "", {"preset": "exact", "order": 2}),
        ("gssdnet_exact", GSSDNet, "_o1", {"preset": "exact", "order": 1}),
        ("gssdnet_vanilla", MobileNetV1, "", {}),
    )
    for digits, width in WIDTHS.items()
}

NAMES = tuple(_SETTINGS)


def _config(first: str) -> dict[str, Any]:
    """No weights; preprocessing as the paper trains."""
    return {
        "url": "",
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "pool_size": (7, 7),
        "crop_pct": 0.875,
        "interpolation": "bilinear",
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "first_conv": first,
        "classifier": "classifier",
        "license": "apache-2.0",
    }


default_cfgs = generate_default_cfgs(
    {
        name: _config("stem.0.conv" if network is MobileNetV1 else "stem.0.pointwise")
        for name, (network, _) in _SETTINGS.items()
    }
)


def _entrypoint(name: str) -> Callable[..., nn.Module]:
    network, settings = _SETTINGS[name]

    def create(pretrained: bool = False, **options: Any) -> nn.Module:
        model: nn.Module = build_model_with_cfg(
            network,
            name,
            pretrained,
            feature_cfg={"out_indices": tuple(range(len(STAGES)))},
            **{**settings, **options},
        )
        return model

    create.__name__ = create.__qualname__ = name
    create.__doc__ = f"{network.__name__} with {settings}."
    return create


for _name in NAMES:
    globals()[_name] = register_model(_entrypoint(_name))
