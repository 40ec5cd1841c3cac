"""The images that a lens can look at: those of an image set, and the last few that were given to it."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from secrets import token_hex

import numpy as np
from jaxtyping import Int

from bandscope.datasets import ImageSource, match_labels
from bandscope.datasets.checked import checked_labels
from bandscope.datasets.decode import decode, decoding
from bandscope.errors import ImageError, InputError, nearest
from bandscope.labels import ClassLabel
from bandscope.lens.view import GIVEN, Subject

MOST_HELD = 8  # decoded images in memory
MB = 2**20
MOST_BYTES = 25 * MB  # of a file that is given


class Shelf:
    """An image set with the right output for each of its images, or nothing but what people give.

    Args:
        source: to pick from.
        labels: the output that is right for each of its images.
    """

    def __init__(self, source: ImageSource | None = None, labels: Int[np.ndarray, " images"] | None = None) -> None:
        self.source = source
        self.labels = labels
        self._held: OrderedDict[str, Subject] = OrderedDict()
        self._kept: dict[str, Subject] = {}

    @classmethod
    def of(
        cls,
        source: ImageSource,
        classes: Sequence[ClassLabel] | None,
        outputs: int,
        labels_csv: str | Path | None = None,
        match: str = "auto",
    ) -> "Shelf":
        """An image set whose classes find their outputs as in an audit.

        Raises:
            DataError: some class finds none.
        """
        own = checked_labels(source)
        return cls(source, match_labels(source.classes, classes, outputs, labels_csv=labels_csv, by=match)[own])

    def __len__(self) -> int:
        return 0 if self.source is None else len(self.source)

    def subject(self, key: str) -> Subject:
        """The image of a key, which is a position as text, or what `take` has returned.

        Raises:
            ImageError: it cannot be decoded.
            InputError: it was given, and has been forgotten since.
        """
        if key in self._kept:
            return self._kept[key]
        if key not in self._held:
            if key.startswith(GIVEN):
                raise InputError("This image is no longer in memory; give it again.")
            self._hold(self._picked(self._images(key), self._number(key)))
        self._held.move_to_end(key)
        return self._held[key]

    def take(self, path: Path, keep: bool = False) -> str:
        """Take an image file; its key.

        Args:
            path: of an encoded image.
            keep: whether to hold it as long as the lens is open.

        Raises:
            ImageError: it is too large, or cannot be decoded.
        """
        with decoding():
            size = path.stat().st_size
        if size > MOST_BYTES:
            raise ImageError(f"the file has {size / MB:.1f} MB, and at most {MOST_BYTES / MB:g} MB are taken")
        image = decode(path)
        key = GIVEN + token_hex()
        subject = Subject(key, path.name, image)
        if keep:
            self._kept[key] = subject
        else:
            self._hold(subject)
        return key

    def position(self, image: str) -> int:
        """Where an image stands, by its path, the end of its path, or its position.

        Raises:
            InputError: there is no such image, or several.
        """
        paths = self._images(image).paths
        if image in self._places:
            return self._places[image]
        if _is_number(image):
            return self._number(image)
        ends = [place for path, place in self._places.items() if image and path.endswith(image)]
        if len(ends) == 1:
            return ends[0]
        if ends:
            raise InputError(f"{len(ends)} images end in {image!r}, such as {paths[ends[0]]!r}; say more.")
        raise self._no_image(image)

    def _number(self, text: str) -> int:
        """A position."""
        if not _is_number(text) or int(text) >= len(self):
            raise self._no_image(text)
        return int(text)

    def _no_image(self, image: str) -> InputError:
        source = self._images(image)
        return InputError(
            f"There is no image {image!r} in {source.spec}; give a position from 0 to {len(self) - 1}, or a path "
            f"such as {source.paths[0]!r}.{nearest(image, self._places)}"
        )

    def _images(self, asked: str) -> ImageSource:
        if self.source is None:
            raise InputError(f"There is no image {asked!r}: the lens was started without an image set (DATA).")
        return self.source

    @cached_property
    def _places(self) -> dict[str, int]:
        paths = () if self.source is None else self.source.paths
        return {str(path): place for place, path in enumerate(paths)}

    def _picked(self, source: ImageSource, position: int) -> Subject:
        label = None if self.labels is None else int(self.labels[position])
        return Subject(str(position), str(source.paths[position]), source[position], label)

    def _hold(self, subject: Subject) -> None:
        self._held[subject.key] = subject
        while len(self._held) > MOST_HELD:
            self._held.popitem(last=False)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and str(int(text)) == text
