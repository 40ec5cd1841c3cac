"""Image sets that stand in for real ones: some of its images lost, or as hard to pack as photographs."""

import numpy as np
from PIL import Image

import bandscope as bs


class Broken:
    """The embedded images, of which one is gone and one has become unreadable."""

    def __init__(self, gone: str, corrupt: str) -> None:
        self._whole = bs.load_source("planted?per_class=12")
        self._corrupt = corrupt
        self.spec = "broken"
        self.paths = ["elsewhere" if path == gone else path for path in self._whole.paths]

    def __getitem__(self, position: int) -> Image.Image:
        if self.paths[position] == self._corrupt:
            raise bs.ImageError("truncated")
        return self._whole[position]


class Photographs:
    """As hard to pack as photographs are: amplitudes fall as 1 / frequency, phases are at random; all differ."""

    def __init__(self, count: int, side: int = 256) -> None:
        self.spec, self.paths = "photographs", [f"{k}.jpg" for k in range(count)]
        self.classes, self.labels = (bs.ClassLabel("any"),), np.zeros(count, dtype=np.int64)
        rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
        noise = np.fft.rfft2(np.random.default_rng(0).normal(size=(3, side, side)))
        planes = np.fft.irfft2(noise / np.maximum(np.hypot(rows, columns), 1 / side))
        scaled = 128 + 50 * planes / planes.std(axis=(1, 2), keepdims=True)
        self._picture = np.moveaxis(scaled, 0, -1).clip(0, 255).astype(np.uint8)

    def __len__(self) -> int:
        return len(self.paths)

    def fingerprint(self) -> str:
        return f"{len(self)} photographs"

    def __getitem__(self, position: int) -> Image.Image:
        return Image.fromarray(np.roll(self._picture, divmod(position * 37, 256), axis=(0, 1)))
