"""The audited images, opened again and packed for the page: whole crops to filter, small ones to recognise."""

import hashlib
import io
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import xarray as xr
from jaxtyping import UInt8

from bandscope.datasets import ImageSource
from bandscope.errors import DataError
from bandscope.preprocess import Preprocess
from bandscope.report.encoded import data_url, image_of, small_picture
from bandscope.report.html import values
from bandscope.report.thumbnails import Originals, audited_images
from bandscope.reprs import counted

T = TypeVar("T")

SMALL = 96  # pixels along the longer side of a small picture
SMALL_QUALITY = 60
LOSSLESS_BYTES = 4_000_000  # of all whole crops together; beyond it they are stored with loss
QUALITIES = (95, 85, 70)
KEY = 12  # hexadecimal digits that name a crop


class Pictures:
    """The images of an audit as far as they can be opened; those that cannot are counted."""

    def __init__(self, cube: xr.DataTree, given: ImageSource | None = None) -> None:
        """The images that the cube names, or those given in their place."""
        self._missing = ""
        self._originals: Originals | None = None
        self._lost: dict[int, str] = {}
        try:
            originals = Originals(cube, audited_images(cube) if given is None else given)
        except DataError as error:
            self._missing = str(error)
            return
        if any(path in originals.places for path in map(str, cube.dataset["source"].values)):
            self._originals = originals
        else:
            spec, path = originals.images.spec, originals.path(0)
            self._missing = f"{spec!r} holds no {path!r}: these are not the images that were audited."

    def crops(self, cubes: Sequence[xr.DataTree], position: int) -> list[UInt8[np.ndarray, "h w c"]]:
        """What the network saw of an image, at the zoom of each cube; empty where it cannot be opened."""
        return self._tried(position, lambda originals: originals.crops(cubes, position)) or []

    def small(self, position: int) -> UInt8[np.ndarray, "h w c"] | None:
        """The ordinary crop of an image, to be shown small; None where it cannot be opened."""
        return self._tried(position, lambda originals: _crop(originals, position))

    @property
    def note(self) -> str:
        """What is missing and why, in a sentence or two; empty where nothing is."""
        if self._missing:
            return f"Pictures are left out. {self._missing}"
        if not self._lost or self._originals is None:
            return ""
        position, why = next(iter(self._lost.items()))
        count = counted(len(self._lost), "picture")
        return f"{count} could not be opened again, such as {values.name(self._originals.path(position))}: {why}"

    def _tried(self, position: int, act: Callable[[Originals], T]) -> T | None:
        if self._originals is None or position in self._lost:
            return None
        try:
            return act(self._originals)
        except DataError as error:
            self._lost[position] = f"{str(error).rstrip('.')}."
            return None


class Packed:
    """Pictures as data URLs, each once however often it is shown."""

    def __init__(self) -> None:
        self._crops: dict[str, UInt8[np.ndarray, "h w c"]] = {}
        self.small: dict[str, str] = {}

    def add(self, crop: UInt8[np.ndarray, "h w c"]) -> str:
        """Take a whole crop; returns the key that it will have."""
        key = _key(crop)
        self._crops[key] = crop
        return key

    def add_small(self, crop: UInt8[np.ndarray, "h w c"]) -> str:
        """Take a crop to be shown small; returns its key in `small`."""
        key = _key(crop)
        if key not in self.small:
            self.small[key] = small_picture(crop, SMALL, SMALL_QUALITY)
        return key

    def crops(self) -> tuple[dict[str, str], int | None]:
        """The whole crops by key, and the quality that they were stored with; None where nothing was lost."""
        found = {key: _webp(crop) for key, crop in self._crops.items()}
        quality = None
        for lower in QUALITIES:
            if sum(map(len, found.values())) <= LOSSLESS_BYTES:
                break
            quality, found = lower, {key: _webp(crop, lower) for key, crop in self._crops.items()}
        return {key: data_url(content, "webp") for key, content in found.items()}, quality


def _key(crop: UInt8[np.ndarray, "h w c"]) -> str:
    return hashlib.sha256(repr(crop.shape).encode() + crop.tobytes()).hexdigest()[:KEY]


def _crop(originals: Originals, position: int) -> UInt8[np.ndarray, "h w c"]:
    return Preprocess.from_json(originals.cube.attrs["preprocess"]).crop(originals.image(position))


def _webp(crop: UInt8[np.ndarray, "h w c"], quality: int | None = None) -> bytes:
    buffer = io.BytesIO()
    settings = {"lossless": True, "quality": 60, "exact": True} if quality is None else {"quality": quality}
    image_of(crop).save(buffer, "WEBP", **settings)
    return buffer.getvalue()
