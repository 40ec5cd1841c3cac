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
from bandscope.cube.store import Store, extending_path, retired_path
from bandscope.datasets.base import ImageSource
from bandscope.engine.conditions import Condition, Layout, Outcome, known_outcomes, probes_of, unknown_conditions
from bandscope.engine.decode import Looks, decoded_blocks
from bandscope.engine.filters import FilterBank
from bandscope.engine.measure import Meter, blanked, measure_block
from bandscope.engine.memory import keep_memory
from bandscope.engine.plan import Plan
from bandscope.engine.share import ALONE, Share
from bandscope.errors import DataError

# Called with (forward passes done since the last call, in all, images in all); the first call tells what was stored.
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Job:
    """What is measured: through which classifier, on which images, under which conditions and settings."""

    classifier: Classifier
    source: ImageSource
    labels: Int[np.ndarray, " images"]
    layout: Layout
    plan: Plan


@dataclass(frozen=True)
class Settings:
    """What changes how a run goes, and no number of it."""

    workers: int
    strict: bool
    progress: Progress | None = None
    share: Share = ALONE


def run(job: Job, store: Store, settings: Settings) -> None:
    """Measure and write every block of the share that the store does not hold; safe to kill and to repeat."""
    done, mine = set(store.done()), settings.share.of(store.blocks)
    todo = [block for block in mine if block not in done]
    if settings.strict:
        _refuse_failures(job.source, store.statuses(done))
    if todo and settings.share.alone:  # what is half written may be another's
        store.tidy()
    conditions = job.layout.conditions()
    stored, total = (_passes(job, store, blocks, conditions) for blocks in (done.intersection(mine), mine))
    tick = _ticker(settings, stored, total, sum(len(store.images_of(block)) for block in mine))
    for block, outcomes, status in _measured(job, conditions, store, todo, settings, tick):
        store.write(block, blanked(job.layout.arrays(outcomes), status))


def extend(job: Job, old: Store, known: Layout, new: Store, settings: Settings) -> None:
    """Fill `new`, whose conditions hold those of `old` (which are `known`): measure the rest, swap the stores."""
    done, held = set(new.done()), set(old.done())
    if settings.strict:
        _refuse_failures(job.source, (*old.statuses(held), *new.statuses(done)))
    partly = [block for block in new.blocks if block in held]
    wholly = [block for block in new.blocks if block not in held]
    every = job.layout.conditions()
    missing = unknown_conditions(known, job.layout)
    total = _passes(job, new, partly, missing) + _passes(job, new, wholly, every)
    stored = _passes(job, new, done & held, missing) + _passes(job, new, done - held, every)
    tick = _ticker(settings, stored, total, new.images)
    for block, outcomes, status in _measured(job, missing, new, [b for b in partly if b not in done], settings, tick):
        before = old.read(block)
        both = {**known_outcomes(known, job.layout, before), **outcomes}
        failed = np.where(before["status"] != "ok", before["status"], status)
        new.write(block, blanked(job.layout.arrays(both), failed))
    for block, outcomes, status in _measured(job, every, new, [b for b in wholly if b not in done], settings, tick):
        new.write(block, blanked(job.layout.arrays(outcomes), status))
    swap(old.path, new.path)


def swap(old: Path, new: Path) -> None:
    """Put the finished `new` in the place of `old`; `recover` finishes a swap that was cut short."""
    retired = retired_path(old)
    shutil.rmtree(retired, ignore_errors=True)
    old.rename(retired)
    new.rename(old)
    shutil.rmtree(retired, ignore_errors=True)


def recover(path: Path) -> None:
    """Finish a swap that a kill cut short; without a retired store there was none, and nothing is touched."""
    retired, growing = retired_path(path), extending_path(path)
    if not retired.exists():
        return
    if not path.exists():
        (growing if growing.exists() else retired).rename(path)
    shutil.rmtree(retired, ignore_errors=True)


def discard_extension(path: Path) -> None:
    """Delete what an interrupted extension of the store at `path` has left."""
    shutil.rmtree(extending_path(path), ignore_errors=True)


def _measured(
    job: Job,
    conditions: Sequence[Condition],
    store: Store,
    blocks: Sequence[int],
    settings: Settings,
    tick: Callable[[int], None],
) -> Iterator[tuple[int, dict[Condition, Outcome], NDArray[Any]]]:
    """(block, what was measured under each of the conditions, status of its images)."""
    if not blocks:
        return
    with _frozen_numerics(job.plan.threads), keep_memory():
        meter = _meter(job, conditions, tick)
        looks = Looks(job.classifier.preprocess, meter.looks, job.layout.scales)
        spans = ((block, store.images_of(block)) for block in blocks)
        for decoded in decoded_blocks(job.source, looks, spans, workers=settings.workers, strict=settings.strict):
            labels = job.labels[np.asarray(decoded.positions)]
            outcomes, status = measure_block(meter, decoded, labels)
            if settings.strict:
                _refuse_failures(job.source, zip(decoded.positions, status, strict=True))
            yield decoded.block, outcomes, status


def _meter(job: Job, conditions: Sequence[Condition], tick: Callable[[int], None]) -> Meter:
    device, preprocess = torch.device(job.plan.device), job.classifier.preprocess
    looks = tuple(dict.fromkeys(condition.scale for condition in conditions))
    copies = job.layout.copies(conditions)
    own = {look: [c for c in conditions if c.scale == look and c not in copies] for look in looks}
    filtered = {look: probes_of(measured, job.layout.probes) for look, measured in own.items()}
    banks = {
        probes: FilterBank(probes, job.layout.convention, preprocess, device)
        for probes in dict.fromkeys(filtered.values())
        if probes
    }
    return Meter(
        classifier=job.classifier,
        banks={look: banks[probes] for look, probes in filtered.items() if probes},
        layout=job.layout,
        looks=looks,
        conditions=tuple(conditions),
        copies=copies,
        batch_size=job.plan.batch_size,
        device=device,
        tick=tick,
    )


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


def _passes(job: Job, store: Store, blocks: Iterable[int], conditions: Sequence[Condition]) -> int:
    """Forward passes of those blocks."""
    return sum(len(store.images_of(block)) for block in blocks) * job.layout.forward_passes(conditions)
