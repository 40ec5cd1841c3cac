"""Classes and their names, of models and of data sets alike."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ClassLabel:
    """One class, of a model's outputs or of a data set.

    Attributes:
        name: what people read, such as "tench".
        wnid: the WordNet id, such as "n01440764", or "".
    """

    name: str
    wnid: str = ""


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with their index where two are alike: ImageNet has two cranes."""
    counts = Counter(names)
    return tuple(f"{name} [{index}]" if counts[name] > 1 else name for index, name in enumerate(names))
