"""`train`: from a model, images and a recipe to a folder of weights, in one call."""

import math
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from bandscope.conventions import Convention
from bandscope.datasets import ImageSource
from bandscope.errors import InputError
from bandscope.preprocess import Preprocess
from bandscope.probes import Probe
from bandscope.reprs import Facts, counted
from bandscope.training.augment import Augment
from bandscope.training.checkpoints import Folder, Row, best_row, check_out, table
from bandscope.training.data import Part, own_labels
from bandscope.training.job import Job, Progress, Report, Transform
from bandscope.training.machine import Machine, rank
from bandscope.training.pixels import Pixels, open_pixels
from bandscope.training.recipe import Recipe
from bandscope.training.settle import with_statistics
from bandscope.training.subject import Say, Subject, resolve_subject


@dataclass(frozen=True, repr=False)
class Trained(Facts):
    """A finished training.

    Attributes:
        out: its folder.
        best: weights of the best epoch, which `load_classifier` and `audit` take by path.
        last: weights of the last epoch, likewise.
        recipe: as it was used.
        history: a row an epoch, with the columns of `bandscope.training.checkpoints.Row`.
        best_epoch: the one, from 1, whose weights `best` holds.
        best_accuracy: of that epoch on validation images; NaN without any.
        last_accuracy: of the last epoch, likewise.
    """

    out: Path
    best: Path
    last: Path
    recipe: Recipe
    history: pd.DataFrame
    best_epoch: int
    best_accuracy: float
    last_accuracy: float

    def _told(self) -> dict[str, str]:
        known = math.isfinite(self.best_accuracy)
        right = f"{self.best_accuracy:.1%} right in epoch {self.best_epoch}, {self.last_accuracy:.1%} in the last"
        return {
            "best weights": str(self.best),
            "length": counted(len(self.history), "epoch"),
            "validation": right if known else "not validated",
        }


def train(
    model: str | nn.Module,
    data: str | ImageSource,
    *,
    out: str | os.PathLike[str],
    val: str | ImageSource | float | None = 0.1,
    recipe: str | Recipe = "zhang2023",
    filters: Probe | Sequence[Probe] = (),
    filter_share: float = 1.0,
    convention: str | Convention = "bandscope",
    transform: Transform | None = None,
    weights: str | os.PathLike[str] | None = None,
    pretrained: bool = False,
    spec: str | None = None,
    seed: int = 0,
    device: str | None = None,
    devices: int = 1,
    precision: str = "fp32",
    accumulate: int = 1,
    compile: bool = False,  # noqa: A002 - as PyTorch calls it
    channels_last: bool = True,
    deterministic: bool = False,
    workers: int = 4,
    memory_gb: float = 4.0,
    tensorboard: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
    say: Say = print,
    **overrides: Any,
) -> Trained:
    """Train a network by a recipe, on filtered images if asked, into a folder.

    A training can be killed at any moment: the same call goes on after the last finished epoch and, on a CPU, ends
    bit-identical to an undisturbed one. A finished training is not repeated.

    Args:
        model: "timm:NAME[?option=value]", "torchvision:NAME" or "python:package.module:factory" (random weights; the
            number of classes and of image channels is filled in), a .safetensors path (its weights are trained on),
            or an `nn.Module`, which is trained itself: it ends with the weights of `last`, in evaluation mode.
        data: training images: a spec such as "folder:DIR", "parquet:GLOB", "torchvision:NAME?root=DIR&train=true" or
            "planted?split=train", or an `ImageSource`.
        out: folder of the results.
        val: validation images, or the share of each class to hold out (seeded), or None for none.
        recipe: "zhang2023", "zhang2023-small", or a `Recipe`.
        filters: probes, such as `LowPass([45])`: every training image goes through one of their filters, drawn at
            random where there are several. A single filter is put before validation images too.
        filter_share: of the training images that are filtered.
        convention: of the filters, as in an audit.
        transform: (images, labels, positions) -> (images, labels), of training images on the device, after
            normalisation and filters. images: float32 (n, c, h, w). labels, positions: int64 (n,), the right outputs
            of the network, and places in the training images. Labels may come back soft, as by mixup: floating point
            (n, classes), the share of each class. PyTorch's global random numbers are seeded for it. Not recorded:
            pass the same one to go on.
        weights: a file to start from.
        pretrained: start from the published weights.
        spec: of an `nn.Module`: what rebuilds it, so that its weights can be loaded by path.
        seed: of weights, order, augmentation, filters and dropout.
        device: "cpu", "cuda", "cuda:1"; by default CUDA where there is one.
        devices: processes, one a device (torchrun decides by itself).
        precision: "fp32", "bf16" or "fp16", mixed.
        accumulate: batches whose gradients make one optimiser step; `batch_size` counts them all.
        compile: compile the network.
        channels_last: memory format.
        deterministic: only algorithms that give the same bits each time.
        workers: threads that decode.
        memory_gb: gigabytes (10^9 bytes) of decoded images that may be kept in memory.
        tensorboard: write logs for TensorBoard.
        overwrite: start again where `out` holds a training.
        progress: called with a `Report` after each step.
        say: called with lines about what was decided.
        **overrides: fields of the recipe, such as `epochs=30, lr=0.1`.

    Raises:
        InputError, ModelError, DataError, StoreError: before any work where possible; the message says what to do.
    """
    check_out(out)
    _check_installed(tensorboard)
    first = rank() == 0
    aloud: Say = say if first else _nothing
    tell: Progress = progress if first and progress is not None else _nothing
    machine = Machine(
        device, devices, precision, accumulate, compile, channels_last, deterministic, workers, memory_gb, tensorboard
    )
    chosen = recipe.changed(**overrides) if isinstance(recipe, Recipe) else Recipe.named(recipe, **overrides)
    machine.share.micro_batch(chosen.batch_size)
    subject = resolve_subject(
        model,
        data,
        val,
        chosen,
        asked=overrides,
        filters=filters,
        filter_share=filter_share,
        convention=convention,
        weights=weights,
        pretrained=pretrained,
        spec=spec,
        seed=seed,
    )
    if subject.val is not None:
        machine.share.check_validation(len(subject.val))
    folder, identity = Folder(out), subject.identity(precision)
    if first:
        folder.check(identity, overwrite=overwrite)
    rows: Sequence[Row] = () if overwrite else folder.stored_history()
    job = None
    if len(rows) == chosen.epochs:
        aloud(f"{folder.path} is finished already.")
    else:
        subject.announce(machine, aloud)
        job = _job(subject, machine, transform, tell, aloud)
    with folder.taken() if first else nullcontext():
        if first:
            folder.settle(len(rows))
        if job is not None:
            if first:
                folder.begin({**identity, **subject.facts(job.filters.preprocess, machine)}, overwrite=overwrite)
            if rows:
                aloud(f"Going on after epoch {len(rows)} of {chosen.epochs}")
            from bandscope.training.run import run  # Lightning takes seconds to import

            rows = run(job, machine, folder, folder.state if rows else None, tell)
    if isinstance(model, nn.Module):
        folder.give_last(model)
    return _trained(folder, subject.recipe, rows)


