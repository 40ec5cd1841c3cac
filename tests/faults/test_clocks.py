"""Clocks that go backwards between blocks: results do not depend on them, and nothing told is negative."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import pytest
from disturbed import audit, bandscope, check_finished, markers, ordinary

from bandscope.cli import status
from bandscope.cube import store as storing
from bandscope.cube.progress import Mark, Progress, progress

START = datetime(2026, 3, 29, 2, 30, tzinfo=UTC)
SETTINGS = ("model", "data", "probes", "zoom", "plan")
STEPS = {
    "back once": [4.0, 4.0, -3600.0, 4.0, 4.0, 4.0],
    "backwards": [-7200.0] * 6,
    "standing": [0.0] * 6,
    "leaping": [1e7, -1e7, 1e7, -1e7, 1e7, -1e7],
}


class Like(type):
    """Of a class that stands in for another."""

    def __instancecheck__(cls, thing: object) -> bool:
        return isinstance(thing, cls.__base__)


def clock(read: Callable[[], datetime]) -> type[datetime]:
    """A `datetime` whose present is what a test says."""

    class Clock(datetime, metaclass=Like):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return read().astimezone(tz)

    return Clock


def numbers(value: Any) -> Iterator[float]:
    """Every number in JSON but those of settings."""
    if isinstance(value, dict):
        yield from (
            n for key, v in value.items() if key not in ("model", "data", "probes", "plan") for n in numbers(v)
        )
    elif isinstance(value, list):
        yield from (n for v in value for n in numbers(v))
    elif isinstance(value, int | float):
        yield value


def test_numbers_finds_what_is_negative():
    assert [*numbers({"a": [{"b": 1}, -2.5], "plan": {"threads": -1}})] == [1, -2.5]


@pytest.mark.parametrize("name", ordinary([*STEPS], 1))
def test_an_audit_under_a_clock_that_goes_wrong(tmp_path, whole, monkeypatch, name):
    store, times = tmp_path / "a.zarr", [START + timedelta(seconds=s) for s in accumulate(STEPS[name])]
    left = iter(times)
    monkeypatch.setattr(storing, "datetime", clock(lambda: next(left)))
    looks = 0

    def look(*_: int) -> None:
        nonlocal looks
        if len(markers(store)) > looks:  # after each block, by its own clock and by others
            looks += 1
            for now in (times[looks - 1], START, START - timedelta(days=400), START + timedelta(days=400)):
                check_told(now)

    def check_told(now: datetime) -> None:
        monkeypatch.setattr(status, "datetime", clock(lambda: now))
        code, said = bandscope("status", "a.zarr", "--json", cwd=tmp_path)
        assert code == 0
        assert min(numbers(json.loads(said))) >= 0
        code, said = bandscope("status", "a.zarr", cwd=tmp_path)
        assert code == 0
        assert not re.search(r"(?<![\w])-\d", said.partition("Blocks")[2]), said

    audit(store, progress=look)
    look()
    assert looks == len(times)
    check_finished(store, whole)


def told(seconds: list[float], now: float) -> Progress:
    """Of ten blocks, those that one process has finished at these seconds."""
    marks = [Mark(block, "host", 1, START + timedelta(seconds=s)) for block, s in enumerate(seconds)]
    return progress(marks, images=320, block_size=32, passes_an_image=3, now=START + timedelta(seconds=now))


def test_the_pace_survives_a_step_back():
    """A block every four seconds, through the hour that comes twice."""
    found = told([0, 4, 8, 12 - 3600, 16 - 3600, 20 - 3600], 22 - 3600)
    assert found.rate == pytest.approx(1 / 4)
    assert found.seconds_left == pytest.approx(16)
    assert found.active == 1


def test_a_process_that_ended_before_the_clock_was_right_again_is_not_at_work():
    """What was finished "in the future" does not keep it alive."""
    assert told([0, 4, 8, 12 - 3600, 16 - 3600], 600 - 3600).active == 0


def test_without_one_interval_that_means_something_there_is_no_pace():
    for seconds in ([0, -5, -10], [0, 0, 0], [0]):
        found = told(seconds, 0)
        assert found.rate is None
        assert found.seconds_left is None
