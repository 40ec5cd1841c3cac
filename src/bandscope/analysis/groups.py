"""The `by` argument: all images together, one group a class, or any grouping of classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from bandscope.analysis.outcomes import Images
from bandscope.analysis.statistics import Bootstrap
from bandscope.errors import InputError


@dataclass(frozen=True)
class Group:
    """Some images that are looked at together.

    Attributes:
        name: "all", a class name, or a name from the mapping.
        rows: which of the images that count belong to it.
        labels: the labels that occur in it.
        class_index: the model output, where the group is one class.
    """

    name: str
    rows: Int[np.ndarray, " rows"]
    labels: Int[np.ndarray, " labels"]
    class_index: int | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def keys(self) -> dict[str, Any]:
        """The table columns that identify the group, and `n`, the images used."""
        index = {} if self.class_index is None else {"class_index": self.class_index}
        return {"group": self.name, **index, "n": len(self)}

    def random(self, bootstrap: Bootstrap) -> np.random.Generator:
        """The group's own random numbers: the same under whatever name, beside whichever other groups."""
        return bootstrap.random(self.labels)


By = str | Mapping[int, str] | Sequence[Group] | None


def groups_of(images: Images, by: By = None) -> list[Group]:
    """The groups of `by`, in the order of model outputs or of the mapping.

    Args:
        images: the images that count.
        by: None (one group "all") | "class" (every class that has an image) | {model output index: group name}
            (every named group, even if empty; images of other classes are left out) | groups made before, of as many
            images in the same order: cubes of several models are so held against each other.

    Raises:
        InputError: `by` is something else, or names a model output that does not exist.
    """
    if by is None:
        return [_group(images, "all", np.arange(len(images)))]
    if isinstance(by, Mapping):
        return _mapped(images, by)
    if isinstance(by, Sequence) and (made := [group for group in by if isinstance(group, Group)]):
        return made
    if by == "class":
        return [
            _group(images, str(images.classes[index]), np.flatnonzero(images.label == index), int(index))
            for index in np.unique(images.label)
        ]
    raise InputError(f'by = {by!r}: it must be None, "class", or a mapping from model output index to group name.')


def group_codes(images: Images, groups: list[Group]) -> Int[np.ndarray, " used"]:
    """For each image the position of its group, -1 for none."""
    codes = np.full(len(images), -1)
    for position, group in enumerate(groups):
        codes[group.rows] = position
    return codes


def _mapped(images: Images, by: Mapping[int, str]) -> list[Group]:
    if not by:
        raise InputError("by = {}: a mapping must put at least one model output into a group.")
    outputs = range(len(images.classes))
    unknown = [index for index in by if index not in outputs]
    if unknown:
        raise InputError(f"by maps {unknown[0]!r}: the outputs of this model are the integers 0 to {outputs[-1]}.")
    members: dict[str, list[int]] = {}
    for index, name in by.items():
        members.setdefault(str(name), []).append(int(index))
    return [_group(images, name, np.flatnonzero(np.isin(images.label, m))) for name, m in members.items()]


def _group(images: Images, name: str, rows: Int[np.ndarray, " rows"], class_index: int | None = None) -> Group:
    return Group(name, rows, np.unique(images.label[rows]), class_index)
