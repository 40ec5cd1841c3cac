"""`inspect_model` and what it is made of, against planted kernels, SciPy, dense spectra, and probability theory."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy.special import ive
from scipy.stats import beta
from torch import nn

from bandscope.cli.main import main
from bandscope.errors import InputError
from bandscope.nn.inspect import inspect_model
from bandscope.nn.jetfit import fit_jet, jet_taps, members
from bandscope.nn.layers import DerivativeConv2d, GaussianBlur2d
from bandscope.nn.null import chance, dimensions, shuffled
from bandscope.nn.response import band, radial_power

NAMES = ("g", "dx", "dy", "dxx", "dxy", "dyy")


def layer_of(kernels: np.ndarray | torch.Tensor, **options) -> nn.Conv2d:
    taps = torch.as_tensor(kernels, dtype=torch.float64)
    n, *size = taps.shape
    layer = nn.Conv2d(n, n, tuple(size), groups=n, bias=False, **options).double()
    layer.weight.data = taps[:, None]
    return layer


def gaussian(sigma: float, radius: int) -> np.ndarray:
    taps = ive(np.abs(np.arange(-radius, radius + 1)), sigma**2)
    return taps / taps.sum()


def member(name: str, sigma: float, radius: int) -> np.ndarray:
    """With SciPy: central differences of the discrete Gaussian."""
    difference = {0: [1.0], 1: [0.5, 0, -0.5], 2: [1.0, -2, 1]}
    y, x = (difference[name.count(axis)] for axis in "yx")
    return np.outer(*[np.convolve(gaussian(sigma, radius - len(d) // 2), d)[::-1] for d in (y, x)])


class Planted(nn.Module):
    """Two layers of jet members at known scales, a grouped convolution, and kernels of zeros."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.truth = [(name, rng.uniform(0.4, 2.2), rng.normal()) for name in NAMES * 5]
        kernels = {k: [a * member(n, s, k // 2) for n, s, a in self.truth] for k in (3, 7)}
        self.small = layer_of(np.stack([*kernels[3], np.zeros((3, 3))]), stride=2)
        self.wide = layer_of(np.stack(kernels[7]), dilation=2)
        self.grouped = nn.Conv2d(8, 8, 3, groups=2)


@pytest.mark.parametrize(("layer", "gap"), [("small", 1), ("wide", 2)])
def test_planted_scales_are_recovered(layer, gap):
    model = Planted()
    table = inspect_model(model).kernels.query("layer == @layer").reset_index()
    for (name, sigma, gain), row in zip(model.truth, table.itertuples(), strict=False):
        assert row.member == name
        assert row.member_share == pytest.approx(1, abs=1e-5)
        assert row.jet_share == pytest.approx(1, abs=1e-5)
        if layer == "small" and name == "dxy":
            assert np.isnan(row.sigma)
            assert row.gain == pytest.approx(gain)
        else:
            assert row.sigma == pytest.approx(gap * sigma, rel=0.01)
            assert row.gain == pytest.approx(gain, rel=0.03)


def test_layers_sum_their_kernels_up():
    found = inspect_model(Planted())
    layers = found.layers.set_index("layer")
    assert list(layers.index) == ["small", "wide", "grouped"]
    assert layers.loc["grouped", "reason"] == "not depthwise: 2 groups of 4 channels"
    assert np.isnan(layers.loc["grouped", "jet_share"])
    assert layers.loc["small", ["kernels", "kernel", "stride", "dilation"]].tolist() == [
        31,
        "3 x 3",
        "2 x 2",
        "1 x 1",
    ]
    assert [layers.loc["wide", f"nearest_{name}"] for name in NAMES] == pytest.approx([1 / 6] * 6)
    kernels = found.kernels.query("layer == 'wide'")
    filtering = kernels[~kernels["passes"]]
    assert layers.loc["wide", "sigma"] == filtering["sigma"].median()
    assert layers.loc["wide", "member_share"] == kernels["member_share"].mean()
    assert layers.loc["wide", "jet_unusual"] == 1
    np.testing.assert_array_equal(found.taps["wide"], Planted().wide.weight.detach()[:, 0])


def test_kernels_of_zeros_say_so():
    last = inspect_model(Planted()).kernels.query("layer == 'small'").iloc[-1]
    assert last["reason"] == "a kernel of zeros"
    assert last["member"] == ""
    assert last[["member_share", "jet_share", "sigma", "jet_sigma", "peak", "low", "high"]].isna().all()
    layer = inspect_model(nn.Sequential(layer_of(np.zeros((4, 3, 3))), layer_of(np.eye(3)[None].repeat(4, 0)))).layers
    assert layer["reason"].tolist() == ["every kernel is zero", ""]


def test_a_delta_passes_and_a_box_is_as_wide_as_can_be():
    delta, box = np.zeros((2, 5, 5))
    delta[2, 2], box[:] = 1, -1
    table = inspect_model(layer_of(np.stack([delta, box]))).kernels
    assert table["member"].tolist() == ["g", "g"]
    assert table["bound"].tolist() == ["low", "high"]
    assert table["passes"].tolist() == [True, False]


def test_sobel_is_a_first_derivative():
    """Its smoothing 1 2 1 is the discrete Gaussian of the variance t where I1(t)/I0(t) = 1/2."""
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1.0]])
    table = inspect_model(layer_of(np.stack([sobel, sobel.T]))).kernels
    t = 1.1593  # root of I1(t) = I0(t) / 2 (Abramowitz and Stegun, table 9.8)
    assert ive(1, t) / ive(0, t) == pytest.approx(0.5, abs=1e-4)
    assert table["member"].tolist() == ["dx", "dy"]
    assert table["sigma"].tolist() == pytest.approx([math.sqrt(t)] * 2, rel=1e-3)
    assert (table["member_share"] > 1 - 1e-6).all()


