"""Facts that ship with the package."""

import csv
from functools import cache
from importlib.resources import files

from bandscope.labels import ClassLabel


@cache
def imagenet_classes() -> tuple[ClassLabel, ...]:
    """The 1000 classes of ImageNet-1k, in the order of the usual model outputs."""
    return tuple(ClassLabel(row["name"], row["wnid"]) for row in _rows("imagenet_classes.csv"))


def imagenet_groups() -> dict[int, str]:
    """For each of ImageNet-1k's usual output indices an everyday group: "birds", "vehicles", "food & drink" ..."""
    return {int(row["index"]): row["group"] for row in _rows("imagenet_groups.csv")}


def _rows(name: str) -> list[dict[str, str]]:
    text = files(__name__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
