"""The loop: every block that the store does not hold yet, and how a store grows by further conditions."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray

from bandscope.classifiers.base import Classifier
from bandscope.conventions import Convention
from bandscope.cube.store import Store
from bandscope.datasets.base import ImageSource
from bandscope.engine.decode import decoded_blocks
from bandscope.engine.filters import FilterBank
from bandscope.engine.measure import Arrays, measure_block
from bandscope.engine.memory import keep_memory
from bandscope.engine.plan import Plan
from bandscope.errors import DataError
from bandscope.probes import ResolvedProbe

# Called with (forward passes done since the last call, in all, images in all); the first call tells what was stored.
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Job:
    """What is measured: through which classifier, on which images, under which conditions and settings."""

    classifier: Classifier
    source: ImageSource
    labels: Int[np.ndarray, " images"]
    probes: tuple[ResolvedProbe, ...]
    convention: Convention
    plan: Plan


@dataclass(frozen=True)
class Settings:
    """What changes how a run goes, and no number of it."""

    workers: int
    strict: bool
    progress: Progress | None = None


def run(job: Job, store: Store, settings: Settings) -> None:
    """Measure and write every block that the store does not hold; safe to kill and to repeat."""
    done = set(store.done())
    todo = [block for block in store.blocks if block not in done]
    if settings.strict:
        _refuse_failures(job.source, store.statuses(done))
    if todo:
        store.tidy()
    stored, total = _passes(store, done, job.probes), _passes(store, store.blocks, job.probes)
    tick = _ticker(settings, stored, total, store.images)
    for block, arrays in _measured(job, job.probes, store, todo, settings, tick):
        store.write(block, arrays)


def extend(job: Job, old: Store, new: Store, settings: Settings) -> None:
    """Fill `new`, whose conditions hold those of `old`: copy what is known, measure the rest, swap the stores."""
    known, missing = _split(job.probes, old)
    done, held = set(new.done()), set(old.done())
    if settings.strict:
        _refuse_failures(job.source, (*old.statuses(held), *new.statuses(done)))
    partly = [block for block in new.blocks if block in held]
    wholly = [block for block in new.blocks if block not in held]
    total = _passes(new, partly, missing) + _passes(new, wholly, job.probes)
    stored = _passes(new, done & held, missing) + _passes(new, done - held, job.probes)
    tick = _ticker(settings, stored, total, new.images)
    for block, arrays in _measured(job, missing, new, [b for b in partly if b not in done], settings, tick):
        new.write(block, _joined(job.probes, known, missing, old.read(block), arrays))
    for block, arrays in _measured(job, job.probes, new, [b for b in wholly if b not in done], settings, tick):
        new.write(block, arrays)
    swap(old.path, new.path)


def swap(old: Path, new: Path) -> None:
    """Put the finished `new` in the place of `old`; `recover` finishes a swap that was cut short."""
    retired = _retired_path(old)
    shutil.rmtree(retired, ignore_errors=True)
    old.rename(retired)
    new.rename(old)
    shutil.rmtree(retired, ignore_errors=True)


def extending_path(path: Path) -> Path:
    """Where the extended store grows until it is whole."""
    return path.with_name(f".{path.name}.extending")


def recover(path: Path) -> None:
    """Finish a swap that a kill cut short; without a retired store there was none, and nothing is touched."""
    retired, growing = _retired_path(path), extending_path(path)
    if not retired.exists():
        return
    if not path.exists():
        (growing if growing.exists() else retired).rename(path)
    shutil.rmtree(retired, ignore_errors=True)


def discard_extension(path: Path) -> None:
    """Delete what an interrupted extension of the store at `path` has left."""
    shutil.rmtree(extending_path(path), ignore_errors=True)


def _retired_path(path: Path) -> Path:
    """Where the old store waits while the extended one takes its place."""
    return path.with_name(f".{path.name}.retired")


def _measured(
    job: Job,
    probes: tuple[ResolvedProbe, ...],
    store: Store,
    blocks: Sequence[int],
    settings: Settings,
    tick: Callable[[int], None],
) -> Iterator[tuple[int, Arrays]]:
    if not blocks:
        return
    device = torch.device(job.plan.device)
    preprocess = job.classifier.preprocess
    with _frozen_numerics(job.plan.threads), keep_memory():
        bank = FilterBank(probes, job.convention, preprocess, device)
        spans = ((block, store.images_of(block)) for block in blocks)
        for decoded in decoded_blocks(
            job.source, preprocess, spans, workers=settings.workers, strict=settings.strict
        ):
            labels = job.labels[np.asarray(decoded.positions)]
            arrays = measure_block(job.classifier, bank, probes, decoded, labels, job.plan.batch_size, device, tick)
            if settings.strict:
                _refuse_failures(job.source, zip(decoded.positions, arrays["status"], strict=True))
            yield decoded.block, arrays


def _refuse_failures(source: ImageSource, statuses: Iterable[tuple[int, str]]) -> None:
    """With --strict, stop at the first image that would count in no statistic."""
    for position, status in statuses:
        if status != "ok":
            raise DataError(f"{source.paths[position]} in {source.spec} is {status} (--strict stops at the first).")


@contextmanager
def _frozen_numerics(threads: int) -> Iterator[None]:
    """Threads as planned, deterministic algorithms, no TF32; the caller's settings come back afterwards."""
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = torch.get_num_threads(), cuda.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark
    torch.set_num_threads(threads)
    cuda.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = False, False, True, False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cuda.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before[1:]


