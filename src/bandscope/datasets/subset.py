"""Some images of a source: a seeded sample that is the same on every machine."""

import hashlib
import operator

import numpy as np
from jaxtyping import Int, UInt64
from PIL import Image

from bandscope.datasets.base import ImageSource, SourceFacts
from bandscope.datasets.strings import Strings
from bandscope.errors import InputError


class Subset(SourceFacts):
    """A view of a source: its images at `positions`, its classes unchanged."""

    def __init__(self, source: ImageSource, positions: Int[np.ndarray, " images"]) -> None:
        self.source = source
        self.positions = positions
        self.spec = source.spec
        self.classes = source.classes
        self.labels = source.labels[positions]
        self.paths = Strings(source.paths[position] for position in positions)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, position: int) -> Image.Image:
        return self.source[int(self.positions[position])]

    def fingerprint(self) -> str:
        """The source's own, with the positions."""
        digest = hashlib.sha256(self.source.fingerprint().encode())
        digest.update(self.positions.astype("<i8").tobytes())
        return digest.hexdigest()


def select(
    source: ImageSource, *, limit: int | None = None, per_class: int | None = None, seed: int = 0
) -> ImageSource:
    """A seeded random sample of a source, in the source's own order.

    Every image draws one random number for `per_class` and one for `limit`, and the smallest numbers win: a
    larger sample holds every smaller one of the same seed. The numbers are PCG64's raw output, which NumPy
    promises never to change.

    Args:
        source: where the images come from.
        limit: keep that many, drawn over all classes alike.
        per_class: keep at most that many of each class, before `limit`.
        seed: of both draws.

    Returns:
        A `Subset`, or `source` itself where neither is given.

    Raises:
        InputError: `limit` or `per_class` is not an integer >= 1, or `seed` is not one >= 0.
    """
    if limit is None and per_class is None:
        return source
    of_class, of_all = _draws(_whole("seed", seed, 0), len(source))
    kept = np.arange(len(source))
    if per_class is not None:
        kept = _first_of_each(source.labels, of_class, _whole("per_class", per_class, 1))
    if limit is not None:
        kept = kept[np.argsort(of_all[kept], kind="stable")[: _whole("limit", limit, 1)]]
    return Subset(source, np.sort(kept))


def _whole(name: str, given: int, least: int) -> int:
    try:
        number = operator.index(given)
    except TypeError:
        number = least - 1
    if number < least or isinstance(given, bool):
        raise InputError(f"{name} is {given!r}; it must be an integer >= {least}.")
    return number


def _draws(seed: int, images: int) -> UInt64[np.ndarray, "2 images"]:
    return np.random.PCG64(seed).random_raw(2 * images).reshape(2, images)


def _first_of_each(
    labels: Int[np.ndarray, " images"], draws: UInt64[np.ndarray, " images"], per_class: int
) -> Int[np.ndarray, " kept"]:
    order = np.lexsort((draws, labels))
    first = np.searchsorted(labels[order], labels[order], side="left")
    return order[np.arange(len(order)) - first < per_class]
