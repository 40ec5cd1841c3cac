"""Words that the terminal, the tables and the page share."""

import re
from collections.abc import Mapping
from typing import Any

PLURALS = {"class": "classes", "group": "groups"}

# What a scale law says of the band.
FOLLOWS = {
    "object": "follows the object",
    "image": "stays in the image",
    "between": "follows the object in part",
    "beyond": "moves in another way",
    "undecided": "undecided",
}

FILTERS = {"low_pass": "Low-pass", "high_pass": "High-pass", "band_pass": "Band-pass", "band_stop": "Band-stop"}
_VERBS = {"low_pass": "reaches", "high_pass": "falls to"}
_FOLDERS = re.compile(r"(?:[^/\\?&=:]*[/\\])+([^/\\?&=:]+[/\\][^/\\?&=:]+)")  # all but the last, before a file


def filter_name(kind: str, family: str = "ideal") -> str:
    """Such as "Low-pass" or "Gaussian High-pass"."""
    return FILTERS[kind] if family == "ideal" else f"{family.capitalize()} {FILTERS[kind]}"


def reaches(about: Mapping[Any, Any], level: float) -> str:
    """Such as "Low-pass reaches 90%"."""
    return f"{filter_name(about['kind'], about['family'])} {_VERBS[about['kind']]} {level:.0%}"


def short_spec(spec: str) -> str:
    """A spec as titles have it: of a path the file and its folder, of a Python object its own name."""
    return spec.rpartition(".")[2] if spec.startswith("object:") else _FOLDERS.sub(r"\1", spec)
