"""Pixels by position: decoded once and kept where they fit into memory, else decoded ahead by threads."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image

from bandscope.datasets.ahead import made_ahead
from bandscope.datasets.base import ImageSource
from bandscope.errors import DataError, ImageError
from bandscope.preprocess import Preprocess
from bandscope.training.augment import Augment, Cuts

AHEAD = 4  # batches that are decoded before they are asked for
PROBED = 32  # images whose sizes and modes stand for all before any other is decoded
Size = tuple[int, int]
Row = tuple[int, Float[np.ndarray, " columns"] | None]  # an image's position, and its random numbers


@dataclass(frozen=True)
class Wanted:
    """One batch that is asked for.

    positions: of its images. uniforms: random numbers for the augmentation, a row an image; None: no augmentation.
    """

    positions: Int64[np.ndarray, " n"]
    uniforms: Float[np.ndarray, "n columns"] | None = None


@dataclass(frozen=True)
class Loaded:
    """A batch of pixels on the CPU, and how it is still to be cut; None where nothing is to be cut any more."""

    wanted: Wanted
    pixels: UInt8[torch.Tensor, "n h w c"]
    cuts: Cuts | None


@runtime_checkable
class Pixels(Protocol):
    """The images of one part of the data."""

    @property
    def kept(self) -> int:
        """Bytes that were decoded once and for all."""

    @property
    def most(self) -> int:
        """Bytes that may come to be kept."""

    def load(self, batches: Iterable[Wanted]) -> Iterator[Loaded]:
        """Each batch in turn."""

    def sample(self, count: int) -> Iterator[UInt8[np.ndarray, "h w c"]]:
        """About that many images, evenly spread, as they are before augmentation."""


class InMemory:
    """Images of one size in one tensor."""

    def __init__(self, images: UInt8[torch.Tensor, "images h w c"], augment: Augment | None) -> None:
        self.images, self._augment = images, augment

    @property
    def kept(self) -> int:
        """Bytes of the tensor."""
        return self.images.nbytes

    @property
    def most(self) -> int:
        """The same: no more is decoded."""
        return self.kept

    def load(self, batches: Iterable[Wanted]) -> Iterator[Loaded]:
        """Each batch in turn, to be cut on the device."""
        size = self.images.shape[1:3]
        for wanted in batches:
            pixels = self.images[torch.from_numpy(wanted.positions)]
            cuts = None
            if self._augment and not self._augment.idle and wanted.uniforms is not None:
                cuts = self._augment.cuts(np.tile(size, (len(pixels), 1)), wanted.uniforms)
            yield Loaded(wanted, pixels, cuts)

    def sample(self, count: int) -> Iterator[UInt8[np.ndarray, "h w c"]]:
        """The same as of images that are not in memory, so that what is measured does not depend on memory."""
        return (self.images[position].numpy() for position in _spread(len(self.images), count))


class Decoded:
    """Images decoded by threads, a few batches ahead; what fits within `budget` bytes is decoded but once.

    Whole images are cut and resized here, by Pillow, since they differ in size; crops of the network's size are cut
    on the device.
    """

    def __init__(
        self, source: ImageSource, preprocess: Preprocess, augment: Augment | None, workers: int, budget: int
    ) -> None:
        self._source, self._preprocess, self._augment = source, preprocess, augment
        self._workers, self._budget, self.most = workers, budget, budget
        self._kept: dict[int, UInt8[np.ndarray, "h w c"]] = {}

    @property
    def kept(self) -> int:
        """Bytes that were decoded so far and are kept."""
        return sum(pixels.nbytes for pixels in self._kept.values())

    def load(self, batches: Iterable[Wanted]) -> Iterator[Loaded]:
        """Each batch in turn.

        Raises:
            DataError: an image cannot be decoded.
        """
        rows = ((wanted, _rows(wanted)) for wanted in batches)
        for wanted, images in made_ahead(self._crop, rows, workers=self._workers, ahead=AHEAD):
            yield self._loaded(wanted, images)

    def sample(self, count: int) -> Iterator[UInt8[np.ndarray, "h w c"]]:
        """About that many images, evenly spread."""
        for position in _spread(len(self._source), count):
            yield self._image(position)

    def _loaded(self, wanted: Wanted, images: list[UInt8[np.ndarray, "h w c"]]) -> Loaded:
        pixels = torch.from_numpy(np.stack(images))
        augment, cuts = self._augment, None
        if augment and not (augment.idle or augment.resizes) and wanted.uniforms is not None:
            cuts = augment.cuts(np.tile(pixels.shape[1:3], (len(pixels), 1)), wanted.uniforms)
        return Loaded(wanted, pixels, cuts)

    def _crop(self, row: Row) -> UInt8[np.ndarray, "h w c"]:
        position, uniforms = row
        pixels = self._image(position)
        if not (self._augment and self._augment.resizes) or uniforms is None:
            return pixels
        cuts = self._augment.cuts(np.array([pixels.shape[:2]]), uniforms[None])
        return resized_by_pillow(pixels, cuts, self._augment)

    def _image(self, position: int) -> UInt8[np.ndarray, "h w c"]:
        """The whole image, or its crop of the network's size, whichever is augmented."""
        if (kept := self._kept.get(position)) is not None:
            return kept
        pixels = decoded(
            self._source, position, self._preprocess, whole=bool(self._augment and self._augment.resizes)
        )
        if pixels.nbytes <= self._budget:  # threads may overdraw it by an image each
            self._budget -= pixels.nbytes
            self._kept[position] = pixels
        return pixels


