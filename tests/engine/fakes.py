"""A small classifier and a small image set, with faults that can be switched on."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bandscope.errors import ImageError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess

SIZE = 20
PREPROCESS = Preprocess(size=(SIZE, SIZE), resize=None, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
CLASSES = tuple(ClassLabel(f"class {i}") for i in range(7))


class Network(torch.nn.Module):
    """Random, but with enough gain that predictions differ between images and conditions."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 16, 3, 2), torch.nn.ReLU()
        )
        self.head = torch.nn.Linear(16, len(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 20 * self.head(self.body(x).amax((2, 3)))


class FakeClassifier:
    """Counts its forward passes; `fault` gets the logits and may spoil them."""

    spec = "fake"
    preprocess = PREPROCESS
    classes = CLASSES

    def __init__(self, fault=None, seed: int = 0) -> None:
        self.network, self.fault, self.batches = Network(seed).eval(), fault, []
        self.provenance = {"weights_sha256": f"seed {seed}"}

    def prepare(self, device: torch.device, dtype: torch.dtype) -> None:
        self.network.to(device)

    def logits(self, batch: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(batch))
        with torch.inference_mode():
            logits = self.network(batch)
        return self.fault(batch, logits) if self.fault else logits


class FakeSource:
    """Random images; those in `corrupt` raise `reason`. `killer` is called with each position."""

    spec = "fakes:"
    classes = CLASSES

    def __init__(self, count: int = 11, corrupt: Sequence[int] = (), killer=None, reason="truncated file") -> None:
        self.labels = np.arange(count) % len(CLASSES)
        self.paths = [f"{i}.png" for i in range(count)]
        self.corrupt, self.killer, self.reason = set(corrupt), killer, reason

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> Image.Image:
        if self.killer:
            self.killer(position)
        if position in self.corrupt:
            raise ImageError(self.reason)
        pixels = np.random.default_rng(position).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    def fingerprint(self) -> str:
        return f"{len(self)} images"


def files_of(store: Path) -> dict[str, bytes]:
    """Every array file of a store, by name; of a marker the checksums, which do not say who made it and when."""
    return {
        str(p.relative_to(store)): _checksums(p) if p.parent.name == ".blocks" else p.read_bytes()
        for p in sorted(store.rglob("*"))
        if p.is_file() and p.name != "zarr.json"
    }


def _checksums(marker: Path) -> bytes:
    return json.dumps(json.loads(marker.read_text())["crc32"]).encode()
