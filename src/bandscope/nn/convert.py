"""Any network with depthwise convolutions, rebuilt with Gaussian blurs and derivatives."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from textwrap import fill
from typing import TYPE_CHECKING, NamedTuple, cast

from torch import nn

from bandscope.errors import InputError, nearest
from bandscope.nn.depthwise import Site, chosen, grouped_convolutions
from bandscope.nn.designs import MODES, Design, Mode, designs
from bandscope.nn.layers import DerivativeConv2d
from bandscope.reprs import Facts

if TYPE_CHECKING:
    import pandas as pd

WIDTH, LONGEST = 100, 30  # characters of a printed report, and of a layer's name in it
TIED = "\xa0"  # a space that no line breaks at


@dataclass(frozen=True)
class ConvertedLayer:
    """One grouped convolution of the model, and what happened to it.

    Attributes:
        name: the module's name.
        became: what took its place: how many channels take which operator; "" where it was left.
        sigma: the operators' scales in pixels: one, "lowest to highest", or "median (quartile to quartile)"; "" for
            the paper's 3 taps, and where it was left.
        residual: energy of its kernels (sum of squares) that the nearest single members leave, as a share of all; NaN
            in mode "paper", which does not look at the kernels.
        residual_jet: what all members of the jet together leave, likewise.
        reason: why it was left; "" where it was replaced.
        kind: its class.
        channels: input channels of the convolution.
        outputs: its output channels.
        kernel: its size in pixels, such as "3 x 3"; stride and dilation are written alike.
        stride: pixels between outputs.
        dilation: pixels between taps.
        weights: numbers in its kernels that were learned before.
        learned: numbers in its kernels that are learned now.
    """

    name: str
    became: str
    sigma: str
    residual: float
    residual_jet: float
    reason: str
    kind: str
    channels: int
    outputs: int
    kernel: str
    stride: str
    dilation: str
    weights: int
    learned: int


@dataclass(frozen=True, repr=False)
class ConversionReport(Facts):
    """What `convert_depthwise` did, or would do. Printed, it is a table of 100 columns.

    Attributes:
        mode: as it was asked for.
        rows: one a grouped convolution, in the model's order.
    """

    mode: Mode
    rows: tuple[ConvertedLayer, ...]

    @property
    def replaced(self) -> tuple[ConvertedLayer, ...]:
        """The layers that were replaced."""
        return tuple(row for row in self.rows if not row.reason)

    @property
    def left(self) -> tuple[ConvertedLayer, ...]:
        """The layers that were left, each with its reason."""
        return tuple(row for row in self.rows if row.reason)

    def table(self) -> "pd.DataFrame":
        """The rows as a table."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def _told(self) -> dict[str, str]:
        return {
            "mode": self.mode,
            "layers": f"{len(self.replaced)} of {len(self.rows)} grouped convolutions replaced",
        }

    def __str__(self) -> str:
        fitted = any(not isnan(row.residual) for row in self.rows)
        head = ["layer", "channels", "kernel", "stride", *(["residual", "jet"] if fitted else []), "became"]
        table = [head, *(_cells(row, fitted) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)][:-1]
        return "\n".join([f"{self.mode}: {self._told()['layers']}", *(_line(cells, widths) for cells in table)])


