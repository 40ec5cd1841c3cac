"""Networks that train in milliseconds, by name (`python:tiny_networks:plain`) and as objects."""

import os

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from bandscope.labels import ClassLabel
from bandscope.training import train

PLANTED_NET = "python:bandscope.classifiers.planted_net:PlantedNet"


def plain(num_classes: int = 9, in_chans: int = 3) -> nn.Module:
    """Without batch norm and dropout: the gradient of a batch is the mean over its images."""
    return nn.Sequential(
        nn.Conv2d(in_chans, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, num_classes)
    )


def noisy(num_classes: int = 9) -> nn.Module:
    """With batch norm and dropout: all that a state must carry."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(128, num_classes),
    )


class HalvedBatchNorm2d(nn.BatchNorm2d):
    """What two processes make of a batch: each half normalised by itself, statistics kept of the first."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(images)
        first, second = images.chunk(2)
        other = nn.functional.batch_norm(second, None, None, self.weight, self.bias, True, eps=self.eps)
        return torch.cat([super().forward(first), other])


def normed(num_classes: int = 9, norm: type[nn.Module] = nn.BatchNorm2d) -> nn.Module:
    """With batch norm, without dropout."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, bias=False), norm(8), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, num_classes)
    )


def halved(num_classes: int = 9) -> nn.Module:
    """The same for one process that does as two."""
    return normed(num_classes, HalvedBatchNorm2d)


class Poisoned(nn.Module):
    """Its second process gives logits that are no numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.net = plain()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bad = self.training and os.environ.get("LOCAL_RANK") == "1"
        return self.net(images) * (float("nan") if bad else 1)


class Squares:
    """Images of one colour and noise, in memory: 8 x 8 and more, any number of classes, any mode."""

    def __init__(self, count: int, *, classes: int = 4, side: int = 8, mode: str = "RGB", seed: int = 0) -> None:
        self.spec = f"squares-{count}-{classes}-{side}-{mode}-{seed}"
        self.classes = tuple(ClassLabel(f"level {k}") for k in range(classes))
        self.labels = np.arange(count, dtype=np.int32) % classes
        self.paths = tuple(f"{i}" for i in range(count))
        random = np.random.default_rng(seed)
        level = 40 + 160 * self.labels / classes
        noise = random.normal(0, 10, (count, side, side, 3))
        self.images = (level[:, None, None, None] + noise).clip(0, 255).astype(np.uint8)
        self._mode = mode

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> Image.Image:
        return Image.fromarray(self.images[position]).convert(self._mode)

    def fingerprint(self) -> str:
        return self.spec


def quick(model, data, out, **settings):
    """A training that says nothing, writes no TensorBoard logs, and is small unless told otherwise."""
    usual = {
        "recipe": "zhang2023-small",
        "val": None,
        "device": "cpu",
        "tensorboard": False,
        "say": lambda line: None,
        "epochs": 1,
        "warmup_epochs": 0,
        "batch_size": 8,
        "lr_batch": None,
        "lr": 0.05,
    }
    return train(model, data, out=out, **{**usual, **settings})


def seeded(make, *arguments) -> nn.Module:
    """A network whose first weights are always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make(*arguments)


def weights(trained) -> dict[str, torch.Tensor]:
    """The last weights of a training."""
    return load_file(trained.last)


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Bit for bit."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=0, rtol=0)
