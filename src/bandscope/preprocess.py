"""From source pixels to the tensor a network sees: equal to timm's and torchvision's evaluation transforms.

Both libraries resize and crop 8-bit PIL images, then normalise in float32; so does this module, bit for bit (and so
does transformers with Pillow, but for the last bit of its normalisation). Two things are worth knowing: Exif
orientation is NOT applied (no library applies it), and 16-bit greyscale is scaled to 8 bit, where Pillow's own
conversion clips everything above 255 to white.
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
OUTSIDE = ("real", "shrink")
CROP_ROUNDINGS = ("even", "down")
CROP_MODES = ("center", "squash", "border")
IMAGE_MODES = {1: "L", 3: "RGB"}
MAX_RESIZED = 2**28  # pixels: 0.8 GB in RGB
LEAST_SHOWN = 8  # source pixels along a side of the crop: fewer show no object
WIDE_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow opens 16-bit PGM as "I", 16-bit PNG as "I;16"


Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in source pixels


@dataclass(frozen=True)
class View:
    """What a network is shown of a source image at a zoom.

    Attributes:
        pixels: the 8-bit crop.
        achieved: the zoom after rounding to whole pixels.
        padded: share of the crop that is no pixel of the image.
        object_pixels: square root of the box's area, in pixels of the crop; NaN without a box.
    """

    pixels: UInt8[np.ndarray, "h w c"]
    achieved: float
    padded: float
    object_pixels: float = math.nan


@dataclass(frozen=True)
class Preprocess:
    """How one source image becomes the crop a network sees, and the crop its input tensor.

    Where the resized image is smaller than the crop, it is centred on zeros ("contain": on the mean colour).

    Args:
        size: (H, W) of the crop, in pixels.
        resize: what happens before the crop. An int: the short side becomes this long, the aspect is kept.
            A pair (H, W): see `fit`. None: nothing.
        mean: one number a channel (1 or 3 of them), on pixels in [0, 1].
        std: one number a channel, likewise.
        interpolation: Pillow's name of the resampling filter.
        fit: how a pair in `resize` is met. "squash": exactly, the aspect changes. "cover": the aspect is kept and
            no side is shorter. "contain": the aspect is kept and no side is longer.
        crop_rounding: where the crop starts when an odd number of pixels is spare. "even": half a pixel to even, as
            timm and torchvision do. "down": as transformers does.

    Raises:
        InputError: a value is out of range.
    """

    size: tuple[int, int]
    resize: int | tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"
    fit: str = "squash"
    crop_rounding: str = "even"

    def __post_init__(self) -> None:
        _check_lengths("size", self.size, 2)
        if isinstance(self.resize, Sequence):
            _check_lengths("resize", self.resize, 2)
        elif self.resize is not None:
            _check_lengths("resize", (self.resize,), 1)
        _check_statistics(self.mean, self.std)
        _check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        _check_choice("fit", self.fit, FITS)
        _check_choice("crop_rounding", self.crop_rounding, CROP_ROUNDINGS)

    @property
    def channels(self) -> int:
        """Channels of the crop, 1 (greyscale) or 3 (RGB)."""
        return len(self.mean)

    def crop(self, image: Image.Image) -> UInt8[np.ndarray, "h w c"]:
        """The 8-bit crop the network sees: converted to RGB or greyscale, resized, cut around the centre.

        Raises:
            ImageError: the image's mode has no 8-bit meaning, or a side shrinks to less than a pixel.
        """
        return self.view(image).pixels

    def view(self, image: Image.Image, zoom: float = 1.0, *, box: Box | None = None, outside: str = "real") -> View:
        """The crop at a zoom: the whole source resized (a short side of s pixels to round(s zoom)), then cut.

        At zoom 1, and without a box, it is what the network sees in its ordinary evaluation, bit for bit.

        Args:
            image: the source.
            zoom: how much larger objects appear than in the ordinary crop, > 0.
            box: what to cut around, as far as the image reaches, in place of its centre.
            outside: of a zoom below 1. "real": the crop reaches out to more of the image, then to its reflection.
                "shrink": the crop of zoom 1 itself becomes smaller, on the mean colour.

        Raises:
            InputError: `zoom` or `outside` is not possible.
            ImageError: the image's mode has no 8-bit meaning, a side shrinks to less than a pixel, the resized image
                would not fit into memory, or a zoom above 1 would show less than 8 pixels of it.
        """
        if not 0 < zoom < math.inf:
            raise InputError(f"zoom must be a finite number above 0; given: {zoom}")
        _check_choice("outside", outside, OUTSIDE)
        image = _to_8_bit(image, IMAGE_MODES[self.channels])
        if zoom < 1 and outside == "shrink":
            return self._shrunk(self._cut(image, 1.0, box), zoom)
        return self._cut(image, zoom, box)

    def scale(self, source: tuple[int, int], zoom: float = 1.0) -> float:
        """Crop pixels a pixel of a (width, height) source; the geometric mean where the aspect changes."""
        return math.sqrt(math.prod(self._resized_size(source, zoom)) / math.prod(source))

    def _cut(self, image: Image.Image, zoom: float, box: Box | None) -> View:
        size = self._resized_size(image.size, zoom)
        _check_shown(image.size, size, self.size, zoom)
        resized = _resized(image, size, self.interpolation)
        middle = _middle(box, image.size, size)
        left, top = (_start(*side, self.crop_rounding) for side in zip(middle, size, self.size[::-1], strict=True))
        if zoom == 1:
            pixels = _pasted(resized, self.size, (left, top), self._fill())
        else:
            pixels = _reflected(resized, self.size, (left, top))
        real = math.prod(min(have, want) for have, want in zip(size, self.size[::-1], strict=True))
        achieved = self.scale(image.size, zoom) / self.scale(image.size)
        return View(pixels.reshape(*self.size, self.channels), achieved, 1 - real / math.prod(self.size))

    def _shrunk(self, view: View, zoom: float) -> View:
        """A view of zoom 1, made smaller, on the mean colour."""
        height, width = (max(1, round(side * zoom)) for side in self.size)
        small = Image.fromarray(view.pixels.squeeze(2) if self.channels == 1 else view.pixels)
        small = small.resize((width, height), Image.Resampling[self.interpolation.upper()])
        corner = _start(None, width, self.size[1]), _start(None, height, self.size[0])
        pixels = _pasted(small, self.size, corner, self._mean_colour())
        share = width * height / math.prod(self.size)
        return View(pixels.reshape(view.pixels.shape), math.sqrt(share), 1 - share * (1 - view.padded))

    def affine(self, values: Float[torch.Tensor, "*n c h w"]) -> Float[torch.Tensor, "*n c h w"]:
        """(values - mean) / std of values in [0, 1], on their device."""
        mean, std = (torch.tensor(v, device=values.device).view(-1, 1, 1) for v in (self.mean, self.std))
        return (values - mean) / std

    def normalise(self, pixels: UInt8[torch.Tensor, "n h w c"]) -> Float[torch.Tensor, "n c h w"]:
        """(pixels / 255 - mean) / std in float32, contiguous, on the device of `pixels`."""
        # tensors on the device, not Python scalars: CUDA divides by a scalar through its rounded reciprocal
        white = torch.tensor(255.0, device=pixels.device)
        mean = torch.tensor(self.mean, device=pixels.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(-1, 1, 1)
        batch = pixels.permute(0, 3, 1, 2).contiguous().to(torch.float32)
        return batch.div_(white).sub_(mean).div_(std)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, one a field (an ordinary `crop_rounding` goes unsaid); `from_json` reads them back."""
        values = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
        if self.crop_rounding == "even":
            del values["crop_rounding"]  # so that stores and files older than this field stay equal
        return values

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

    def _resized_size(self, source: tuple[int, int], zoom: float) -> tuple[int, int]:
        """(width, height) after the resize of a (width, height); at zoom 1 rounded as timm and torchvision do."""
        width, height = source
        if self.resize is None:
            return round(width * zoom), round(height * zoom)
        if isinstance(self.resize, int):
            short, wanted = min(source), round(self.resize * zoom)
            return int(wanted * width / short), int(wanted * height / short)
        if self.fit == "squash":
            return round(self.resize[1] * zoom), round(self.resize[0] * zoom)
        choose = min if self.fit == "cover" else max
        ratio = choose(height / self.resize[0], width / self.resize[1])
        return round(width / ratio * zoom), round(height / ratio * zoom)

    def _fill(self) -> tuple[int, ...]:
        """The colour around an image smaller than the crop."""
        if self.fit == "contain" and isinstance(self.resize, tuple):
            return self._mean_colour()
        return (0,) * self.channels

    def _mean_colour(self) -> tuple[int, ...]:
        return tuple(round(255 * value) for value in self.mean)


