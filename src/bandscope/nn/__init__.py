"""Layers and networks made of Gaussian blurs and derivatives. Importing this registers the networks in timm."""

from bandscope.nn import registry as _registry  # noqa: F401
from bandscope.nn.convert import convert_depthwise
from bandscope.nn.fold import fold
from bandscope.nn.gssdnet import GSSDNet
from bandscope.nn.inspect import inspect_model
from bandscope.nn.layers import DerivativeConv2d, GaussianBlur2d
from bandscope.nn.mobilenet import MobileNetV1
from bandscope.nn.operators import FIRST_ORDER, SECOND_ORDER, spread_operators

__all__ = [
    "FIRST_ORDER",
    "SECOND_ORDER",
    "DerivativeConv2d",
    "GSSDNet",
    "GaussianBlur2d",
    "MobileNetV1",
    "convert_depthwise",
    "fold",
    "inspect_model",
    "spread_operators",
]
