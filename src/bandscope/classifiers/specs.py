"""What a user may write for a classifier, taken apart: `kind:name?option=value&...`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bandscope.errors import InputError, nearest
from bandscope.literals import parse_literal

KINDS = ("timm", "torchvision", "hf", "onnx", "export", "python")
FORMS = (
    "timm:NAME, torchvision:NAME, hf:ID, onnx:FILE, export:FILE, python:package.module:factory, a path ending in "
    ".safetensors, or planted"
)
TEXTS = ("revision",)  # options that are text even where they read as a number, as some hashes do


@dataclass(frozen=True)
class Spec:
    """A classifier spec taken apart.

    text: what the user wrote. kind: one of KINDS, "checkpoint" or "planted".
    name: what follows the kind. options: what follows the question mark, values parsed.
    """

    text: str
    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_spec(text: str) -> Spec:
    """Take a spec apart.

    Raises:
        InputError: its kind is unknown, its name is missing, or an option is not `name=value`.
    """
    head, _, query = text.partition("?")
    options = _parse_options(query, text)
    kind, colon, name = head.partition(":")
    if colon and kind in KINDS:
        if not name:
            raise InputError(f"classifier {text!r} lacks a name after {kind}:; allowed: {FORMS}.")
        return Spec(text, kind, name, options)
    if head == "planted":
        return Spec(text, "planted", head, options)
    if head.endswith(".safetensors"):
        return Spec(text, "checkpoint", head, options)
    raise InputError(f"unknown classifier {text!r}; allowed: {FORMS}.{_hint(head, kind, colon)}")


def _hint(head: str, kind: str, colon: str) -> str:
    if colon:
        return nearest(kind, KINDS)
    if head.endswith(".onnx"):
        return f" Did you mean 'onnx:{head}'?"
    if head.endswith(".pt2"):
        return f" Did you mean 'export:{head}'?"
    if head.endswith((".pt", ".pth")):
        return f" Name the network too: timm:NAME?weights={head}"
    return nearest(head, ["planted"]) or f" Did you mean 'timm:{head}' or 'torchvision:{head}'?"


def _parse_options(query: str, text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise InputError(f"option {part!r} in classifier {text!r} is not of the form name=value")
        if name in options:
            raise InputError(f"option {name!r} is given twice in classifier {text!r}")
        options[name] = value if name in TEXTS else parse_literal(value)
    return options
