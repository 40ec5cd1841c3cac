"""Values of a block that cannot come from an audit."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandscope.cube.schema import STATUS

UNIT_RANGE = ("probability", "top5_probability", "out_of_range", "padded")
ROUNDING = 1e-6  # by so much a sum of float32 shares may exceed 1


def contradictions(
    arrays: Mapping[str, NDArray[Any]], labels: NDArray[Any], outputs: int
) -> Iterator[tuple[str, str]]:
    """(array, what is wrong) for every array of a block whose values cannot come from an audit.

    Args:
        arrays: the block's arrays by their path in the cube, images first; `status` among them.
        labels: the right output of each image.
        outputs: how many outputs the classifier has.
    """
    status = np.array(arrays[STATUS.name], dtype=object)
    if (empty := np.flatnonzero(status == "")).size:
        yield STATUS.name, f"{len(empty)} images without a status"
    ok = status == "ok"
    for name, array in arrays.items():
        if name == STATUS.name:
            continue
        yield from ((name, what) for what in _impossible(name.rpartition("/")[2], array, ok, outputs))
    for prefix in _prefixes(arrays):
        yield from _disagreeing(prefix, arrays, labels, ok)


def _impossible(name: str, array: NDArray[Any], ok: NDArray[np.bool_], outputs: int) -> Iterator[str]:
    """Values out of range, or values where there must be none."""
    name, good, left_out = name.removeprefix("clean_"), array[ok], array[~ok]
    if array.dtype.kind == "i":
        if (left_out != -1).any():
            yield "classes for images that are left out"
        if ((good < 0) | (good >= outputs)).any():
            yield f"classes outside 0 to {outputs - 1}"
        return
    if not np.isnan(left_out).all():
        yield "values for images that are left out"
    if name == "object_pixels":  # NaN where an image has no box
        return
    # The margin of a classifier with one output is infinite.
    if np.isnan(good).any() or (name != "margin" and np.isinf(good).any()):
        yield 'values that are not finite for images that are "ok"'
    elif name in UNIT_RANGE and ((good < 0) | (good > 1 + ROUNDING)).any():
        yield "values outside 0 to 1"


def _prefixes(arrays: Iterable[str]) -> list[str]:
    """What stands before "probability", "margin", ...: "clean_", and the groups."""
    groups = sorted({name.rpartition("/")[0] for name in arrays} - {""})
    return ["clean_", *(f"{group}/" for group in groups)]


def _disagreeing(
    prefix: str, arrays: Mapping[str, NDArray[Any]], labels: NDArray[Any], ok: NDArray[np.bool_]
) -> Iterator[tuple[str, str]]:
    """Margin against the prediction, and the label's probability against that among the top classes."""
    probability, margin, classes, top = (
        arrays[prefix + name][ok] for name in ("probability", "margin", "top5_class", "top5_probability")
    )
    right = labels[ok].reshape(-1, *[1] * (classes.ndim - 1))
    correct = classes[..., 0] == right[..., 0]
    if ((margin > 0) & ~correct | (margin < 0) & correct).any():  # 0 is a tie: either may come first
        yield f"{prefix}margin", "its sign contradicts the predicted class"
    if ((classes == right) & (top != probability[..., None])).any():
        yield f"{prefix}probability", "differs from top5_probability of the same class"
    if (np.diff(top, axis=-1) > 0).any():
        yield f"{prefix}top5_probability", "rises with rank"
