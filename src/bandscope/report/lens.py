"""The command that opens the lens on an audit's model and images."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bandscope.classifiers.specs import parse_spec
from bandscope.conventions import PRESETS
from bandscope.datasets.spec import is_spec
from bandscope.errors import InputError

# Options that the lens has in common with an audit, and that its store's settings do not tell as such.
SHARED = ("--weights", "--input-size", "--crop-pct", "--mean", "--std", "--interpolation", "--labels", "--match")


def lens_command(attributes: Mapping[Any, Any]) -> str:
    """What to type; empty where the lens would show something else, or where model or images have no spec.

    Args:
        attributes: of a cube.
    """
    model, data = str(attributes["model"]["spec"]), str(attributes["data"]["spec"])
    zoom = attributes.get("zoom") or {}
    if zoom.get("boxes") or zoom.get("outside", "real") != "real":  # how the lens never zooms
        return ""
    if not (_loads(model) and is_spec(data)):
        return ""
    written = shlex.split(str(attributes.get("command") or ""))
    settings = _shared(written) if model in written else ()
    return shlex.join(["bandscope", "lens", model, data, *_convention(attributes.get("convention", {})), *settings])


def _loads(spec: str) -> bool:
    try:
        parse_spec(spec)
    except InputError:
        return False
    return True


def _convention(convention: Mapping[str, Any]) -> Iterator[str]:
    preset = str(convention.get("preset", "bandscope"))
    usual = PRESETS[preset].to_json()
    if preset != "bandscope":
        yield from ("--convention", preset)
    if convention.get("domain", usual["domain"]) != usual["domain"]:
        yield from ("--domain", str(convention["domain"]))
    for name, on, off in (("keep_mean", "--keep-mean", "--drop-mean"), ("clip", "--clip", "--no-clip")):
        if convention.get(name, usual[name]) != usual[name]:
            yield on if convention[name] else off


def _shared(written: Sequence[str]) -> Iterator[str]:
    for place, word in enumerate(written):
        name, equals, _ = word.partition("=")
        if name not in SHARED:
            continue
        if equals:
            yield word
        else:
            yield from written[place : place + 2]
