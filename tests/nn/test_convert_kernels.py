"""Kernels fitted to learned ones: planted members are found, residuals are NumPy's, a mix learns within its span."""

import pickle

import numpy as np
import pytest
import torch
from converting import MODES, SIZES, depthwise, fitting, jet, planted
from torch import nn

from bandscope.nn.convert import convert_depthwise


@pytest.mark.parametrize("size", SIZES)
def test_planted_members_are_recovered(size):
    old, names, _ = planted(size)
    layer, report = convert_depthwise(old, "project")
    if size not in {(1, 3), (3, 1)}:  # whose members are alike: dxx at any scale, g = a + b dxx
        assert list(layer.operators) == names
    assert report.rows[0].residual < 1e-5
    assert report.rows[0].residual_jet < 1e-5
    largest = old.weight.detach().abs().amax((1, 2, 3), keepdim=True)
    torch.testing.assert_close(layer.weight / largest, old.weight.detach() / largest, rtol=0, atol=2e-3)


@pytest.mark.parametrize("size", [(3, 3), (5, 5), (1, 7)])
def test_residuals_are_the_least_squares_of_numpy(size):
    """Against an exhaustive search with SciPy's Bessel functions and NumPy's least squares, on 2000 scales."""
    old = depthwise(8, size)
    grid = np.geomspace(0.2, max(size), 2000)
    jets = [jet(sigma, size).reshape(len(fitting(size)), -1) for sigma in grid]
    member = whole = 0.0
    kernels = old.weight.detach().double().numpy().reshape(8, -1)
    for kernel in kernels:
        member += max(((j @ kernel) ** 2 / (j**2).sum(1)).max() for j in jets)
        whole += max(((np.linalg.qr(j.T)[0].T @ kernel) ** 2).sum() for j in jets)
    _, report = convert_depthwise(old, "project")
    energy = (kernels**2).sum()
    assert report.rows[0].residual == pytest.approx(1 - member / energy, abs=1e-4)
    assert report.rows[0].residual_jet == pytest.approx(1 - whole / energy, abs=1e-4)
    layer = convert_depthwise(old, "project").model
    left = ((kernels - layer.weight.numpy().reshape(8, -1)) ** 2).sum() / energy
    assert left == pytest.approx(report.rows[0].residual, abs=1e-5)
    mixed = convert_depthwise(old, "learn-mix").model
    left = ((kernels - mixed.weight.detach().numpy().reshape(8, -1)) ** 2).sum() / energy
    assert left == pytest.approx(report.rows[0].residual_jet, abs=1e-5)


def test_a_projection_projects_to_itself():
    once, _ = convert_depthwise(depthwise(30, (5, 5)), "project")
    again = depthwise(30, (5, 5))
    again.weight.data = once.weight.clone()
    twice, report = convert_depthwise(again, "project")
    torch.testing.assert_close(twice.weight, once.weight, rtol=0, atol=1e-3)
    assert report.rows[0].residual < 1e-5


def test_kernels_of_zeros_stay_zero():
    old = depthwise(4)
    old.weight.data[:2] = 0
    for mode in ("project", "learn-mix"):
        layer, report = convert_depthwise(old, mode)
        assert not layer.weight[:2].any()
        assert np.isfinite(report.rows[0].residual)
    old.weight.data.zero_()
    layer, report = convert_depthwise(old, "project")
    assert np.isnan(report.rows[0].residual)
    assert not layer.weight.any()


def test_a_mix_learns_and_keeps_its_span():
    layer, report = convert_depthwise(depthwise(5, (5, 5)), "learn-mix")
    assert [p.shape for p in layer.parameters() if p.requires_grad] == [(5,), (5, 6)]
    assert (report.rows[0].weights, report.rows[0].learned) == (125, 30)
    bases = torch.linalg.qr(layer.taps.basis.flatten(2).mT)[0]
    before = layer.weight.detach()
    layer(torch.randn(2, 5, 9, 9)).square().sum().backward()
    torch.optim.SGD(layer.parameters(), 0.1).step()
    assert not torch.allclose(layer.weight, before)
    flat = layer.weight.detach().flatten(1)[..., None]
    torch.testing.assert_close(bases @ (bases.mT @ flat), flat)


def test_project_and_paper_learn_nothing():
    for mode in ("paper", "project"):
        layer, report = convert_depthwise(depthwise(12, bias=False), mode)
        assert not list(layer.parameters())
        assert report.rows[0].learned == 0


@pytest.mark.parametrize("mode", MODES)
def test_state_dicts_hold_what_came_from_the_weights(mode):
    first, second = (convert_depthwise(nn.Sequential(depthwise(10), nn.BatchNorm2d(10)), mode)[0] for _ in range(2))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first[0].weight, second[0].weight)
    again = pickle.loads(pickle.dumps(first))
    assert torch.equal(first[0].weight, again[0].weight)
