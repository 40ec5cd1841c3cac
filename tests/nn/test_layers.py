"""The layers against SciPy, timm, monomials and plain slicing."""

import copy

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from timm.layers import Conv2dSame
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bandscope.errors import InputError
from bandscope.nn import SECOND_ORDER, DerivativeConv2d, GaussianBlur2d
from bandscope.scalespace.kernels import operator_taps

SCIPY_BORDERS = {"zeros": "constant", "reflect": "mirror", "replicate": "nearest", "circular": "wrap"}
NAMES = ("dx", "identity", "g", "dxy", "laplacian", "dyy", "dxxx")


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_channel(layer: DerivativeConv2d, pixels: torch.Tensor) -> torch.Tensor:
    """Slice, filter and concatenate: channel by channel, with SciPy, at full resolution."""
    kernels, border = layer.weight.numpy(), SCIPY_BORDERS[layer.padding_mode]
    out = [
        [
            scipy.ndimage.correlate(p.numpy(), dilated(k, layer.dilation), mode=border)
            for p, (k,) in zip(image, kernels, strict=True)
        ]
        for image in pixels
    ]
    return torch.from_numpy(np.array(out))


def dilated(kernel: np.ndarray, gaps: tuple[int, int]) -> np.ndarray:
    wide = np.zeros([(n - 1) * gap + 1 for n, gap in zip(kernel.shape, gaps, strict=True)])
    wide[:: gaps[0], :: gaps[1]] = kernel
    return wide


@settings(max_examples=20)
@given(
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    border=st.sampled_from(sorted(SCIPY_BORDERS)),
    sigma=st.floats(0.4, 1.2),
    height=st.integers(14, 18),
)
def test_each_channel_is_filtered_by_its_own_operator(stride, dilation, border, sigma, height):
    layer = DerivativeConv2d(
        7, NAMES, sigma=sigma, radius=3, stride=stride, dilation=dilation, border=border
    ).double()
    pixels = images(2, 7, height, 15)
    expected = by_channel(layer, pixels)[..., :: stride[0], :: stride[1]]
    torch.testing.assert_close(layer(pixels), expected, rtol=1e-12, atol=1e-12)


