"""Who may write into a store: one run alone, or any number of shards; never both at once."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bandscope.errors import StoreError

if sys.platform != "win32":
    import fcntl


@contextmanager
def writing(path: Path, *, shared: bool) -> Iterator[None]:
    """Hold the store's folder while it is written; the lock ends with the process, however that ends.

    Where there are no such locks (some network file systems, Windows) nobody is kept out.

    Raises:
        StoreError: another run writes into it.
    """
    if sys.platform == "win32":
        yield
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        _lock(folder, path, shared)
        yield
    finally:
        os.close(folder)


def _lock(folder: int, path: Path, shared: bool) -> None:
    try:
        fcntl.flock(folder, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError(
            f"{path} is being written by another run. Wait for it; or let several share the work from the start: "
            "--shard 1/N to --shard N/N, or torchrun."
        ) from None
    except OSError:
        return
