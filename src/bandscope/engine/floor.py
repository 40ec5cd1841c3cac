"""What an audit does beside its forward passes, timed on this machine: filters, statistics, decoding, storing."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bandscope.cube.schema import CubeHeader
from bandscope.cube.store import Store
from bandscope.datasets.base import ImageSource
from bandscope.engine.conditions import Layout
from bandscope.engine.decode import Looks
from bandscope.engine.filters import FilterBank
from bandscope.engine.job import Job
from bandscope.engine.measure import outcome
from bandscope.engine.memory import keep_memory
from bandscope.engine.numerics import frozen_numerics
from bandscope.errors import ImageError

ROUNDS = 3  # of the filters; the best counts
DECODED = 64  # images at most


@dataclass(frozen=True)
class Rest:
    """What an audit does beside its forward passes.

    Attributes:
        filtering: milliseconds an image and condition, the forward transform shared out.
        statistics: milliseconds an image and condition.
        decoding: milliseconds an image of one thread: read, decode, resize, crop.
        storing: milliseconds an image and condition, from the arrays to the files.
        stored: bytes an image and condition, before compression.
    """

    filtering: float
    statistics: float
    decoding: float
    storing: float
    stored: float

    def milliseconds(self, conditions: int, cores: int) -> float:
        """Of all of it, an image and condition: decoding threads share the cores with everything else."""
        return self.filtering + self.statistics + self.storing + self.decoding / conditions / cores


def rest(job: Job, header: CubeHeader) -> Rest:
    """The other work of a job; images are read from its source, a store is written and deleted."""
    with frozen_numerics(job.plan.threads), keep_memory(), torch.inference_mode():
        conditions = job.layout.forward_passes(job.layout.conditions())
        pixels, decoding = _decoded(job)
        labels = torch.zeros(len(pixels), dtype=torch.int64, device=pixels.device)
        classes = len(header.classes)
        logits = torch.randn(len(pixels), classes, device=pixels.device)
        statistics = min(_seconds(lambda: outcome(logits, labels)) for _ in range(5)) / len(pixels)
        filtering = _filtering(job, pixels)
        storing, stored = _storing(job, header)
    images = min(job.plan.block_size, len(job.source))
    return Rest(
        filtering=1e3 * filtering,
        statistics=1e3 * statistics,
        decoding=1e3 * decoding,
        storing=1e3 * storing / images / conditions,
        stored=stored / images / conditions,
    )


def _decoded(job: Job) -> tuple[torch.Tensor, float]:
    """A batch of the source's crops, and the seconds that one thread takes for one of them."""
    looks = Looks(job.classifier.preprocess, (None,))
    crops, seconds = [], []
    for position in _positions(job.source):
        start = time.perf_counter()
        try:
            crops.append(looks(job.source, position)[0].pixels)
        except ImageError:
            continue
        seconds.append(time.perf_counter() - start)
    size = job.classifier.preprocess.size
    if not crops:
        crops, seconds = [np.zeros((*size, job.classifier.preprocess.channels), np.uint8)], [0.0]
    batch = [crops[place % len(crops)] for place in range(job.plan.batch_size)]
    return torch.from_numpy(np.stack(batch)).to(job.plan.device), float(np.mean(seconds))


def _positions(source: ImageSource) -> list[int]:
    places = np.linspace(0, len(source) - 1, min(DECODED, len(source)))
    return [int(place) for place in places.round()]


def _filtering(job: Job, pixels: torch.Tensor) -> float:
    """Seconds an image and condition: every filter of the layout on one batch."""
    layout: Layout = job.layout
    if not layout.probes:
        return 0.0
    bank = FilterBank(layout.probes, layout.convention, job.classifier.preprocess, pixels.device)

    def all_filters() -> None:
        for _, _, images, outside in bank(pixels):
            _wait(images)
            _wait(outside)

    all_filters()
    filters = sum(len(probe.cutoffs) for probe in layout.probes)
    return min(_seconds(all_filters) for _ in range(ROUNDS)) / len(pixels) / filters


def _storing(job: Job, header: CubeHeader) -> tuple[float, float]:
    """Seconds to write a block, and its bytes before compression."""
    images = min(job.plan.block_size, len(job.source))
    cut = replace(header, labels=header.labels[:images], sources=header.sources[:images])
    with tempfile.TemporaryDirectory(prefix="bandscope-") as folder:
        store = Store.create(Path(folder) / "floor.zarr", cut, images)
        random = np.random.default_rng(0)
        arrays = {
            name: random.random(array.shape).astype(array.dtype) if array.dtype.kind == "f" else array
            for name, array in store.read(0).items()
        }
        seconds = _seconds(lambda: store.write(0, arrays))
    return seconds, float(sum(array.nbytes for array in arrays.values()))


def _wait(values: torch.Tensor) -> None:
    """Wait for the device."""
    if values.device.type != "cpu":
        values.sum().item()


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
