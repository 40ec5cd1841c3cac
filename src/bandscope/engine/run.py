"""The loop: every block that the store does not hold yet, and how a store grows by further conditions."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch

from bandscope.cube.place import clear_errors
from bandscope.cube.store import Store
from bandscope.datasets.base import ImageSource
from bandscope.engine.conditions import Condition, Layout, known_outcomes, probes_of, unknown_conditions
from bandscope.engine.decode import Looks, decoded_blocks
from bandscope.engine.filters import FilterBank
from bandscope.engine.job import Job
from bandscope.engine.measure import Measured, Member, Meter, blanked, measure_block
from bandscope.engine.memory import keep_memory
from bandscope.engine.numerics import frozen_numerics
from bandscope.engine.parts import InParts
from bandscope.engine.passes import opened
from bandscope.engine.share import ALONE, Share
from bandscope.errors import DataError

# Called with (forward passes done since the last call, in all, images in all); the first call tells what was stored.
Progress = Callable[[int, int, int], None]


@runtime_checkable
class Watch(Protocol):
    """Who hears how the pilot of an adaptive audit goes."""

    def round(self, number: int) -> Progress:
        """What follows the forward passes of a round, counted from 1."""

    def chosen(self, images: int, radii: Sequence[float], new: int | None) -> None:
        """The radii, and how many of them the pilot has added; None where the store had them all."""


@dataclass(frozen=True)
class Settings:
    """What changes how a run goes, and no number of it."""

    workers: int
    strict: bool
    progress: Progress | None = None
    share: Share = ALONE
    watch: Watch | None = None


def run(pairs: Sequence[tuple[Job, Store]], settings: Settings) -> None:
    """Measure and write every block of the share that a store does not hold; safe to kill and to repeat.

    Args:
        pairs: what is measured, and where it goes. Several of them have the same images, crops, conditions, batches
            and blocks: each image is then decoded and filtered once for all classifiers.
        settings: how.
    """
    jobs, stores = zip(*pairs, strict=True)
    job, mine = jobs[0], settings.share.of(stores[0].blocks)
    done = [set(store.done()) for store in stores]
    if settings.strict:
        for store, blocks in zip(stores, done, strict=True):
            _refuse_failures(job.source, store.statuses(blocks))
    for store, blocks in zip(stores, done, strict=True):
        if settings.share.alone and not blocks.issuperset(mine):  # what is half written may be another's
            store.tidy()
    conditions = job.layout.conditions()
    stored = sum(_passes(job, stores[0], blocks.intersection(mine), conditions) for blocks in done)
    total = len(pairs) * _passes(job, stores[0], mine, conditions)
    tick = _ticker(settings, stored, total, sum(len(stores[0].images_of(block)) for block in mine))
    for block, place, found in measured(jobs, conditions, _spans(stores, mine, done), settings, tick):
        stores[place].write(block, blanked(job.layout.arrays(found.outcomes), found.status), parts=found.parts)


def extend(job: Job, old: Store, known: Layout, new: Store, settings: Settings) -> None:
    """Fill `new`, whose conditions hold those of `old` (which are `known`): measure the rest, swap the stores."""
    done, held = set(new.done()), set(old.done())
    if settings.strict:
        _refuse_failures(job.source, (*old.statuses(held), *new.statuses(done)))
    new.tidy()
    partly = [block for block in new.blocks if block in held]
    wholly = [block for block in new.blocks if block not in held]
    every = job.layout.conditions()
    missing = unknown_conditions(known, job.layout)
    total = _passes(job, new, partly, missing) + _passes(job, new, wholly, every)
    stored = _passes(job, new, done & held, missing) + _passes(job, new, done - held, every)
    tick = _ticker(settings, stored, total, new.images)
    for block, _, found in measured([job], missing, _spans([new], partly, [done]), settings, tick):
        before = old.read(block)
        both = {**known_outcomes(known, job.layout, before), **found.outcomes}
        failed = np.where(before["status"] != "ok", before["status"], found.status)
        new.write(block, blanked(job.layout.arrays(both), failed), parts=max(old.parts(block), found.parts))
    for block, _, found in measured([job], every, _spans([new], wholly, [done]), settings, tick):
        new.write(block, blanked(job.layout.arrays(found.outcomes), found.status), parts=found.parts)
    with clear_errors(old.place, advice=old.place.advice):
        old.place.swap(new.place)


class Span(NamedTuple):
    """A block to measure: the positions of its images, and the places of the jobs that still need it."""

    block: int
    positions: Sequence[int]
    wanted: Sequence[int] = (0,)


def _spans(stores: Sequence[Store], blocks: Iterable[int], done: Sequence[Collection[int]]) -> list[Span]:
    """The blocks that some store does not hold."""
    spans = (
        Span(block, stores[0].images_of(block), [place for place, held in enumerate(done) if block not in held])
        for block in blocks
    )
    return [span for span in spans if span.wanted]


def measured(
    jobs: Sequence[Job],
    conditions: Sequence[Condition],
    spans: Sequence[Span],
    settings: Settings,
    tick: Callable[[int], None],
) -> Iterator[tuple[int, int, Measured]]:
    """(block, place of a job, what was measured) of each span, for each job that wants it."""
    if not spans:
        return
    job = jobs[0]
    with frozen_numerics(job.plan.threads), keep_memory():
        meter = _meter(jobs, conditions, tick)
        looks = Looks(meter.preprocess, meter.looks, job.layout.scales)
        pairs = ((span.block, span.positions) for span in spans)
        blocks = decoded_blocks(job.source, looks, pairs, workers=settings.workers, strict=settings.strict)
        for span, decoded in zip(spans, blocks, strict=True):
            labels = {place: jobs[place].labels[np.asarray(span.positions)] for place in span.wanted}
            for place, found in measure_block(meter, decoded, labels).items():
                if settings.strict:
                    _refuse_failures(job.source, zip(span.positions, found.status, strict=True))
                yield span.block, place, found


def _meter(jobs: Sequence[Job], conditions: Sequence[Condition], tick: Callable[[int], None]) -> Meter:
    job = jobs[0]
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
        members=tuple(
            Member(one.classifier, one.outputs, InParts(opened(one, one.plan.backend, one.plan.precision)))
            for one in jobs
        ),
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
