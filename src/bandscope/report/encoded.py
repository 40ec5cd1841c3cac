"""Pixels as pictures that stand in a page itself: data URLs."""

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def image_of(pixels: UInt8[np.ndarray, "h w c"]) -> Image.Image:
    """Pixels of one or three channels as an RGB image."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")


def small_picture(pixels: UInt8[np.ndarray, "h w c"], side: int, quality: int) -> str:
    """The data URL of a picture to recognise an image by.

    Args:
        pixels: of one or three channels.
        side: pixels along its longer side, at most.
        quality: of WebP, 0 to 100.
    """
    image = image_of(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality)
    return data_url(buffer.getvalue(), "webp")


def data_url(content: bytes, kind: str) -> str:
    """The content of a picture of that kind, such as "webp", as an address."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
