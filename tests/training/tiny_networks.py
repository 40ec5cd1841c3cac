"""Networks that train in milliseconds, by name (`python:tiny_networks:plain`) and as objects."""

import numpy as np
from PIL import Image
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
