"""Classes and their names, of models and of data sets alike."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassLabel:
    """One class, of a model's outputs or of a data set.

    `name` is what people read ("tench"); `wnid` is the WordNet id ("n01440764") or "".
    """

    name: str
    wnid: str = ""