def resized_by_pillow(pixels: UInt8[np.ndarray, "h w c"], cuts: Cuts, augment: Augment) -> UInt8[np.ndarray, "y x c"]:
    """One image cut, resized and mirrored: what `Augment.apply` does to batches, rounded once more between passes."""
    (top, left, height, width), flip = cuts.boxes[0], cuts.flips[0]
    part = np.ascontiguousarray(pixels[top : top + height, left : left + width])
    image = Image.fromarray(part.squeeze(2) if part.shape[2] == 1 else part)
    made = np.asarray(image.resize(augment.size[::-1], Image.Resampling[augment.interpolation.upper()]))
    made = made.reshape(*augment.size, pixels.shape[2])
    return np.ascontiguousarray(made[:, ::-1]) if flip else made


def open_pixels(
    source: ImageSource,
    preprocess: Preprocess,
    augment: Augment | None,
    *,
    workers: int,
    budget: int,
    progress: Callable[[int, int], None],
) -> Pixels:
    """The images of a source: in memory where they are alike and fit.

    Args:
        source: the images.
        preprocess: of the network.
        augment: of training images; None for validation.
        workers: threads that decode.
        budget: bytes that may be kept.
        progress: called with images decoded so far and in all.

    Raises:
        DataError: an image cannot be decoded.
    """
    whole = augment is not None and augment.resizes
    size = common_size(source) if whole else preprocess.size
    if size is not None and needed_bytes(len(source), size, preprocess.channels) <= budget:
        images = _all(source, preprocess, size, whole, workers, progress)
        if images is not None:
            return InMemory(images, augment)
    return Decoded(source, preprocess, augment, workers, budget)


def needed_bytes(images: int, size: Size, channels: int) -> int:
    """Of so many decoded images in memory."""
    return images * size[0] * size[1] * channels


def common_size(source: ImageSource) -> Size | None:
    """(H, W) of the images where a sample of them has the same; else None.

    Raises:
        DataError: an image cannot be decoded.
    """
    sizes = {image.size for image in samples(source)}
    if len(sizes) > 1:
        return None
    width, height = sizes.pop()
    return height, width


def samples(source: ImageSource) -> Iterator[Image.Image]:
    """A few images, evenly spread, that stand for all.

    Raises:
        DataError: one cannot be decoded.
    """
    return (_opened(source, position) for position in _spread(len(source), PROBED))


def decoded(source: ImageSource, position: int, preprocess: Preprocess, *, whole: bool) -> UInt8[np.ndarray, "h w c"]:
    """One image in the network's channels: whole at its own resolution, or as the crop of a validation.

    Raises:
        DataError: it cannot be decoded.
    """
    image = _opened(source, position)
    if whole:
        preprocess = replace(preprocess, size=(image.height, image.width), resize=None)
    try:
        return preprocess.crop(image)
    except ImageError as error:
        raise _unusable(source, position, error) from error


def _opened(source: ImageSource, position: int) -> Image.Image:
    try:
        return source[position]
    except ImageError as error:
        raise _unusable(source, position, error) from error


def _unusable(source: ImageSource, position: int, error: ImageError) -> DataError:
    return DataError(
        f"{source.paths[position]} in {source.spec} cannot be trained on: {error}. Remove or replace it."
    )


def _all(
    source: ImageSource,
    preprocess: Preprocess,
    size: Size,
    whole: bool,
    workers: int,
    progress: Callable[[int, int], None],
) -> UInt8[torch.Tensor, "images h w c"] | None:
    """Every image in one tensor; None where one turns out to have another size."""
    images = torch.empty(len(source), *size, preprocess.channels, dtype=torch.uint8)
    array = images.numpy()

    def fill(position: int) -> bool:
        pixels = decoded(source, position, preprocess, whole=whole)
        fits = pixels.shape == array.shape[1:]
        if fits:
            array[position] = pixels
        return fits

    singly = ((position, [position]) for position in range(len(source)))
    for position, fits in made_ahead(fill, singly, workers=workers, ahead=AHEAD * workers):
        if not all(fits):
            return None
        progress(position + 1, len(source))
    return images


def _rows(wanted: Wanted) -> list[Row]:
    positions = wanted.positions.tolist()
    return list(zip(positions, [None] * len(positions) if wanted.uniforms is None else wanted.uniforms, strict=True))


def _spread(images: int, count: int) -> Iterable[int]:
    """Positions of at most `count` images, evenly spread."""
    return map(int, np.unique(np.linspace(0, images - 1, min(count, images)).round()))
