"""The schedule against PyTorch's own schedulers, and as the optimiser meets it at every step."""

import warnings

import pytest
import torch
from tiny_networks import Squares, plain, quick
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from bandscope.training.schedule import WarmupCosine


def pytorch_rates(peak: float, warmup: int, total: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    rise = LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1) if warmup > 1 else LinearLR(optimizer, 1.0, 1.0, 1)
    fall = CosineAnnealingLR(optimizer, total - warmup)
    both = SequentialLR(optimizer, [rise, fall], [warmup]) if warmup else fall
    rates = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The epoch parameter in `scheduler.step", UserWarning)
        for _ in range(total):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            both.step()
    return rates


@pytest.mark.parametrize(("warmup", "total"), [(0, 7), (1, 9), (5, 100), (30, 200)])
def test_every_step_is_that_of_pytorch(warmup, total):
    schedule = WarmupCosine(0.2, warmup, total)
    assert [schedule(step) for step in range(total)] == pytest.approx(pytorch_rates(0.2, warmup, total), abs=1e-12)


def test_the_ends():
    schedule = WarmupCosine(0.2, 10, 50)
    assert schedule(0) == pytest.approx(0.02)
    assert schedule(9) == schedule(10) == 0.2
    assert schedule(30) == pytest.approx(0.1)
    assert schedule(50) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_optimiser_takes_these_rates(tmp_path, monkeypatch, accumulate):
    expected, met = pytorch_rates(0.08, 4, 16), []
    step = torch.optim.SGD.step

    def spied(self, *arguments, **settings):
        met.append([group["lr"] for group in self.param_groups])
        return step(self, *arguments, **settings)

    monkeypatch.setattr(torch.optim.SGD, "step", spied)
    quick(plain(4), Squares(32), tmp_path / "out", epochs=4, warmup_epochs=1, accumulate=accumulate, lr=0.08)
    assert [rates[0] for rates in met] == pytest.approx(expected)
    assert all(rates[0] == rates[1] for rates in met)
