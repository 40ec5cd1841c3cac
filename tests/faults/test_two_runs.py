"""Two runs on one store at once: one writes, the other is told, and the store is that of one run."""

import os
import shutil
import time
from pathlib import Path

import pytest
from disturbed import FEW, audit, bandscope, check_finished, check_readable, finish, markers, start, wait_for

from bandscope.cube.place import place_of
from bandscope.errors import StoreError

REFUSED = "being written by another run"


def refused(store: Path, **options) -> None:
    """An audit that may be kept out; nothing else may go wrong."""
    try:
        audit(store, **options)
    except StoreError as error:
        print(error)
        os._exit(3)


def held(store: Path, until: Path) -> None:
    """An audit that stops after its first block until a file exists."""

    def hold(*_: int) -> None:
        while markers(store) and not until.exists():
            time.sleep(0.01)

    audit(store, progress=hold)


def test_while_one_writes_another_is_kept_out(tmp_path, whole):
    store, until = tmp_path / "a.zarr", tmp_path / "until"
    first = start(held, store, until)
    wait_for(store, 1, first.is_alive)
    for options in ({}, {"overwrite": True}, {"shard": "1/2"}):
        with pytest.raises(StoreError, match=REFUSED):
            audit(store, **options)
    assert check_readable(store, whole) == 32  # reading needs no leave
    until.touch()
    first.join()
    assert first.exitcode == 0
    check_finished(store, whole)
    assert len({process for process, _ in markers(store).values()}) == 1


@pytest.mark.parametrize("options", [{}, {"extend": True}, {"overwrite": True}], ids=["new", "extend", "overwrite"])
def test_three_started_together(tmp_path, whole, options):
    store = tmp_path / "a.zarr"
    if options:
        assert finish(audit, store, probes=FEW) == 0
    runs = [start(refused, store, said=tmp_path / f"said {number}", **options) for number in range(3)]
    for run in runs:
        run.join()
    codes = [run.exitcode for run in runs]
    assert set(codes) <= {0, 3}
    assert 0 in codes
    for number in range(3):
        assert (tmp_path / f"said {number}").read_text() == "" or REFUSED in (tmp_path / f"said {number}").read_text()
    assert finish(audit, store, **options) == 0
    check_finished(store, whole)


def test_what_a_kill_left_half_made_is_swept_after_an_hour(tmp_path):
    new, old = tmp_path / ".a.zarr.0123abcd.partial", tmp_path / ".a.zarr.4567abcd.partial"
    for folder in (new, old):
        (folder / "label").mkdir(parents=True)
    os.utime(old, (time.time() - 4000,) * 2)
    other = shutil.copytree(old, tmp_path / ".b.zarr.4567abcd.partial")
    audit(tmp_path / "a.zarr", probes=FEW, limit=3)
    assert place_of(tmp_path / "a.zarr").drafts() == [new]
    assert other.exists()
    assert "half made" in bandscope("verify", "a.zarr", cwd=tmp_path)[1]
