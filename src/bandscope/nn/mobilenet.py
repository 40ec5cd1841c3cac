"""MobileNetV1 on GSSDNet's plan: the paper's VanillaNet, to compare with."""

import torch
from torch import nn

from bandscope.nn.blocks import DenseBlock, LearnedBlock
from bandscope.nn.network import PlannedNet
from bandscope.nn.plan import Row


class MobileNetV1(PlannedNet):
    """Howard et al.'s MobileNetV1 (arXiv 1704.04861) with ReLU: `GSSDNet`'s layers and channels, all learned.

    timm's `mobilenetv1_100` has the same parameters, but ReLU6, no dropout, no smaller widths, no small-image plan.

    Args:
        num_classes: outputs; 0 for pooled features.
        in_chans: image channels.
        width: factor on the channels, from 0.25 on; 1, 0.75 and 0.5 in the paper.
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
        small_images: bool = False,
        drop_rate: float = 0.2,
        global_pool: str = "avg",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        blocks = iter([DenseBlock])  # the first row is a dense convolution

        def block(row: Row) -> nn.Module:
            return next(blocks, LearnedBlock)(row)

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