def test_the_papers_network_has_the_effective_scales_that_the_paper_gets():
    """PAPER.md: cut to three taps, sigma 0.707, 1 and 1.414 become 0.651, 0.740 and 0.780."""
    import bandscope.nn  # noqa: F401  (registers it)

    found = inspect_model(timm.create_model("gssdnet_050"))
    assert set(found.kernels["kind"]) == {"operator"}
    blurs = found.kernels.query("layer == 'stage2.0.operator'")
    assert blurs["spread"].tolist() == pytest.approx([0.740] * len(blurs), abs=1e-3)
    local = found.kernels.query("layer == 'stage3.2.operator'")
    spread = local.loc[~local["passes"], "spread"]
    assert (spread.min(), spread.max()) == pytest.approx((0.651, 0.780), abs=1e-3)
    assert local["passes"].mean() == 0.5
    assert (found.kernels["member_share"] > 0.998).all()


def test_learned_scales_are_seen():
    blur = GaussianBlur2d(4, [0.6, 0.8, 1.0, 1.3], radius=4, learn="sigma", max_sigma=3.0)
    derivatives = DerivativeConv2d(4, ("dx", "dy", "dxx", "dyy"), sigma=1.1, radius=4)
    table = inspect_model(nn.Sequential(blur, derivatives)).kernels
    assert table["sigma"].tolist() == pytest.approx([0.6, 0.8, 1.0, 1.3, *[1.1] * 4], rel=0.01)
    assert table["member"].tolist() == ["g"] * 4 + ["dx", "dy", "dxx", "dyy"]


def test_a_steered_derivative_is_all_jet_and_half_member():
    both = (member("dx", 1.0, 3) + member("dy", 1.0, 3)) / math.sqrt(2)
    row = inspect_model(layer_of(np.stack([both, both]))).kernels.iloc[0]
    assert row["member_share"] == pytest.approx(0.5, abs=0.01)
    assert row["jet_share"] == pytest.approx(1, abs=1e-5)
    assert row["jet_sigma"] == pytest.approx(1.0, rel=0.01)


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from([(3, 3), (5, 5), (1, 5), (3, 1)]))
def test_shares_know_no_gain_and_are_ordered(seed, size):
    kernels = torch.tensor(np.random.default_rng(seed).normal(size=(4, *size)))
    one, other = fit_jet(kernels), fit_jet(-37.0 * kernels)
    torch.testing.assert_close(one.member_share, other.member_share)
    torch.testing.assert_close(one.jet_share, other.jet_share)
    torch.testing.assert_close(-37 * one.gain, other.gain)
    assert ((one.member_share <= one.jet_share + 1e-4) & (one.jet_share <= 1 + 1e-9)).all()


@settings(max_examples=20)
@given(st.integers(0, 2**31))
def test_transposed_kernels_have_transposed_members(seed):
    kernels = torch.tensor(np.random.default_rng(seed).normal(size=(6, 5, 5)))
    one, other = fit_jet(kernels), fit_jet(kernels.mT)
    swap = {"g": "g", "dx": "dy", "dy": "dx", "dxx": "dyy", "dyy": "dxx", "dxy": "dxy"}
    names = members((5, 5))
    assert [swap[names[i]] for i in one.member] == [names[i] for i in other.member]
    torch.testing.assert_close(one.sigma, other.sigma, equal_nan=True)
    torch.testing.assert_close(one.jet_share, other.jet_share)


# Chance


