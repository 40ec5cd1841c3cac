"""The two parts of the data, and the batches that each process draws from them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int, Int64, UInt8

from bandscope.datasets import ImageSource, load_source
from bandscope.datasets.checked import checked_labels
from bandscope.datasets.spec import parse_spec
from bandscope.datasets.subset import Subset
from bandscope.errors import InputError
from bandscope.reprs import counted
from bandscope.training import augment, draws, filters
from bandscope.training.filters import TrainingFilter
from bandscope.training.pixels import Pixels, Wanted


class Batch(NamedTuple):
    """What travels to the device; None where there is nothing to do.

    pixels: whole images or crops. labels: the network's right outputs. positions: in the part of the data.
    boxes, flips: how each image is cut and mirrored. conditions: how each is filtered.
    """

    pixels: UInt8[torch.Tensor, "n h w c"]
    labels: Int64[torch.Tensor, " n"]
    positions: Int64[torch.Tensor, " n"]
    boxes: Int64[torch.Tensor, "n 4"] | None = None
    flips: Bool[torch.Tensor, " n"] | None = None
    conditions: Int64[torch.Tensor, " n"] | None = None


@dataclass(frozen=True)
class Share:
    """How an optimiser step's batch is shared: `rank` of `processes`, in `accumulate` turns."""

    rank: int = 0
    processes: int = 1
    accumulate: int = 1

    def micro_batch(self, batch_size: int) -> int:
        """Images of one process in one turn.

        Raises:
            InputError: the batch cannot be shared evenly.
        """
        parts = self.processes * self.accumulate
        if batch_size % parts:
            raise InputError(
                f"batch_size={batch_size} cannot be shared evenly by "
                f"{counted(self.processes, 'process', 'processes')} times "
                f"{counted(self.accumulate, 'accumulated gradient')}; choose a multiple of {parts}."
            )
        return batch_size // parts

    def check_validation(self, images: int) -> None:
        """Refuse validation images that do not go round.

        Raises:
            InputError: a process would have none.
        """
        if images < self.processes:
            raise InputError(
                f"{counted(images, 'validation image')} cannot be shared by {self.processes} processes; give at "
                "least as many images, or val=none."
            )


@dataclass(frozen=True)
class Part:
    """Training or validation images, ready to be drawn.

    pixels: by position. labels: the network's right output of each image.
    """

    pixels: Pixels
    labels: Int64[torch.Tensor, " images"]

    def __len__(self) -> int:
        return len(self.labels)


class TrainingBatches:
    """The training batches of one process, in another order each epoch.

    Order, augmentation and filters of a step are drawn from (seed, epoch, step) for the whole batch, of which each
    process and turn takes its part: however it is shared, the same images are seen in the same way. Images
    that do not fill a last batch are left for another epoch.

    Args:
        part: the images.
        filters: of training images.
        batch_size: images a step, over all processes and turns.
        share: of this process.
        seed: of all draws.
        epoch: tells the current epoch, from 0.
        pin: whether pixels are put where a GPU can fetch them by itself.
    """

    def __init__(
        self,
        part: Part,
        filters: TrainingFilter,
        *,
        batch_size: int,
        share: Share,
        seed: int,
        epoch: Callable[[], int],
        pin: bool = False,
    ) -> None:
        self._part, self._filters, self._share = part, filters, share
        self._seed, self._epoch, self._pin = seed, epoch, pin
        self._batch_size, self._micro = batch_size, share.micro_batch(batch_size)
        self.steps = steps_per_epoch(len(part), batch_size)

    def __len__(self) -> int:
        return self.steps * self._share.accumulate

    def __iter__(self) -> Iterator[Batch]:
        for loaded in self._part.pixels.load(self._wanted(self._epoch())):
            wanted, cuts = loaded.wanted, loaded.cuts
            assert wanted.uniforms is not None  # for mypy: training batches always have them
            yield Batch(
                loaded.pixels.pin_memory() if self._pin else loaded.pixels,
                self._part.labels[torch.from_numpy(wanted.positions)],
                torch.from_numpy(wanted.positions),
                None if cuts is None else torch.from_numpy(cuts.boxes),
                None if cuts is None else torch.from_numpy(cuts.flips),
                torch.from_numpy(self._filters.draw(wanted.uniforms[:, augment.COLUMNS :])),
            )

    def _wanted(self, epoch: int) -> Iterator[Wanted]:
        order = draws.permutation(len(self._part), self._seed, draws.ORDER, epoch)
        columns = augment.COLUMNS + filters.COLUMNS
        for step in range(self.steps):
            positions = order[step * self._batch_size : (step + 1) * self._batch_size]
            uniforms = draws.uniforms(self._batch_size, columns, self._seed, draws.AUGMENT, epoch, step)
            for turn in range(self._share.accumulate):
                start = (turn * self._share.processes + self._share.rank) * self._micro
                rows = slice(start, start + self._micro)
                yield Wanted(positions[rows], uniforms[rows])


