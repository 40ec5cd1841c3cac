"""What a torchvision data set knows about its images, whatever its authors called it."""

import operator
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from bandscope.datasets.decode import decoding
from bandscope.datasets.fingerprint import file_entry
from bandscope.datasets.names import class_label, listed
from bandscope.errors import DataError, ImageError
from bandscope.labels import ClassLabel

# What torchvision's constructors and loaders raise where files are missing, foreign or damaged.
FAILURES = (RuntimeError, OSError, ValueError, TypeError, LookupError, ImportError, EOFError, pickle.UnpicklingError)
SAMPLED = 64  # images that stand for the rest in the fingerprint of a set that names no files


def label_values(dataset: Any, spec: str) -> Int[np.ndarray, " images"]:
    """For each image torchvision's label, without decoding images where the set allows it."""
    for given in _label_lists(dataset):
        values = np.asarray(given)
        if values.ndim == 1 and len(values) == len(dataset) and np.issubdtype(values.dtype, np.integer):
            return values
    try:
        return np.array([operator.index(dataset[i][1]) for i in range(len(dataset))], np.int64)
    except FAILURES as error:
        raise DataError(f"{spec!r} does not give one class an image, so it cannot be audited.") from error


def _label_lists(dataset: Any) -> Iterator[Any]:
    for name in ("targets", "labels", "_labels", "y"):
        if (values := getattr(dataset, name, None)) is not None:
            yield values
    if samples := _samples(dataset):
        yield [label for _, label in samples]


def _samples(dataset: Any) -> Sequence[tuple[Any, Any]]:
    """(path, label) of every image, where the set keeps them."""
    for name in ("samples", "imgs", "_samples"):
        samples = getattr(dataset, name, None)
        if samples and isinstance(samples[0], tuple) and isinstance(samples[0][0], str | os.PathLike):
            return samples  # type: ignore[no-any-return]
    return ()


def _files(dataset: Any) -> Sequence[str | os.PathLike[str]]:
    """The file of every image, where the set keeps them."""
    for name in ("_image_files", "_images", "data"):
        files = getattr(dataset, name, None)
        if isinstance(files, list) and len(files) == len(dataset) and isinstance(files[0], str | os.PathLike):
            return files
    return [path for path, _ in _samples(dataset)]


def image_paths(dataset: Any) -> Iterator[str]:
    """Where every image comes from, relative to the root."""
    files = _files(dataset)
    if not files:
        yield from (f"#{i}" for i in range(len(dataset)))
    root = os.path.join(dataset.root, "") if files else ""  # noqa: PTH118 - a Path for each of a million files is slow
    for file in files:
        path = os.fspath(file)
        relative = path[len(root) :] if path.startswith(root) else os.path.relpath(path, root)
        yield relative.replace(os.sep, "/")


def image_contents(dataset: Any) -> Iterator[bytes]:
    """What stands for the images in a fingerprint: names and sizes of files, pixels in memory, or a few images."""
    if files := _files(dataset):
        yield from map(file_entry, image_paths(dataset), files)
    elif (data := getattr(dataset, "data", None)) is not None:
        yield np.ascontiguousarray(np.asarray(data)).tobytes()
    else:
        positions = np.unique(np.linspace(0, len(dataset) - 1, SAMPLED).astype(int))
        yield from (_pixels(dataset, position) for position in positions.tolist())


def _pixels(dataset: Any, position: int) -> bytes:
    try:
        with decoding():
            return np.asarray(dataset[position][0]).tobytes()
    except ImageError as error:
        return str(error).encode()


def class_labels(
    dataset: Any, values: Int[np.ndarray, " images"], spec: str
) -> tuple[tuple[ClassLabel, ...], Int[np.ndarray, " images"]]:
    """The classes, and for each image its position among them; the labels themselves where they have no names."""
    classes = _class_names(dataset)
    if not classes:
        distinct, positions = np.unique(values, return_inverse=True)
        return tuple(ClassLabel(str(value)) for value in distinct), positions.astype(np.int32)
    outside = [str(value) for value in np.unique(values) if not 0 <= value < len(classes)]
    if outside:
        raise DataError(f"Labels {listed(outside)} of {spec!r} have no name among its {len(classes)} classes.")
    return classes, values.astype(np.int32)


def _class_names(dataset: Any) -> tuple[ClassLabel, ...]:
    found = (getattr(dataset, name, None) for name in ("classes", "categories", "class_to_idx"))
    names = next((names for names in found if names), ())
    names = sorted(names, key=names.__getitem__) if isinstance(names, Mapping) else names
    wnids = getattr(dataset, "wnids", None)
    if wnids is None:
        return tuple(map(_label, names))
    return tuple(ClassLabel(_label(name).name, wnid) for name, wnid in zip(names, wnids, strict=True))


def _label(name: object) -> ClassLabel:
    """ImageNet and Imagenette give a tuple of synonyms, the others a string."""
    return class_label(str(name[0] if isinstance(name, tuple) else name))
