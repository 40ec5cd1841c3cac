"""Who may write into a store: one run alone, or any number of shards; never both at once."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bandscope.cube.lease import leased, leased_beginning
from bandscope.cube.objects import Objects
from bandscope.cube.place import Folder, Place, Where, clear_errors, growing, place_of
from bandscope.errors import StoreError

if sys.platform != "win32":
    import fcntl


@contextmanager
def writing(where: Where, *, shared: bool) -> Iterator[None]:
    """Hold the store while it is written.

    The lock on a folder ends with the process, however that ends; a lease in an object store outlives a killed one,
    and the next run watches it for a while before it takes over. Where there are no locks (some network file
    systems, Windows) nobody is kept out.

    Raises:
        StoreError: another run writes into it.
    """
    place = place_of(where)
    with ExitStack() as stack:
        if isinstance(place, Objects):
            with clear_errors(place):
                stack.enter_context(leased(place, shared=shared))
        elif isinstance(place, Folder) and sys.platform != "win32":
            folder = os.open(place.path, os.O_RDONLY)
            stack.callback(os.close, folder)
            _lock(folder, place, shared)
        yield


@contextmanager
def beginning(where: Where) -> Iterator[None]:
    """One process after the other, while the first of them settles what the store will hold.

    Where there are no such locks the processes race, and the loser finds that the store exists.

    Raises:
        StoreError: no store can be made there.
    """
    place = place_of(where)
    with ExitStack() as stack:
        if isinstance(place, Objects):
            with clear_errors(place):
                stack.enter_context(leased_beginning(place))
        elif isinstance(place, Folder) and sys.platform != "win32":
            name = place.beside(f".{place.name}.begin").path
            with clear_errors(place):
                name.parent.mkdir(parents=True, exist_ok=True)
                file = _locked(name)
            stack.callback(os.close, file)
            stack.callback(name.unlink, missing_ok=True)  # first, while the lock is held
        yield


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


def _lock(folder: int, place: Folder, shared: bool) -> None:
    try:
        fcntl.flock(folder, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError(
            f"{place} is being written by another run. Wait for it; or let several share the work from the start: "
            "--shard 1/N to --shard N/N, or torchrun."
        ) from None
    except OSError:
        return


def recover(place: Place) -> None:
    """Finish a swap that a kill cut short.

    Raises:
        StoreError: it is not cut short but under way.
    """
    if isinstance(place, Folder):  # by renames, which need no lock
        if place.swapping():
            place.finish_swap(growing(place))
    elif place.swapping():
        with beginning(place), writing(place, shared=False):
            if place.swapping():
                place.finish_swap(growing(place))
