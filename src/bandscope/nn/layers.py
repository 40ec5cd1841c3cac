"""Depthwise convolutions whose kernels are blurs and derivatives of the Gaussian scale space."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bandscope.errors import InputError
from bandscope.nn.operators import (
    SECOND_ORDER,
    Layout,
    Remainder,
    check_choice,
    separable,
    spread_operators,
    touched_channels,
)
from bandscope.nn.padding import Border, Padding, Pair, checked_images, pair, static_padding, with_border
from bandscope.nn.taps import ON_CPU, FixedTaps, Kernels, MixTaps, SigmaTaps
from bandscope.scalespace.kernels import operator_taps
from bandscope.scalespace.smoothing import checked_sigma

Learn = Literal["nothing", "sigma", "mix"]

torch.fx.wrap("checked_images")  # they look at shapes, which symbolic tracing must not
torch.fx.wrap("with_border")

TAIL = 1e-3  # mass of a blur that a layer's kernel may lose: features are noisier than that
TWO_PASSES_FROM = 7  # side from which two 1-D passes are no slower than one 2-D (benchmarks/derivative_layers.py)


class DerivativeConv2d(nn.Conv2d):
    """Depthwise convolution with an operator of the Gaussian jet, at its own sigma, on each channel.

    Channels that pass are convolved with the identity: one depthwise convolution over all channels costs about as
    much as a copy, where slicing, filtering and concatenating costs several. Hooks, counters of operations and
    exporters see an `nn.Conv2d`; `weight` is the kernel in use, a fresh copy, so that initialisers that walk over
    convolutions cannot overwrite it. State dicts hold what is learned and nothing else.

    Args:
        channels: input channels.
        operators: "g" (blur), "dx", "dy", "dxx", "dxy", "dyy" ... up to order 4, "laplacian", "identity" (pass), to
            be spread over the output channels, or one for each. True gain and sign; x to the right, y down.
        sigma: of the Gaussian, in pixels: one for all, or one for each channel that does not pass.
        share: part of the output channels that is touched. See `spread_operators`, as for layout and remainder.
        layout: "interleaved" or "grouped".
        remainder: "pass" or "touch".
        multiplier: output channels an input channel.
        radius: taps on either side of the centre; None: what sigma (`max_sigma` if learned) and `tail` need. 1 gives
            the bare central differences, without a blur.
        tail: mass of the blur that may be cut when radius is None.
        family: "discrete", "sampled" or "integrated".
        gamma: scale normalisation sigma^(gamma order).
        learn: "nothing"; "sigma", in the shape it is given; or "mix", each touched channel a mixture of the jet that
            starts as its operator.
        max_sigma: bound of learned sigmas, which fixes the radius; None: twice the largest given.
        jet_order: order of the jet that is mixed.
        stride: of both axes, or (y, x); what passes is then subsampled as it is.
        dilation: pixels between taps.
        padding: pixels; or "same", ceil(size / stride) outputs, centred on the first pixel; or "tensorflow", the same
            number, aligned as TensorFlow and timm do.
        border: what lies outside the image: "zeros", "reflect", "replicate" or "circular".
        bias: adds a learned bias.
        two_passes: two 1-D convolutions instead of a 2-D one; None: where that is faster.

    Raises:
        InputError: an argument is out of range.
    """

    taps: FixedTaps | SigmaTaps | MixTaps
    operators: tuple[str, ...] | None
    kernel_size: Pair
    stride: Pair
    dilation: Pair

    def __init__(
        self,
        channels: int,
        operators: Sequence[str] = SECOND_ORDER,
        *,
        sigma: float | Sequence[float] | Tensor = 1.0,
        share: float = 1.0,
        layout: Layout = "interleaved",
        remainder: Remainder = "pass",
        multiplier: int = 1,
        radius: int | None = None,
        tail: float = TAIL,
        family: str = "discrete",
        gamma: float | None = None,
        learn: Learn = "nothing",
        max_sigma: float | None = None,
        jet_order: int = 2,
        stride: int | Pair = 1,
        dilation: int | Pair = 1,
        padding: Padding = "same",
        border: Border = "zeros",
        bias: bool = False,
        two_passes: bool | None = None,
    ) -> None:
        check_choice("kind of learning", learn, get_args(Learn))
        outputs = _positive("channels", channels) * _positive("multiplier", multiplier)
        names = spread_operators(outputs, operators, share=share, layout=layout, remainder=remainder)
        with ON_CPU:
            sigmas = _sigmas(sigma, names)
            bound = _bound(sigmas, learn, max_sigma)
            radius = _radius(names, bound, family, tail) if radius is None else radius
        kernels = Kernels(names, radius, family, gamma)
        splits = _splits(two_passes, kernels, learn)
        taps = _taps(kernels, sigmas, learn, bound, jet_order, splits)
        self._assemble(taps, channels, stride, dilation, padding, border, bias, splits)
        self.operators = names

    @classmethod
    def from_taps(
        cls,
        taps: Float[Tensor, "n tall wide"],
        *,
        operators: Sequence[str] | None = None,
        multiplier: int = 1,
        stride: int | Pair = 1,
        dilation: int | Pair = 1,
        padding: Padding = "same",
        border: Border = "zeros",
        bias: bool = False,
    ) -> "DerivativeConv2d":
        """A layer with explicit fixed correlation taps, one kernel an output channel.

        Args:
            taps: (n, height, width), as `conv2d` uses them.
            operators: what the kernels are called, for those who look; nothing is computed from it.
            multiplier: output channels an input channel; see the class, as for the others.
            stride: of both axes, or (y, x).
            dilation: pixels between taps.
            padding: pixels, "same" or "tensorflow".
            border: what lies outside the image.
            bias: adds a learned bias.

        Raises:
            InputError: the taps are not (n, height, width), not finite, or their number does not fit `multiplier`.
        """
        if taps.ndim != 3 or not taps.numel() or not bool(taps.isfinite().all()):
            raise InputError(f"Taps are finite numbers of shape (n, height, width), not {tuple(taps.shape)}.")
        if len(taps) % _positive("multiplier", multiplier):
            raise InputError(f"{len(taps)} kernels cannot be shared out at {multiplier} an input channel.")
        layer = cls.__new__(cls)
        layer._assemble(FixedTaps(taps), len(taps) // multiplier, stride, dilation, padding, border, bias, False)
        layer.operators = None if operators is None else tuple(operators)
        return layer

    def _assemble(
        self,
        taps: FixedTaps | SigmaTaps | MixTaps,
        channels: int,
        stride: int | Pair,
        dilation: int | Pair,
        padding: Padding,
        border: Border,
        bias: bool,
        two_passes: bool,
    ) -> None:
        """What every constructor shares: the convolution around the taps."""
        check_choice("border", border, get_args(Border))
        outputs, tall, wide = taps.shape
        steps, gaps = pair("stride", stride, 1), pair("dilation", dilation, 1)
        amounts = static_padding(padding, (tall, wide), gaps)
        symmetric = (amounts[0][0], amounts[1][0]) if amounts and all(a == b for a, b in amounts) else None
        # super() makes a weight while `taps`, and so the property `weight`, does not exist yet: it goes at once
        super().__init__(
            channels,
            outputs,
            (tall, wide),
            stride=steps,
            padding=symmetric or 0,
            dilation=gaps,
            groups=channels,
            bias=False,
            padding_mode=border,
            device="meta",
        )
        del self.weight
        self.taps = taps
        self.two_passes = two_passes
        self._around = amounts
        self._within = symmetric if border == "zeros" else None
        if bias:
            self.bias = nn.Parameter(torch.zeros(outputs))

    @property
    def weight(self) -> Float[Tensor, "n 1 tall wide"]:  # type: ignore[override]
        """The kernel in use, differentiable where it is learned; a copy, so that writing into it changes nothing."""
        taps: Tensor = self.taps()
        return taps.clone()

    def reset_parameters(self) -> None:
        """Zero the bias; taps reset themselves."""
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, images: Float[Tensor, "*batch c h w"]) -> Float[Tensor, "*batch n y x"]:
        """Filtered images (N, C, H, W) or (C, H, W), floating point.

        Raises:
            InputError: the images have another shape or type, or are too small for the border.
        """
        images = checked_images(images, self.in_channels)
        padding = self._within
        if padding is None:
            images = with_border(
                images, self._around, self.kernel_size, self.stride, self.dilation, self.padding_mode
            )
            padding = (0, 0)
        if isinstance(self.taps, MixTaps) or not self.two_passes:
            return F.conv2d(images, self.taps(), self.bias, self.stride, padding, self.dilation, self.groups)
        return self._in_two_passes(images, self.taps.factors(), padding)

    @property
    def pads_within(self) -> bool:
        """Whether the convolution itself pads, with zeros, so that other layers can absorb it."""
        return self._within is not None

    def _in_two_passes(self, images: Tensor, factors: Tensor, padding: Pair) -> Tensor:
        tall, wide = factors[:, None].unbind(2)
        (sy, sx), (py, px), (dy, dx) = self.stride, padding, self.dilation
        rows = F.conv2d(images, tall[..., None], None, (sy, 1), (py, 0), (dy, 1), self.groups)
        return F.conv2d(rows, wide[..., None, :], self.bias, (1, sx), (0, px), (1, dx), self.out_channels)


class GaussianBlur2d(DerivativeConv2d):
    """Depthwise Gaussian blur of every channel; a `DerivativeConv2d` with the one operator "g".

    Args:
        channels: input channels.
        sigma: standard deviation in pixels: one for all, or one a channel.
        radius: see `DerivativeConv2d`, as for all that follow.
        tail: mass that may be cut.
        family: kind of kernel.
        learn: "nothing" or "sigma".
        max_sigma: bound of learned sigmas.
        stride: of both axes, or (y, x).
        dilation: pixels between taps.
        padding: pixels, "same" or "tensorflow".
        border: what lies outside the image.
        two_passes: two 1-D convolutions; None: where that is faster.
    """

    def __init__(
        self,
        channels: int,
        sigma: float | Sequence[float] | Tensor = 1.0,
        *,
        radius: int | None = None,
        tail: float = TAIL,
        family: str = "discrete",
        learn: Learn = "nothing",
        max_sigma: float | None = None,
        stride: int | Pair = 1,
        dilation: int | Pair = 1,
        padding: Padding = "same",
        border: Border = "zeros",
        two_passes: bool | None = None,
    ) -> None:
        super().__init__(
            channels,
            ("g",),
            sigma=sigma,
            radius=radius,
            tail=tail,
            family=family,
            learn=learn,
            max_sigma=max_sigma,
            stride=stride,
            dilation=dilation,
            padding=padding,
            border=border,
            two_passes=two_passes,
        )


def _positive(what: str, number: int) -> int:
    if number < 1:
        raise InputError(f"{what} is a whole number from 1 on; {number} was given.")
    return number


def _sigmas(sigma: float | Sequence[float] | Tensor, operators: Sequence[str]) -> Float[Tensor, "*touched"]:
    sigmas = checked_sigma(torch.as_tensor(sigma, dtype=torch.float64).detach().cpu())
    touched = len(touched_channels(operators))
    if sigmas.ndim and len(sigmas) != touched:
        raise InputError(
            f"sigma is one number, or one for each of the {touched} channels that do not pass; {len(sigmas)} given."
        )
    return sigmas


def _bound(sigmas: Float[Tensor, "*touched"], learn: Learn, max_sigma: float | None) -> float:
    """The sigma that the kernel must have room for."""
    largest = float(sigmas.max())
    if learn != "sigma":
        if max_sigma is not None:
            raise InputError(f"max_sigma bounds learned sigmas; this layer learns {learn}.")
        return largest
    return 2 * largest if max_sigma is None else max_sigma


def _radius(operators: Sequence[str], sigma: float, family: str, tail: float) -> int:
    """The widest operator's radius."""
    touched = {operators[channel] for channel in touched_channels(operators)}
    sides = [operator_taps(name, sigma, family=family, tail=tail).shape[-1] for name in touched]
    return max(sides, default=1) // 2


def _splits(asked: bool | None, kernels: Kernels, learn: Learn) -> bool:
    able = separable(kernels.operators) and learn != "mix"
    if asked and not able:
        raise InputError("Two passes need separable operators: no laplacian, no learned mix.")
    return able and 2 * kernels.radius + 1 >= TWO_PASSES_FROM if asked is None else asked


def _taps(
    kernels: Kernels, sigmas: Tensor, learn: Learn, bound: float, jet_order: int, two_passes: bool
) -> FixedTaps | SigmaTaps | MixTaps:
    if learn == "sigma":
        return SigmaTaps(kernels, sigmas, bound)
    if learn == "mix":
        return MixTaps(kernels, sigmas, jet_order)
    with ON_CPU:
        bank, factors = kernels.bank(sigmas), kernels.factors(sigmas) if two_passes else None
    return FixedTaps(bank, factors)
