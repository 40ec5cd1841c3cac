"""`convert_depthwise` in three modes, against PyTorch's own convolutions, NumPy, SciPy and the paper's numbers."""

import copy
import re
from collections import Counter

import numpy as np
import pytest
import timm
import torch
import torchvision
from converting import MODES, SIZES, depthwise, discrete_gaussian
from hypothesis import given
from hypothesis import strategies as st
from timm.layers import CondConv2d, StdConv2d
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from bandscope.errors import InputError
from bandscope.nn.convert import convert_depthwise
from bandscope.nn.layers import DerivativeConv2d
from bandscope.nn.operators import SECOND_ORDER

# The plan


def test_mobilenet_on_the_papers_plan():
    """Operators and touched channels of PAPER.md's table, which has MobileNetV1's layers (its stem stays dense)."""
    _, report = convert_depthwise(timm.create_model("mobilenetv1_100"), "paper")
    touched = [15, "blur", 60, "blur", 125, "blur", 255, "local", 255, "local", 255, "blur", 510]
    for row, expected in zip(report.rows, touched, strict=True):
        if expected == "blur":
            assert (row.became, row.sigma) == (f"{row.channels} g, stride folded in", "1")
        elif expected == "local":
            assert (row.became, row.sigma) == ("256 g, 256 pass", "0.707 to 1.41")
        else:
            each = ", ".join(f"{expected // 5} {name}" for name in ("dx", "dy", "dxx", "dyy", "dxy"))
            assert (row.became, row.sigma) == (f"{each}, {row.channels - expected} pass", "")


def test_paper_taps_are_those_of_the_paper():
    new, _ = convert_depthwise(nn.Sequential(depthwise(24)), "paper")
    weight = new[0].weight
    listed = [
        [[0, 0, 0], [1, 0, -1], [0, 0, 0]],
        [[0, -1, 0], [0, 0, 0], [0, 1, 0]],
        [[0, 0, 0], [-1, 2, -1], [0, 0, 0]],
        [[0, -1, 0], [0, 2, 0], [0, -1, 0]],
        [[-1, 0, 1], [0, 0, 0], [1, 0, -1]],
    ]
    passed = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert weight[:, 0].tolist() == [*listed, *listed, *[passed] * 14]


def test_a_stride_is_folded_into_a_blur():
    sampled = np.exp(-0.5 * np.arange(-1, 2) ** 2)
    new, _ = convert_depthwise(nn.Sequential(depthwise(6, stride=2)), "paper")
    for taps in new[0].weight[:, 0].numpy():
        np.testing.assert_allclose(taps, np.outer(sampled, sampled) / sampled.sum() ** 2, rtol=1e-6)
    wide, _ = convert_depthwise(nn.Sequential(depthwise(6, (9, 9), stride=4)), "paper")
    for taps in wide[0].weight[:, 0].numpy():
        np.testing.assert_allclose(taps, np.outer(*[discrete_gaussian(2.0, 4)] * 2), rtol=1e-5)


@pytest.mark.parametrize("multiplier", [1, 2, 3])
@pytest.mark.parametrize("size", SIZES)
def test_no_channel_is_subsampled_bare(size, multiplier):
    stride = tuple(2 if length > 1 else 1 for length in size)
    new, _ = convert_depthwise(nn.Sequential(depthwise(10, size, multiplier, stride=stride)), "paper")
    weight = new[0].weight[:, 0]
    assert "identity" not in new[0].operators
    blurs = weight[::multiplier]
    assert (blurs > 0).all()
    assert torch.allclose(blurs.sum((1, 2)), torch.ones(10))
    # at the highest frequency that a stride of 2 keeps, and beyond it, the blur must not amplify
    signs = (-1.0) ** torch.arange(size[1]) if size[1] > 1 else (-1.0) ** torch.arange(size[0])[:, None]
    assert (abs((blurs * signs).sum((1, 2))) < 0.3).all()


