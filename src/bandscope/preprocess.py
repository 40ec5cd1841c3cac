"""From source pixels to the tensor a network sees: equal to timm's and torchvision's evaluation transforms.

Both libraries resize and crop 8-bit PIL images, then normalise in float32; so does this module, bit for bit. Two
things are worth knowing: Exif orientation is NOT applied (neither library applies it), and 16-bit greyscale is
scaled to 8 bit, where Pillow's own conversion clips everything above 255 to white.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from bandscope.errors import ImageError, InputError, nearest

INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
FITS = ("squash", "cover", "contain")
CROP_MODES = ("center", "squash", "border")
IMAGE_MODES = {1: "L", 3: "RGB"}
WIDE_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow opens 16-bit PGM as "I", 16-bit PNG as "I;16"


@dataclass(frozen=True)
class Preprocess:
    """How one source image becomes the crop a network sees, and the crop its input tensor.

    size: (H, W) of the crop, in pixels.
    resize: what happens before the crop. An int: the short side becomes this long, the aspect is kept.
        A pair (H, W): see `fit`. None: nothing.
    mean, std: one number a channel (1 or 3 of them), on pixels in [0, 1].
    interpolation: Pillow's name of the resampling filter.
    fit: how a pair in `resize` is met. "squash": exactly, the aspect changes. "cover": the aspect is kept and
        no side is shorter. "contain": the aspect is kept and no side is longer.

    Where the resized image is smaller than the crop, it is centred on zeros ("contain": on the mean colour).
    """

    size: tuple[int, int]
    resize: int | tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"
    fit: str = "squash"

    def __post_init__(self) -> None:
        _check_lengths("size", self.size, 2)
        if isinstance(self.resize, Sequence):
            _check_lengths("resize", self.resize, 2)
        elif self.resize is not None:
            _check_lengths("resize", (self.resize,), 1)
        _check_statistics(self.mean, self.std)
        _check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        _check_choice("fit", self.fit, FITS)

    @property
    def channels(self) -> int:
        """Channels of the crop: 1 (greyscale) or 3 (RGB)."""
        return len(self.mean)

    def crop(self, image: Image.Image) -> UInt8[np.ndarray, "h w c"]:
        """The 8-bit crop the network sees: converted to RGB or greyscale, resized, cut around the centre.

        Raises:
            ImageError: the image's mode has no 8-bit meaning, or a side shrinks to less than a pixel.
        """
        image = _to_8_bit(image, IMAGE_MODES[self.channels])
        resized = _resized(image, self._resized_size(image.size), self.interpolation)
        pixels = np.array(_centre_cut(resized, self.size, self._fill()))
        return pixels.reshape(*self.size, self.channels)

    def normalise(self, pixels: UInt8[torch.Tensor, "n h w c"]) -> Float[torch.Tensor, "n c h w"]:
        """(pixels / 255 - mean) / std in float32, contiguous, on the device of `pixels`."""
        # tensors on the device, not Python scalars: CUDA divides by a scalar through its rounded reciprocal
        white = torch.tensor(255.0, device=pixels.device)
        mean = torch.tensor(self.mean, device=pixels.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(-1, 1, 1)
        batch = pixels.permute(0, 3, 1, 2).contiguous().to(torch.float32)
        return batch.div_(white).sub_(mean).div_(std)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, one a field; `from_json` reads them back."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Preprocess":
        """The inverse of `to_json`.

        Raises:
            InputError: a field is unknown, missing or out of range.
        """
        allowed = [field.name for field in fields(cls)]
        if unknown := [name for name in values if name not in allowed]:
            hint = nearest(unknown[0], allowed)
            raise InputError(f"preprocess has no field {unknown[0]!r}; allowed: {', '.join(allowed)}.{hint}")
        if missing := [name for name in ("size", "resize", "mean", "std") if name not in values]:
            raise InputError(f"preprocess lacks {', '.join(missing)}; given: {', '.join(values) or 'none'}")
        given: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
        return cls(**given)

    @classmethod
    def from_timm(cls, config: Mapping[str, Any]) -> "Preprocess":
        """From timm's data configuration (`timm.data.resolve_data_config`): equal to its `create_transform`.

        Args:
            config: `input_size` (C, H, W), `mean`, `std`, and optionally (with `create_transform`'s defaults)
                `interpolation` ("bilinear"), `crop_pct` (0.875), `crop_mode` ("center"; or "squash", "border").

        Raises:
            InputError: a value is out of range, or mean and std do not have one number a channel.
        """
        channels, height, width = config["input_size"]
        mode = config.get("crop_mode") or "center"
        resize, fit = timm_resize((height, width), config.get("crop_pct") or 0.875, mode)
        return cls(
            size=(height, width),
            resize=resize,
            mean=per_channel("mean", config["mean"], channels),
            std=per_channel("std", config["std"], channels),
            interpolation=config.get("interpolation") or "bilinear",
            fit=fit,
        )

    @classmethod
    def from_torchvision(cls, transform: Any) -> "Preprocess":
        """From torchvision's preset `ImageClassification`, i.e. `weights.transforms()`; equal on PIL images.

        Raises:
            InputError: `transform` is not such a preset.
        """
        wanted = ("crop_size", "resize_size", "mean", "std", "interpolation")
        if missing := [name for name in wanted if not hasattr(transform, name)]:
            raise InputError(
                f"{type(transform).__name__} has no {', '.join(missing)}: "
                "only torchvision's ImageClassification preset can be read; give a Preprocess instead"
            )
        crop, resize = tuple(transform.crop_size), tuple(transform.resize_size)
        return cls(
            size=(crop[0], crop[-1]),
            resize=resize[0] if len(resize) == 1 else resize,
            mean=tuple(transform.mean),
            std=tuple(transform.std),
            interpolation=transform.interpolation.value,
        )

    def _resized_size(self, source: tuple[int, int]) -> tuple[int, int]:
        """(width, height) after the resize of a (width, height); rounded as timm and torchvision do."""
        width, height = source
        if self.resize is None:
            return source
        if isinstance(self.resize, int):
            short = min(source)
            return int(self.resize * width / short), int(self.resize * height / short)
        if self.fit == "squash":
            return self.resize[1], self.resize[0]
        choose = min if self.fit == "cover" else max
        ratio = choose(height / self.resize[0], width / self.resize[1])
        return round(width / ratio), round(height / ratio)

    def _fill(self) -> tuple[int, ...]:
        """The colour around an image smaller than the crop."""
        if self.fit == "contain" and isinstance(self.resize, tuple):
            return tuple(round(255 * value) for value in self.mean)
        return (0,) * self.channels


def _to_8_bit(image: Image.Image, mode: str) -> Image.Image:
    """`image` in `mode` ("L" or "RGB")."""
    if image.mode in WIDE_GREY:
        image = _wide_grey_to_8_bit(image)
    if image.mode == "F":
        raise ImageError("floating-point pixels (mode F) have no known range: save the image in 8 or 16 bits")
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")  # the same colours, without Pillow's warning of lost transparency
    try:
        return image.convert(mode)
    except ValueError as error:
        raise ImageError(f"an image of mode {image.mode} cannot be converted to {mode}: {error}") from error


def _wide_grey_to_8_bit(image: Image.Image) -> Image.Image:
    """16-bit greyscale to 8 bit: 0..65535 -> 0..255, rounded (Pillow would clip at 255)."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(f"greyscale values {values.min()}..{values.max()} are outside 16 bits (0..65535)")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _resized(image: Image.Image, size: tuple[int, int], interpolation: str) -> Image.Image:
    if min(size) < 1:
        raise ImageError(f"too narrow: {image.width} x {image.height} pixels resize to {size[0]} x {size[1]}")
    return image.resize(size, Image.Resampling[interpolation.upper()])


def _centre_cut(image: Image.Image, size: tuple[int, int], fill: tuple[int, ...]) -> Image.Image:
    """The central (H, W) of `image`, on `fill` where the image is smaller."""
    height, width = size
    canvas = Image.new(image.mode, (width, height), fill)
    canvas.paste(image, (-_offset(image.width, width), -_offset(image.height, height)))
    return canvas


def _offset(have: int, want: int) -> int:
    """Where a centred stretch of `want` starts within `have`; negative where it is longer."""
    return round((have - want) / 2) if have >= want else -((want - have) // 2)


def timm_resize(size: tuple[int, int], crop_pct: float, mode: str) -> tuple[int | tuple[int, int], str]:
    """`resize` and `fit` that equal timm's `crop_pct` and `crop_mode` for a crop of `size` = (H, W).

    Raises:
        InputError: `crop_pct` is not a positive number, or `mode` not one of timm's.
    """
    if not 0 < crop_pct < math.inf:
        raise InputError(f"crop_pct must be a positive number, such as 0.875; given: {crop_pct}")
    _check_choice("crop_mode", mode, CROP_MODES)
    height, width = (math.floor(side / crop_pct) for side in size)
    if mode == "center":
        return (height, "squash") if height == width else ((height, width), "cover")
    return (height, width), {"squash": "squash", "border": "contain"}[mode]


def per_channel(name: str, value: float | Sequence[float], channels: int) -> tuple[float, ...]:
    """`value` as one number a channel; a single number, or equal ones, serve any count of channels.

    Raises:
        InputError: several different numbers, but not one a channel.
    """
    values = (float(value),) if isinstance(value, int | float) else tuple(value)
    if len(values) == channels:
        return values
    if len(set(values)) == 1:
        return values[:1] * channels
    raise InputError(f"{name} must have one value a channel ({channels}); given: {values}")


def _check_lengths(name: str, sides: Sequence[int], count: int) -> None:
    whole = all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)
    if len(sides) != count or not whole:
        shape = "(height, width)" if name == "size" else "an int, (height, width) or None"
        raise InputError(f"preprocess {name} must be {shape} in whole pixels above 0; given: {sides}")


def _check_statistics(mean: Sequence[float], std: Sequence[float]) -> None:
    if len(mean) not in IMAGE_MODES or len(std) != len(mean):
        raise InputError(f"mean and std must have 1 or 3 values each (one a channel); given: {mean} and {std}")
    if not all(math.isfinite(value) for value in mean) or not all(0 < value < math.inf for value in std):
        raise InputError(f"mean must be finite and std above 0; given: {mean} and {std}")


def _check_choice(name: str, given: str, allowed: Sequence[str]) -> None:
    if given not in allowed:
        hint = nearest(str(given), allowed)
        raise InputError(f"{name} must be one of {', '.join(allowed)}; given: {given!r}.{hint}")
