"""The plan that GSSDNet and its learned twin share: MobileNetV1's layers and channels [Zhang2023, section 3.2]."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bandscope.errors import InputError

Role = Literal["blur", "derive", "local"]

LEAST_WIDTH = 0.25
LEAST_CHANNELS = 8
SMALL_IMAGE_STRIDES = 2  # so many of the first strides are 1 in the plan for small images

_DOWN, _FEATURES, _LOCAL = ("blur", 2), ("derive", 1), ("local", 1)
_STAGES: Mapping[str, tuple[tuple[int, Role, int], ...]] = {
    "stem": ((32, "blur", 2), (64, "derive", 1)),
    "stage1": ((128, "blur", 2), (128, "derive", 1)),
    "stage2": ((256, "blur", 2), (256, "derive", 1)),
    "stage3": (
        (512, "blur", 2),
        (512, "derive", 1),
        (512, "local", 1),
        (512, "derive", 1),
        (512, "local", 1),
        (512, "derive", 1),
    ),
    "stage4": ((1024, "blur", 2), (1024, "derive", 1)),
}


@dataclass(frozen=True)
class Row:
    """One block of the plan: a depthwise operator on `inputs` channels, then a pointwise convolution to `outputs`.

    role: "blur" makes the next coarser scale, "derive" extracts features at a scale, "local" blurs half the channels,
        each at a sigma of its own.
    stride: of the depthwise operator.
    """

    role: Role
    inputs: int
    outputs: int
    stride: int


def network_plan(*, width: float, in_chans: int, small_images: bool) -> dict[str, tuple[Row, ...]]:
    """The rows of each stage.

    Args:
        width: factor on every number of channels, from 0.25 on: max(int(width * channels), 8).
        in_chans: channels of the image.
        small_images: leave out the first two strides, for images of about 32 pixels.

    Raises:
        InputError: a width below 0.25, or no image channels.
    """
    if not width >= LEAST_WIDTH:
        raise InputError(f"width is a factor on the channels, from {LEAST_WIDTH} on; {width} was given.")
    if in_chans < 1:
        raise InputError(f"in_chans is the number of image channels, from 1 on; {in_chans} was given.")
    plan, inputs, strides = {}, in_chans, 0
    for stage, blocks in _STAGES.items():
        rows = []
        for channels, role, stride in blocks:
            outputs = max(int(channels * width), LEAST_CHANNELS)
            strides += stride > 1
            keeps = small_images and strides <= SMALL_IMAGE_STRIDES
            rows.append(Row(role, inputs, outputs, 1 if keeps else stride))
            inputs = outputs
        plan[stage] = tuple(rows)
    return plan