def _to_8_bit(image: Image.Image, mode: str) -> Image.Image:
    """`image` in `mode` ("L" or "RGB")."""
    if image.mode == mode:
        return image  # Pillow would copy it
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
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(f"greyscale values {values.min()}..{values.max()} are outside 16 bits (0..65535)")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _resized(image: Image.Image, size: tuple[int, int], interpolation: str) -> Image.Image:
    if min(size) < 1:
        raise ImageError(f"too narrow: {image.width} x {image.height} pixels resize to {size[0]} x {size[1]}")
    return image.resize(size, Image.Resampling[interpolation.upper()])


def _check_shown(source: tuple[int, int], resized: tuple[int, int], size: tuple[int, int], zoom: float) -> None:
    """Refuse a resize that no memory holds, and a zoom that shows next to nothing of the image."""
    if math.prod(resized) > MAX_RESIZED:
        raise ImageError(
            f"{source[0]} x {source[1]} pixels would become {resized[0]} x {resized[1]}, more than {MAX_RESIZED}"
        )
    shown = min(want * old / max(new, 1) for old, new, want in zip(source, resized, size[::-1], strict=True))
    if zoom > 1 and shown < LEAST_SHOWN:
        raise ImageError(f"zoom {zoom:g} would show {shown:.1f} of its pixels along a side; at least {LEAST_SHOWN}")


