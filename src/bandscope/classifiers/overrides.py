"""Preprocessing settings that a user puts over those of a model, by timm's names or by field name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

from bandscope.errors import InputError, nearest
from bandscope.preprocess import Preprocess, per_channel, timm_resize

OVERRIDES = ("input_size", "size", "crop_pct", "crop_mode", "mean", "std", "interpolation", "resize", "fit")
TIMM_NAMES = ("mean", "std", "crop_pct", "crop_mode", "interpolation")
EACH = "a number, or one a channel"
NUMBERS = {"mean": EACH, "std": EACH, "crop_pct": "a number, such as 0.875"}
_MODES = {"squash": "squash", "cover": "center", "contain": "border"}


def override(preprocess: Preprocess, overrides: Mapping[str, Any]) -> Preprocess:
    """A copy of `preprocess` with some settings replaced.

    Args:
        preprocess: the model's own.
        overrides: any of `input_size` or `size` (side, (H, W) or (C, H, W)), `mean`, `std` (a number, or one a
            channel), `interpolation`, and either timm's `crop_pct` and `crop_mode` or `resize` and `fit`. Where
            the size changes and nothing says how to resize, the share of the image that is seen stays.

    Raises:
        InputError: a name is unknown, two names contradict, or a value is out of range.
    """
    check_overrides(overrides)
    size, channels = _crop_shape(preprocess, overrides)
    return replace(
        preprocess,
        size=size,
        mean=per_channel("mean", overrides.get("mean", preprocess.mean), channels),
        std=per_channel("std", overrides.get("std", preprocess.std), channels),
        interpolation=overrides.get("interpolation", preprocess.interpolation),
        **_resize_fields(preprocess, size, overrides),
    )


def override_config(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A timm data configuration with overrides in it, before timm's own rounding of the resized size.

    Raises:
        InputError: as `override`.
    """
    check_overrides(overrides)
    channels, *size = config["input_size"]
    given = overrides.get("input_size", overrides.get("size"))
    sides = _sides(given) if given is not None else tuple(size)
    shape = sides if len(sides) == 3 else (channels, sides[0], sides[-1])
    named = {name: overrides[name] for name in TIMM_NAMES if name in overrides}
    return {**config, **named, "input_size": shape}


def complete(overrides: Mapping[str, Any], size: tuple[int, int] | None, channels: int | None) -> Preprocess:
    """A Preprocess from overrides alone, for a model that records none.

    Args:
        overrides: as for `override`.
        size: (H, W) where the model fixes it.
        channels: where the model fixes them.

    Raises:
        InputError: a setting is missing that nothing can be assumed for: all of them are listed.
    """
    check_overrides(overrides)
    needed = {"mean": "mean", "std": "std", "crop_pct or resize": "crop_pct" if "crop_pct" in overrides else "resize"}
    if size is None:
        needed["input_size"] = "input_size" if "input_size" in overrides else "size"
    if missing := [words for words, name in needed.items() if name not in overrides]:
        raise InputError(f"preprocessing is incomplete: {', '.join(missing)} missing")
    count = channels or max(_count(overrides["mean"]), _count(overrides["std"]))
    placeholder = Preprocess(size=size or (1, 1), resize=None, mean=(0.0,) * count, std=(1.0,) * count)
    return override(placeholder, overrides)


def check_overrides(overrides: Mapping[str, Any]) -> None:
    """Refuse unknown settings, two that say the same thing, and words where numbers are wanted.

    Raises:
        InputError: naming them.
    """
    for name in overrides:
        if name not in OVERRIDES:
            hint = nearest(name, OVERRIDES)
            raise InputError(f"preprocessing has no setting {name!r}; allowed: {', '.join(OVERRIDES)}.{hint}")
    for one, other in (("input_size", "size"), ("crop_pct", "resize"), ("crop_mode", "fit")):
        if one in overrides and other in overrides:
            raise InputError(f"{one} and {other} say the same thing: give one of them")
    for name, wanted in NUMBERS.items():
        given = overrides.get(name, 1)
        several = given if wanted == EACH and isinstance(given, Iterable) else (given,)
        if not all(isinstance(value, Real) for value in several):
            raise InputError(f"{name} must be {wanted}; given: {given!r}")


def _crop_shape(preprocess: Preprocess, overrides: Mapping[str, Any]) -> tuple[tuple[int, int], int]:
    """The crop's (H, W) and its number of channels."""
    given = overrides.get("input_size", overrides.get("size"))
    sides = _sides(given) if given is not None else preprocess.size
    if len(sides) == 3:
        return (sides[1], sides[2]), sides[0]
    counts = [_count(overrides.get(name, ())) for name in ("mean", "std")]
    return (sides[0], sides[-1]), max(counts) if max(counts) > 1 else preprocess.channels


def _sides(given: Any) -> tuple[int, ...]:
    sides = (given,) if isinstance(given, int) else given
    if not isinstance(sides, Sequence) or isinstance(sides, str) or len(sides) not in (1, 2, 3):
        raise InputError(f"input_size must be a side, (H, W) or (C, H, W) in pixels; given: {given!r}")
    return tuple(sides)


def _count(value: Any) -> int:
    """How many channels a mean or std speaks of."""
    return len(value) if isinstance(value, Sequence) else 1


def _resize_fields(preprocess: Preprocess, size: tuple[int, int], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The fields `resize` and `fit` for a crop of `size`."""
    if "crop_pct" in overrides or "crop_mode" in overrides:
        share = overrides.get("crop_pct", _share(preprocess))
        resize, fit = timm_resize(size, share, overrides.get("crop_mode", _mode(preprocess)))
        return {"resize": resize, "fit": fit}
    resize = overrides.get("resize", _rescaled(preprocess, size))
    resize = tuple(resize) if isinstance(resize, list) else resize
    return {"resize": resize, "fit": overrides.get("fit", preprocess.fit)}


def _mode(preprocess: Preprocess) -> str:
    """The crop mode, in timm's words, that a preprocess follows."""
    return _MODES[preprocess.fit] if isinstance(preprocess.resize, tuple) else "center"


def _share(preprocess: Preprocess) -> float:
    """The crop's side over the resized image's."""
    resize = preprocess.resize[0] if isinstance(preprocess.resize, tuple) else preprocess.resize
    return preprocess.size[0] / resize if resize else 1.0


def _rescaled(preprocess: Preprocess, size: tuple[int, int]) -> int | tuple[int, int] | None:
    """`resize` for another crop size, so that the same share of the image is seen."""
    resize, own = preprocess.resize, preprocess.size
    if resize is None or size == own:
        return resize
    if isinstance(resize, tuple):
        return round(resize[0] * size[0] / own[0]), round(resize[1] * size[1] / own[1])
    return round(resize * min(size) / min(own))
