"""The folder of a training: best and last weights, the history, and what an interrupted training goes on from."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from bandscope.errors import InputError, StoreError
from bandscope.nested import flat


@dataclass(frozen=True)
class Row:
    """One epoch of the history.

    epoch: from 1. step: optimiser steps so far. lr: of the last one.
    train_loss: mean over the epoch, with label smoothing. train_accuracy: of augmented images, while learning.
    val_loss: without label smoothing. val_accuracy: top-1. NaN without validation images.
    seconds: of the epoch with its validation. images_per_second: of the training images, validation aside.
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
        """Make the folder, record what is trained in it, and, to start again, forget what was.

        Raises:
            StoreError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for file in (self.state, self.best, self.last, self.history) if overwrite else ():
                file.unlink(missing_ok=True)
            for log in self.logs.glob("events.out.tfevents.*") if overwrite else ():
                log.unlink()
            write_whole(self.run, json.dumps(_plain(record), indent=2) + "\n")
        except OSError as error:
            raise StoreError(f"The folder {self.path} cannot be written: {error.strerror}.") from error

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

    def write_history(self, rows: Sequence[Row]) -> None:
        """The history as CSV, whole."""
        write_whole(self.history, table(rows).to_csv(index=False))

    def _untouched(self) -> bool:
        """Whether nothing is in the folder but what a start that was killed may leave."""
        return all(entry.name.startswith(f".{self.run.name}.") for entry in self.path.iterdir())

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


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears only once it is complete."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def check_out(out: str | os.PathLike[str]) -> None:
    """Refuse an `out` that names no folder of its own.

    Raises:
        InputError: for "", "." or "/".
    """
    if not Path(out).name:
        raise InputError(f"out={str(out)!r} is no folder of its own; give one such as trained.")


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain
