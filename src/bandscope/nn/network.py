"""A network on the plan, with the interface of timm: stages, pooling, dropout, a linear classifier."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from timm.layers.classifier import create_classifier
from timm.models import checkpoint_seq
from torch import Tensor, nn

from bandscope.errors import InputError
from bandscope.nn.plan import Row, network_plan

STAGES = ("stem", "stage1", "stage2", "stage3", "stage4")


class PlannedNet(nn.Module):
    """Stages of blocks, global pool, dropout, classifier. `GSSDNet` and `MobileNetV1` differ in their blocks alone.

    Args:
        block: makes a block from a row of the plan.
        num_classes: outputs; 0 for pooled features.
        in_chans: image channels.
        width: factor on the channels.
        small_images: the plan without its first two strides.
        drop_rate: dropout before the classifier.
        global_pool: "avg", "max", "avgmax", "catavgmax", or "" for none (then num_classes = 0).
        device: of the parameters, as is dtype.
        dtype: None: torch's default.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self,
        block: Callable[[Row], nn.Module],
        *,
        num_classes: int,
        in_chans: int,
        width: float,
        small_images: bool,
        drop_rate: float,
        global_pool: str,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        if num_classes < 0:
            raise InputError(f"num_classes is the number of outputs, 0 for none; {num_classes} was given.")
        plan = network_plan(width=width, in_chans=in_chans, small_images=small_images)
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.grad_checkpointing = False
        self.feature_info = _feature_info(plan)
        self.num_features = plan["stage4"][-1].outputs
        for name, rows in plan.items():
            self.add_module(name, nn.Sequential(*map(block, rows)))
        self.global_pool, self.classifier = create_classifier(self.num_features, num_classes, pool_type=global_pool)
        self.head_hidden_size = self.num_features * self.global_pool.feat_mult()
        self.apply(_initialise)
        self.to(device=device, dtype=dtype)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n ..."]:
        """Logits (N, num_classes)."""
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d y x"]:
        """The last stage's features."""
        for name in STAGES:
            images = self._stage(name, images)
        return images

    def forward_head(self, features: Float[Tensor, "n d y x"], pre_logits: bool = False) -> Float[Tensor, "n ..."]:
        """Logits of features, or with `pre_logits` what the classifier would see."""
        pooled = nn.functional.dropout(self.global_pool(features), self.drop_rate, self.training)
        out: Tensor = pooled if pre_logits else self.classifier(pooled)
        return out

    def forward_intermediates(
        self,
        x: Float[Tensor, "n c h w"],
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Features of chosen stages, as timm defines it.

        Args:
            x: images.
            indices: the last n stages, or these, or None for all.
            norm: has no effect, there is no final norm.
            stop_early: leave out the stages beyond the last one chosen.
            output_fmt: "NCHW".
            intermediates_only: without the last stage's features beside the list.
        """
        if output_fmt != "NCHW":
            raise InputError(f'output_fmt is "NCHW" for convolutional features; {output_fmt!r} was given.')
        chosen = _chosen(indices)
        intermediates = []
        for index, name in enumerate(STAGES[: max(chosen) + 1] if stop_early else STAGES):
            x = self._stage(name, x)
            if index in chosen:
                intermediates.append(x)
        return intermediates if intermediates_only else (x, intermediates)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop what `forward_intermediates` does not need for these indices; the indices that are kept."""
        chosen = _chosen(indices)
        for name in STAGES[max(chosen) + 1 :]:
            setattr(self, name, nn.Identity())
        if prune_head:
            self.reset_classifier(0)
        return chosen

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        classifier: nn.Module = self.classifier
        return classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A fresh classifier for so many classes, and another pooling if asked."""
        pool = self.global_pool.pool_type if global_pool is None else global_pool
        like = next(self.parameters())
        self.num_classes = num_classes
        self.global_pool, self.classifier = create_classifier(
            self.num_features, num_classes, pool_type=pool, device=like.device, dtype=like.dtype
        )
        self.head_hidden_size = self.num_features * self.global_pool.feat_mult()
        self.classifier.apply(_initialise)
        self.train(self.training)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory in training."""
        self.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns of parameter groups, for layer-wise learning rates."""
        return {"stem": r"^stem", "blocks": r"^stage(\d+)" if coarse else r"^stage(\d+)\.(\d+)"}

    def _stage(self, name: str, features: Tensor) -> Tensor:
        stage = self.get_submodule(name)
        saves = self.grad_checkpointing and self.training
        out: Tensor = checkpoint_seq(stage, features) if saves else stage(features)
        return out


def _feature_info(plan: dict[str, tuple[Row, ...]]) -> list[dict[str, Any]]:
    """What timm's feature extractors read: channels, reduction and name of each stage."""
    info, reduction = [], 1
    for name, rows in plan.items():
        for row in rows:
            reduction *= row.stride
        info.append({"num_chs": rows[-1].outputs, "reduction": reduction, "module": name})
    return info


def _chosen(indices: int | Sequence[int] | None) -> list[int]:
    """Positions of stages: the last n for a number, these for a list (negative from the end), all for None."""
    count = len(STAGES)
    if isinstance(indices, int):
        indices = range(count - indices, count)
    chosen = [i + count if i < 0 else i for i in (range(count) if indices is None else indices)]
    if not chosen or not all(0 <= i < count for i in chosen):
        raise InputError(f"There are {count} stages to take features from; {indices} were asked for.")
    return chosen


def _initialise(module: nn.Module) -> None:
    """He et al.'s initialisation for learned convolutions; small weights for the classifier."""
    if isinstance(module, nn.Conv2d) and "weight" in module._parameters:
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)
