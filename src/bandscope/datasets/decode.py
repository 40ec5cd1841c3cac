"""One image file to pixels, or one short reason why not."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageFile, UnidentifiedImageError

from bandscope.errors import ImageError, InputError

# What Pillow's parsers trip on when a file is not what it says it is.
BROKEN: tuple[type[Exception], ...] = (
    *(ValueError, TypeError, LookupError, ArithmeticError, SyntaxError, EOFError, AttributeError),
    *(RuntimeError, MemoryError, struct.error, zlib.error),
)
# Formats, whatever a file is called, that Pillow has another program draw (Ghostscript, Windows).
DRAWINGS = ("EPS", "WMF")


def decode(file: Path | bytes) -> Image.Image:
    """The first frame of an encoded image, whole, at its own resolution and in its own mode.

    Raises:
        ImageError: with a short reason, where any part of it cannot be decoded.
        InputError: Pillow is told to make up what a truncated file lacks.
    """
    with decoding():
        data = file if isinstance(file, bytes) else file.read_bytes()
        if not data:
            raise ImageError("zero bytes")
        with Image.open(io.BytesIO(data)) as image:
            if image.format in DRAWINGS:
                raise ImageError(f"a drawing ({image.format}), not pixels")
            image.load()
        return image


@contextmanager
def decoding() -> Iterator[None]:
    """Turn whatever goes wrong while an image is opened and decoded into an ImageError with a short reason."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise InputError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on, so half an image would pass as whole; set it to False."
        )
    try:
        yield
    except UnidentifiedImageError as error:
        raise ImageError("not an image that Pillow can read") from error
    except Image.DecompressionBombError as error:
        raise ImageError("decompression bomb: more pixels than Pillow's safety limit") from error
    except OSError as error:
        raise ImageError(_reason(error)) from error
    except BROKEN as error:
        raise ImageError(f"broken: {_one_line(error)}") from error


def _reason(error: OSError) -> str:
    if error.strerror:
        return f"cannot be read: {error.strerror}"
    if "truncated" in str(error).lower():
        return "truncated"
    return f"broken: {_one_line(error)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
