"""Who may write into a store: one run alone, or any number of shards; never both at once."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def beginning(path: Path) -> Iterator[None]:
    """One process after the other, while the first of them settles what the store at `path` will hold.

    Where there are no such locks the processes race, and the loser finds that the store exists.

    Raises:
        StoreError: no store can be made there.
    """
    if sys.platform == "win32":
        yield
        return
    name = path.with_name(f".{path.name}.begin")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _locked(name)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}. Choose another --out.") from error
    try:
        yield
    finally:
        name.unlink(missing_ok=True)
        os.close(file)


def _locked(name: Path) -> int:
    """An open file of that name, locked: whoever had it before deletes it, and a lock on what is deleted is none."""
    while True:
        file = os.open(name, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            return file
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), name.stat()):
                return file
        os.close(file)


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
