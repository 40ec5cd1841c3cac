import pytest
import torch
from torch import nn

from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess


def tiny(channels: int = 3, outputs: int = 5) -> nn.Sequential:
    """The smallest network with a convolution, a BatchNorm and a head."""
    torch.manual_seed(0)
    body = nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, outputs))


@pytest.fixture
def net():
    return tiny().eval()


@pytest.fixture
def preprocess():
    return Preprocess((16, 12), 18, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


@pytest.fixture
def classes():
    return tuple(ClassLabel(f"class {index}", f"n{index:08}") for index in range(5))


@pytest.fixture
def batch():
    return torch.randn(3, 3, 16, 12, generator=torch.Generator().manual_seed(0))