def test_taps_are_those_of_the_operators():
    layer = DerivativeConv2d(7, NAMES, sigma=[0.5, 0.6, 0.7, 0.8, 0.9, 1.0], radius=4, gamma=1.0).double()
    sigmas = iter([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    for name, kernel in zip(NAMES, layer.weight[:, 0], strict=True):
        if name == "identity":
            assert kernel.sum() == kernel[4, 4] == 1
        else:
            torch.testing.assert_close(
                kernel, operator_taps(name, next(sigmas), radius=4, gamma=1.0), rtol=0, atol=1e-15
            )


@pytest.mark.parametrize("learn", ["nothing", "sigma", "mix"])
def test_derivatives_of_monomials(learn):
    """Gain, sign and axes: x to the right, y down."""
    y, x = torch.meshgrid(torch.arange(25.0), torch.arange(25.0), indexing="ij")
    pixels = torch.stack([x, y, x**2 / 2, y**2 / 2, x * y])[None].double()
    layer = DerivativeConv2d(5, SECOND_ORDER, sigma=0.8, learn=learn, jet_order=2).double()
    centre = layer(pixels)[0, :, 12, 12]
    torch.testing.assert_close(centre, torch.ones(5, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_channels_that_pass_are_untouched():
    layer = DerivativeConv2d(32, share=0.5, sigma=1.3)
    pixels = images(1, 32, 20, 20).float()
    assert torch.equal(layer(pixels)[:, 15:], pixels[:, 15:])
    assert not torch.equal(layer(pixels)[:, :15], pixels[:, :15])


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("size", [15, 16, 17])
def test_tensorflow_padding_is_timms(stride, dilation, size):
    layer = DerivativeConv2d(
        5, SECOND_ORDER, sigma=0.6, radius=2, stride=stride, dilation=dilation, padding="tensorflow"
    ).double()
    timms = Conv2dSame(5, 5, 5, stride, dilation=dilation, groups=5, bias=False).double()
    timms.load_state_dict({"weight": layer.weight})
    torch.testing.assert_close(layer(images(1, 5, size, 20)), timms(images(1, 5, size, 20)))


@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
def test_padding_in_pixels(padding):
    layer = DerivativeConv2d(5, SECOND_ORDER, sigma=0.6, radius=2, padding=padding).double()
    expected = F.conv2d(images(1, 5, 9, 9), layer.weight, padding=padding, groups=5)
    torch.testing.assert_close(layer(images(1, 5, 9, 9)), expected)


@settings(max_examples=20)
@given(
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    border=st.sampled_from(sorted(SCIPY_BORDERS)),
    padding=st.sampled_from(["same", "tensorflow", 1]),
    learn=st.sampled_from(["nothing", "sigma"]),
)
def test_two_passes_do_what_one_does(stride, dilation, border, padding, learn):
    one, two = (
        DerivativeConv2d(
            6,
            ("g", "dx", "dyy", "dxy", "identity", "dxxyy"),
            sigma=[0.5, 0.7, 0.9, 1.1, 1.3],
            radius=3,
            multiplier=2,
            share=0.5,
            stride=stride,
            dilation=dilation,
            border=border,
            padding=padding,
            learn=learn,
            two_passes=passes,
        ).double()
        for passes in (False, True)
    )
    torch.testing.assert_close(two(images(2, 6, 14, 17)), one(images(2, 6, 14, 17)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", [GaussianBlur2d(4, 3.0), DerivativeConv2d(4, ("dx",), sigma=3.0)])
def test_wide_kernels_take_two_passes(layer):
    with FlopCounterMode(display=False) as counter:
        layer(torch.zeros(1, 4, 32, 32))
    assert counter.get_total_flops() == 2 * 2 * layer.kernel_size[0] * 4 * 32 * 32


def test_a_multiplier_gives_each_input_channel_several_operators():
    layer = DerivativeConv2d(3, ("dx", "dy", "g", "identity", "dxx", "dyy"), multiplier=2, sigma=0.7).double()
    pixels = images(1, 3, 12, 12)
    single = DerivativeConv2d(6, ("dx", "dy", "g", "identity", "dxx", "dyy"), sigma=0.7).double()
    torch.testing.assert_close(layer(pixels), single(pixels.repeat_interleave(2, 1)))


@pytest.mark.parametrize("shape", [(3, 3), (1, 5), (4, 2), (7, 1)])
def test_explicit_taps(shape):
    taps = images(6, *shape)
    layer = DerivativeConv2d.from_taps(taps, multiplier=2, stride=2, padding=1, bias=True).double()
    with torch.no_grad():
        layer.bias.copy_(torch.arange(6.0))
    plain = F.conv2d(images(2, 3, 11, 13), taps[:, None], torch.arange(6.0).double(), 2, 1, groups=3)
    torch.testing.assert_close(layer(images(2, 3, 11, 13)), plain)


def test_one_image_without_a_batch():
    layer = DerivativeConv2d(5, SECOND_ORDER, border="reflect")
    pixels = images(5, 20, 20).float()
    assert torch.equal(layer(pixels), layer(pixels[None])[0])


@pytest.mark.parametrize(
    "layer",
    [
        DerivativeConv2d(
            4, ("g", "dx", "dyy", "laplacian"), sigma=[0.5, 0.8, 1.0, 0.6], radius=3, learn="sigma", max_sigma=2.0
        ),
        DerivativeConv2d(
            4, ("g", "dx", "identity", "dxy"), sigma=0.8, radius=2, learn="sigma", gamma=1.0, two_passes=True
        ),
        DerivativeConv2d(4, ("g", "laplacian", "identity", "dx"), sigma=0.7, radius=2, learn="mix"),
    ],
    ids=["sigma", "one sigma, two passes", "mix"],
)
def test_gradients(layer):
    layer = copy.deepcopy(layer).double()
    ((name, value),) = layer.named_parameters()
    layer.requires_grad_(False)

    def response(parameter, pixels):
        return torch.func.functional_call(layer, {name: parameter}, (pixels,))

    inputs = (value.detach().clone().requires_grad_(), images(1, 4, 8, 8).requires_grad_())
    assert torch.autograd.gradcheck(response, inputs, fast_mode=True)


def test_learned_sigmas_stay_in_their_bounds_and_move():
    layer = GaussianBlur2d(3, [0.5, 1.0, 1.9], learn="sigma", max_sigma=2.0)
    torch.testing.assert_close(layer.taps.sigma, torch.tensor([0.5, 1.0, 1.9]).double(), rtol=1e-6, atol=0)
    target = GaussianBlur2d(3, 1.4, radius=layer.kernel_size[0] // 2)(images(1, 3, 16, 16).float())
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=40, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        error = (layer(images(1, 3, 16, 16).float()) - target).square().sum()
        error.backward()
        return error

    optimiser.step(loss)
    torch.testing.assert_close(layer.taps.sigma, torch.full((3,), 1.4).double(), rtol=0.01, atol=0)
    with torch.no_grad():
        layer.taps.logit.fill_(1e3)
    assert layer.taps.sigma.max() <= 2


def test_a_mix_leaves_channels_that_pass():
    layer = DerivativeConv2d(5, ("identity", "dx", "identity", "g", "dyy"), learn="mix")
    with torch.no_grad():
        layer.taps.mix.normal_()
    pixels = images(1, 5, 16, 16).float()
    assert torch.equal(layer(pixels)[:, [0, 2]], pixels[:, [0, 2]])
    jet = DerivativeConv2d(18, layer.taps.members * 3, radius=layer.kernel_size[0] // 2)
    members = jet(pixels[:, [1, 3, 4]].repeat_interleave(6, 1)).reshape(3, 6, 16, 16)
    expected = torch.einsum("nm,nmhw->nhw", layer.taps.mix, members)
    torch.testing.assert_close(layer(pixels)[0, [1, 3, 4]], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("learn", ["nothing", "sigma", "mix"])
def test_state_dicts_hold_what_is_learned(learn):
    layer = DerivativeConv2d(5, SECOND_ORDER, learn=learn, bias=True)
    state = layer.state_dict()
    assert set(state) == {name for name, _ in layer.named_parameters()}
    assert len(state) == (1 if learn == "nothing" else 2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    other = DerivativeConv2d(5, SECOND_ORDER, learn=learn, bias=True)
    other.load_state_dict(load(save(layer.state_dict())), strict=True)
    assert torch.equal(other(images(1, 5, 9, 9).float()), layer(images(1, 5, 9, 9).float()))


def test_initialisers_that_walk_over_convolutions_leave_the_taps():
    layer = DerivativeConv2d(5, SECOND_ORDER)
    before = layer.weight

    def initialise(module):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)

    nn.Sequential(layer).apply(initialise)
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize("learn", ["nothing", "sigma", "mix"])
def test_built_on_meta_then_materialised(learn):
    with torch.device("meta"):
        layer = DerivativeConv2d(5, SECOND_ORDER, learn=learn, bias=True)
    layer.to_empty(device="cpu")
    for module in layer.modules():
        module.reset_parameters()
    assert torch.equal(layer.weight, DerivativeConv2d(5, SECOND_ORDER, learn=learn).weight)
    assert not layer.bias.any()


def test_casts_follow_and_come_back_exactly():
    layer = DerivativeConv2d(5, SECOND_ORDER, sigma=0.9)
    exact = layer.weight
    assert layer.half().weight.dtype == torch.float16
    layer.float()
    assert torch.equal(layer.weight, exact)


def test_counters_and_hooks_see_a_convolution():
    layer, seen = DerivativeConv2d(10, SECOND_ORDER, radius=1), []
    assert isinstance(layer, nn.Conv2d)
    assert layer.weight.shape == (10, 1, 3, 3)
    assert layer.groups == 10
    layer.register_forward_hook(lambda _, inputs, output: seen.append(output.shape))
    with FlopCounterMode(display=False) as counter:
        layer(torch.zeros(2, 10, 8, 8))
    assert seen == [(2, 10, 8, 8)]
    assert counter.get_total_flops() == 2 * 9 * 2 * 10 * 8 * 8
    assert "kernel_size=(3, 3)" in repr(layer)


def test_channels_last_stays_channels_last():
    layer = DerivativeConv2d(10, SECOND_ORDER, radius=1).to(memory_format=torch.channels_last)
    pixels = torch.randn(2, 10, 8, 8).contiguous(memory_format=torch.channels_last)
    assert layer(pixels).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 0}, "channels"),
        ({"multiplier": 0}, "multiplier"),
        ({"channels": 4}, "do not fit"),
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": -1.0}, "sigma"),
        ({"sigma": float("nan")}, "sigma"),
        ({"sigma": [1.0, 2.0]}, "each of the 5 channels"),
        ({"operators": ("dxxxxx",)}, "dxxxxx"),
        ({"operators": ("dxxxx",), "radius": 1}, "radius"),
        ({"family": "box"}, "box"),
        ({"layout": "random"}, "random"),
        ({"remainder": "drop"}, "drop"),
        ({"learn": "everything"}, "everything"),
        ({"border": "mirror"}, "mirror"),
        ({"padding": "valid"}, "padding"),
        ({"padding": -1}, "padding"),
        ({"stride": 0}, "stride"),
        ({"dilation": (1, 0)}, "dilation"),
        ({"max_sigma": 2.0}, "max_sigma"),
        ({"learn": "sigma", "sigma": 1.0, "max_sigma": 1.0}, "max_sigma"),
        ({"learn": "sigma", "max_sigma": float("nan")}, "sigma"),
        ({"learn": "mix", "operators": ("dxxx",)}, "jet_order"),
        ({"learn": "mix", "two_passes": True}, "[Tt]wo passes"),
        ({"operators": ("laplacian",), "two_passes": True}, "[Tt]wo passes"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("untyped")
def test_bad_settings(settings, message):
    with pytest.raises(InputError, match=message):
        DerivativeConv2d(**{"channels": 5, **settings})


@pytest.mark.parametrize("taps", [torch.zeros(3, 3), torch.zeros(0, 3, 3), torch.full((2, 3, 3), torch.nan)])
@pytest.mark.usefixtures("untyped")
def test_bad_taps(taps):
    with pytest.raises(InputError, match="Taps"):
        DerivativeConv2d.from_taps(taps)


def test_taps_that_do_not_fit_the_multiplier():
    with pytest.raises(InputError, match="3 kernels"):
        DerivativeConv2d.from_taps(torch.zeros(3, 3, 3), multiplier=2)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (torch.zeros(1, 5, 9, 9, dtype=torch.int64), "floating-point"),
        (torch.zeros(1, 5, 9, 9, dtype=torch.uint8), "floating-point"),
        (torch.zeros(9, 9), "shape"),
        (torch.zeros(1, 1, 5, 9, 9), "shape"),
        (torch.zeros(1, 4, 9, 9), "shape"),
        (torch.zeros(1, 5, 3, 9), "reflect border"),
    ],
)
@pytest.mark.usefixtures("untyped")
def test_bad_images(pixels, message):
    with pytest.raises(InputError, match=message):
        DerivativeConv2d(5, SECOND_ORDER, radius=3, border="reflect")(pixels)


def test_circular_borders_need_the_pixels():
    with pytest.raises(InputError, match="circular border"):
        GaussianBlur2d(1, 1.0, radius=4, border="circular")(torch.zeros(1, 1, 3, 3))
