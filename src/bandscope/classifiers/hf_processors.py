"""What an image processor of transformers does to an image, as a `Preprocess`; what cannot be said so is refused.

Its settings are read, and then it is asked itself: noise of odd sizes must come out of both alike, so that a
processor which does more than its settings say is refused as well. Of its two backends Pillow's is followed;
torchvision's, the default of transformers, resizes to within some grey levels of it. One thing stays as everywhere in
bandscope: transparency is dropped, where transformers puts white behind it.
"""

from typing import Any

import numpy as np
import torch
from PIL import Image

from bandscope.errors import BandscopeError, ModelError, first_line
from bandscope.preprocess import IMAGE_MODES, Preprocess, per_channel

ASKED = ((500, 375), (333, 501), (97, 61))  # (width, height) of noise
SHORT = 257  # pixels: the short side of two more
TOLERANCE = 0.05  # grey levels: a hundred roundings of float32, far below a difference of one level
CONVNEXT_SQUASHED = 384  # from this side on, ConvNeXT's processor shows the whole image


def read_processor(processor: Any) -> tuple[Preprocess, bool]:
    """The processor's preprocessing, and whether it turns RGB into BGR afterwards.

    Raises:
        ModelError: it does what a `Preprocess` cannot say, and what that is.
    """
    config = getattr(processor, "data_config", None)  # timm's networks keep timm's own configuration
    try:
        preprocess = Preprocess.from_timm(config) if config else _from_settings(processor)
    except BandscopeError:
        raise
    except Exception as error:  # any setting may be missing, or of another kind
        raise ModelError(f"its settings make no sense: {type(error).__name__}: {first_line(error)}") from error
    swapped = bool(getattr(processor, "do_flip_channel_order", False))
    _ask(processor, preprocess, swapped)
    return preprocess, swapped


def _from_settings(processor: Any) -> Preprocess:
    if getattr(processor, "do_pad", None):
        raise ModelError("it pads images (do_pad)")
    resize = _resize(processor) if processor.do_resize else None
    mean, std = _statistics(processor)
    return Preprocess(
        size=_crop(processor, resize),
        resize=resize,
        mean=mean,
        std=std,
        interpolation=_interpolation(processor),
        crop_rounding="down",
    )


def _resize(processor: Any) -> int | tuple[int, int]:
    """The short side, or (H, W), that images are resized to."""
    size, kind = processor.size, type(processor).__name__
    short, share = size.shortest_edge, getattr(processor, "crop_pct", None)
    if short and kind.startswith("Levit"):
        return int(256 / 224 * short)
    if short and kind.startswith("ConvNext"):
        return (short, short) if short >= CONVNEXT_SQUASHED else int(short / share)
    if short and kind.startswith("PoolFormer") and share:
        return int(short / share)
    if short and not size.longest_edge:
        return int(short)
    if size.height and size.width and not share:
        return int(size.height), int(size.width)
    raise ModelError(f"it resizes to {dict(size)}{f' with crop_pct {share}' if share else ''}")


def _crop(processor: Any, resize: int | tuple[int, int] | None) -> tuple[int, int]:
    """(H, W) of what the network is shown."""
    if getattr(processor, "do_center_crop", None):
        return int(processor.crop_size.height), int(processor.crop_size.width)
    if isinstance(resize, tuple):
        return resize
    if resize and type(processor).__name__.startswith("ConvNext"):
        return int(processor.size.shortest_edge), int(processor.size.shortest_edge)
    raise ModelError("it crops nothing, so that every image keeps a shape of its own (do_center_crop is false)")


def _statistics(processor: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """`mean` and `std` on pixels in [0, 1] that do what rescaling and normalising do together.

    A processor makes (f p - o - m) / (s e) of a pixel p = 255 u; with a = 255 f: (u - (o + m) / a) / (s e / a).
    """
    factor = 255 * processor.rescale_factor if processor.do_rescale else 255.0
    offset = 1.0 if processor.do_rescale and getattr(processor, "rescale_offset", False) else 0.0
    means, stds = processor.image_mean, processor.image_std
    own = means if isinstance(means, list | tuple) and len(means) in IMAGE_MODES else (0.0,) * 3
    mean = per_channel("image_mean", means if processor.do_normalize else 0.0, len(own))
    std = per_channel("image_std", stds if processor.do_normalize else 1.0, len(own))
    again = per_channel("image_std", stds if getattr(processor, "include_top", False) else 1.0, len(own))
    return (
        tuple((offset + m) / factor for m in mean),
        tuple(s * extra / factor for s, extra in zip(std, again, strict=True)),
    )


def _interpolation(processor: Any) -> str:
    """Pillow's name of the filter; bilinear where none is given, as in transformers."""
    given = processor.resample
    return "bilinear" if given is None else Image.Resampling(int(given)).name.lower()


def _ask(processor: Any, preprocess: Preprocess, swapped: bool) -> None:
    """Refuse a processor that gives other tensors than `preprocess`."""
    noise = np.random.default_rng(0)
    levels = 255 * torch.tensor(preprocess.std).view(-1, 1, 1)
    for width, height in (*ASKED, (_long(preprocess, 1), SHORT), (SHORT, _long(preprocess, 0))):
        pixels = noise.integers(0, 256, (height, width, preprocess.channels), dtype=np.uint8)
        image = Image.fromarray(pixels.squeeze(2) if preprocess.channels == 1 else pixels)
        ours = preprocess.normalise(torch.from_numpy(preprocess.crop(image))[None])[0]
        ours = ours.flip(0) if swapped else ours
        try:
            theirs = processor(images=image, return_tensors="pt")["pixel_values"][0]
        except Exception as error:  # other people's code: it may fail with anything
            raise ModelError(
                f"it fails on an image of {width} x {height}: {type(error).__name__}: {first_line(error)}"
            ) from error
        if theirs.shape != ours.shape:
            raise ModelError(f"it makes {tuple(theirs.shape)} of an image, not {tuple(ours.shape)} (C, H, W)")
        if (worst := float(((theirs - ours).abs() * levels).max())) > TOLERANCE:
            raise ModelError(
                f"it does more than its settings say: its pixels differ by up to {worst:.1f} grey levels"
            )


def _long(preprocess: Preprocess, axis: int) -> int:
    """A long side that leaves 3 pixels over, or 7, 11 ...: half of it is what libraries round differently."""
    scale = preprocess.resize / SHORT if isinstance(preprocess.resize, int) else 1
    return next((n for n in range(300, 3000) if (int(scale * n) - preprocess.size[axis]) % 4 == 3), 300)


def refusal(processor: Any, reason: BandscopeError) -> str:
    """One sentence on why a processor cannot be followed, for what comes before the advice."""
    return f"its image processor, {type(processor).__name__}, cannot be followed exactly: {reason}"
