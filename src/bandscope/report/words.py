"""Words that the terminal, the tables and the page share."""

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

_KINDS = {"low_pass": ("Low-pass", "reaches"), "high_pass": ("High-pass", "falls to")}


def filter_name(about: Mapping[Any, Any]) -> str:
    """Such as "Low-pass" or "Gaussian High-pass", of a radial probe's attributes."""
    soft = "" if about["family"] == "ideal" else f"{about['family'].capitalize()} "
    return soft + _KINDS[about["kind"]][0]


def reaches(about: Mapping[Any, Any], level: float) -> str:
    """Such as "Low-pass reaches 90%"."""
    return f"{filter_name(about)} {_KINDS[about['kind']][1]} {level:.0%}"
