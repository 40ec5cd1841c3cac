"""Leases in object stores: the living keep others out, the dead are outlived, and who was taken for dead stops."""

import json
import threading
import time
import uuid

import pytest

from bandscope.cube import lease as leases
from bandscope.cube.lease import ALONE, BEGIN, WRITERS
from bandscope.cube.lock import beginning, writing
from bandscope.cube.objects import Objects
from bandscope.cube.place import place_of
from bandscope.errors import StoreError


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    for name, seconds in {"BEAT": 0.02, "PATIENCE": 0.4, "POLL": 0.01}.items():
        monkeypatch.setattr(leases, name, seconds)


@pytest.fixture
def place() -> Objects:
    return place_of(f"memory://{uuid.uuid4().hex}/a.zarr")


def left(place: Objects, key: str) -> None:
    """What a killed process leaves."""
    place.put(key, json.dumps({"id": uuid.uuid4().hex, "host": "gone", "process": 1, "beats": 7}).encode())


@pytest.mark.parametrize(("held", "asked"), [(False, False), (False, True), (True, False)])
def test_the_living_keep_others_out(place, held, asked):
    with writing(place, shared=held):
        before = place.listed(WRITERS)
        said = r"being written by another run \(process \d+ on .+\)\. Wait for it"
        with pytest.raises(StoreError, match=said), writing(place, shared=asked):
            pytest.fail("both hold it")
        assert place.listed(WRITERS) == before
    assert place.listed(WRITERS) == []
    with writing(place, shared=asked):
        pass


def test_shards_hold_it_together(place):
    with writing(place, shared=True), writing(place, shared=True):
        assert len(place.listed(WRITERS)) == 2


@pytest.mark.parametrize("key", [ALONE, f"{WRITERS}/ab12.json"])
def test_the_dead_are_outlived_but_not_at_once(place, key):
    left(place, key)
    start = time.monotonic()
    with writing(place, shared=False):
        assert time.monotonic() - start >= leases.PATIENCE
        assert place.listed(WRITERS) == [ALONE]


def test_a_shard_does_not_wait_for_dead_shards(place):
    left(place, f"{WRITERS}/ab12.json")
    start = time.monotonic()
    with writing(place, shared=True):
        assert time.monotonic() - start < leases.PATIENCE


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff"])
def test_what_is_no_lease_is_outlived_too(place, text):
    place.put(ALONE, text)
    with writing(place, shared=False):
        pass


def test_beginnings_come_one_after_the_other(place):
    inside, seen = [], []

    def begin() -> None:
        with beginning(place):
            inside.append(1)
            time.sleep(0.05)
            seen.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=begin) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1, 1, 1]


def test_a_dead_beginning_is_outlived(place):
    left(place, BEGIN)
    with beginning(place):
        pass
    assert place.listed(WRITERS) == []


def test_who_was_taken_for_dead_writes_no_more(place):
    """A process that was suspended for long wakes up."""
    with writing(place, shared=False):
        place.write("x", b"mine")
        place.put(ALONE, b'{"id": "of another"}')
        time.sleep(5 * leases.BEAT)
        with pytest.raises(StoreError, match=r"taken over by another run.*Finished blocks are safe"):
            place.write("x", b"no longer")
        with pytest.raises(StoreError, match="taken over"):
            place.beside("b.zarr").write("x", b"no longer")
    assert place.read("x") == b"mine"
    assert place.read(ALONE) == b'{"id": "of another"}'  # not given back: it is another's
    place.write("x", b"unguarded")


def test_a_lease_that_cannot_be_renewed_for_a_while_is_kept(place, monkeypatch):
    put = place.put
    with writing(place, shared=False):
        monkeypatch.setattr(place, "put", lambda *_: (_ for _ in ()).throw(OSError("no network")))
        time.sleep(leases.PATIENCE)
        monkeypatch.setattr(place, "put", put)
        place.write("x", b"still mine")
