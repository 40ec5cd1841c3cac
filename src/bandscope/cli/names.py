"""File names for what has none of its own."""

import re
from pathlib import Path

ENDINGS = re.compile(r"\.(safetensors|onnx|pt2|tar)$")


def slug(spec: str, otherwise: str) -> str:
    """A short file name for a spec: the part after the scheme, without options, folders and odd characters."""
    body = spec.split("?", 1)[0].rstrip("/")
    last = ENDINGS.sub("", Path(body.partition(":")[2] or body).name)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-.") or otherwise
