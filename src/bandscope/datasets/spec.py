"""What a user may write for an image set, taken apart: `kind:place?option=value&...`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import Parameter
from pathlib import Path
from typing import Any

from bandscope.errors import InputError, nearest
from bandscope.literals import parse_literal

KINDS = ("folder", "parquet", "hf", "wds", "torchvision", "planted")
FORMS = "folder:DIR, parquet:GLOB, hf:NAME, wds:SHARDS, torchvision:NAME?root=DIR or planted"
# A question mark is also a wildcard in a glob: only one followed by `name=` starts the options.
SPEC = re.compile(r"(?P<head>.*?)(?:\?(?P<options>\w+=.*))?", re.DOTALL)


@dataclass(frozen=True)
class Spec:
    """A data spec taken apart: its text with all options, its kind, its place, and its options as given."""

    text: str
    kind: str
    place: str
    options: Mapping[str, Any]


def parse_spec(text: str, more: Mapping[str, Any]) -> Spec:
    """Take a data spec apart and add options given in Python.

    Raises:
        InputError: its kind is unknown, its place is missing, or an option is not `name=value` or is given twice.
    """
    found = SPEC.fullmatch(text)
    head, written = (found["head"], found["options"]) if found else (text, None)
    kind, _, place = head.partition(":")
    _check_head(text, head, kind, place)
    options = _written(written or "", text)
    if twice := sorted(options.keys() & more.keys()):
        raise InputError(f"Option {twice[0]!r} of {text!r} is given twice.")
    return Spec(_with(text, bool(options), more), kind, place, {**options, **more})


def is_spec(text: str) -> bool:
    """Whether a data set could be opened by this text; a source of the user's own may be called anything."""
    try:
        parse_spec(text, {})
    except InputError:
        return False
    return True


def _check_head(text: str, head: str, kind: str, place: str) -> None:
    if kind not in KINDS or (kind == "planted") != (head == "planted"):
        raise InputError(f"{text!r} is not a known image set; allowed: {FORMS}.{_hint(head, kind)}")
    if kind != "planted" and not place:
        raise InputError(f"{text!r} lacks what comes after {kind}:; allowed: {FORMS}.")


def _hint(head: str, kind: str) -> str:
    if kind in KINDS:
        return ""
    if head.endswith(".parquet"):
        return f" Did you mean 'parquet:{head}'?"
    if head.endswith(".tar"):
        return f" Did you mean 'wds:{head}'?"
    if Path(head).expanduser().is_dir():
        return f" Did you mean 'folder:{head}'?"
    return nearest(kind.lower(), KINDS)


def _written(written: str, text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in filter(None, written.split("&")):
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise InputError(f"Option {part!r} of {text!r} is not of the form name=value.")
        if name in options:
            raise InputError(f"Option {name!r} of {text!r} is given twice.")
        options[name] = value
    return options


def _with(text: str, has_options: bool, more: Mapping[str, Any]) -> str:
    """The spec that says in one text what was given as text and as keywords, so that it can be opened again."""
    added = "&".join(f"{name}={_shown(value)}" for name, value in more.items())
    return f"{text}{'&' if has_options else '?'}{added}" if added else text


def _shown(value: object) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def arguments(spec: Spec, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """The spec's options as keyword arguments, each of the type of its parameter's default.

    Raises:
        InputError: an option is unknown, or its value is of another type.
    """
    for name in spec.options:
        if name not in parameters:
            allowed = ", ".join(sorted(parameters)) or "none"
            hint = nearest(name, parameters)
            raise InputError(f"{spec.text!r} has an unknown option {name!r}; allowed: {allowed}.{hint}")
    return {name: _typed(spec, parameters[name], value) for name, value in spec.options.items()}


def _typed(spec: Spec, parameter: Parameter, given: Any) -> Any:
    default = parameter.default
    if default is Parameter.empty or isinstance(default, str):
        return given
    value = parse_literal(given) if isinstance(given, str) else given
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if default is not None and type(value) is not type(default):
        wanted = {bool: "true or false", int: "an integer", float: "a number"}.get(
            type(default), type(default).__name__
        )
        raise InputError(f"Option {parameter.name!r} of {spec.text!r} is {given!r}; it must be {wanted}.")
    return value