@given(st.integers(2, 400))
def test_half_of_the_channels_are_touched_in_equal_numbers(channels):
    new, _ = convert_depthwise(nn.Sequential(depthwise(channels)), "paper")
    counts = Counter(new[0].operators)
    touched = channels - counts["identity"]
    if channels // 2 >= 5:
        assert touched == 5 * (channels // 2 // 5)
        assert {counts[name] for name in SECOND_ORDER} == {touched // 5}
    else:
        assert touched == channels // 2
    assert new[0].operators[touched:] == ("identity",) * (channels - touched)


def test_with_several_outputs_a_channel_each_input_passes_once():
    new, _ = convert_depthwise(nn.Sequential(depthwise(7, multiplier=3)), "paper")
    names = np.reshape(new[0].operators, (7, 3))
    assert (names[:, 0] == "identity").all()
    assert "identity" not in names[:, 1:]


def test_wide_kernels_get_derivatives_that_fit():
    new, _ = convert_depthwise(nn.Sequential(depthwise(20, (7, 7))), "paper")
    x = torch.arange(-3.0, 4).expand(7, 7).double()
    monomials = {"dx": x, "dy": x.T, "dxx": x**2 / 2, "dyy": x.T**2 / 2, "dxy": x * x.T}
    for name, taps in zip(new[0].operators[:10], new[0].double().weight[:10, 0], strict=True):
        gain = float((taps * monomials[name]).sum())
        assert gain == pytest.approx(1.5 ** (2 if len(name) == 3 else 1), rel=1e-5), name
        assert abs(float(taps.sum())) < 1e-6


def test_parallel_branches_share_a_role():
    model = nn.Sequential(
        nn.ModuleDict({"0": depthwise(20), "1": depthwise(20, (5, 5)), "2": depthwise(20, (7, 7))}),
        depthwise(20),
        depthwise(20),
    )
    _, report = convert_depthwise(model, "paper")
    assert [("dx" in row.became) for row in report.rows] == [True, True, True, False, True]


# One layer at a time


GEOMETRIES = {
    "bias": (nn.Conv2d, {"bias": True}),
    "stride": (nn.Conv2d, {"stride": 2}),
    "strides that differ": (nn.Conv2d, {"stride": (2, 1)}),
    "dilation": (nn.Conv2d, {"dilation": 2, "padding": 2}),
    "no padding": (nn.Conv2d, {"padding": 0}),
    "wide padding": (nn.Conv2d, {"padding": (4, 1)}),
    "same": (nn.Conv2d, {"padding": "same", "dilation": 3}),
    "valid": (nn.Conv2d, {"padding": "valid"}),
    "reflect": (nn.Conv2d, {"padding_mode": "reflect"}),
    "replicate": (nn.Conv2d, {"padding_mode": "replicate"}),
    "circular": (nn.Conv2d, {"padding_mode": "circular", "stride": 2}),
    "multiplier": (nn.Conv2d, {"out_channels": 18}),
    "timm's same": (Conv2dSame, {"stride": 2}),
    "timm's same, dilated": (Conv2dSame, {"stride": 2, "dilation": 2}),
    "torchvision's": (lambda *a, **k: torchvision.ops.Conv2dNormActivation(*a, **k, norm_layer=None)[0], {}),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_layer_is_the_same_convolution_with_other_kernels(name, mode):
    make, options = GEOMETRIES[name]
    old = make(6, **{"out_channels": 6, "kernel_size": 3, "groups": 6, "padding": 1, "bias": False, **options})
    layer, _ = convert_depthwise(old, mode)
    assert isinstance(layer, DerivativeConv2d)
    image = torch.randn(2, 6, 11, 14)
    with torch.no_grad():
        new = layer(image)
        assert not torch.equal(new, old(image))
        old.weight.copy_(layer.weight)
        torch.testing.assert_close(new, old(image))
    assert layer.bias is None or torch.equal(layer.bias, old.bias)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
def test_every_kernel_size_in_every_mode(size, mode):
    old = depthwise(11, size)
    layer, report = convert_depthwise(old, mode)
    image = torch.randn(1, 11, 12, 13)
    assert layer(image).shape == old(image).shape
    assert layer.kernel_size == old.kernel_size
    assert not report.left


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_and_mode_stay(dtype, mode):
    old = depthwise(10, bias=True).to(dtype).eval()
    layer, _ = convert_depthwise(old, mode)
    assert {t.dtype for t in (*layer.parameters(), *layer.buffers(), layer.weight)} == {dtype}
    assert not layer.training
    assert layer(torch.zeros(1, 10, 5, 5, dtype=dtype)).dtype == dtype


def test_the_callers_default_device_does_not_matter():
    """Networks may be built on "meta"; kernels are still computed, and later calls find no trace of it."""
    old = depthwise(10, (5, 5))
    with torch.device("meta"):
        new, _ = convert_depthwise(old, "project")
    again, _ = convert_depthwise(old, "project")
    assert torch.equal(new.weight, again.weight)
    assert new.weight.device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("mode", MODES)
def test_the_device_stays(mode):
    layer, _ = convert_depthwise(depthwise(10).cuda(), mode)
    assert layer(torch.zeros(1, 10, 5, 5, device="cuda")).is_cuda
    assert all(tensor.is_cuda for tensor in (*layer.parameters(), *layer.buffers()))


def test_weights_that_are_computed_are_read_as_they_are():
    old = nn.utils.parametrizations.weight_norm(depthwise(10))
    layer, report = convert_depthwise(nn.Sequential(old), "learn-mix")
    assert not report.left
    left = ((layer[0].weight - old.weight) ** 2).sum() / (old.weight**2).sum()
    assert left.item() == pytest.approx(report.rows[0].residual_jet, abs=1e-5)


def test_a_frozen_bias_stays_frozen():
    old = depthwise(10, bias=True)
    old.bias.requires_grad_(False)
    layer, _ = convert_depthwise(old, "paper")
    assert not layer.bias.requires_grad
    assert layer.bias is not old.bias


# Projection on the jet


# Whole networks


class Twice(nn.Module):
    """One module in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(depthwise(10), nn.ReLU())
        self.second = nn.ModuleList([self.first[0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second[0](self.first(x))


def test_a_shared_module_stays_shared():
    new, report = convert_depthwise(Twice(), "project")
    assert [row.name for row in report.rows] == ["first.0"]
    assert new.first[0] is new.second[0]
    assert isinstance(new.first[0], DerivativeConv2d)


@pytest.mark.parametrize("mode", MODES)
def test_the_given_model_is_not_touched(mode):
    model = timm.create_model("mobilenetv3_small_050").eval()
    image = torch.randn(1, 3, 64, 64)
    state, modules, out = copy.deepcopy(model.state_dict()), list(model.modules()), model(image)
    new, _ = convert_depthwise(model, mode)
    new(image)
    assert all(a is b for a, b in zip(modules, model.modules(), strict=True))
    assert torch.equal(out, model(image))
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])
    shared = {id(p) for p in model.parameters()} & {id(p) for p in new.parameters()}
    assert not shared


def test_include_and_exclude():
    model = timm.create_model("mobilenetv1_100")
    _, report = convert_depthwise(model, include=["blocks.3.*", "blocks.4.*"], exclude=["*.0.conv_dw"])
    assert [row.name for row in report.replaced] == [f"blocks.3.{i}.conv_dw" for i in range(1, 6)] + [
        "blocks.4.1.conv_dw"
    ]
    reasons = {row.name: row.reason for row in report.left}
    assert reasons["blocks.0.0.conv_dw"] == "not in include"
    assert reasons["blocks.3.0.conv_dw"] == "excluded by '*.0.conv_dw'"


def test_a_dry_run_prints_the_plan_and_changes_nothing(capsys):
    model = timm.create_model("mobilenetv1_100")
    same, report = convert_depthwise(model, "project", dry_run=True)
    assert same is model
    printed = capsys.readouterr().out
    assert printed.strip() == str(report)
    assert "13 of 13 grouped convolutions replaced" in printed
    assert re.search(r"^blocks.3.5.conv_dw +512 +3 x 3 +1 x 1 +0\.\d{3}  0\.\d{3}  \d+ g, \d+ dx, ", printed, re.M)
    assert not any(isinstance(module, DerivativeConv2d) for module in model.modules())


@pytest.mark.parametrize("mode", MODES)
def test_a_printed_report_keeps_to_100_columns(mode):
    deep = nn.ModuleDict({"a_rather_long_name_of_a_stage": nn.ModuleDict({"and_of_its_block": depthwise(600)})})
    report = convert_depthwise(nn.ModuleDict({"x": deep, "y": nn.Conv2d(8, 8, 3, groups=2)}), mode).report
    _, head, *lines = str(report).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("…e_of_a_stage.and_of_its_block       600   3 x 3   1 x 1")
    at = head.index("became")
    assert sum(bool(line[:at].strip()) for line in lines) == 2  # what is long goes on below itself
    said = " ".join(line[at:] for line in lines)
    row, left = report.rows
    assert said == f"{row.became}{f', sigma {row.sigma}' * bool(row.sigma)} left: {left.reason}"
    assert repr(report) == f"<ConversionReport: {mode}, 1 of 2 grouped convolutions replaced>"
    assert report.table()["became"].str.len().max() <= 50  # pandas shows it whole


def test_the_report_is_a_table():
    table = convert_depthwise(timm.create_model("mobilenetv1_100"), "project").report.table()
    assert list(table["channels"])[-1] == 1024
    assert table["residual"].between(table["residual_jet"], 1).all()
    assert (table["reason"] == "").all()


class Scaled(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * 2


def test_what_cannot_be_replaced_is_left_with_a_reason():
    odd = depthwise(4)
    broken = depthwise(4)
    broken.weight.data[0, 0, 0, 0] = torch.nan
    model = nn.ModuleDict(
        {
            "odd": odd,
            "grouped": nn.Conv2d(8, 8, 3, groups=2),
            "pointwise": nn.Conv2d(4, 4, 1, groups=4),
            "even": nn.Conv2d(4, 4, 2, groups=4),
            "own": Scaled(4, 4, 3, groups=4),
            "standardised": StdConv2d(4, 4, 3, groups=4),
            "conditional": CondConv2d(4, 4, 3, groups=4),
            "one": nn.Conv1d(4, 4, 3, groups=4),
            "up": nn.ConvTranspose2d(4, 4, 3, groups=4),
            "broken": broken,
            "ours": DerivativeConv2d(10),
            "bare": nn.Conv2d(4, 4, (1, 3), stride=2, groups=4),
            "dense": nn.Conv2d(4, 4, 3),
        }
    )
    new, report = convert_depthwise(model, "paper")
    assert [row.name for row in report.replaced] == ["odd"]
    assert {row.name: row.reason for row in report.left} == {
        "grouped": "not depthwise: 2 groups of 4 channels",
        "pointwise": "1 x 1 kernel",
        "even": "even kernel 2 x 2: no centre",
        "own": "Scaled: has a forward of its own",
        "standardised": "StdConv2d: has a forward of its own",
        "conditional": "CondConv2d: not an nn.Conv2d",
        "one": "Conv1d: not an nn.Conv2d",
        "up": "ConvTranspose2d: not an nn.Conv2d",
        "broken": "weights that are not finite",
        "ours": "already made of blurs and derivatives",
        "bare": "a stride across an axis of one tap: no blur can be folded in",
    }
    assert all(type(new[row.name]) is type(model[row.name]) for row in report.left)


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        (depthwise(), {"mode": "projekt"}, "No mode 'projekt'; there are paper, project, learn-mix. Did you mean"),
        (depthwise(), {"include": "conv"}, "include is a list of globs"),
        (nn.Sequential(depthwise()), {"exclude": ["blocks.*"]}, "exclude: 'blocks.*' matches none of the model's 1"),
        (
            nn.Sequential(depthwise()),
            {"exclude": ["0"]},
            "Nothing is left to replace in Sequential: 0: excluded",
        ),
        (nn.Conv2d(3, 8, 3), {}, "Conv2d has no depthwise convolution"),
        (nn.Sequential(nn.Conv2d(4, 4, 2, groups=4)), {}, "0: even kernel 2 x 2"),
        (nn.Sequential(DerivativeConv2d(10)), {}, "already made of blurs"),
    ],
)
def test_bad_input_is_refused_before_any_work(model, settings, words):
    with pytest.raises(InputError, match=words.replace("*", r"\*").replace("(", r"\(")):
        convert_depthwise(model, **settings)


def test_a_converted_network_is_exported():
    model, _ = convert_depthwise(
        nn.Sequential(depthwise(10, stride=2), nn.ReLU(), depthwise(10, (5, 5))), "learn-mix"
    )
    image = torch.randn(2, 10, 16, 16)
    exported = torch.export.export(model.eval(), (image,), strict=False).module()
    torch.testing.assert_close(exported(image), model(image))


# Families
