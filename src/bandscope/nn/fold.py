"""Batch norms folded into plain convolutions, for inference: the same function with fewer steps.

With batch norm as the map x -> s x + b of each channel (s = gamma / sqrt(var + eps), b = beta - s mean), a 1x1 weight
W between two of them becomes s2 W s1, with bias s2 (W b1) + b2. The borders agree because zeros are padded before the
fixed operator, and a 1x1 convolution pads nothing.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bandscope.errors import InputError
from bandscope.nn.blocks import DenseBlock, FixedBlock, LearnedBlock

FEW_CHANNELS = 4  # a depthwise convolution over so few fills no vector: it is merged with the 1x1 into a dense one
Affine = tuple[Float[Tensor, " _"], Float[Tensor, " _"]]  # scale and shift of each channel
Kernel = tuple[Float[Tensor, "d c y x"], Float[Tensor, " d"]]  # weight and bias


@torch.no_grad()
def fold(model: nn.Module) -> nn.Module:
    """A copy of a network for inference, without batch norms; the same logits up to rounding (1e-5).

    Args:
        model: a `GSSDNet`, a `MobileNetV1`, or anything that holds their blocks; it stays as it is.

    Returns:
        The same class and interface, in eval mode; each block is `nn.Sequential` of plain convolutions and ReLU.

    Raises:
        InputError: there is nothing to fold.
    """
    if not any(type(module) in _FOLDS for module in model.modules()):
        raise InputError(f"{type(model).__name__} holds no block of bandscope.nn to fold (or is folded already).")
    return _folded(copy.deepcopy(model).eval())


def _folded(module: nn.Module) -> nn.Module:
    if type(module) in _FOLDS:
        return _FOLDS[type(module)](module).eval()
    for name, child in module.named_children():
        setattr(module, name, _folded(child))
    return module


def _fold_fixed(block: FixedBlock) -> nn.Module:
    operator = block.operator
    weight, bias = _then(_before(block.pointwise.weight, _affine(block.bn1)), _affine(block.bn2))
    if operator.in_channels == operator.out_channels <= FEW_CHANNELS and operator.pads_within:
        merged = weight * operator.weight.double().transpose(0, 1)
        return nn.Sequential(_plain(operator, merged, bias, groups=1), block.act)
    return nn.Sequential(operator, _plain(block.pointwise, weight, bias), block.act)


def _fold_learned(block: LearnedBlock) -> nn.Module:
    depthwise = _followed(block.depthwise, block.bn1)
    return nn.Sequential(depthwise, block.act, _followed(block.pointwise, block.bn2), block.act)


def _fold_dense(block: DenseBlock) -> nn.Module:
    return nn.Sequential(_followed(block.conv, block.bn), block.act)


_FOLDS: dict[type[nn.Module], Callable[..., nn.Module]] = {
    FixedBlock: _fold_fixed,
    LearnedBlock: _fold_learned,
    DenseBlock: _fold_dense,
}


def _followed(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A convolution without bias and the batch norm after it, as one."""
    zero = convolution.weight.new_zeros(convolution.out_channels, dtype=torch.float64)
    return _plain(convolution, *_then((convolution.weight.double(), zero), _affine(norm)))


def _affine(norm: nn.BatchNorm2d) -> Affine:
    """Scale and shift of a batch norm in eval mode, float64."""
    mean, var = norm.running_mean, norm.running_var
    if mean is None or var is None:
        raise InputError("A batch norm without running statistics cannot be folded: its scale depends on the batch.")
    scale = norm.weight.double() / torch.sqrt(var.double() + norm.eps)
    return scale, norm.bias.double() - scale * mean.double()


def _before(weight: Float[Tensor, "d c 1 1"], affine: Affine) -> Kernel:
    """An affine map of the inputs, then a 1x1 convolution."""
    scale, shift = affine
    wide = weight.double()
    return wide * scale[:, None, None], wide[..., 0, 0] @ shift


def _then(kernel: Kernel, affine: Affine) -> Kernel:
    """A convolution, then an affine map of its outputs."""
    (weight, bias), (scale, shift) = kernel, affine
    return scale[:, None, None, None] * weight, scale * bias + shift


def _plain(
    like: nn.Conv2d, weight: Float[Tensor, "d c y x"], bias: Float[Tensor, " d"], groups: int | None = None
) -> nn.Conv2d:
    """A convolution with these values and the geometry of another."""
    groups = like.groups if groups is None else groups
    geometry: Any = (weight.shape[2:], like.stride, like.padding, like.dilation, groups)
    plain = nn.Conv2d(weight.shape[1] * groups, len(weight), *geometry).to(like.weight)
    plain.weight.copy_(weight)
    plain.bias = nn.Parameter(bias.to(like.weight))
    return plain
