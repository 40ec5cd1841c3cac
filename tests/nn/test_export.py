"""What compilers and exporters make of layers and networks."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.export import Dim
from trained_networks import trained

from bandscope.nn import DerivativeConv2d, GSSDNet, MobileNetV1, fold

NETWORKS = {
    "paper": lambda: GSSDNet(num_classes=5, width=0.25),
    "exact": lambda: GSSDNet(num_classes=5, width=0.25, preset="exact"),
    "mobilenet": lambda: MobileNetV1(num_classes=5, width=0.25),
    "paper, folded": lambda: fold(trained(GSSDNet(num_classes=5, width=0.25))),
}
LAYERS = {
    "fixed": {},
    "sigma": {"learn": "sigma", "radius": 2},
    "mix": {"learn": "mix"},
    "padded": {"border": "reflect", "padding": "tensorflow", "stride": 2},
    "two passes": {"two_passes": True},
}


def layer(name: str) -> nn.Module:
    return DerivativeConv2d(8, ("g", "dx", "dyy", "identity"), **LAYERS[name]).eval()


def exported(module: nn.Module, images: torch.Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(module, (images,), dynamic_shapes=({0: Dim("batch", min=1)},))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_exported(name):
    module, images = layer(name), torch.randn(2, 8, 16, 17)
    program = exported(module, images).module()
    torch.testing.assert_close(program(images[:1]), module(images[:1]))


@pytest.mark.parametrize("name", ["paper", "paper, folded"])
def test_networks_are_exported(name):
    network, images = trained(NETWORKS[name]()), torch.randn(3, 3, 64, 64)
    program = exported(network, images[:2])
    assert network(images).std() > 0.05
    torch.testing.assert_close(program.module()(images), network(images))
    convolutions = [n for n in program.graph.nodes if "conv2d" in str(n.target)]
    assert len(convolutions) == (27 if name == "paper, folded" else 28)


@pytest.mark.usefixtures("untyped")
def test_the_network_is_one_graph():
    """Without a break; forward and backward."""
    network, images = trained(NETWORKS["paper"]()).train(), torch.randn(4, 3, 32, 32)
    network.drop_rate = 0.0
    gradients = []
    for module in (network, torch.compile(network, fullgraph=True, backend="eager")):
        network.zero_grad()
        module(images).square().sum().backward()
        gradients.append([p.grad.clone() for p in network.parameters()])
    for plain, compiled in zip(*gradients, strict=True):
        torch.testing.assert_close(compiled, plain)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_layers_compile(name):
    """In a process of its own: the tests' type checks cannot be traced through the kernels' formulas."""
    script = f"""
        import torch
        from bandscope.nn import DerivativeConv2d

        layer = DerivativeConv2d(8, ("g", "dx", "dyy", "identity"), **{LAYERS[name]!r})
        images = torch.randn(2, 8, 16, 17)
        gradients = []
        for module in (layer, torch.compile(layer, fullgraph=True)):
            x = images.clone().requires_grad_()
            out = module(x)
            gradients.append(torch.autograd.grad(out.square().sum(), [x, *layer.parameters()]) + (out.detach(),))
        for plain, compiled in zip(*gradients, strict=True):
            torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-4)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compile(name):
    network, images = trained(NETWORKS[name]()), torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(torch.compile(network, fullgraph=True)(images), network(images), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the exporter uses deprecated parts of Python and of torch itself
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_run_in_onnxruntime(name, tmp_path):
    network, images = trained(NETWORKS[name]()), torch.randn(5, 3, 64, 64)
    assert network(images).std() > 0.05
    np.testing.assert_allclose(in_onnxruntime(network, images, tmp_path), network(images).detach(), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", LAYERS)
def test_layers_run_in_onnxruntime(name, tmp_path):
    module, images = layer(name), torch.randn(5, 8, 16, 17)
    np.testing.assert_allclose(in_onnxruntime(module, images, tmp_path), module(images).detach(), rtol=0, atol=1e-4)


def in_onnxruntime(module: nn.Module, images: torch.Tensor, folder: Path) -> np.ndarray:
    """Exported from two images, run on all of them."""
    program = torch.onnx.export(
        module, (images[:2],), dynamo=True, dynamic_shapes=({0: Dim("batch", min=1)},), verbose=False
    )
    program.save(folder / "module.onnx")
    session = onnxruntime.InferenceSession(folder / "module.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]