def _pasted(
    image: Image.Image, size: tuple[int, int], corner: tuple[int, int], fill: tuple[int, ...]
) -> UInt8[np.ndarray, "h w *c"]:
    """(H, W) of `image` from `corner` (left, top) on, on `fill` where it does not reach."""
    canvas = Image.new(image.mode, size[::-1], fill)
    canvas.paste(image, (-corner[0], -corner[1]))
    return np.array(canvas)


def _reflected(image: Image.Image, size: tuple[int, int], corner: tuple[int, int]) -> UInt8[np.ndarray, "h w *c"]:
    """(H, W) of `image` from `corner` (left, top) on, reflected where it does not reach."""
    pixels = np.array(image)
    height, width = pixels.shape[:2]
    (left, top), (tall, wide) = corner, size
    inside = pixels[max(top, 0) : top + tall, max(left, 0) : left + wide]
    before_y, before_x = max(-top, 0), max(-left, 0)
    around = ((before_y, max(top + tall - height, 0)), (before_x, max(left + wide - width, 0)))
    return np.pad(inside, (*around, *[(0, 0)] * (pixels.ndim - 2)), mode="reflect")


def _middle(box: Box | None, source: tuple[int, int], resized: tuple[int, int]) -> tuple[float | None, float | None]:
    """The middle (x, y) of a box of the source, in pixels of the resized image."""
    if box is None:
        return None, None
    return (box[0] + box[2]) / 2 * resized[0] / source[0], (box[1] + box[3]) / 2 * resized[1] / source[1]


def _start(middle: float | None, have: int, want: int, rounding: str = "even") -> int:
    """Where a stretch of `want` starts within `have`; negative where it is longer.

    Around the centre as `crop_rounding` says; around `middle` as far as there are real pixels.
    """
    if middle is None and rounding == "down":
        return (have - want) // 2
    if middle is None:
        return round((have - want) / 2) if have >= want else -((want - have) // 2)
    spare = have - want
    return min(max(round(middle - want / 2), min(0, spare)), max(0, spare))


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
