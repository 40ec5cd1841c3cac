"""The folder of a training: best and last weights, the history, and what an interrupted training goes on from."""

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file
from torch import nn

from bandscope.cube.lock import writing
from bandscope.cube.place import COLLAPSED
from bandscope.errors import InputError, StoreError
from bandscope.files import DRAFT, write_text
from bandscope.nested import flat

BAD_BATCH = "bad-batch-step"  # how the names of batches begin that stopped a training
OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # what only writing meets


@dataclass(frozen=True)
class Row:
    """One epoch of the history.

    Attributes:
        epoch: from 1.
        step: optimiser steps so far.
        lr: learning rate of the last step.
        train_loss: mean over the epoch, with label smoothing.
        train_accuracy: of augmented images, while learning.
        val_loss: without label smoothing; NaN without validation images.
        val_accuracy: top-1; NaN without validation images.
        seconds: of the epoch with its validation.
        images_per_second: of the training images, validation aside.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    images_per_second: float


class Folder:
    """The files of one training.

    best, last: weights, as `bandscope audit` takes them. history: a CSV with a row an epoch. run: what is trained, as
    JSON. state: all that the next epoch needs; loaded without running code. logs: TensorBoard's.

    An epoch counts from the moment its state is in place. Its other files wait as drafts until then, and whoever
    comes after a kill brings them into place, or sweeps those of an epoch that does not count.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.best, self.last = self.path / "best.safetensors", self.path / "last.safetensors"
        self.history, self.run = self.path / "history.csv", self.path / "run.json"
        self.state, self.logs = self.path / "state.ckpt", self.path / "tensorboard"

    def check(self, identity: Mapping[str, Any], *, overwrite: bool) -> None:
        """Refuse a folder that is none of ours or, unless it may be overwritten, another training's.

        Args:
            identity: what must agree to go on.
            overwrite: start again in it.

        Raises:
            StoreError: saying what is in the way, or what differs.
        """
        if not self.run.is_file():
            if self.path.exists() and not (self.path.is_dir() and self._untouched()):
                raise StoreError(f"{self.path} exists and is not the folder of a training; choose another --out.")
        elif not overwrite:
            self._check_same(_plain(identity))

    def begin(self, record: Mapping[str, Any], *, overwrite: bool) -> None:
        """Record what is trained in the folder, sweep what was left, and, to start again, forget what was.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            for file in (self.state, self.best, self.last, self.history) if overwrite else ():
                file.unlink(missing_ok=True)
            for log in self.logs.glob("events.out.tfevents.*") if overwrite else ():
                log.unlink()
            for left in self.path.glob(f"{BAD_BATCH}*.pt"):
                left.unlink()
        except OSError as error:
            raise StoreError(f"The folder {self.path} cannot be written: {error.strerror}.") from error
        write_text(self.run, json.dumps(_plain(record), indent=2) + "\n")

    def stored_history(self) -> tuple[Row, ...]:
        """The rows of the state.

        Raises:
            StoreError: it cannot be read.
        """
        if not self.state.is_file():
            return ()
        try:
            state = torch.load(self.state, map_location="cpu", weights_only=True)
            return rows_of(state)
        except Exception as error:  # a damaged pickle fails with anything
            raise StoreError(
                f"{self.state} cannot be read ({type(error).__name__}): start again with --overwrite."
            ) from error

    def draft(self, file: Path, epoch: int) -> Path:
        """Where a file of an epoch waits for the epoch's state."""
        return self.path / f"{DRAFT}epoch{epoch}-{file.name}"

    def settle(self, epoch: int) -> None:
        """Bring the drafts of the epoch whose state is there into place, and sweep all others.

        Raises:
            StoreError: the folder cannot be written.
        """
        own = self.draft(Path(), epoch).name
        try:
            for draft in list(self.path.glob(f"{DRAFT}*")):
                if draft.name.startswith(own):
                    draft.replace(self.path / draft.name.removeprefix(own))
                else:
                    draft.unlink()
        except OSError as error:
            raise StoreError(f"The folder {self.path} cannot be written: {error.strerror}.") from error

    def give_last(self, network: nn.Module) -> None:
        """Load the last weights into the network they were learned by."""
        network.load_state_dict(load_file(self.last))
        network.eval()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Keep other runs out of the folder, which is made where there is none.

        Raises:
            StoreError: another run is in it, or it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"The folder {self.path} cannot be written: {error.strerror}.") from error
        with ExitStack() as held:
            try:
                held.enter_context(writing(self.path, shared=False))
            except StoreError:
                raise StoreError(
                    f"Another run is training in {self.path}: wait for it, or choose another --out."
                ) from None
            yield

    @contextmanager
    def writes(self) -> Iterator[None]:
        """What the disk refuses, in one sentence.

        Raises:
            StoreError: it is full or read-only.
        """
        try:
            yield
        except Exception as error:  # libraries dress up errors of the disk
            refusal = next((e for e in _chain(error) if isinstance(e, OSError) and e.errno in OF_DISKS), None)
            if refusal is None:
                raise
            raise StoreError(
                f"{self.path} cannot be written: {refusal.strerror}. Finished epochs are kept: once that is mended, "
                "the same command goes on."
            ) from error

    def _untouched(self) -> bool:
        """Whether nothing is in the folder but what a start that was killed may leave."""
        return all(entry.name.startswith(DRAFT) for entry in self.path.iterdir())

    def _check_same(self, identity: Mapping[str, Any]) -> None:
        try:
            stored = json.loads(self.run.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.run} cannot be read: {error}") from error
        asked, held = flat(identity), flat({name: stored.get(name) for name in identity})
        differing = [
            f"  {name}: {asked.get(name)} asked, {held.get(name)} stored"
            for name in sorted({*asked, *held})
            if asked.get(name) != held.get(name)
        ]
        if differing:
            lines = "\n".join(differing)
            raise StoreError(
                f"{self.path} holds another training:\n{lines}\n"
                "Choose another --out, or start again with --overwrite."
            )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def rows_of(state: Mapping[str, Any]) -> tuple[Row, ...]:
    """The history in a state."""
    return tuple(Row(**row) for row in state["history"])


def best_row(rows: Sequence[Row]) -> Row:
    """The row of the highest validation accuracy, the first of equals; the last row without validation images."""
    validated = [row for row in rows if not math.isnan(row.val_accuracy)]
    return max(validated, key=lambda row: row.val_accuracy) if validated else rows[-1]


def table(rows: Sequence[Row]) -> pd.DataFrame:
    """The history as a table."""
    return pd.DataFrame([asdict(row) for row in rows], columns=[field.name for field in fields(Row)])


def check_out(out: str | os.PathLike[str]) -> None:
    """Refuse an `out` that names no folder of its own.

    Raises:
        InputError: for "", ".", "/" or a URL.
    """
    if COLLAPSED.match(str(Path(out))):
        raise InputError(f"out={str(out)!r} is a URL; a training is kept in a folder on disk, such as trained.")
    if not Path(out).name:
        raise InputError(f"out={str(out)!r} is no folder of its own; give one such as trained.")


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain
