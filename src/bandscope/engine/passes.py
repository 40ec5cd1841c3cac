"""A job's forward pass by any backend and precision, and what it takes on this machine."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from bandscope.classifiers.backends import BACKENDS, DEFAULT, PRECISIONS, Forward, open_backend, unfit
from bandscope.classifiers.torch_classifier import TorchClassifier, as_logits
from bandscope.engine.job import Job
from bandscope.engine.plan import DTYPES
from bandscope.errors import BandscopeError

ROUNDS = 3  # of each forward pass, after one to warm up; the best counts


@dataclass(frozen=True)
class Pass:
    """A forward pass, timed; or why it cannot be had.

    Attributes:
        name: backend, precision and, where it is not the usual one, the memory format.
        setup: seconds until the first batch; None where it cannot be had.
        milliseconds: an image; None where it cannot be had.
        reason: why not.
    """

    name: str
    setup: float | None = None
    milliseconds: float | None = None
    reason: str = ""


def opened(job: Job, backend: str, precision: str) -> Forward:
    """The forward pass of a job's classifier.

    Raises:
        InputError, ModelError: as `open_backend`.
    """
    plan = job.plan
    return open_backend(job.classifier, backend, plan.batch_size, torch.device(plan.device), DTYPES[precision])


def timed(job: Job, backend: str, precision: str) -> tuple[Pass, Forward | None]:
    """A forward pass and what it takes; None, and the reason, where it cannot be had."""
    name = f"{backend} {precision}"
    if reason := unfit(job.classifier, backend, torch.device(job.plan.device), DTYPES[precision]):
        return Pass(name, reason=reason), None
    return _timed(name, lambda: opened(job, backend, precision), job)


def every_pass(job: Job) -> Iterator[Pass]:
    """Every backend and precision, and eager fp32 in PyTorch's own memory format, as most scripts run it."""
    if isinstance(job.classifier, TorchClassifier):
        network = job.classifier
        yield _timed(f"{DEFAULT} fp32, contiguous", lambda: _contiguous(network, job.plan.device), job)[0]
    for backend in BACKENDS:
        for precision, dtype in DTYPES.items():
            if dtype in PRECISIONS[backend]:
                yield timed(job, backend, precision)[0]


def why(error: Exception) -> str:
    """In a line: compilers and engines fail with anything."""
    text = " ".join(str(error).split())
    return text if isinstance(error, BandscopeError) else f"{type(error).__name__}: {text[:300]}"


def _timed(name: str, opener: Callable[[], Forward], job: Job) -> tuple[Pass, Forward | None]:
    try:
        start = time.perf_counter()
        forward = opener()
        setup = time.perf_counter() - start
        return Pass(name, setup, _milliseconds(forward, job)), forward
    except Exception as error:  # compilers and engines fail with anything
        return Pass(name, reason=why(error)), None


def _contiguous(network: TorchClassifier, device: str) -> Forward:
    network.prepare(torch.device(device), torch.float32)
    network.module.to(memory_format=torch.contiguous_format)
    return torch.inference_mode()(lambda batch: as_logits(network.module(batch), len(batch)))


def _milliseconds(forward: Forward, job: Job) -> float:
    preprocess, images = job.classifier.preprocess, job.plan.batch_size
    shape = (images, preprocess.channels, *preprocess.size)
    batch = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(job.plan.device)
    seconds = []
    for _ in range(1 + ROUNDS):
        start = time.perf_counter()
        forward(batch).sum().item()  # .item() waits for the device
        seconds.append(time.perf_counter() - start)
    return 1e3 * min(seconds[1:]) / images
