"""A hash that says whether two image sets are the same, wherever they lie."""

import hashlib
import os
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

from bandscope.labels import ClassLabel


def fingerprint(classes: Sequence[ClassLabel], labels: Int[np.ndarray, " images"], contents: Iterable[bytes]) -> str:
    """SHA-256 over classes, labels, and whatever stands for the images, in their order."""
    digest = hashlib.sha256(repr([(label.wnid, label.name) for label in classes]).encode())
    digest.update(labels.astype("<i4").tobytes())
    for part in contents:
        digest.update(part)
    return digest.hexdigest()


def file_entry(name: str, file: str | os.PathLike[str]) -> bytes:
    """What stands for an image file: its name and its size; not its time, which copying changes."""
    try:
        size = os.stat(file).st_size  # noqa: PTH116 - a Path for each of a million files is slow
    except OSError:
        size = -1
    return f"{name}\0{size}\n".encode()
