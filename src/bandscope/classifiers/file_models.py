"""What networks that come as one file have in common: an input of fixed shape, and nothing to be set in them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float

from bandscope.classifiers.request import Request, settle_preprocess
from bandscope.classifiers.torch_classifier import as_logits
from bandscope.errors import InputError, ModelError
from bandscope.preprocess import Preprocess


@dataclass(frozen=True)
class Input:
    """What a network takes: a batch of `least` to `most` images (None: any number), None where a side is free."""

    name: str
    dtype: Any
    least: int
    most: int | None
    channels: int | None
    height: int | None
    width: int | None


def find_file(request: Request, kind: str) -> Path:
    """The file that the spec names.

    Raises:
        ModelError: it does not exist. InputError: weights or options are given: the file holds both.
    """
    spec, path = request.spec, Path(request.spec.name).expanduser()
    if request.weights is not None or spec.options:
        raise InputError(f"{spec.text} holds its own weights and network: only preprocessing can be given")
    if not path.is_file():
        raise ModelError(f"the {kind} file {path} does not exist")
    return path


def fitted_preprocess(request: Request, recorded: Preprocess | None, taken: Input) -> Preprocess:
    """The caller's or the recorded preprocessing, checked against the network's input.

    Raises:
        ModelError: nobody says how images are prepared, or they would be of another shape.
    """
    size = (taken.height, taken.width) if taken.height and taken.width else None
    preprocess = settle_preprocess(request, recorded, size=size, channels=taken.channels)
    given = (preprocess.channels, *preprocess.size)
    expected = (taken.channels, taken.height, taken.width)
    if any(want not in (None, have) for want, have in zip(expected, given, strict=True)):
        shape = " x ".join(str(side) if side else "any" for side in expected)
        raise ModelError(
            f"{request.spec.text} expects {shape} (channels x height x width) but its preprocessing gives "
            f"{' x '.join(map(str, given))}"
        )
    return preprocess


def in_pieces(
    run: Callable[[torch.Tensor], Any], batch: Float[torch.Tensor, "n c h w"], taken: Input
) -> Float[torch.Tensor, "n classes"]:
    """Logits of a batch, in pieces as large as the network takes, the last one filled up with its last image.

    Raises:
        ModelError: the output is not one row of scores an image.
    """
    pieces = []
    for piece in torch.split(batch, min(len(batch), taken.most or len(batch))):
        short = max(taken.least - len(piece), 0)
        full = torch.cat([piece, piece[-1:].expand(short, -1, -1, -1)]) if short else piece
        pieces.append(as_logits(run(full), len(full))[: len(piece)])
    return torch.cat(pieces)


def file_hash(path: Path) -> str:
    """SHA-256 of the file, and of the weights that exporters put beside a large ONNX graph as FILE.data."""
    digest = hashlib.sha256()
    for part in (path, path.with_name(f"{path.name}.data")):
        if part.is_file():
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