class ValidationBatches:
    """Every `processes`-th validation image, in order, each once."""

    def __init__(
        self, part: Part, filters: TrainingFilter, *, batch_size: int, share: Share, pin: bool = False
    ) -> None:
        self._part, self._fixed, self._pin = part, filters.fixed, pin
        own = np.arange(len(part))[share.rank :: share.processes]
        self._batches = [own[i : i + batch_size] for i in range(0, len(own), batch_size)]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        for loaded in self._part.pixels.load(map(Wanted, self._batches)):
            positions = torch.from_numpy(loaded.wanted.positions)
            pixels = loaded.pixels.pin_memory() if self._pin else loaded.pixels
            conditions = torch.zeros_like(positions) if self._fixed else None
            yield Batch(pixels, self._part.labels[positions], positions, conditions=conditions)


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Optimiser steps an epoch.

    Raises:
        InputError: there are fewer images than a batch.
    """
    if images < batch_size:
        raise InputError(f"batch_size={batch_size} is more than the {images} training images; choose a smaller one.")
    return images // batch_size


def open_parts(
    data: str | ImageSource, val: str | ImageSource | float | None, seed: int
) -> tuple[ImageSource, ImageSource | None]:
    """The training and the validation images; a number holds out that share of each class.

    Raises:
        InputError, DataError: a part cannot be opened, is the wrong one, or is empty.
    """
    source = load_source(data)
    _check_training_part(data, source)
    checked_labels(source)
    if val is None:
        return source, None
    if isinstance(val, int | float):
        return split(source, float(val), seed)
    held_out = load_source(val)
    checked_labels(held_out)
    if held_out.spec == source.spec:
        raise InputError(f"Training and validation images are the same, {source.spec!r}; give another part as val.")
    return source, held_out


def split(source: ImageSource, share: float, seed: int) -> tuple[ImageSource, ImageSource]:
    """A seeded share of every class held out, rounded, in the source's own order.

    Raises:
        InputError: the share is not between 0 and 1, or one of the parts is empty.
    """
    if not 0 < share < 1:
        raise InputError(f"val={share} is not a share of the images; it must lie between 0 and 1.")
    order = draws.permutation(len(source), seed, draws.SPLIT)
    labels = np.asarray(source.labels)
    held_out = np.zeros(len(source), dtype=bool)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        held_out[own[: round(share * len(own))]] = True
    if not held_out.any() or held_out.all():
        empty = "validation" if not held_out.any() else "training"
        raise InputError(
            f"val={share} of the {len(source)} images of {source.spec} leaves no {empty} images: "
            "choose another share, or give the validation images themselves."
        )
    return Subset(source, np.flatnonzero(~held_out)), Subset(source, np.flatnonzero(held_out))


def own_labels(source: ImageSource, label_of: Int[np.ndarray, " classes"]) -> Int64[torch.Tensor, " images"]:
    """For each image the right output."""
    return torch.from_numpy(label_of[np.asarray(source.labels)].astype(np.int64))


def _check_training_part(data: str | ImageSource, source: ImageSource) -> None:
    """Some sets mean their held-out part unless they are told otherwise: nobody trains on that."""
    if not isinstance(data, str):
        return
    asked, chosen = parse_spec(data, {}).options, parse_spec(source.spec, {}).options
    if parse_spec(data, {}).kind == "planted":
        if asked.get("split", "test") == "test":
            raise InputError(f"{data!r} is the held-out part: say planted?split=train, and give this part as val.")
        return
    added = {name: value for name, value in chosen.items() if name not in asked}
    if added:
        how = "train=true" if "train" in added else "split=train"
        raise InputError(
            f"{data!r} is the held-out part, {source.spec!r}: add {how} to train, and give this part as val."
        )
