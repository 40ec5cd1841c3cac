"""Frozen settings: everything that could change a bit of the result, resolved once and kept in the store."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from bandscope.classifiers.backends import BACKENDS, DEFAULT, unfit
from bandscope.classifiers.base import Classifier
from bandscope.errors import InputError, StoreError

DEFAULT_BATCH = 32
BLOCK_IMAGES = 32  # at least so many images a block: fewer would make many small files
MAX_THREADS = 1024  # more would be a typing error, and OpenMP dies of it
AUTO = "auto"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Request:
    """What the user asked of the machine; None leaves the choice to the store or to the defaults."""

    batch_size: int | str | None = None
    threads: int | None = None
    device: str | None = None
    precision: str | None = None
    backend: str | None = None

    def __post_init__(self) -> None:
        if self.batch_size not in (None, AUTO) and not _is_count(self.batch_size):
            raise InputError(f"batch_size={self.batch_size!r} is not possible; give a number >= 1 or 'auto'.")
        if self.threads is not None and not (_is_count(self.threads) and self.threads <= MAX_THREADS):
            raise InputError(f"threads={self.threads!r} is not possible; give a number from 1 to {MAX_THREADS}.")
        for name, given, known in (("precision", self.precision, DTYPES), ("backend", self.backend, BACKENDS)):
            if given not in (None, AUTO, *known):
                raise InputError(f"{name}={given!r} is not known; there are {', '.join((*known, AUTO))}.")

    @property
    def open(self) -> bool:
        """Whether a measurement shall settle the backend or the precision."""
        return AUTO in (self.precision, self.backend)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


@dataclass(frozen=True)
class Plan:
    """Settings that every process and every resume of one audit shares."""

    batch_size: int
    block_size: int
    threads: int
    device: str
    precision: str
    backend: str = DEFAULT  # what stores were made with that do not say

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the classifier computes; filters always compute in float32."""
        return DTYPES[self.precision]

    def to_json(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


def resolve_plan(request: Request, images: int, classifier: Classifier) -> Plan:
    """Settle every open setting, on this machine, before any work; moves the classifier to its device.

    An "auto" of the backend or the precision counts as the default here: `choice.choose` settles it.

    The batch never exceeds the number of images: short batches are padded to full size, so that an image's
    numbers do not depend on how many others share its batch.
    """
    device = usable_device(request.device)
    precision = "fp32" if request.precision in (None, AUTO) else request.precision
    backend = DEFAULT if request.backend in (None, AUTO) else request.backend
    threads = request.threads or torch.get_num_threads()
    if reason := unfit(classifier, backend, torch.device(device), DTYPES[precision]):
        raise InputError(reason)
    classifier.prepare(torch.device(device), DTYPES[precision])
    if request.batch_size == AUTO:
        wanted = fastest_batch(classifier, device, threads, images)
    else:
        wanted = int(request.batch_size or DEFAULT_BATCH)
    batch = min(wanted, images)
    return Plan(batch, batch * -(-BLOCK_IMAGES // batch), threads, device, precision, backend)


def adopt_plan(request: Request, stored: dict[str, Any], images: int, classifier: Classifier) -> Plan:
    """The store's plan, unless the user explicitly asked for something else: then a list of what differs."""
    try:
        plan = Plan(**stored)
    except TypeError as error:
        raise StoreError(f"The store's plan cannot be read ({error}); start again with --overwrite.") from error
    asked = {name: value for name, value in asdict(request).items() if value not in (None, AUTO)}
    if "batch_size" in asked:
        asked["batch_size"] = min(asked["batch_size"], images)
    differing = [
        f"{name}: {value} asked, {getattr(plan, name)} stored"
        for name, value in asked.items()
        if value != getattr(plan, name)
    ]
    if differing:
        raise StoreError(
            f"The store was begun with other settings ({'; '.join(differing)}); its numbers would no longer be "
            "bit-identical. Leave those options out to go on, or start again with --overwrite."
        )
    classifier.prepare(torch.device(usable_device(plan.device)), plan.dtype)
    return plan


def fastest_batch(classifier: Classifier, device: str, threads: int, images: int) -> int:
    """The smallest power of two within 5 % of the best images per second, stopping at out-of-memory."""
    torch.set_num_threads(threads)
    size, rates = 1, {}
    while size <= min(max(images, 1), 1024):
        try:
            rates[size] = _rate(classifier, device, size)
        except torch.OutOfMemoryError:
            break
        if rates[size] < 0.8 * max(rates.values()):
            break
        size *= 2
    if not rates:
        raise InputError(f"Not even one image fits into the memory of {device}; use another --device.")
    return next(size for size, rate in rates.items() if rate >= 0.95 * max(rates.values()))


def _rate(classifier: Classifier, device: str, size: int) -> float:
    preprocess = classifier.preprocess
    batch = torch.zeros(size, preprocess.channels, *preprocess.size, device=device)
    classifier.logits(batch)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        classifier.logits(batch).sum().item()  # .item() waits for the device
        best = min(best, time.perf_counter() - start)
    return size / best


def usable_device(name: str | None) -> str:
    """The device of that name; without one CUDA where there is one, else the CPU.

    Raises:
        InputError: it cannot be used here.
    """
    if name in (None, "auto"):
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The device {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return str(name)
