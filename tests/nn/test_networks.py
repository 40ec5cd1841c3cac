"""The networks against the rows, counts and formulas of [Zhang2023] and against timm, written out here by hand."""

import math

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from trained_networks import trained

from bandscope.errors import InputError
from bandscope.nn import DerivativeConv2d, GSSDNet, MobileNetV1

# name, kind, channels in and out at width 1, stride
ROWS = [
    ("stem.0", "G", 3, 32, 2),
    ("stem.1", "D", 32, 64, 1),
    ("stage1.0", "G", 64, 128, 2),
    ("stage1.1", "D", 128, 128, 1),
    ("stage2.0", "G", 128, 256, 2),
    ("stage2.1", "D", 256, 256, 1),
    ("stage3.0", "G", 256, 512, 2),
    ("stage3.1", "D", 512, 512, 1),
    ("stage3.2", "L", 512, 512, 1),
    ("stage3.3", "D", 512, 512, 1),
    ("stage3.4", "L", 512, 512, 1),
    ("stage3.5", "D", 512, 512, 1),
    ("stage4.0", "G", 512, 1024, 2),
    ("stage4.1", "D", 1024, 1024, 1),
]
TOUCHED = {  # second order, first order, at width 1
    "stem.0": (3, 3),
    "stem.1": (15, 16),
    "stage1.0": (64, 64),
    "stage1.1": (60, 64),
    "stage2.0": (128, 128),
    "stage2.1": (125, 128),
    "stage3.0": (256, 256),
    "stage3.1": (255, 256),
    "stage3.2": (256, 256),
    "stage3.3": (255, 256),
    "stage3.4": (256, 256),
    "stage3.5": (255, 256),
    "stage4.0": (512, 512),
    "stage4.1": (510, 512),
}
COUNTS = {  # parameters at 1000, 100, 10 classes (the last with one input channel); MACs in millions, of which fixed
    ("vanilla", 1.0): ((4_231_976, 3_309_476, 3_216_650), 568.7, 0.0),
    ("vanilla", 0.75): ((2_585_560, 1_893_460, 1_823_818), 325.4, 0.0),
    ("vanilla", 0.5): ((1_331_592, 869_892, 823_434), 149.5, 0.0),
    ("gssd", 1.0): ((4_186_574, 3_264_074, 3_171_756), 552.2, 10.5),
    ("gssd", 0.75): ((2_551_510, 1_859_410, 1_790_148), 312.9, 7.8),
    ("gssd", 0.5): ((1_308_894, 847_194, 800_988), 141.1, 5.1),
}
TAPS = {
    "dx": [[0, 0, 0], [1, 0, -1], [0, 0, 0]],
    "dy": [[0, -1, 0], [0, 0, 0], [0, 1, 0]],
    "dxx": [[0, 0, 0], [-1, 2, -1], [0, 0, 0]],
    "dyy": [[0, -1, 0], [0, 2, 0], [0, -1, 0]],
    "dxy": [[-1, 0, 1], [0, 0, 0], [1, 0, -1]],
}
GAINS = {"dx": -2, "dy": 2, "dxx": -1, "dyy": -1, "dxy": -4}


def build(family: str, **options) -> nn.Module:
    return MobileNetV1(**options) if family == "vanilla" else GSSDNet(**options)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("family", "width"), list(COUNTS))
def test_learned_parameters(family, width, order):
    options = {} if family == "vanilla" else {"order": order}
    counted = tuple(
        sum(
            p.numel()
            for p in build(family, width=width, num_classes=classes, in_chans=channels, **options).parameters()
        )
        for classes, channels in ((1000, 3), (100, 3), (10, 1))
    )
    assert counted == COUNTS[family, width][0]


