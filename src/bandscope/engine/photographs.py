"""Images of a photograph's size and kind, where a benchmark is given none."""

import io
from functools import cached_property

import numpy as np
from jaxtyping import Int
from PIL import Image

from bandscope.labels import ClassLabel


class Photographs:
    """JPEG files of 500 x 375 pixels in memory, smooth noise in colour: an `ImageSource`.

    Args:
        count: of different images.
    """

    spec = "photographs"
    classes = (ClassLabel("photograph"),)

    def __init__(self, count: int = 32) -> None:
        self.labels: Int[np.ndarray, " images"] = np.zeros(count, dtype=np.int64)
        self.paths = [f"{place}.jpg" for place in range(count)]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> Image.Image:
        return Image.open(io.BytesIO(self.files[position])).convert("RGB")

    def fingerprint(self) -> str:
        """Of the recipe: the images are made anew each time."""
        return f"photographs {len(self)}"

    @cached_property
    def files(self) -> list[bytes]:
        """The JPEG files themselves."""
        random, files = np.random.default_rng(0), []
        for _ in self.paths:
            noise = random.integers(0, 256, (47, 63, 3), dtype=np.uint8)
            file = io.BytesIO()
            Image.fromarray(noise).resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
            files.append(file.getvalue())
        return files
