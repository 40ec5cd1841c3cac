"""From the labels that a data set stores, integers or strings, to its classes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bandscope.datasets.names import class_label, listed
from bandscope.errors import DataError
from bandscope.labels import ClassLabel


def place_labels(
    values: Iterable[Any], names: Sequence[str], where: str
) -> tuple[tuple[ClassLabel, ...], Mapping[Any, int]]:
    """The classes, and the position among them of every label.

    Args:
        values: the labels that occur, all integers or all strings.
        names: of the classes: of those that integers count from 0, or those that strings are. Where there are none,
            the labels that occur are the classes, in their order.
        where: what holds them, for the error.

    Raises:
        DataError: a label has no name.
    """
    distinct = sorted(set(values))
    if not names:
        return tuple(class_label(str(value)) for value in distinct), {value: i for i, value in enumerate(distinct)}
    textual = any(isinstance(value, str) for value in distinct)
    place: dict[Any, int] = {name if textual else i: i for i, name in enumerate(names)}
    if outside := [str(value) for value in distinct if value not in place]:
        raise DataError(
            f"Labels {listed(outside)} in {where} have no name among {len(names)} classes"
            f"{' (-1 is how unlabelled images are marked)' if '-1' in outside else ''}."
        )
    return tuple(map(class_label, names)), place