@pytest.mark.parametrize("size", [(3, 3), (5, 5), (1, 7)])
def test_at_one_scale_the_jet_explains_as_many_dimensions_as_it_has(size):
    """Of a random kernel it explains a share with a Beta(d/2, (K - d)/2) distribution, of mean d/K."""
    d, k = len(members(size)), math.prod(size)
    basis = np.linalg.qr(jet_taps(torch.tensor([0.9], dtype=torch.float64), size)[0].flatten(1).T.numpy())[0]
    kernels = np.random.default_rng(0).normal(size=(20_000, k))
    share = ((kernels @ basis) ** 2).sum(1) / (kernels**2).sum(1)
    assert dimensions(size) == d / k
    assert share.mean() == pytest.approx(d / k, abs=0.005)
    law = beta(d / 2, (k - d) / 2)
    assert np.quantile(share, [0.05, 0.95]) == pytest.approx(law.ppf([0.05, 0.95]), abs=0.01)
    # the best of all scales explains more: that is what a share must be compared with
    member_chance, jet_chance = chance(size)
    assert jet_chance.mean > d / k + 0.02
    assert jet_chance.unusual > law.ppf(0.95)
    assert member_chance.mean > 1 / k


def test_random_networks_lie_within_their_baseline():
    torch.manual_seed(0)
    layers = inspect_model(nn.Sequential(*[nn.Conv2d(200, 200, k, groups=200) for k in (3, 5, 7)])).layers
    for name in ("member", "jet"):
        # the weights are uniform, not normal: that moves nothing that matters
        low, high = (layers[f"{name}_random_{end}"] for end in ("low", "high"))
        assert layers[f"{name}_share"].between(low - 0.01, high + 0.01).all()
        assert layers[f"{name}_unusual"].between(0, 0.12).all()
        assert (abs(layers[f"{name}_shuffled"] - layers[f"{name}_random"]) < 0.03).all()


def test_shuffling_keeps_the_sum_and_loses_the_place():
    delta = torch.zeros(50, 3, 3, dtype=torch.float64)
    delta[:, 1, 1] = 1
    assert shuffled(delta)[0] < 0.7 < 1 - 1e-2 < float(fit_jet(delta).member_share.min())
    box = torch.ones(50, 3, 3, dtype=torch.float64)
    assert shuffled(box)[0] == pytest.approx(float(fit_jet(box).member_share.mean()))


# Frequency response


def test_radial_power_is_the_average_of_the_spectrum_over_directions():
    kernels = np.random.default_rng(0).normal(size=(3, 3, 5))
    frequencies = np.array([0.0, 0.1, 0.27, 0.5])
    angle = np.linspace(0, 2 * np.pi, 721)[:-1]
    y, x = np.arange(3), np.arange(5)
    expected = np.zeros((3, 4))
    for i, f in enumerate(frequencies):
        fy, fx = f * np.sin(angle)[:, None, None], f * np.cos(angle)[:, None, None]
        waves = np.exp(2j * np.pi * (fy * y[:, None] + fx * x))
        expected[:, i] = (np.abs(np.einsum("kyx,ayx->ka", kernels, waves)) ** 2).mean(1)
    found = radial_power(torch.tensor(kernels), torch.tensor(frequencies)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("sigma", [2.0, 3.0, 4.0])
def test_bands_of_wide_gaussians_are_those_of_the_continuum(sigma):
    """With u = 2 pi sigma f: |G|^2 = exp(-u^2), half at u^2 = ln 2; |Gx|^2 ~ u^2 exp(-u^2), peak at u = 1."""
    kernels = np.stack([member(name, sigma, 15) for name in ("g", "dx", "dyy")])
    found = band(torch.tensor(kernels))
    scale = 2 * np.pi * sigma
    assert found.peak.tolist() == pytest.approx([0, 1 / scale, math.sqrt(2) / scale], abs=0.004)
    assert float(found.low[0]) == 0
    assert float(found.high[0]) == pytest.approx(math.sqrt(math.log(2)) / scale, rel=0.03)
    # x exp(1 - x) = 1/2 at x = 0.2320 and 2.6783
    assert float(found.low[1]) == pytest.approx(math.sqrt(0.2320) / scale, rel=0.04)
    assert float(found.high[1]) == pytest.approx(math.sqrt(2.6783) / scale, rel=0.04)


def test_bands_at_the_edges():
    delta, checks = np.zeros((2, 3, 3))
    delta[1, 1] = 1
    checks[:] = (-1.0) ** np.add.outer(range(3), range(3))
    found = band(torch.tensor(np.stack([delta, checks, np.zeros((3, 3))])))
    assert [float(found.low[0]), float(found.high[0])] == [0, 0.5]
    assert float(found.peak[1]) > 0.4
    assert float(found.high[1]) == 0.5
    assert found.peak[2].isnan()


def test_dilation_moves_scales_up_and_frequencies_down():
    kernels = np.stack([member("dx", 0.8, 2)] * 2)
    tables = [inspect_model(layer_of(kernels, dilation=d)).kernels.iloc[0] for d in (1, 3)]
    for name in ("sigma", "spread", "jet_sigma"):
        assert tables[1][name] == pytest.approx(3 * tables[0][name])
    for name in ("peak", "low", "high", "bandwidth"):
        assert tables[1][name] == pytest.approx(tables[0][name] / 3)
    uneven = inspect_model(layer_of(kernels, dilation=(1, 2))).kernels.iloc[0]
    assert np.isnan(uneven["sigma"])
    assert uneven["member_share"] == pytest.approx(1, abs=1e-5)


# Refusals, real weights, the command


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        (nn.Conv2d(3, 8, 3), {}, "Conv2d has no depthwise convolution to look at"),
        (nn.Sequential(nn.Conv2d(4, 4, 1, groups=4)), {}, "0: 1 x 1 kernel"),
        (Planted(), {"include": ["stage.*"]}, "include: 'stage.*' matches none of the model's 3 grouped"),
        (Planted(), {"include": ["grouped"]}, "Nothing is left to look at"),
    ],
)
def test_bad_input_is_refused(model, settings, words):
    with pytest.raises(InputError, match=re.escape(words)):
        inspect_model(model, **settings)


