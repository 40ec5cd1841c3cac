"""What bandscope asks of an image set, and nothing more."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int
from PIL import Image

from bandscope.labels import ClassLabel
from bandscope.reprs import Facts, counted

MOST_NAMES = 10  # that a table in a notebook lists


@runtime_checkable
class ImageSource(Protocol):
    """Labelled images, random access by position, in an order that never changes."""

    @property
    def spec(self) -> str:
        """What the user wrote to name the images."""

    @property
    def classes(self) -> tuple[ClassLabel, ...]:
        """The data set's own classes."""

    @property
    def labels(self) -> Int[np.ndarray, " images"]:
        """For each image, its position in `classes`."""

    @property
    def paths(self) -> Sequence[str]:
        """For each image, where it comes from, relative to the spec (shown, and used to reopen it)."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> Image.Image:
        """The decoded image at its own resolution; raises ImageError where it cannot be decoded."""

    def fingerprint(self) -> str:
        """A hash that changes with the files, their order or their labels (not with where they lie)."""


class SourceFacts(Facts):
    """The `repr` of an image set: what it is called, how many images of how many classes."""

    spec: str
    classes: tuple[ClassLabel, ...]

    @abstractmethod
    def __len__(self) -> int: ...

    def _told(self) -> dict[str, str]:
        return {
            "data": self.spec,
            "images": counted(len(self), "image"),
            "classes": counted(len(self.classes), "class", "classes"),
        }

    def _told_in_full(self) -> dict[str, str]:
        names = [label.name for label in self.classes]
        return self._told() | {"class names": ", ".join(names[:MOST_NAMES]) + ", ..." * (len(names) > MOST_NAMES)}
