"""Progress from made-up markers: counts, paces, clocks that jump, markers that are old or damaged."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bandscope.cube.progress import Mark, Progress, progress, read_marks

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def marks(times, host="a", process=1, first=0) -> list[Mark]:
    return [Mark(first + i, host, process, None if t is None else at(t)) for i, t in enumerate(times)]


def told(several, *, now: float = 0.0, images: int = 95, passes: int = 3) -> Progress:
    return progress(several, images=images, block_size=10, passes_an_image=passes, now=at(now))


def test_no_markers():
    found = told([])
    assert (found.blocks, found.blocks_done, found.images_done, found.passes_done) == (10, 0, 0, 0)
    assert (found.first, found.last, found.rate, found.seconds_left) == (None, None, None, None)
    assert found.workers == ()


def test_counts_know_that_the_last_block_is_short():
    found = told([Mark(0), Mark(9)])
    assert (found.blocks_done, found.images_done) == (2, 15)
    assert (found.passes_done, found.passes) == (45, 285)


def test_blocks_that_do_not_exist_do_not_count():
    assert told([Mark(0), Mark(10), Mark(99)]).blocks_done == 1


def test_one_process_at_a_steady_pace():
    found = told(marks([0, 20, 40, 60]), now=65)
    assert found.rate == pytest.approx(1 / 20)
    assert found.seconds_left == pytest.approx(6 * 20)
    assert found.active == 1
    assert (found.first, found.last) == (at(0), at(60))


def test_a_pause_does_not_change_the_pace():
    assert told(marks([0, 20, 40, 10_000, 10_020])).rate == pytest.approx(1 / 20)


def test_only_the_last_blocks_tell_the_pace():
    slow, fast = [100.0 * i for i in range(40)], [3900 + 5.0 * (i + 1) for i in range(21)]
    assert told(marks(slow + fast), images=1000).rate == pytest.approx(1 / 5)


def test_the_order_of_the_markers_does_not_matter():
    several = marks([0, 20, 40, 60])
    assert told(several[::-1], now=60) == told(several, now=60)


def test_processes_at_work_together_add_up():
    several = marks([0, 20, 40], process=1) + marks([5, 15, 25], host="b", process=1, first=3)
    found = told(several, now=41)
    assert found.active == 2
    assert found.rate == pytest.approx(1 / 20 + 1 / 10)
    assert found.seconds_left == pytest.approx(4 / (1 / 20 + 1 / 10))
    assert [(w.host, w.blocks, w.seconds) for w in found.workers] == [("a", 3, 20), ("b", 3, 10)]


def test_a_process_that_has_ended_does_not_add_up():
    several = marks([0, 1, 2], process=1) + marks([100, 120, 140], process=2, first=3)
    found = told(several, now=141)
    assert [(w.process, w.active) for w in found.workers] == [(2, True), (1, False)]
    assert found.rate == pytest.approx(1 / 20)


def test_a_process_of_one_block_counts_with_the_pace_of_the_others():
    found = told(marks([0, 20, 40]) + marks([41], process=2, first=3), now=45)
    assert found.active == 2
    assert found.rate == pytest.approx(2 / 20)


def test_where_none_is_at_work_the_latest_tells_the_pace():
    several = marks([0, 1, 2], process=1) + marks([100, 120, 140], process=2, first=3)
    found = told(several, now=100_000)
    assert found.active == 0
    assert found.rate == pytest.approx(1 / 20)
    assert found.seconds_left == pytest.approx(4 * 20)


def test_one_block_alone_tells_no_pace():
    found = told(marks([7]), now=8)
    assert (found.rate, found.seconds_left, found.active) == (None, None, 1)


@pytest.mark.parametrize("times", [[0, 0, 0], [50, 40, 30, 20], [0, None, None]])
def test_a_clock_that_does_not_go_forwards_tells_no_pace(times):
    found = told(marks(times), now=60)
    assert (found.rate, found.seconds_left) == (None, None)


@pytest.mark.parametrize("jump", [-3600, -25, 3600])
def test_a_clock_that_jumps_once(jump):
    """The median of the intervals on both sides of the jump."""
    times = [0, 20, 40, 60, 80 + jump, 100 + jump, 120 + jump]
    found = told(marks(times), now=130 + jump)
    assert found.rate == pytest.approx(1 / 20)
    assert found.seconds_left == pytest.approx(60)


def test_blocks_of_the_future_are_of_a_process_at_work():
    found = told(marks([0, 20, 40]), now=-5000)
    assert found.active == 1
    assert found.seconds_left == pytest.approx(7 * 20)


def test_a_finished_audit_has_no_time_left():
    assert told(marks([None] * 10)).seconds_left == 0
    assert told(marks(range(10))).seconds_left == 0


# ---- files


def write(store: Path, block: int, **fields) -> None:
    (store / ".blocks").mkdir(exist_ok=True)
    (store / ".blocks" / f"{block:06d}.json").write_text(json.dumps({"block": block, "crc32": {}, **fields}))


def test_markers_are_read_from_files(tmp_path):
    write(tmp_path, 12, host="b", process=7, finished="2026-01-02T03:04:05.000+00:00")
    write(tmp_path, 3)  # as before there was more in it
    assert read_marks(tmp_path, range(20)) == [Mark(3), Mark(12, "b", 7, START)]


def test_no_folder_of_markers(tmp_path):
    assert read_marks(tmp_path, range(20)) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", "3", '{"crc32": 3}', "\x00", "\udcff"])
def test_a_damaged_marker_is_no_block(tmp_path, text):
    write(tmp_path, 0)
    (tmp_path / ".blocks" / "000001.json").write_bytes(text.encode(errors="surrogateescape"))
    (tmp_path / ".blocks" / "odd.json").write_text("{}")
    (tmp_path / ".blocks" / "000002.12.draft").write_text("{}")
    assert read_marks(tmp_path, range(20)) == [Mark(0)]


@pytest.mark.parametrize("finished", ["", "yesterday", 12, None, "2026-01-02T03:04:05"])
def test_odd_fields_are_unknown(tmp_path, finished):
    """A time without a zone too: it cannot be held against others."""
    write(tmp_path, 0, host=["a"], process="7", finished=finished)
    assert read_marks(tmp_path, range(20)) == [Mark(0)]