def test_include_and_exclude():
    found = inspect_model(Planted(), include=["small", "wide"], exclude=["wide"])
    assert set(found.kernels["layer"]) == {"small"}
    reasons = dict(zip(found.layers["layer"], found.layers["reason"], strict=True))
    assert reasons["wide"] == "excluded by 'wide'"


def mobilenet(folder: Path) -> Path:
    return folder / "weights" / "mobilenetv1_100_tf_224.safetensors"


def test_a_trained_network_is_far_from_chance(real_data):
    model = timm.create_model("mobilenetv1_100")
    model.load_state_dict(load_file(mobilenet(real_data)))
    layers = inspect_model(model).layers
    assert (layers["member_share"] > layers["member_random_high"] + 0.2).all()
    assert (layers["jet_share"] > layers["jet_random_high"]).all()
    assert (layers["jet_share"] > layers["jet_shuffled"]).all()
    strided = layers.query("stride == '2 x 2'")
    assert (strided["passes"] == 0).all()


def run(capsys, *arguments: object, code: int = 0) -> str:
    assert main([str(argument) for argument in arguments]) == code
    said = capsys.readouterr()
    return re.sub(r"\s+", " ", said.err) if code else said.out


def test_the_command_prints_writes_and_draws(capsys, tmp_path):
    spec = "timm:mobilenetv3_small_050?pretrained=false"
    written = ("--csv", tmp_path / "kernels.csv", "--figures", tmp_path / "figures")
    printed = run(capsys, "inspect", spec, "--include", "blocks.[12].0*", *written)
    assert re.search(r"blocks\.2\.0\.conv_dw +64 of 5x5 /2 ", printed)
    table = pd.read_csv(tmp_path / "kernels.csv", keep_default_na=False)
    assert table["layer"].value_counts().to_dict() == {"blocks.1.0.conv_dw": 40, "blocks.2.0.conv_dw": 64}
    made = {path.name for path in (tmp_path / "figures").iterdir()}
    assert made == {"layers.csv", "kernels.csv", *(f"{n}.{s}" for n in ("layers", "kernels") for s in ("png", "pdf"))}


def test_the_command_names_what_it_did_not_look_at(capsys):
    printed = run(capsys, "inspect", "timm:mobilenetv3_small_050?pretrained=false", "--exclude", "blocks.[1-9]*")
    printed = " ".join(printed.split())
    assert "Not looked at: blocks.1.0.conv_dw and 9 more: excluded by 'blocks.[1-9]*'" in printed


def test_the_command_refuses(capsys, tmp_path):
    assert "no depthwise convolution" in run(capsys, "inspect", "timm:resnet10t?pretrained=false", code=1)
    said = run(capsys, "inspect", "timm:resnet10t?pretrained=false", "--csv", tmp_path / "no" / "a.csv", code=1)
    assert "does not exist" in said
    (tmp_path / "file").write_text("")
    spec = "timm:mobilenetv3_small_050?pretrained=false"
    said = run(capsys, "inspect", spec, "--figures", tmp_path / "file", code=1)
    assert "cannot be written" in said


@pytest.mark.slow
def test_an_onnx_graph_is_refused(capsys, tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "net.onnx"
    net = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    torch.onnx.export(net, (torch.zeros(1, 3, 8, 8),), path, dynamo=True, verbose=False)
    options = "input_size=8&crop_pct=1&mean=0.5,0.5,0.5&std=0.5,0.5,0.5"
    said = run(capsys, "inspect", f"onnx:{path}?{options}", code=1)
    assert "not a PyTorch network" in said
