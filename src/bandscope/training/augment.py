"""Augmentation, batched on the device: where each image is cut and whether it is mirrored, then the cut itself.

A box is (top, left, height, width) in pixels of the source. Boxes are drawn by torchvision's definitions of
`RandomResizedCrop` and `RandomCrop(padding=...)`; the random numbers come from outside, one row an image.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8

from bandscope.datasets.base import ImageSource
from bandscope.datasets.spec import parse_spec
from bandscope.errors import InputError
from bandscope.training.recipe import Recipe

ATTEMPTS = 10  # of torchvision: shapes tried before the image's middle is taken
COLUMNS = 2 * ATTEMPTS + 3  # random numbers an image: areas, aspect ratios, place (2), mirror

# torchvision's sets whose classes a mirror changes: digits, letters, words, signs that point
MIRRORS_MATTER = frozenset(
    {"MNIST", "EMNIST", "KMNIST", "QMNIST", "USPS", "SVHN", "Omniglot", "RenderedSST2", "GTSRB"}
)


@dataclass(frozen=True)
class Cuts:
    """What a batch is cut to: a box an image, and whether it is mirrored.

    boxes: (top, left, height, width) of each.
    """

    boxes: Int64[np.ndarray, "n 4"]
    flips: Bool[np.ndarray, " n"]


@dataclass(frozen=True)
class Augment:
    """A recipe's augmentation for one crop size.

    Attributes:
        kind: "resized-crop", "pad-crop" or "none".
        size: (H, W) of the crop.
        flip: probability of a mirror image.
        scale: range of a resized crop's share of the area. ratio: of its width over its height.
        padding: border of a pad-crop, pixels.
        interpolation: of the resize.
    """

    kind: str
    size: tuple[int, int]
    flip: float
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    padding: int = 4
    interpolation: str = "bilinear"

    @classmethod
    def of(cls, recipe: Recipe, size: tuple[int, int], flip: float) -> "Augment":
        """The recipe's, with the mirror that was settled for these images.

        Raises:
            InputError: the interpolation has no batched resize.
        """
        if recipe.augment == "resized-crop" and recipe.interpolation not in KERNELS:
            raise InputError(
                f"recipe interpolation={recipe.interpolation!r} cannot make resized crops; allowed: "
                f"{', '.join(KERNELS)}."
            )
        return cls(recipe.augment, size, flip, recipe.scale, recipe.ratio, recipe.padding, recipe.interpolation)

    @property
    def idle(self) -> bool:
        """Whether it leaves every image as it is."""
        return self.kind == "none" and self.flip == 0

    @property
    def resizes(self) -> bool:
        """Whether it cuts from whole images and resizes, rather than from crops of the network's size."""
        return self.kind == "resized-crop"

    def cuts(self, sizes: Int64[np.ndarray, "n 2"], uniforms: Float[np.ndarray, "n columns"]) -> Cuts:
        """Boxes and mirrors for images of `sizes` (H, W), from `COLUMNS` uniform numbers each."""
        flips = uniforms[:, -1] < self.flip
        if self.resizes:
            return Cuts(resized_crop_boxes(sizes, uniforms, self.scale, self.ratio), flips)
        padding = self.padding if self.kind == "pad-crop" else 0
        return Cuts(pad_crop_boxes(sizes, uniforms, padding), flips)

    def apply(
        self,
        pixels: UInt8[torch.Tensor, "n h w c"],
        boxes: Int64[torch.Tensor, "n 4"],
        flips: Bool[torch.Tensor, " n"],
    ) -> UInt8[torch.Tensor, "n y x c"]:
        """The crops of whole images, or of crops of the network's size; all on one device."""
        if self.resizes:
            return resized(pixels, boxes, flips, self.size, self.interpolation)
        return shifted(pixels, boxes[:, :2], flips)


def settled_flip(recipe: Recipe, source: ImageSource) -> float:
    """The recipe's probability of a mirror image; where it leaves it open, 0 if a mirror would change classes."""
    if recipe.flip is not None:
        return recipe.flip
    return 0.0 if mirror_matters(source) else 0.5


def mirror_matters(source: ImageSource) -> bool:
    """Whether the source is known to have classes that a mirror turns into others, or into nothing."""
    try:
        spec = parse_spec(source.spec, {})
    except InputError:  # a source of the user's own, of which nothing is known
        return False
    return spec.kind == "planted" or (spec.kind == "torchvision" and spec.place in MIRRORS_MATTER)


