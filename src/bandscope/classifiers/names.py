"""The names of ImageNet's classes, in the order of model outputs."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import torchvision
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

from bandscope.labels import ClassLabel

WNID = re.compile(r"n\d{8}")


@cache
def imagenet_1k() -> tuple[ClassLabel, ...]:
    """The 1000 classes: WordNet ids from timm, names from torchvision (short, and no two alike)."""
    names = torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"]
    wnids = ImageNetInfo("imagenet-1k").label_names()  # type: ignore[no-untyped-call]
    return tuple(ClassLabel(name, wnid) for name, wnid in zip(names, wnids, strict=True))


def timm_classes(outputs: int, config: Mapping[str, Any]) -> tuple[ClassLabel, ...] | None:
    """The classes of a timm-style network, from its `label_names` or its number of outputs; None if unknown."""
    if names := config.get("label_names"):
        return _recorded(names, config.get("label_descriptions"))
    subset = infer_imagenet_subset({"num_classes": outputs})
    if subset == "imagenet-1k":
        return imagenet_1k()
    return _imagenet(subset) if subset else None


def _imagenet(subset: str) -> tuple[ClassLabel, ...]:
    info = ImageNetInfo(subset)
    wnids = info.label_names()  # type: ignore[no-untyped-call]
    return tuple(ClassLabel(info.label_name_to_description(wnid), wnid) for wnid in wnids)


def _recorded(names: Any, descriptions: Any) -> tuple[ClassLabel, ...]:
    if not isinstance(descriptions, Mapping):
        descriptions = dict(zip(names, descriptions or names, strict=True))
    return tuple(ClassLabel(str(descriptions.get(name, name)), _wnid(str(name))) for name in names)


def _wnid(name: str) -> str:
    return name if WNID.fullmatch(name) else ""
