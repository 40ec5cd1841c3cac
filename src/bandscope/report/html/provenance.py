"""Provenance: where every number comes from, as pairs of a name and a text."""

import shlex
from collections.abc import Mapping
from typing import Any

from bandscope.report.audit import Audit
from bandscope.report.choice import choice_lines

Pairs = list[tuple[str, str]]

CONVENTION: dict[str, dict[Any, str]] = {
    "metric": {
        "disc": "A radius is the Euclidean distance from DC.",
        "square": "A radius is the larger of the two coordinates: the filters are squares.",
    },
    "centre": {
        "dc": "Distances are measured from DC exactly.",
        "half-pixel": "Distances are measured half a bin off DC.",
    },
    "domain": {
        "normalised": "Filters act on the normalised tensor that the network sees.",
        "pixel": "Filters act on pixels in [0, 1], before normalisation.",
    },
    "keep_mean": {True: "Every filter keeps the mean colour.", False: "A high-pass removes the mean colour."},
    "clip": {
        True: "Filtered images are clipped to the range of pixels.",
        False: "Filtered images are not clipped to the range of pixels.",
    },
}


def provenance(audit: Audit) -> list[tuple[str, Pairs]]:
    """Titled lists of an audit: model, data, preprocessing, filters, machine."""
    held = audit.whole.attrs
    found = [
        ("Model", _pairs(held.get("model", {}), first=("spec", "weights_sha256"))),
        ("Data", _pairs(held.get("data", {}), first=("spec", "images", "fingerprint"))),
        ("Preprocessing", _pairs(held.get("preprocess", {}))),
        ("Zoom", _pairs(held.get("zoom") or {})),
        ("Measured", [(row["name"].replace("_", "-"), _cutoffs(row)) for row in held.get("probes", ())]),
        ("Plan", [*_pairs(held.get("plan", {})), *(("chosen", line) for line in choice_lines(held))]),
        ("Environment", _pairs(held.get("environment", {}))),
        ("Command", [("", _command(held["command"]))] if held.get("command") else []),
    ]
    return [(title, pairs) for title, pairs in found if pairs]


def convention_sentences(audit: Audit) -> list[str]:
    """What the convention's choices mean, a sentence each."""
    held = audit.whole.attrs.get("convention", {})
    return [texts[held[name]] for name, texts in CONVENTION.items() if held.get(name) in texts]


def _pairs(values: Mapping[str, Any], first: tuple[str, ...] = ()) -> Pairs:
    order = [*(name for name in first if name in values), *(name for name in values if name not in first)]
    return [(name.replace("_", " "), _text(values[name])) for name in order if values[name] not in (None, {}, [])]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(own)}" for name, own in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cutoffs(probe: Mapping[str, Any]) -> str:
    """Such as: 35 radii, 1, 2, 3, 5 ... 160 cycles/image."""
    if probe["kind"] in ("low_pass", "high_pass"):
        values, noun = [f"{high:g}" for _, high in probe["cutoffs"]], "radii"
    else:
        values, noun = [f"{low:g}–{high:g}" for low, high in probe["cutoffs"]], "bands"
    return f"{probe['family']}, {len(values)} {noun}: {', '.join(values)} cycles/image"


def _command(command: Any) -> str:
    return command if isinstance(command, str) else shlex.join(map(str, command))