def resized_crop_boxes(
    sizes: Int64[np.ndarray, "n 2"],
    uniforms: Float[np.ndarray, "n columns"],
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Int64[np.ndarray, "n 4"]:
    """Boxes of torchvision's RandomResizedCrop: the first of ten random shapes that fits, else the middle."""
    height, width = sizes[:, :1], sizes[:, 1:]
    area = height * width * _between(uniforms[:, :ATTEMPTS], *scale)
    aspect = np.exp(_between(uniforms[:, ATTEMPTS : 2 * ATTEMPTS], *np.log(ratio)))
    wide, tall = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
    fits = (wide > 0) & (wide <= width) & (tall > 0) & (tall <= height)
    first = fits.argmax(axis=1, keepdims=True)
    shape = np.hstack([np.take_along_axis(side, first, axis=1) for side in (tall, wide)])
    shape = np.where(fits.any(axis=1, keepdims=True), shape, _middle_shapes(sizes, ratio)).astype(np.int64)
    drawn = np.floor(uniforms[:, -3:-1] * (sizes - shape + 1)).astype(np.int64)
    corner = np.where(fits.any(axis=1, keepdims=True), drawn, (sizes - shape) // 2)
    return np.hstack([corner, shape])


def pad_crop_boxes(
    sizes: Int64[np.ndarray, "n 2"], uniforms: Float[np.ndarray, "n columns"], padding: int
) -> Int64[np.ndarray, "n 4"]:
    """Boxes of torchvision's RandomCrop of the image's own size over a border of `padding`: -padding ... padding."""
    corner = np.floor(uniforms[:, -3:-1] * (2 * padding + 1)).astype(np.int64) - padding
    return np.hstack([corner, sizes])


def shifted(
    pixels: UInt8[torch.Tensor, "n h w c"], corners: Int64[torch.Tensor, "n 2"], flips: Bool[torch.Tensor, " n"]
) -> UInt8[torch.Tensor, "n h w c"]:
    """Each image from its corner (top, left) on, black where it does not reach, then mirrored or not."""
    count, height, width, _ = pixels.shape
    rows = torch.arange(height, device=pixels.device) + corners[:, :1]
    columns = torch.arange(width, device=pixels.device) + corners[:, 1:]
    columns = torch.where(flips[:, None], columns.flip(1), columns)
    images = torch.arange(count, device=pixels.device)[:, None, None]
    cut = pixels[images, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    return cut * inside[..., None]


def resized(
    pixels: UInt8[torch.Tensor, "n h w c"],
    boxes: Int64[torch.Tensor, "n 4"],
    flips: Bool[torch.Tensor, " n"],
    size: tuple[int, int],
    interpolation: str,
) -> UInt8[torch.Tensor, "n y x c"]:
    """Each image's box, resized to `size` as Pillow resizes (with antialiasing), then mirrored or not.

    A resize is linear and separable: one matrix an image down its columns, one along its rows.
    """
    _, height, width, _ = pixels.shape
    down = resize_matrices(height, size[0], boxes[:, 0], boxes[:, 2], interpolation)
    along = resize_matrices(width, size[1], boxes[:, 1], boxes[:, 3], interpolation)
    along = torch.where(flips[:, None, None], along.flip(1), along)
    planes = pixels.permute(0, 3, 1, 2).float()
    made = down[:, None] @ (planes @ along.transpose(1, 2)[:, None])
    return made.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def resize_matrices(
    inputs: int,
    outputs: int,
    starts: Int64[torch.Tensor, " n"],
    lengths: Int64[torch.Tensor, " n"],
    interpolation: str,
) -> Float[torch.Tensor, "n outputs inputs"]:
    """For each image the weights of the stretch from `start` on, of `length` input pixels, in each output pixel.

    As in Pillow (`ImagingResample`, src/libImaging/Resample.c): the kernel is as many times wider as the stretch
    shrinks, cut at its ends, and its weights sum to 1.
    """
    kernel, reach = KERNELS[interpolation]
    step = (lengths / outputs)[:, None, None]  # input pixels an output pixel
    wide = step.clamp(min=1)
    centre = (torch.arange(outputs, device=starts.device)[:, None] + 0.5) * step
    place = torch.arange(inputs, device=starts.device) - starts[:, None, None]
    distance = (place + 0.5 - centre) / wide
    inside = (place >= 0) & (place < lengths[:, None, None]) & (distance.abs() < reach)
    weights = torch.where(inside, kernel(distance), 0.0)
    return weights / weights.sum(dim=2, keepdim=True)


def _bilinear(x: torch.Tensor) -> torch.Tensor:
    """The triangle."""
    return 1 - x.abs()


def _bicubic(x: torch.Tensor) -> torch.Tensor:
    """The cubic of Keys, "Cubic convolution interpolation for digital image processing" (1981), with a = -1/2."""
    x = x.abs()
    return torch.where(x < 1, (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2)


def _lanczos(x: torch.Tensor) -> torch.Tensor:
    """Lanczos's of three lobes, as Duchon, "Lanczos filtering in one and two dimensions" (1979)."""
    return torch.sinc(x) * torch.sinc(x / 3)


KERNELS: Mapping[str, tuple[Callable[[torch.Tensor], torch.Tensor], int]] = {
    "bilinear": (_bilinear, 1),
    "bicubic": (_bicubic, 2),
    "lanczos": (_lanczos, 3),
}


def _between(uniforms: Float[np.ndarray, "*shape"], low: float, high: float) -> Float[np.ndarray, "*shape"]:
    return low + uniforms * (high - low)


def _middle_shapes(sizes: Int64[np.ndarray, "n 2"], ratio: tuple[float, float]) -> Float[np.ndarray, "n 2"]:
    """The largest (height, width) in each image whose aspect is allowed."""
    height, width = sizes[:, 0], sizes[:, 1]
    aspect = width / height
    tall = np.where(aspect < ratio[0], np.rint(width / ratio[0]), height)
    wide = np.where(aspect > ratio[1], np.rint(height * ratio[1]), width)
    return np.stack([tall, wide], axis=1)
