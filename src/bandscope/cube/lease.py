"""Leases: who is at work on a store where there are no locks.

A lease is an object that its owner rewrites every few seconds, counting. Who finds another's lease watches it: one
that changes has a living owner; one that has stood still for long is deleted. Clocks of machines are never compared.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from bandscope.cube.objects import WRITERS, Objects
from bandscope.errors import StoreError

BEAT = 10.0  # seconds between signs of life
PATIENCE = 60.0  # seconds without one after which an owner is taken for dead
POLL = 0.5  # seconds between looks at another's lease
ALONE, BEGIN = f"{WRITERS}/alone.json", f"{WRITERS}/begin.json"


@contextmanager
def leased(place: Objects, *, shared: bool) -> Iterator[None]:
    """Hold the store, alone or with others that share it; while it is held, writing is guarded.

    Who registers does so before looking at the others, so that of two at least one sees the other.

    Raises:
        StoreError: another run writes into it.
    """
    lease = Lease(place, f"{WRITERS}/{uuid.uuid4().hex}.json" if shared else ALONE)
    while not lease.taken():
        _keep_out(place, [lease.key])
    with lease.kept():
        others = [ALONE] if shared else [key for key in place.listed(WRITERS) if key not in (ALONE, BEGIN)]
        _keep_out(place, others)
        before, place.guard = place.guard, lease.check
        try:
            yield
        finally:
            place.guard = before


@contextmanager
def leased_beginning(place: Objects) -> Iterator[None]:
    """One process after the other."""
    lease = Lease(place, BEGIN)
    while not lease.taken():
        _living(place, [BEGIN])
    with lease.kept():
        yield


class Lease:
    """One object, and the thread that rewrites it."""

    def __init__(self, place: Objects, key: str) -> None:
        self.key = key
        self._place, self._beats, self._renewed, self._lost = place, 0, 0.0, False
        self._owner = {"id": uuid.uuid4().hex, "host": socket.gethostname(), "process": os.getpid()}
        self._one_at_a_time = threading.Lock()

    def taken(self) -> bool:
        """Take it, unless it is another's."""
        self._renewed = time.monotonic()
        return self._place.create(self.key, self._text()) and self._mine()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Rewrite it now and then; in the end give it back."""
        stop = threading.Event()
        thread = threading.Thread(target=self._beat, args=(stop,), name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            with suppress(OSError):
                if self._mine():
                    self._place.remove(self.key)

    def check(self) -> None:
        """Go on only while it is ours; after a long silence, of a process that was suspended, look again.

        Raises:
            StoreError: it has become another's.
        """
        if time.monotonic() - self._renewed > PATIENCE - BEAT:
            self._renew()
        if self._lost:
            raise StoreError(
                f"{self._place} was taken over by another run, because this one gave no sign of life for "
                f"{PATIENCE:.0f} seconds. Finished blocks are safe."
            )

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(BEAT) and not self._lost:
            with suppress(OSError):  # the next beat tries again
                self._renew()

    def _renew(self) -> None:
        with self._one_at_a_time:
            now = time.monotonic()
            if not self._mine():
                self._lost = True
                return
            self._beats += 1
            self._place.put(self.key, self._text())
            self._renewed = now

    def _mine(self) -> bool:
        found = _read(self._place, [self.key]).get(self.key)
        return found is not None and _owner(found).get("id") == self._owner["id"]

    def _text(self) -> bytes:
        return json.dumps({**self._owner, "beats": self._beats}).encode()


def _keep_out(place: Objects, keys: Sequence[str]) -> None:
    if (living := _living(place, keys)) is not None:
        owner = _owner(living)
        raise StoreError(
            f"{place} is being written by another run (process {owner.get('process')} on {owner.get('host')}). Wait "
            "for it; or let several share the work from the start: --shard 1/N to --shard N/N, or torchrun."
        )


def _living(place: Objects, keys: Sequence[str]) -> bytes | None:
    """The first of those leases that changes while it is watched; the others are given back, or deleted."""
    seen, until = _read(place, keys), time.monotonic() + PATIENCE
    while seen and time.monotonic() < until:
        time.sleep(POLL)
        now = _read(place, list(seen))
        for key, found in now.items():
            if found != seen[key]:
                return found
        seen = now
    for key, found in seen.items():
        if _read(place, [key]).get(key) == found:
            place.remove(key)
    return None


def _read(place: Objects, keys: Sequence[str]) -> dict[str, bytes]:
    """Those leases that are there."""
    return {key: data for key, data in zip(keys, place.read_all(keys), strict=True) if data is not None}


def _owner(text: bytes) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