@pytest.mark.parametrize(("family", "width"), list(COUNTS))
def test_multiplications(family, width):
    """Counted where they happen: by hooks on every convolution and the classifier; 9 a touched pixel."""
    network, macs = build(family, width=width).eval(), {"fixed": 0, "learned": 0}

    def count(module, _, output):
        pixels = output.shape[-2] * output.shape[-1] if output.ndim == 4 else 1
        if isinstance(module, DerivativeConv2d):
            macs["fixed"] += 9 * pixels * sum(name != "identity" for name in module.operators)
        elif isinstance(module, nn.Conv2d):
            macs["learned"] += pixels * module.weight.numel()
        else:
            macs["learned"] += module.weight.numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 3, 224, 224))
    _, total, fixed = COUNTS[family, width]
    assert round((macs["fixed"] + macs["learned"]) / 1e6, 1) == total
    assert round(macs["fixed"] / 1e6, 1) == fixed


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("preset", ["paper", "exact"])
def test_touched_channels_and_their_operators(preset, order):
    network = GSSDNet(order=order, preset=preset)
    for name, kind, channels, _, stride in ROWS:
        operator = network.get_submodule(name).operator
        touched = TOUCHED[name][0 if order == 2 else 1]
        cycle = ("dx", "dy", "dxx", "dyy", "dxy")[: 2 if order == 1 else 5] if kind == "D" else ("g",)
        expected = [cycle[c % len(cycle)] for c in range(touched)] + ["identity"] * (channels - touched)
        assert list(operator.operators) == expected
        assert operator.stride == (stride, stride)


