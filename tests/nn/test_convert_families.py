"""Networks of timm and torchvision, converted: every family that has depthwise convolutions."""

import copy

import pytest
import timm
import torch
import torchvision
from converting import MODES
from torch import nn

from bandscope.nn.convert import convert_depthwise
from bandscope.nn.layers import DerivativeConv2d

TIMM = {
    "mobilenetv1_100": (64, {"pad_type": "same"}),
    "mobilenetv2_050": (64, {}),
    "mobilenetv3_small_050": (64, {}),
    "mobilenetv4_conv_small": (64, {}),
    "tf_efficientnet_b0": (64, {}),
    "tf_efficientnetv2_b0": (64, {}),
    "efficientnet_lite0": (64, {}),
    "mnasnet_small": (64, {}),
    "mixnet_s": (64, {}),
    "ghostnet_050": (64, {}),
    "rexnet_100": (64, {}),
    "fbnetc_100": (64, {}),
    "tinynet_e": (64, {}),
    "convnext_atto": (64, {}),
    "inception_next_tiny": (64, {}),
    "fastvit_t8": (64, {}),
    "repvit_m0_9": (64, {}),
    "mobileone_s0": (64, {}),
    "focalnet_tiny_srf": (64, {}),
    "convmixer_768_32": (56, {}),
    "edgenext_xx_small": (64, {}),
    "mobilevitv2_050": (64, {}),
    "coat_tiny": (64, {"img_size": 64}),
    "pvt_v2_b0": (64, {}),
    "xcit_nano_12_p16_224": (64, {"img_size": 64}),
    "starnet_s1": (64, {}),
    "efficientformerv2_s0": (224, {}),
}


TORCHVISION = {
    "mobilenet_v2": (64, {"width_mult": 0.5}),
    "mobilenet_v3_small": (64, {}),
    "mnasnet0_5": (64, {}),
    "shufflenet_v2_x0_5": (64, {}),
    "efficientnet_b0": (64, {}),
    "efficientnet_v2_s": (64, {}),
    "convnext_tiny": (64, {}),
    "maxvit_t": (224, {}),
}


FAST = ("mobilenetv1_100", "mobilenetv3_small_050", "tinynet_e", "shufflenet_v2_x0_5", "mnasnet0_5")


def families() -> list:
    every = [(timm.create_model, name, *rest) for name, rest in TIMM.items()]
    every += [(torchvision.models.get_model, name, *rest) for name, rest in TORCHVISION.items()]
    return [pytest.param(*row, id=row[1], marks=() if row[1] in FAST else pytest.mark.slow) for row in every]


def is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1 and max(module.kernel_size) > 1


@pytest.mark.parametrize(("make", "name", "side", "options"), families())
def test_families(make, name, side, options):
    torch.manual_seed(0)
    model = make(name, **options).eval()
    image = torch.randn(2, 3, side, side)
    names = [n for n, module in model.named_modules() if is_depthwise(module)]
    grouped = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    pointwise = [n for n in grouped if n not in names]
    assert names
    for mode in MODES:
        new, report = convert_depthwise(model, mode)
        assert [row.name for row in report.replaced] == names
        assert {row.name: row.reason for row in report.left} == dict.fromkeys(pointwise, "1 x 1 kernel")
        assert [n for n, module in new.named_modules() if isinstance(module, DerivativeConv2d)] == names
        same_with_these_kernels(model, new.eval(), names, image)
        gradients_flow(new.train(), image, names if mode == "learn-mix" else [])


def same_with_these_kernels(model: nn.Module, new: nn.Module, names: list[str], image: torch.Tensor) -> None:
    """The new network is the old one with the new kernels written into its own convolutions, layer by layer."""
    old = copy.deepcopy(model)
    with torch.no_grad():
        for name in names:
            kernels = new.get_submodule(name).weight
            assert not torch.allclose(kernels, old.get_submodule(name).weight)
            old.get_submodule(name).weight.copy_(kernels)
    expected, found = outputs(old, names, image), outputs(new, names, image)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4 * float(tensor.abs().max()), msg=name)


def outputs(model: nn.Module, names: list[str], image: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each layer, and the whole, gives."""
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: seen.update({name: out.clone()})
        )
        for name in names
    ]
    with torch.no_grad():
        seen["logits"] = model(image)
    for hook in hooks:
        hook.remove()
    return seen


def gradients_flow(model: nn.Module, image: torch.Tensor, mixed: list[str]) -> None:
    out = model(image)
    assert torch.isfinite(out).all()
    out.square().mean().backward()
    assert [n for n, p in model.named_parameters() if n.endswith("taps.mix")] == [f"{n}.taps.mix" for n in mixed]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for n, p in model.named_parameters() if "mix" in n)
