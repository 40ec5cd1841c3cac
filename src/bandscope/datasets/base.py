"""What bandscope asks of an image set, and nothing more."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int
from PIL import Image

from bandscope.labels import ClassLabel


@runtime_checkable
class ImageSource(Protocol):
    """Labelled images, random access by position, in an order that never changes."""

    @property
    def spec(self) -> str:
        """What the user wrote, e.g. "folder:imagenet/val"."""

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