def test_paper_taps():
    network = GSSDNet().double()
    for name, kind, channels, _, _ in ROWS:
        operator = network.get_submodule(name).operator
        assert operator.padding == (1, 1)
        sigmas = np.linspace(0.707, 1.414, channels // 2) if kind == "L" else np.ones(channels)
        for c, (operator_name, kernel) in enumerate(
            zip(operator.operators, operator.weight[:, 0].numpy(), strict=True)
        ):
            if operator_name == "identity":
                np.testing.assert_array_equal(kernel, [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
            elif operator_name == "g":
                gaussian = [
                    [math.exp(-(x * x + y * y) / (2 * sigmas[c] ** 2)) for x in (-1, 0, 1)] for y in (-1, 0, 1)
                ]
                np.testing.assert_allclose(kernel, gaussian / np.sum(gaussian), rtol=0, atol=1e-15)
            else:
                np.testing.assert_array_equal(kernel, TAPS[operator_name])


def test_paper_gains():
    """Against the true derivative, from monomials."""
    y, x = np.mgrid[-1:2, -1:2]
    monomials = {"dx": x, "dy": y, "dxx": x**2 / 2, "dyy": y**2 / 2, "dxy": x * y}
    operator = GSSDNet().get_submodule("stem.1.operator")
    for name, kernel in zip(operator.operators[:5], operator.weight[:, 0].numpy(), strict=False):
        assert (kernel * monomials[name]).sum() == GAINS[name]


def test_effective_sigma_of_both_presets():
    """The known weakness of three taps, and its repair."""
    effective = {}
    for preset in ("paper", "exact"):
        network = GSSDNet(preset=preset).double()
        local, blur = (network.get_submodule(f"stage3.{i}.operator").weight[:, 0].numpy() for i in (2, 0))
        effective[preset] = [deviation(k) for k in (local[0], blur[0], local[255])]
    np.testing.assert_allclose(effective["paper"], [0.651, 0.740, 0.780], rtol=0, atol=5e-4)
    np.testing.assert_allclose(effective["exact"], [0.707, 1, 1.414], rtol=0.021)


def deviation(kernel: np.ndarray) -> float:
    x = np.arange(len(kernel)) - len(kernel) // 2
    return math.sqrt((kernel.sum(0) * x**2).sum())


def test_exact_kernels_turn_no_frequency_around():
    """Blurs have positive responses, derivatives the sign of the true one up to Nyquist."""
    w = np.linspace(0, math.pi, 33)
    network = GSSDNet(preset="exact").double()
    for index in (0, 2):
        kernels = network.get_submodule(f"stage3.{index}.operator").weight[:256, 0].numpy()
        assert response(kernels, w).real.min() > 0
    first, second = network.get_submodule("stage3.1.operator").weight[[0, 2], 0].numpy()
    np.testing.assert_allclose(response(first[None], w)[0, 0], 1j * np.sin(w), atol=1e-12)
    np.testing.assert_allclose(response(second[None], w)[0, 0], 2 * np.cos(w) - 2, atol=1e-12)


def response(kernels: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Frequency response of correlation, over (kernel, wy, wx)."""
    n = np.arange(kernels.shape[-1]) - kernels.shape[-1] // 2
    waves = np.exp(1j * np.outer(w, n))
    return np.einsum("ky,nyx,lx->nkl", waves, kernels, waves)


@pytest.mark.parametrize("order", [1, 2])
def test_logits_are_those_of_slicing_and_concatenating(order):
    """The paper's network written out from its rows: operators on slices, the rest concatenated."""
    network = trained(GSSDNet(num_classes=7, order=order))
    state, features = network.state_dict(), torch.randn(2, 3, 64, 64)
    logits = network(features)
    for name, kind, channels, _, stride in ROWS:
        touched = TOUCHED[name][0 if order == 2 else 1]
        kernels = [kernel(kind, c, channels, order) for c in range(touched)]
        weight = torch.tensor(np.array(kernels), dtype=torch.float32)[:, None]
        filtered = F.conv2d(features[:, :touched], weight, stride=stride, padding=1, groups=touched)
        features = torch.cat((filtered, features[:, touched:]), 1) if touched < channels else filtered
        features = norm(features, state, f"{name}.bn1")
        features = F.conv2d(features, state[f"{name}.pointwise.weight"])
        features = norm(features, state, f"{name}.bn2").relu()
    expected = F.linear(features.mean((2, 3)), state["classifier.weight"], state["classifier.bias"])
    assert expected.std() > 0.1
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def kernel(kind: str, c: int, channels: int, order: int) -> np.ndarray:
    if kind == "D":
        return np.array(TAPS[("dx", "dy", "dxx", "dyy", "dxy")[c % 5] if order == 2 else ("dx", "dy")[c % 2]])
    sigma = np.linspace(0.707, 1.414, channels // 2)[c] if kind == "L" else 1.0
    line = np.exp(-np.array([1, 0, 1]) / (2 * sigma**2))
    return np.outer(line, line) / line.sum() ** 2


def norm(x: torch.Tensor, state: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return F.batch_norm(x, *(state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")))


def test_mobilenet_is_timms_with_relu():
    network = trained(MobileNetV1(num_classes=7))
    timms = timm.create_model("mobilenetv1_100", num_classes=7, act_layer=nn.ReLU).eval()
    timms.load_state_dict(dict(zip(timms.state_dict(), network.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 64, 64)
    assert timms(images).std() > 0.1
    torch.testing.assert_close(network(images), timms(images), rtol=1e-4, atol=1e-5)


@settings(max_examples=6)
@given(
    width=st.floats(0.25, 0.4),
    order=st.sampled_from([1, 2]),
    preset=st.sampled_from(["paper", "exact"]),
    channels=st.integers(1, 5),
    classes=st.integers(1, 12),
    small=st.booleans(),
    size=st.integers(32, 41),
)
def test_any_width_order_classes_and_channels(width, order, preset, channels, classes, small, size):
    options = {"num_classes": classes, "in_chans": channels, "width": width, "small_images": small}
    images = torch.randn(2, channels, size, size)
    for network in (GSSDNet(order=order, preset=preset, **options), MobileNetV1(**options)):
        assert network(images).shape == (2, classes)
        assert network.forward_features(images).shape == (
            2,
            max(int(1024 * width), 8),
            *[-(-size // (8 if small else 32))] * 2,
        )
        network(images).square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("family", ["gssd", "vanilla"])
def test_small_images_keep_their_first_two_strides(family):
    network = build(family, small_images=True, num_classes=10)
    strides = [m.stride[0] for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert strides == [1, 1, 1, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    learned = sum(p.numel() for p in network.parameters())
    assert learned == sum(p.numel() for p in build(family, num_classes=10).parameters())


def test_what_a_seed_gives_does_not_depend_on_the_taps():
    states = []
    for preset in ("paper", "exact"):
        torch.manual_seed(3)
        states.append(GSSDNet(num_classes=2, width=0.25, preset=preset).state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0.2}, "width"),
        ({"width": float("nan")}, "width"),
        ({"order": 3}, "order"),
        ({"preset": "papr"}, "papr.*Did you mean 'paper'"),
        ({"in_chans": 0}, "in_chans"),
        ({"num_classes": -1}, "num_classes"),
    ],
    ids=str,
)
def test_bad_settings(options, message):
    with pytest.raises(InputError, match=message):
        GSSDNet(**options)
