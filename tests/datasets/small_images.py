"""Small image files for the tests of image sources."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def pixels(seed: int, size: tuple[int, int] = (9, 7)) -> Image.Image:
    """Noise: every seed gives another image, (width, height) large."""
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_tree(root: Path, files: dict[str, int]) -> Path:
    """Files by relative path, each with the noise of its seed."""
    for name, seed in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(pixels(seed)))
    return root
