"""What a model file says about itself: the JSON text that .safetensors and ONNX files carry under "bandscope"."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bandscope.errors import InputError, ModelError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess

KEY = "bandscope"


@dataclass(frozen=True)
class Metadata:
    """What can be recorded in a model file; anything may be absent.

    model: the spec that builds the network (not needed in an ONNX file, which holds it).
    preprocess: from source pixels to the tensor the network sees.
    classes: one label an output.
    """

    model: str | None = None
    preprocess: Preprocess | None = None
    classes: tuple[ClassLabel, ...] | None = None


def write_metadata(metadata: Metadata) -> str:
    """The JSON text: {"model": spec, "preprocess": {...}, "classes": [[name, wnid], ...]}."""
    preprocess = metadata.preprocess.to_json() if metadata.preprocess else None
    classes = [[label.name, label.wnid] for label in metadata.classes] if metadata.classes else None
    values = {"model": metadata.model, "preprocess": preprocess, "classes": classes}
    return json.dumps({name: value for name, value in values.items() if value is not None})


def read_metadata(text: str | None, path: Path) -> Metadata:
    """The inverse of `write_metadata`; an empty Metadata where there is no text.

    Raises:
        ModelError: the text is not such JSON.
    """
    if not text:
        return Metadata()
    try:
        values = json.loads(text)
        preprocess = Preprocess.from_json(values["preprocess"]) if "preprocess" in values else None
        return Metadata(_text(values.get("model")), preprocess, _labels(values.get("classes")))
    except (ValueError, TypeError, KeyError, AttributeError, InputError) as error:
        raise ModelError(f"the {KEY!r} metadata in {path} cannot be read: {error}") from error


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"model must be a spec such as 'timm:resnet50', not {value!r}")
    return value


def _labels(pairs: Sequence[Any] | None) -> tuple[ClassLabel, ...] | None:
    return None if pairs is None else tuple(ClassLabel(str(name), str(wnid)) for name, wnid in pairs)
