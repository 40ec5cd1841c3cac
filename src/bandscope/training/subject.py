"""What is trained on what, resolved and checked before any image but a few is decoded."""

import hashlib
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from torch import nn

from bandscope.conventions import Convention
from bandscope.datasets import ImageSource, match_labels
from bandscope.errors import InputError
from bandscope.preprocess import Preprocess
from bandscope.probes import Probe
from bandscope.reprs import counted
from bandscope.training.augment import Augment, settled_flip
from bandscope.training.data import open_parts, steps_per_epoch
from bandscope.training.filters import TrainingFilter
from bandscope.training.machine import Machine
from bandscope.training.models import Start, check_outputs, start_from
from bandscope.training.recipe import Recipe
from bandscope.training.settle import for_channels, measures, settled_preprocess

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """The parts of a training.

    val: validation images, or None. val_label_of: for each of their classes the right output.
    filters: of training images; mean and std of their preprocessing are still open where it `measures` them.
    """

    recipe: Recipe
    start: Start
    source: ImageSource
    val: ImageSource | None
    val_label_of: Int[np.ndarray, " classes"]
    augment: Augment
    filters: TrainingFilter
    measures: bool
    seed: int

    @property
    def preprocess(self) -> Preprocess:
        """Of the network."""
        return self.filters.preprocess

    def identity(self, precision: str) -> dict[str, Any]:
        """What must agree before a training may go on."""
        return {
            "recipe": self.recipe.to_json(),
            "model": {
                "spec": self.start.spec,
                "weights": self.start.weights,
                "network": _shape_hash(self.start.module),
            },
            "data": _fingerprint(self.source),
            "val": None if self.val is None else _fingerprint(self.val),
            "filters": self.filters.to_json(),
            "input": self.preprocess.to_json(),  # mean and std may still be open
            "seed": self.seed,
            "precision": precision,
        }

    def facts(self, preprocess: Preprocess, machine: Machine) -> dict[str, Any]:
        """What else is worth knowing of a training."""
        return {
            "specs": {"data": self.source.spec, "val": None if self.val is None else self.val.spec},
            "preprocess": preprocess.to_json(),
            "peak_lr": self.recipe.peak_lr,
            "flip": self.augment.flip,
            "parameters": sum(parameter.numel() for parameter in self.start.module.parameters()),
            "machine": asdict(machine) | {"processes": machine.share.processes, "accelerator": machine.accelerator},
            "environment": _environment(),
        }

    def announce(self, machine: Machine, say: Say) -> None:
        """Say what was decided: above all what nobody asked for in so many words."""
        recipe, share = self.recipe, machine.share
        steps = steps_per_epoch(len(self.source), recipe.batch_size)
        say(f"Model       {self.start.spec or type(self.start.module).__qualname__}, weights: {self.start.weights}")
        parts = ((recipe.epochs, "epoch"), (steps, "step"), (recipe.batch_size, "image"))
        say(f"Recipe      {recipe.name}: {' x '.join(counted(*part) for part in parts)}")
        scaled = f" = {recipe.lr:g} x {recipe.batch_size}/{recipe.lr_batch}, scaled with the batch"
        say(f"Rate        lr {recipe.peak_lr:g}{scaled if recipe.peak_lr != recipe.lr else ''}")
        if share.processes * share.accumulate > 1:
            micro = share.micro_batch(recipe.batch_size)
            processes = counted(share.processes, "process", "processes")
            say(f"Batch       {processes} x {share.accumulate} accumulated x {counted(micro, 'image')}")
        if recipe.flip is None and not self.augment.flip:
            say("Mirror      off: it would change classes of these images (flip=0.5 turns it on)")
        if self.filters.conditions:
            say(f"Filter      {self.filters.describe()}")


def resolve_subject(
    model: str | nn.Module,
    data: str | ImageSource,
    val: str | ImageSource | float | None,
    recipe: Recipe,
    *,
    asked: Mapping[str, Any],
    filters: Probe | Sequence[Probe],
    filter_share: float,
    convention: str | Convention,
    weights: str | os.PathLike[str] | None,
    pretrained: bool,
    spec: str | None,
    seed: int,
) -> Subject:
    """Open the images, build the network, and check that all fits together: see `train` for the arguments.

    Raises:
        InputError, ModelError, DataError: something is unknown, out of range, or does not fit.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise InputError(f"seed={seed!r} is not possible; give a whole number from 0 on.")
    probes = _probes(filters)
    chosen = convention if isinstance(convention, Convention) else Convention.named(convention)
    source, held_out = open_parts(data, val, seed)
    steps_per_epoch(len(source), recipe.batch_size)
    path = None if weights is None else Path(weights)
    start = start_from(model, source, weights=path, pretrained=pretrained, spec=spec, seed=seed)
    recipe = for_channels(recipe, asked, start)
    preprocess = settled_preprocess(recipe, asked, start, source)
    check_outputs(start, preprocess, source)
    _set_bn_momentum(start.module, recipe.bn_momentum)
    of_val = match_labels((held_out or source).classes, source.classes, len(source.classes))
    return Subject(
        recipe=recipe,
        start=start,
        source=source,
        val=held_out,
        val_label_of=start.label_of[of_val],
        augment=Augment.of(recipe, preprocess.size, settled_flip(recipe, source)),
        filters=TrainingFilter(probes, preprocess, chosen, filter_share),
        measures=measures(recipe, asked, start),
        seed=seed,
    )


def _probes(filters: Probe | Sequence[Probe]) -> tuple[Probe, ...]:
    probes = tuple(filters) if isinstance(filters, Iterable) else (filters,)
    if wrong := [probe for probe in probes if not isinstance(probe, Probe)]:
        raise InputError(f"filters must be probes such as LowPass([45]); given: {wrong[0]!r}.")
    return probes


def _set_bn_momentum(module: nn.Module, momentum: float | None) -> None:
    for part in module.modules():
        if isinstance(part, BATCH_NORMS) and momentum is not None:
            part.momentum = momentum


def _fingerprint(source: ImageSource) -> dict[str, Any]:
    return {"images": len(source), "fingerprint": source.fingerprint()}


def _shape_hash(module: nn.Module) -> str:
    """Of the names and shapes of a network's weights."""
    shapes = [(name, tuple(value.shape)) for name, value in module.state_dict().items()]
    return hashlib.sha256(repr(shapes).encode()).hexdigest()[:16]


def _environment() -> dict[str, str]:
    packages = ("bandscope", "torch", "torchvision", "timm", "lightning", "numpy", "pillow")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: version(package) for package in packages},
    }
