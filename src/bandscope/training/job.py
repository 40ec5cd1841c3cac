"""What a training consists of once everything is resolved, and what it tells while it runs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from bandscope.labels import ClassLabel
from bandscope.training.augment import Augment
from bandscope.training.data import Part
from bandscope.training.filters import TrainingFilter
from bandscope.training.recipe import Recipe

# On the device, after normalisation and filters: (images, labels, positions) -> (images, labels).
# images: float32 (n, c, h, w). labels, positions in the training images: int64 (n,). Labels come back as such, or
# soft: floating point (n, classes), the share of each class.
Transform = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Report:
    """What a training tells while it runs.

    Attributes:
        stage: "decoding" (images) or "training" (optimiser steps over all epochs).
        done: images or steps of the stage so far.
        total: images or steps of the whole stage.
        epoch: the one that runs, from 1.
        epochs: how many there will be.
        rate: images a second in this epoch.
        loss: of the latest step; NaN before the first.
        accuracy: of the latest validation; NaN before the first.
    """

    stage: str
    done: int
    total: int
    epoch: int = 0
    epochs: int = 0
    rate: float = math.nan
    loss: float = math.nan
    accuracy: float = math.nan


Progress = Callable[[Report], None]


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and how.

    spec: what rebuilds the network, or None. classes: one label an output. validation: None for none.
    augment, filters: of training images; the filters know the preprocessing. transform: what follows them.
    accumulate: batches whose gradients make a step. channels_last: the memory format.
    """

    network: nn.Module
    spec: str | None
    classes: Sequence[ClassLabel]
    recipe: Recipe
    training: Part
    validation: Part | None
    augment: Augment
    filters: TrainingFilter
    transform: Transform | None
    seed: int
    accumulate: int
    channels_last: bool
