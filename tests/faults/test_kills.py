"""Kill -9 at random moments: the store stays readable, and running again ends where nothing had happened."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from disturbed import (
    BLOCKS,
    FEW,
    alive,
    audit,
    check_finished,
    check_readable,
    finish,
    launch,
    markers,
    moment,
    ordinary,
    rank,
    start,
    wait_for,
    wait_until,
)

TIMES = range(30)
LOADING, IMPORTING = 0.5, 5.0  # seconds, roughly, before the first block of a forked process and of a new one


@pytest.fixture(scope="module")
def pace(whole) -> float:
    """Seconds a block."""
    times = [datetime.fromisoformat(finished) for _, finished in markers(whole).values()]
    return median((after - before).total_seconds() for before, after in pairwise(times))


def killed_at(blocks: int, seconds: float, store: Path, *, watched: Path | None = None, **options) -> bool:
    """Kill an audit so many seconds after so many blocks; whether that was before its end."""
    process = start(audit, store, **options)
    wait_for(watched or store, blocks, process.is_alive)
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def check_kept(store: Path, before: dict[int, tuple[int, str]]) -> None:
    """What was finished has not been computed again."""
    assert {block: who for block, who in markers(store).items() if block in before} == before


@pytest.mark.parametrize("seed", ordinary(TIMES, 2))
def test_one_process(tmp_path, whole, pace, seed):
    store, (blocks, seconds) = tmp_path / "a.zarr", moment(seed, BLOCKS - 1, LOADING, pace)
    while not killed_at(blocks, seconds, store):
        shutil.rmtree(store)
        seconds /= 2
    done, before = check_readable(store, whole), markers(store)
    assert len(before) >= blocks
    assert len(before) * 32 <= done <= (len(before) + 1) * 32
    assert finish(audit, store) == 0
    check_finished(store, whole)
    check_kept(store, before)
    assert len({process for process, _ in markers(store).values()}) == 1 + bool(before)


@pytest.mark.slow
def test_again_and_again(tmp_path, whole, pace):
    """Each attempt gets a little further."""
    store, chance = tmp_path / "a.zarr", random.Random("again")
    for blocks in range(1, BLOCKS - 1):
        killed_at(blocks, chance.uniform(0, pace / 2), store)
        check_readable(store, whole)
    assert finish(audit, store) == 0
    check_finished(store, whole)
    assert len({process for process, _ in markers(store).values()}) > 2


@pytest.mark.parametrize("seed", ordinary(TIMES[:10], 1))
def test_one_of_two_shards(tmp_path, whole, pace, seed):
    """It costs its unfinished block; the other does not notice."""
    store, (blocks, seconds) = tmp_path / "a.zarr", moment(seed, BLOCKS - 2, LOADING, pace)
    other = start(audit, store, shard="2/2")
    killed_at(blocks, seconds, store, shard="1/2")
    other.join()
    assert other.exitcode == 0
    check_readable(store, whole)
    before = markers(store)
    assert {1, 3, 5} <= set(before)
    assert finish(audit, store, shard="1/2") == 0
    check_finished(store, whole)
    check_kept(store, before)


@pytest.mark.parametrize("seed", ordinary(TIMES[:10], 1))
def test_an_extension(tmp_path, whole, pace, seed):
    """Until the new store is whole the old one stands."""
    store, (blocks, seconds) = tmp_path / "a.zarr", moment(seed, BLOCKS, LOADING, pace / 2)
    assert finish(audit, store, probes=FEW) == 0
    few = shutil.copytree(store, tmp_path / "few.zarr")
    killed_at(blocks, seconds, store, watched=tmp_path / ".a.zarr.extending", extend=True)
    if store.exists():
        check_finished(store, whole if (store / "band_pass").exists() else few)
    assert finish(audit, store, extend=True) == 0
    check_finished(store, whole)
    left = {path.name for path in tmp_path.iterdir()} - {"a.zarr", "few.zarr"}
    assert all(name.endswith(".partial") for name in left)  # what is half made may be another's, for an hour


@pytest.mark.parametrize("seed", ordinary(TIMES[:10], 1))
def test_a_store_that_is_replaced(tmp_path, whole, pace, seed):
    """What stands under its name is the old store, whole, or the new one."""
    store, (blocks, seconds) = tmp_path / "a.zarr", moment(seed, 1, LOADING, pace)
    assert finish(audit, store, probes=FEW) == 0
    few = shutil.copytree(store, tmp_path / "few.zarr")
    killed_at(blocks, seconds, store, overwrite=True)
    if store.exists() and not (store / "band_pass").exists():
        check_finished(store, few)
    else:
        check_readable(store, whole)
    assert finish(audit, store, overwrite=True) == 0
    check_finished(store, whole)


@pytest.mark.parametrize("seed", ordinary(TIMES, 1))
def test_a_rank_of_torchrun(tmp_path, whole, pace, seed):
    """The launcher ends the other rank; what both have finished stays."""
    store, (blocks, seconds) = tmp_path / "a.zarr", moment(seed, BLOCKS - 2, IMPORTING, pace)
    launcher, number = launch(store), seed % 2
    wait_until(lambda: rank(store, number) is not None)
    wait_for(store, blocks, lambda: launcher.poll() is None)
    with contextlib.suppress(subprocess.TimeoutExpired):
        launcher.wait(seconds)
    with contextlib.suppress(ProcessLookupError):  # it may be done
        os.kill(rank(store, number), signal.SIGKILL)
    launcher.wait()
    check_readable(store, whole)
    before = markers(store)
    again = finish(audit, store) if seed % 4 < 2 else launch(store).wait()
    assert again == 0
    check_finished(store, whole)
    check_kept(store, before)


@pytest.mark.parametrize("seed", ordinary(TIMES, 1))
def test_the_launcher_of_torchrun(tmp_path, whole, pace, seed):
    """Its ranks live on and finish; meanwhile others may read or join in, but not begin alone."""
    store, (blocks, seconds) = tmp_path / "a.zarr", moment(seed, BLOCKS - 2, IMPORTING, pace)
    launcher = launch(store)
    wait_for(store, blocks, lambda: launcher.poll() is None)
    with contextlib.suppress(subprocess.TimeoutExpired):
        launcher.wait(seconds)
    launcher.kill()
    launcher.wait()
    check_readable(store, whole)
    if seed % 2:
        assert launch(store).wait() == 0
        check_finished(store, whole)
    orphans = [process for number in (0, 1) if (process := rank(store, number))]
    wait_until(lambda: not any(map(alive, orphans)))
    before = markers(store)
    assert finish(audit, store) == 0
    check_finished(store, whole)
    check_kept(store, before)