def _job(subject: Subject, machine: Machine, transform: Transform | None, tell: Progress, say: Say) -> Job:
    """Everything resolved, and images decoded where they fit into memory."""
    start, source, held_out = subject.start, subject.source, subject.val
    training = _pixels("Training", source, subject.preprocess, subject.augment, machine.memory, machine, tell, say)
    preprocess = with_statistics(subject.preprocess, training) if subject.measures else subject.preprocess
    validation = None
    if held_out is not None:
        left = machine.memory - training.most
        pixels = _pixels("Validation", held_out, preprocess, None, left, machine, tell, say)
        validation = Part(pixels, own_labels(held_out, subject.val_label_of))
    shape = " x ".join(map(str, (preprocess.channels, *preprocess.size)))
    say(f"Input       {shape}, mean {_listed(preprocess.mean)}, std {_listed(preprocess.std)}")
    return Job(
        network=start.module,
        spec=start.spec,
        classes=start.classes,
        recipe=subject.recipe,
        training=Part(training, own_labels(source, start.label_of)),
        validation=validation,
        augment=subject.augment,
        filters=replace(subject.filters, preprocess=preprocess),
        transform=transform,
        seed=subject.seed,
        accumulate=machine.accumulate,
        channels_last=machine.channels_last,
    )


def _pixels(
    what: str,
    source: ImageSource,
    preprocess: Preprocess,
    augment: Augment | None,
    budget: int,
    machine: Machine,
    tell: Progress,
    say: Say,
) -> Pixels:
    def progress(done: int, total: int) -> None:
        tell(Report("decoding", done, total))

    pixels = open_pixels(source, preprocess, augment, workers=machine.workers, budget=budget, progress=progress)
    where = f"{pixels.kept / 1e6:,.1f} MB in memory" if pixels.kept else "decoded as they are needed"
    say(f"{what:<11} {len(source):,} images, {where}")
    return pixels


def _trained(folder: Folder, recipe: Recipe, rows: Sequence[Row]) -> Trained:
    best = best_row(rows)
    return Trained(
        out=folder.path,
        best=folder.best,
        last=folder.last,
        recipe=recipe,
        history=table(rows),
        best_epoch=best.epoch,
        best_accuracy=best.val_accuracy,
        last_accuracy=rows[-1].val_accuracy,
    )


def _check_installed(tensorboard: bool) -> None:
    """Before any work: is what the training needs there?

    Raises:
        InputError: naming the package and how to install it.
    """
    for package, needed in (("lightning", True), ("tensorboard", tensorboard)):
        if needed and find_spec(package) is None:
            raise InputError(f"Training needs {package}, which is not installed: pip install 'bandscope[train]'.")


def _listed(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _nothing(_: object) -> None:
    """Tell nobody."""
