"""Which rows a figure gets: classes, or groups of classes where classes hold too few images."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from bandscope.cube import status_ok
from bandscope.data import imagenet_classes, imagenet_groups
from bandscope.datasets.matching import read_groups
from bandscope.errors import InputError
from bandscope.labels import ClassLabel

By = Literal["class"] | Mapping[int, str] | None
Asked = str | os.PathLike[str] | Mapping[int, str] | None
ENOUGH_IMAGES = 10  # what a band needs


@dataclass(frozen=True)
class Grouping:
    """The argument `by` of the analysis, its noun, and a note where it was chosen rather than asked for."""

    by: By
    noun: str
    note: str = ""


def asked_grouping(by: Asked, classes: Sequence[ClassLabel]) -> Grouping | None:
    """What `by` asks for: "class", "imagenet", a CSV of class,group, or a mapping; None where nothing was asked.

    Raises:
        InputError: "imagenet" for other outputs than ImageNet-1k's.
        DataError: a CSV that does not fit the classes.
    """
    if by is None:
        return None
    if by == "class":
        return Grouping("class", "class")
    if by == "imagenet":
        if not _is_imagenet(classes):
            raise InputError(
                "The groups of imagenet need a model with ImageNet-1k's 1000 outputs; give a CSV of class,group."
            )
        return Grouping(imagenet_groups(), "group")
    return Grouping(by if isinstance(by, Mapping) else read_groups(Path(by), classes), "group")


def grouping(cube: xr.DataTree, by: Asked) -> Grouping:
    """What `by` asks for; without it classes, or ImageNet's everyday groups where classes are small."""
    classes = _classes(cube)
    if asked := asked_grouping(by, classes):
        return asked
    if _typical_class_size(cube) < ENOUGH_IMAGES and _is_imagenet(classes):
        note = (
            "Classes have too few images for intervals of their own: these are everyday groups of ImageNet classes."
        )
        return Grouping(imagenet_groups(), "group", note)
    return Grouping("class", "class")


def _classes(cube: xr.DataTree) -> tuple[ClassLabel, ...]:
    names, wnids = cube.dataset["class_name"].values, cube.dataset["class_wnid"].values
    return tuple(ClassLabel(str(name), str(wnid)) for name, wnid in zip(names, wnids, strict=True))


def _is_imagenet(classes: Sequence[ClassLabel]) -> bool:
    return [c.wnid for c in classes] == [c.wnid for c in imagenet_classes()]


def _typical_class_size(cube: xr.DataTree) -> float:
    labels = cube.dataset["label"].values[status_ok(cube)]
    return float(np.median(np.unique(labels, return_counts=True)[1])) if len(labels) else 0
