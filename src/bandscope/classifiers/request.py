"""What a caller asks of a loader, in one value, and how preprocessing is settled from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bandscope.classifiers.overrides import complete, override
from bandscope.classifiers.specs import Spec
from bandscope.errors import InputError, ModelError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess


@dataclass(frozen=True)
class Request:
    """A spec with everything that was asked along with it.

    spec: its options are those of the network alone.
    weights: a weights file (or, for torchvision, the name of published weights).
    overrides: preprocessing settings over the model's own.
    preprocess, classes: instead of the model's own.
    """

    spec: Spec
    weights: str | Path | None = None
    overrides: Mapping[str, Any] | None = None
    preprocess: Preprocess | None = None
    classes: tuple[ClassLabel, ...] | None = None


def wants_pretrained(request: Request) -> bool:
    """Whether the published weights are wanted: where nothing is said, if no file is given.

    Raises:
        InputError: `pretrained` is neither true nor false, or true beside a weights file.
    """
    text = request.spec.text
    wanted = request.spec.options.get("pretrained", request.weights is None)
    if not isinstance(wanted, bool):
        raise InputError(f"{text}: pretrained must be true or false; given: {wanted!r}")
    if wanted and request.weights is not None:
        raise InputError(f"{text}: pretrained weights and a weights file exclude each other")
    return wanted


def settle_preprocess(
    request: Request,
    own: Preprocess | None,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> Preprocess:
    """The preprocessing to use: the caller's or the model's own, with the caller's overrides.

    Args:
        request: what the caller asks.
        own: what the model records of itself, if anything.
        size: (H, W) where the network fixes it.
        channels: where the network fixes them.

    Raises:
        ModelError: neither caller nor model says how images are prepared.
        InputError: an override is unknown or out of range.
    """
    base = request.preprocess or own
    overrides = request.overrides or {}
    if base is not None:
        return override(base, overrides)
    try:
        return complete(overrides, size, channels)
    except InputError as error:
        raise ModelError(
            f"{request.spec.text} does not record how its images are prepared, and nothing is assumed: {error}; "
            "give all of input_size, crop_pct (or resize), mean and std, or a Preprocess"
        ) from error
