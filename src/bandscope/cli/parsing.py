"""What users write in options, as values: radii, bands, probes, sizes, numbers."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bandscope.errors import InputError, nearest
from bandscope.probes import (
    BandPass,
    BandStop,
    HighPass,
    LowPass,
    ObjectSize,
    Probe,
    Zoom,
    checked_bands,
    checked_radii,
    default_radii,
    number,
    octave_bands,
)

MAX_RADII = 10_000


def parse_radii(text: str) -> tuple[float, ...] | None:
    """Radii from the command line: "a:b:step" (b included), "r,r,...", "paper" (5:160:5), "auto" (None)."""
    if text == "auto":
        return None
    if text == "paper":
        return parse_radii("5:160:5")
    if ":" not in text:
        return checked_radii(part for part in text.split(",") if part.strip())
    parts = text.split(":")
    if len(parts) not in (2, 3):
        raise InputError(f"Radii {text!r} are not start:stop:step (stop included), a list r,r,... , or 'paper'.")
    start, stop, step = (*(number(p, "radius") for p in parts), 1.0)[:3]
    if not (all(map(math.isfinite, (start, stop, step))) and step > 0 and start <= stop):
        raise InputError(f"Radii {text!r} need start <= stop and a step above 0.")
    count = math.floor((stop - start) / step + 1e-9) + 1
    if count > MAX_RADII:
        raise InputError(f"Radii {text!r} are {count} values; at most {MAX_RADII} are allowed.")
    return checked_radii(round(start + i * step, 9) for i in range(count))


def parse_bands(text: str) -> tuple[tuple[float, float], ...] | None:
    """Bands from the command line: "low-high,low-high,..." or "octaves" (None: resolved by the crop's size)."""
    if text == "octaves":
        return None
    return checked_bands(part.split("-") for part in text.split(",") if part.strip())


def parse_probes(
    names: str,
    *,
    radii: tuple[float, ...] | None,
    bands: tuple[tuple[float, float], ...] | None,
    unit: str,
    size: tuple[int, int],
    default: Callable[[tuple[int, int]], tuple[float, ...]] = default_radii,
) -> tuple[Probe, ...]:
    """Probes from the command line's comma-separated names, such as "low-pass,high-pass-gaussian,band-stop"."""
    scale = 1 if unit == "cycles/image" else 1 / min(size)
    radii = radii or tuple(r * scale for r in default(size))
    bands = bands or tuple((low * scale, high * scale) for low, high in octave_bands(size))
    makers: dict[str, Any] = {
        "low-pass": lambda: LowPass(radii, unit=unit),
        "high-pass": lambda: HighPass(radii, unit=unit),
        "low-pass-gaussian": lambda: LowPass(radii, "gaussian", unit),
        "high-pass-gaussian": lambda: HighPass(radii, "gaussian", unit),
        "low-pass-butterworth": lambda: LowPass(radii, "butterworth", unit),
        "high-pass-butterworth": lambda: HighPass(radii, "butterworth", unit),
        "band-pass": lambda: BandPass(bands, unit),
        "band-stop": lambda: BandStop(bands, unit),
    }
    wanted = [name.strip().replace("_", "-") for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in makers:
            raise InputError(f"No probe {name!r}; there are {', '.join(makers)}.{nearest(name, makers)}")
    return tuple(makers[name]() for name in dict.fromkeys(wanted))


def parse_zoom(zoom: str | None, object_size: str | None, boxes: Path | None, outside: str) -> Zoom | None:
    """The scales of --zoom or --object-size; None where neither is given."""
    if zoom is not None and object_size is not None:
        raise InputError("--zoom and --object-size exclude each other: one multiplies sizes, the other sets them.")
    given = zoom if object_size is None else object_size
    if given is None:
        if boxes is not None or outside != "real":
            raise InputError("--boxes and --outside say how to zoom: give --zoom or --object-size too.")
        return None
    kind = Zoom if object_size is None else ObjectSize
    return kind([number(part, "zoom") for part in given.split(",") if part.strip()], boxes, outside)


def parse_batch_size(text: str | None) -> int | str | None:
    """A whole number, "auto" or None."""
    if text in (None, "auto"):
        return text
    try:
        return int(str(text))
    except ValueError:
        raise InputError(f"--batch-size {text!r} is not possible; give a number >= 1 or auto.") from None


def parse_overrides(given: Mapping[str, str | float | None]) -> dict[str, Any]:
    """Preprocessing settings that were given, as `load_classifier` takes them."""
    texts = {name: str(given[name]) for name in ("mean", "std") if given[name] is not None}
    numbers: dict[str, Any] = {name: _one_or_more(_floats(text, name)) for name, text in texts.items()}
    size = given["input_size"]
    rest = {"input_size": _size(str(size)) if size else None}
    return _given({**rest, **{k: given[k] for k in ("crop_pct", "interpolation")}, **numbers})


def _one_or_more(values: tuple[float, ...]) -> float | tuple[float, ...]:
    return values[0] if len(values) == 1 else values


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:[x,](\d+))?", text.strip())
    if not match:
        raise InputError(f"--input-size {text!r} is not a side such as 224, or height x width such as 224x320.")
    return int(match[1]), int(match[2] or match[1])


def _floats(text: str, option: str) -> tuple[float, ...]:
    """Comma-separated numbers of one option."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--{option} {text!r} is not a list of numbers such as 0.485,0.456,0.406.") from None


def _given(given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in given.items() if value is not None}