def _ticker(settings: Settings, stored: int, total: int, images: int) -> Callable[[int], None]:
    """A function that reports forward passes, after a first report of those that are stored already."""
    if settings.progress is None:
        return lambda _: None
    progress = settings.progress
    progress(stored, total, images)
    return lambda passes: progress(passes, total, images)


def _passes(store: Store, blocks: Iterable[int], probes: Sequence[ResolvedProbe]) -> int:
    """Forward passes of those blocks: one an image and condition, and one clean."""
    return sum(len(store.images_of(block)) for block in blocks) * (1 + sum(len(p.cutoffs) for p in probes))


def _split(
    probes: tuple[ResolvedProbe, ...], old: Store
) -> tuple[dict[str, list[tuple[float, float]]], tuple[ResolvedProbe, ...]]:
    """Cut-offs that the old store holds, by probe; and the probes reduced to what it lacks."""
    stored = {fields["name"]: fields["cutoffs"] for fields in old.attributes["probes"]}
    known = {name: [(float(low), float(high)) for low, high in cutoffs] for name, cutoffs in stored.items()}
    missing = []
    for p in probes:
        rest = tuple(c for c in p.cutoffs if c not in known.get(p.name, []))
        if rest:
            missing.append(ResolvedProbe(p.name, p.kind, p.family, rest, p.size))
    return known, tuple(missing)


def _joined(
    probes: Sequence[ResolvedProbe],
    known: dict[str, list[tuple[float, float]]],
    missing: Sequence[ResolvedProbe],
    old: Arrays,
    new: Arrays,
) -> Arrays:
    """One block's arrays with old and new conditions in the order of the extended cube."""
    fresh = {p.name: list(p.cutoffs) for p in missing}
    joined = {name: array for name, array in old.items() if "/" not in name}
    for p in probes:
        have = [*known.get(p.name, []), *fresh.get(p.name, [])]
        order = [have.index(cutoff) for cutoff in p.cutoffs]
        for path in [key for key in (*old, *new) if key.startswith(f"{p.name}/")]:
            parts = [arrays[path] for arrays in (old, new) if path in arrays]
            joined[path] = np.concatenate(parts, axis=1)[:, order]
    return _blanked(joined, new["status"])


def _blanked(arrays: Arrays, status: NDArray[Any]) -> Arrays:
    """An image that failed in the new conditions counts nowhere: its status and its values say so."""
    failed = (status != "ok") & (arrays["status"] == "ok")
    for name, array in arrays.items():
        if name != "status":
            array[failed] = -1 if array.dtype == np.int32 else np.nan
    arrays["status"] = np.where(failed, status, arrays["status"])
    return arrays
