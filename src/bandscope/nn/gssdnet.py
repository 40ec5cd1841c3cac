"""GSSDNet: a network whose spatial filters are fixed blurs and derivatives [Zhang2023, section 3.2]."""

import torch

from bandscope.nn.blocks import FixedBlock
from bandscope.nn.network import PlannedNet
from bandscope.nn.plan import Row
from bandscope.nn.presets import Preset, fixed_operator


class GSSDNet(PlannedNet):
    """MobileNetV1's plan with every spatial convolution fixed: blurs make scales, derivatives make features.

    Images (N, C, H, W) in, logits out. Only the pointwise convolutions, batch norms and the classifier learn.

    Args:
        num_classes: outputs; 0 for pooled features.
        in_chans: image channels.
        width: factor on the channels, from 0.25 on; 1, 0.75 and 0.5 in the paper.
        order: highest derivative, 1 (dx, dy) or 2 (and dxx, dyy, dxy).
        preset: "paper" (its 3 x 3 taps) or "exact" (proper kernels); see `bandscope.nn.presets.fixed_operator`.
        small_images: without the first two strides, for images of about 32 pixels.
        drop_rate: dropout before the classifier.
        global_pool: "avg", "max", "avgmax", "catavgmax" or "".
        device: of the parameters, as is dtype.
        dtype: None: torch's default.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        width: float = 1.0,
        order: int = 2,
        preset: Preset = "paper",
        small_images: bool = False,
        drop_rate: float = 0.2,
        global_pool: str = "avg",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        def block(row: Row) -> FixedBlock:
            return FixedBlock(fixed_operator(row, preset=preset, order=order), row.outputs)

        super().__init__(
            block,
            num_classes=num_classes,
            in_chans=in_chans,
            width=width,
            small_images=small_images,
            drop_rate=drop_rate,
            global_pool=global_pool,
            device=device,
            dtype=dtype,
        )
