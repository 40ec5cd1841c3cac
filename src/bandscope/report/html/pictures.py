"""The audited images, opened again and packed for the page: whole crops to filter, small ones to recognise."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import UInt8
from PIL import Image

from bandscope.datasets import ImageSource
from bandscope.errors import DataError, ImageError
from bandscope.preprocess import Preprocess
from bandscope.report.thumbnails import audited_images, reopened

SMALL = 96  # pixels along the longer side of a small picture
SMALL_QUALITY = 60
LOSSLESS_BYTES = 4_000_000  # of all whole crops together; beyond it they are stored with loss
QUALITIES = (95, 85, 70)


@dataclass(frozen=True)
class Pictures:
    """The images of an audit, or why they cannot be shown.

    Attributes:
        cube: the audit.
        images: where they are; None where they cannot be opened.
        missing: why, as a sentence; empty where they can.
    """

    cube: xr.DataTree
    images: ImageSource | None
    missing: str = ""

    @classmethod
    def of(cls, cube: xr.DataTree, given: ImageSource | None = None) -> "Pictures":
        """The images that the cube names, or those given in their place."""
        try:
            images = audited_images(cube) if given is None else given
            source = str(cube.dataset["source"].values[0])
            if source not in set(images.paths):
                raise DataError(f"{images.spec!r} holds no {source!r}: these are not the images that were audited.")
        except DataError as error:
            return cls(cube, None, str(error))
        return cls(cube, images)

    def crop(self, position: int, at: xr.DataTree | None = None) -> UInt8[np.ndarray, "h w c"] | None:
        """What the network saw of an image, at the zoom of `at`; None where it cannot be opened."""
        if self.images is None:
            return None
        try:
            return reopened([self.cube if at is None else at], position, self.images)[0]
        except DataError:
            return None

    def small(self, positions: Sequence[int]) -> dict[int, str]:
        """Small ordinary crops as data URLs, of those that can be opened."""
        if self.images is None:
            return {}
        places = {path: place for place, path in enumerate(self.images.paths)}
        preprocess = Preprocess.from_json(self.cube.attrs["preprocess"])
        sources, found = self.cube.dataset["source"].values, {}
        for position in positions:
            if (place := places.get(str(sources[position]))) is None:
                continue
            try:
                found[position] = _small(preprocess.crop(self.images[place]))
            except ImageError:
                continue
        return found


def packed(crops: Mapping[str, UInt8[np.ndarray, "h w c"]]) -> tuple[dict[str, str], int | None]:
    """Crops as data URLs of WebP, and the quality that they were stored with; None where nothing was lost."""
    found = {key: _webp(crop) for key, crop in crops.items()}
    quality = None
    for lower in QUALITIES:
        if sum(map(len, found.values())) <= LOSSLESS_BYTES:
            break
        quality, found = lower, {key: _webp(crop, lower) for key, crop in crops.items()}
    return {key: _url(content) for key, content in found.items()}, quality


def _webp(crop: UInt8[np.ndarray, "h w c"], quality: int | None = None) -> bytes:
    buffer = io.BytesIO()
    settings = {"lossless": True, "quality": 60, "exact": True} if quality is None else {"quality": quality}
    _image(crop).save(buffer, "WEBP", **settings)
    return buffer.getvalue()


def _small(crop: UInt8[np.ndarray, "h w c"]) -> str:
    image = _image(crop)
    image.thumbnail((SMALL, SMALL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=SMALL_QUALITY)
    return _url(buffer.getvalue())


def _image(crop: UInt8[np.ndarray, "h w c"]) -> Image.Image:
    return Image.fromarray(crop[:, :, 0] if crop.shape[2] == 1 else crop).convert("RGB")


def _url(content: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}"
