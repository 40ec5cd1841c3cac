"""How far an audit is: blocks done, by whom, how fast, and the time left, from the markers alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from bandscope.cube.place import Where, place_of
from bandscope.cube.store import read_markers

LAST = 20  # intervals between blocks that a rate is taken from
PATIENCE = 3  # a process is at work until it has been silent for so many of its intervals,
GRACE = timedelta(seconds=10)  # and at least for so long,
UNPACED = timedelta(minutes=10)  # or for so long where its pace is not known


@dataclass(frozen=True)
class Mark:
    """A block's marker: who finished it and when; None in stores of before that was recorded.

    parts: into how many its batches were cut, because they did not fit into memory.
    """

    block: int
    host: str | None = None
    process: int | None = None
    finished: datetime | None = None
    parts: int = 1


@dataclass(frozen=True)
class Worker:
    """A process that has finished blocks.

    seconds: median between its last blocks; None while unknown.
    active: whether it has finished one lately.
    """

    host: str | None
    process: int | None
    blocks: int
    first: datetime | None
    last: datetime | None
    seconds: float | None
    active: bool


@dataclass(frozen=True)
class Progress:
    """Numbers of one moment.

    first, last: when the first and the latest block were finished; None while unknown.
    rate: blocks per second of all active processes, or of the latest where none is; None while unknown.
    seconds_left: at that rate; 0 when finished, None while unknown.
    in_parts: blocks whose batches did not fit into memory.
    """

    blocks: int
    blocks_done: int
    images: int
    images_done: int
    passes_an_image: int
    workers: tuple[Worker, ...]
    first: datetime | None
    last: datetime | None
    rate: float | None
    seconds_left: float | None
    in_parts: int = 0

    @property
    def passes(self) -> int:
        """Forward passes in all."""
        return self.images * self.passes_an_image

    @property
    def passes_done(self) -> int:
        """Forward passes whose results are stored."""
        return self.images_done * self.passes_an_image

    @property
    def active(self) -> int:
        """Processes at work."""
        return sum(worker.active for worker in self.workers)


def read_marks(where: Where, blocks: Sequence[int]) -> list[Mark]:
    """The markers of those blocks that are there and can be read; nothing else of the store is looked at."""
    markers = zip(blocks, read_markers(place_of(where), blocks), strict=True)
    return [_mark(block, marker) for block, marker in markers if marker]


def _mark(block: int, marker: Mapping[str, Any]) -> Mark:
    host, process, parts = (marker.get(key) for key in ("host", "process", "parts"))
    return Mark(
        block,
        host if isinstance(host, str) else None,
        process if isinstance(process, int) else None,
        _time(marker.get("finished")),
        parts if isinstance(parts, int) else 1,
    )


def _time(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def progress(marks: Sequence[Mark], *, images: int, block_size: int, passes_an_image: int, now: datetime) -> Progress:
    """Count blocks, images and processes, and tell the rate.

    A process takes its blocks in rising order, so its intervals are those between neighbouring blocks. Where the
    clock went backwards an interval is not positive and says nothing; it is left out.

    Args:
        marks: of the blocks done; those of blocks that do not exist are ignored.
        images: of the store.
        block_size: images a block.
        passes_an_image: forward passes that one image takes.
        now: with a time zone.
    """
    blocks = -(-images // block_size)
    marks = sorted((mark for mark in marks if mark.block < blocks), key=lambda mark: mark.block)
    done = sum(min(images, (mark.block + 1) * block_size) - mark.block * block_size for mark in marks)
    workers = _workers(marks, now)
    times = [mark.finished for mark in marks if mark.finished]
    rate = _rate(workers)
    left = (blocks - len(marks)) / rate if rate else None
    return Progress(
        blocks=blocks,
        blocks_done=len(marks),
        images=images,
        images_done=done,
        passes_an_image=passes_an_image,
        workers=workers,
        first=min(times, default=None),
        last=max(times, default=None),
        rate=rate,
        seconds_left=0.0 if len(marks) == blocks else left,
        in_parts=sum(mark.parts > 1 for mark in marks),
    )


def _workers(marks: Sequence[Mark], now: datetime) -> tuple[Worker, ...]:
    """Every process, the latest first."""
    by_process: dict[tuple[str | None, int | None], list[Mark]] = defaultdict(list)
    for mark in marks:
        by_process[mark.host, mark.process].append(mark)
    workers = [_worker(host, process, several, now) for (host, process), several in by_process.items()]
    return tuple(sorted(workers, key=lambda w: (w.last is None, now - w.last if w.last else timedelta())))


def _worker(host: str | None, process: int | None, marks: Sequence[Mark], now: datetime) -> Worker:
    times = [mark.finished for mark in marks if mark.finished]
    intervals = [(after - before).total_seconds() for before, after in pairwise(times)]
    usable = [seconds for seconds in intervals[-LAST:] if seconds > 0]
    seconds = median(usable) if usable else None
    last = times[-1] if times else None  # not the latest by a clock that has been put back since
    patience = max(GRACE, timedelta(seconds=PATIENCE * seconds)) if seconds else UNPACED
    active = last is not None and now - last <= patience
    return Worker(host, process, len(marks), min(times, default=None), last, seconds, active)


def _rate(workers: Sequence[Worker]) -> float | None:
    """Blocks per second; a process whose pace is not known yet counts with that of the others."""
    paced = [worker for worker in workers if worker.seconds]
    if not paced:
        return None
    usual = median(worker.seconds for worker in paced if worker.seconds)
    active = [worker for worker in workers if worker.active]
    return sum(1 / (worker.seconds or usual) for worker in active or paced[:1])