def _cells(row: ConvertedLayer, fitted: bool) -> list[str]:
    name = row.name if len(row.name) <= LONGEST else f"…{row.name[1 - LONGEST :]}"
    channels = str(row.channels) if row.channels == row.outputs else f"{row.channels} -> {row.outputs}"
    shares = ["" if isnan(share) else f"{share:.3f}" for share in (row.residual, row.residual_jet)]
    became = f"{row.became}, sigma {row.sigma}" if row.sigma else row.became
    end = f"left: {row.reason}" if row.reason else became.replace(" ", TIED).replace(f",{TIED}", ", ")
    return [name, channels, row.kernel, row.stride, *(shares if fitted else ()), end]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A row of a report; its last cell goes on below itself."""
    first, *numbers = (f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False))
    start = "  ".join([first.strip().ljust(widths[0]), *numbers, ""])
    return fill(cells[-1], WIDTH, initial_indent=start, subsequent_indent=" " * len(start)).replace(TIED, " ")


class Conversion(NamedTuple):
    """The new model, and what was done."""

    model: nn.Module
    report: ConversionReport


def convert_depthwise(
    model: nn.Module,
    mode: Mode | str = "paper",
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    dry_run: bool = False,
) -> Conversion:
    """Replace the depthwise convolutions of a network by Gaussian blurs and derivatives.

    Depthwise are `nn.Conv2d` (and timm's `Conv2dSame`) with groups == in_channels > 1 and odd kernels larger than
    1 x 1, wherever they stand. Stride, dilation, padding, border, bias, channel multiplier, dtype, device and mode
    (training or not) stay as they are; hooks on the replaced modules do not. The given model is not touched.

    Modes:
        paper: fixed operators on GSSDNet's plan. A layer with a stride blurs all its channels (the stride is folded
            into the blur, so no channel is subsampled bare); the layers between, in turn, take derivatives of half of
            their channels and blur half of them, and pass the others.
        project: each kernel becomes its nearest member of the jet (g, dx, dy, dxx, dxy, dyy), at the best scale.
            Fixed; the network computes what is left of it.
        learn-mix: each kernel becomes a learned mixture of the jet at its best scale, which starts as near to the
            trained kernel as it can.

    Args:
        model: any network.
        mode: "paper", "project" or "learn-mix".
        include: globs over module names, such as "blocks.3.*"; only what matches is replaced. None: everything.
        exclude: globs of what is left.
        dry_run: print the plan and change nothing: the model that comes back is the one given.

    Returns:
        (model, report): the new network, and what became of each grouped convolution.

    Raises:
        InputError: an unknown mode, globs that match nothing, or a network without anything to replace.
    """
    asked = _checked_mode(mode)
    sites = _checked_sites(model, asked, include, exclude)
    ready = [site for site in sites if not site.reason]
    made = dict(zip([site.name for site in ready], designs(ready, asked), strict=True))
    report = ConversionReport(asked, tuple(_row(site, made.get(site.name)) for site in sites))
    if dry_run:
        print(report)
        return Conversion(model, report)
    return Conversion(_rebuilt(model, made), report)


def _checked_mode(mode: str) -> Mode:
    if mode not in MODES:
        raise InputError(f"No mode {mode!r}; there are {', '.join(MODES)}.{nearest(str(mode), MODES)}")
    return cast(Mode, mode)


def _checked_sites(model: nn.Module, mode: Mode, include: Sequence[str], exclude: Sequence[str]) -> list[Site]:
    found = grouped_convolutions(model)
    if not any(not site.reason or site.fixed for site in found):
        others = "; ".join(dict.fromkeys(f"{site.name}: {site.reason}" for site in found[:3]))
        raise InputError(
            f"{type(model).__name__} has no depthwise convolution (groups == in_channels > 1, kernel above 1 x 1)"
            f"{': ' + others if others else ''}."
        )
    sites = [_unless_unfit(site, mode) for site in chosen(found, include, exclude)]
    if all(site.reason for site in sites):
        raise InputError(
            f"Nothing is left to replace in {type(model).__name__}: {sites[0].name}: {sites[0].reason}"
            f"{f', and {len(sites) - 1} more' if len(sites) > 1 else ''}."
        )
    return sites


def _unless_unfit(site: Site, mode: Mode) -> Site:
    """The same site, with a reason where this mode cannot replace it."""
    if site.reason:
        return site
    if site.fixed:
        return replace(site, reason="already made of blurs and derivatives")
    layout = site.geometry
    if mode == "paper" and any(s > 1 and length == 1 for s, length in zip(layout.stride, layout.size, strict=True)):
        return replace(site, reason="a stride across an axis of one tap: no blur can be folded in")
    return site


def _row(site: Site, design: Design | None) -> ConvertedLayer:
    module = site.module
    return ConvertedLayer(
        name=site.name,
        became=design.became if design else "",
        sigma=design.sigma if design else "",
        residual=design.residual if design else nan,
        residual_jet=design.residual_jet if design else nan,
        reason=site.reason,
        kind=type(module).__name__,
        channels=cast(int, module.in_channels),
        outputs=cast(int, module.out_channels),
        kernel=_times(module.kernel_size),
        stride=_times(module.stride),
        dilation=_times(module.dilation),
        weights=_learned(module, ("bias",)),
        learned=_learned(design.stored) if design else 0,
    )


def _learned(module: nn.Module | None, without: Sequence[str] = ()) -> int:
    named = module.named_parameters() if module is not None else ()
    return sum(parameter.numel() for name, parameter in named if name not in without)


def _times(numbers: object) -> str:
    return " x ".join(map(str, numbers)) if isinstance(numbers, tuple) else str(numbers)


def _rebuilt(model: nn.Module, made: Mapping[str, Design]) -> nn.Module:
    """A copy of the model with new layers, each in all the places where its old one stood."""
    new = copy.deepcopy(model)
    layers = {id(old): _layer(Site(name, old), made[name]) for name, old in new.named_modules() if name in made}
    places = [(name, layers[id(old)]) for name, old in _everywhere(new) if id(old) in layers]
    for name, layer in places:
        parent, _, leaf = name.rpartition(".")
        if not leaf:
            return layer
        new.get_submodule(parent).register_module(leaf, layer)
    return new


def _everywhere(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return list(model.named_modules(remove_duplicate=False))


def _layer(site: Site, design: Design) -> DerivativeConv2d:
    """The convolution of a design, in the place of a module whose bias, dtype, device and mode it takes over."""
    layout, old = site.geometry, site.conv
    layer = DerivativeConv2d.from_taps(
        design.taps,
        operators=design.operators or None,
        multiplier=layout.multiplier,
        stride=layout.stride,
        dilation=layout.dilation,
        padding=layout.padding,
        border=layout.border,
    )
    if design.stored is not None:
        layer.register_module("taps", design.stored)
    layer.to(old.weight.device, old.weight.dtype)
    if old.bias is not None:
        layer.register_parameter("bias", nn.Parameter(old.bias.detach(), requires_grad=old.bias.requires_grad))
    return layer.train(old.training)


__all__ = ["Conversion", "ConversionReport", "ConvertedLayer", "Mode", "convert_depthwise"]
