"""Images decoded ahead of who asks for them, by threads: image libraries release the interpreter while they work."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")
Image = TypeVar("Image")
Made = TypeVar("Made")


def made_ahead(
    make: Callable[[Image], Made], batches: Iterable[tuple[Batch, Sequence[Image]]], *, workers: int, ahead: int
) -> Iterator[tuple[Batch, list[Made]]]:
    """Each batch with what is made of its images, in order; no more than `ahead` batches are made before their turn.

    Args:
        make: called for each image, in a thread.
        batches: anything that names a batch, and its images.
        workers: threads.
        ahead: batches.

    Raises:
        Exception: the first that `make` raises.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="bandscope-decode")
    waiting: deque[tuple[Batch, list[Future[Made]]]] = deque()
    try:
        for batch, images in batches:
            waiting.append((batch, [pool.submit(make, image) for image in images]))
            if len(waiting) > ahead:
                yield _collected(*waiting.popleft())
        while waiting:
            yield _collected(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _collected(batch: Batch, futures: list[Future[Made]]) -> tuple[Batch, list[Made]]:
    return batch, [future.result() for future in futures]
