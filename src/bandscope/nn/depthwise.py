"""The depthwise convolutions of a network: found by what they are (groups == in_channels > 1), not by their names."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import cast

import torch
from jaxtyping import Float
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from bandscope.errors import InputError
from bandscope.nn.layers import DerivativeConv2d
from bandscope.nn.padding import Border, Padding, Pair

# What these compute is a plain convolution with `weight`; a subclass with a forward of its own may compute anything.
_PLAIN = (nn.Conv2d.forward, Conv2dSame.forward)


@dataclass(frozen=True)
class Site:
    """A grouped convolution of a network.

    name: where it is; of a module that stands in several places, the first.
    reason: why its kernels cannot be read as those of a depthwise convolution; "" where they can.
    branch_of: the list or dict of modules that it is a member of, whose other members work beside it; "" without one.
    """

    name: str
    module: nn.Module
    reason: str = ""
    branch_of: str = ""

    @property
    def conv(self) -> nn.Conv2d:
        """The module, where there is no reason against it."""
        return cast(nn.Conv2d, self.module)

    @property
    def fixed(self) -> bool:
        """Whether its kernels are already made of blurs and derivatives."""
        return isinstance(self.module, DerivativeConv2d)

    def kernels(self) -> Float[Tensor, "n tall wide"]:
        """One kernel an output channel."""
        return self.conv.weight.detach()[:, 0]

    @property
    def geometry(self) -> "Geometry":
        """Everything about the convolution but its weights."""
        conv = self.conv
        (tall, wide), (sy, sx), (dy, dx) = conv.kernel_size, conv.stride, conv.dilation
        return Geometry(
            conv.in_channels, conv.out_channels, (tall, wide), (sy, sx), (dy, dx), _padding(conv), conv.padding_mode
        )


@dataclass(frozen=True)
class Geometry:
    """The shape of a depthwise convolution; pairs are (y, x), padding and border as in `DerivativeConv2d`."""

    channels: int
    outputs: int
    size: Pair
    stride: Pair
    dilation: Pair
    padding: Padding
    border: Border

    @property
    def multiplier(self) -> int:
        """Output channels an input channel."""
        return self.outputs // self.channels


def _padding(conv: nn.Conv2d) -> Padding:
    if isinstance(conv, Conv2dSame):
        return "tensorflow"
    if isinstance(conv.padding, str):
        return "same" if conv.padding == "same" else 0
    y, x = conv.padding
    return y, x


def grouped_convolutions(model: nn.Module) -> tuple[Site, ...]:
    """Every convolution with several groups, of whatever class, in the order of `named_modules`."""
    return tuple(
        Site(name, module, why_not(module), _branch_of(model, name))
        for name, module in model.named_modules()
        if isinstance(getattr(module, "groups", None), int) and _channels(module) > 1 and module.groups != 1
    )


def _branch_of(model: nn.Module, name: str) -> str:
    parent = name.rpartition(".")[0]
    return parent if isinstance(model.get_submodule(parent), nn.ModuleList | nn.ModuleDict) else ""


def _channels(module: nn.Module) -> int:
    channels = getattr(module, "in_channels", 0)
    return channels if isinstance(channels, int) and hasattr(module, "kernel_size") else 0


def why_not(module: nn.Module) -> str:
    """Why a grouped convolution is not a depthwise one with odd kernels larger than 1 x 1; "" where it is."""
    kind = type(module)
    if module.groups != module.in_channels:
        return f"not depthwise: {module.groups} groups of {module.in_channels // module.groups} channels"  # type: ignore[operator]
    if not isinstance(module, nn.Conv2d):
        return f"{kind.__name__}: not an nn.Conv2d"
    if not (isinstance(module, DerivativeConv2d) or _is_plain(type(module))):
        return f"{kind.__name__}: has a forward of its own"
    tall, wide = module.kernel_size
    if tall == wide == 1:
        return "1 x 1 kernel"
    if tall % 2 == 0 or wide % 2 == 0:
        return f"even kernel {tall} x {wide}: no centre"
    return _bad_weights(module)


def _is_plain(kind: type[nn.Conv2d]) -> bool:
    return kind.forward in _PLAIN and kind._conv_forward is nn.Conv2d._conv_forward


def _bad_weights(module: nn.Conv2d) -> str:
    weight = module.weight
    if weight.is_meta or isinstance(weight, nn.UninitializedParameter):
        return "weights without values"
    return "" if bool(torch.isfinite(weight.detach()).all()) else "weights that are not finite"


def chosen(sites: Sequence[Site], include: Sequence[str], exclude: Sequence[str]) -> tuple[Site, ...]:
    """The same sites, those that the globs leave out with a reason. No `include` means all.

    Raises:
        InputError: a glob that matches the name of no site, or globs given as one string.
    """
    for what, globs in (("include", include), ("exclude", exclude)):
        _check_globs(what, globs, [site.name for site in sites])
    return tuple(replace(s, reason=s.reason or _left_out(s.name, include, exclude)) for s in sites)


def _left_out(name: str, include: Sequence[str], exclude: Sequence[str]) -> str:
    if include and not any(fnmatchcase(name, glob) for glob in include):
        return "not in include"
    by = next((glob for glob in exclude if fnmatchcase(name, glob)), None)
    return "" if by is None else f"excluded by {by!r}"


def _check_globs(what: str, globs: Sequence[str], names: Sequence[str]) -> None:
    if isinstance(globs, str):
        raise InputError(f"{what} is a list of globs over module names, such as ({globs!r},); a string was given.")
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            close = difflib.get_close_matches(glob, names, n=1, cutoff=0.0)
            raise InputError(
                f"{what}: {glob!r} matches none of the model's {len(names)} grouped convolutions; one of them is "
                f"{close[0] if close else names[0]!r}."
            )
