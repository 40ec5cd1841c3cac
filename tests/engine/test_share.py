"""Several processes fill one store: their shares, their races, and who is kept out."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from fakes import FakeSource, files_of
from hypothesis import given
from hypothesis import strategies as st
from test_audit import run

import bandscope as bs
from bandscope.cube.lock import writing
from bandscope.engine.share import Share, launched_share, parse_share
from bandscope.errors import InputError, StoreError

PROBES = (bs.LowPass((2, 5)), bs.HighPass((2,)))
IMAGES = 100  # four blocks of 32


@given(count=st.integers(1, 12), blocks=st.integers(0, 50))
def test_shares_hold_every_block_once(count, blocks):
    parts = [Share(number, count).of(range(blocks)) for number in range(1, count + 1)]
    assert sorted(block for part in parts for block in part) == list(range(blocks))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_shares_are_parsed_and_taken_from_torchrun():
    assert parse_share("2/8") == Share(2, 8)
    assert launched_share({"RANK": "0", "WORLD_SIZE": "4"}) == Share(1, 4)
    assert launched_share({"RANK": "0", "WORLD_SIZE": "1"}).alone
    assert launched_share({}).alone
    for text in ("0/4", "5/4", "1", "1/0", "a/b", "-1/2", ""):
        with pytest.raises(InputError, match="shard"):
            parse_share(text)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_in_any_order_make_the_store_of_one_process(tmp_path, order):
    run(FakeSource(IMAGES), probes=PROBES, out=tmp_path / "whole.zarr")
    for number in order:
        cube = run(FakeSource(IMAGES), probes=PROBES, out=tmp_path / "parts.zarr", shard=f"{number}/3")
        done = cube["status"].values == "ok"
        assert done.any()
        assert done.all() == (number == order[-1])
    assert files_of(tmp_path / "parts.zarr") == files_of(tmp_path / "whole.zarr")


def test_shards_started_together_race_for_the_store_and_agree(tmp_path):
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_share as t
        t.run(t.FakeSource(t.IMAGES), probes=t.PROBES, out={str(tmp_path / "parts.zarr")!r}, shard=sys.argv[1])
    """)
    shards = [subprocess.Popen([sys.executable, "-c", program, f"{i}/2"]) for i in (1, 2)]
    assert [process.wait() for process in shards] == [0, 0]
    run(FakeSource(IMAGES), probes=PROBES, out=tmp_path / "whole.zarr")
    assert files_of(tmp_path / "parts.zarr") == files_of(tmp_path / "whole.zarr")


def test_a_lost_shard_costs_only_its_blocks_and_any_run_finishes(tmp_path):
    out = tmp_path / "parts.zarr"
    run(FakeSource(IMAGES), probes=PROBES, out=out, shard="2/2")
    opened = []
    run(FakeSource(IMAGES, killer=opened.append), probes=PROBES, out=out)
    assert sorted(opened) == [*range(32), *range(64, 96)]


@pytest.mark.parametrize(("held", "asked"), [(False, None), (False, "1/2"), (True, None)])
def test_a_store_that_is_being_written_keeps_others_out(tmp_path, held, asked):
    run(FakeSource(3), probes=PROBES, out=tmp_path / "a.zarr")
    before = files_of(tmp_path / "a.zarr")
    with writing(tmp_path / "a.zarr", shared=held):
        with pytest.raises(StoreError, match="being written by another run"):
            run(FakeSource(3), probes=PROBES, out=tmp_path / "a.zarr", shard=asked)
        if asked is None:
            with pytest.raises(StoreError, match="being written by another run"):
                run(FakeSource(3), probes=PROBES, out=tmp_path / "a.zarr", overwrite=True)
    assert files_of(tmp_path / "a.zarr") == before
    run(FakeSource(3), probes=PROBES, out=tmp_path / "a.zarr")


def test_shards_may_write_together(tmp_path):
    run(FakeSource(3), probes=PROBES, out=tmp_path / "a.zarr")
    with writing(tmp_path / "a.zarr", shared=True):
        run(FakeSource(3), probes=PROBES, out=tmp_path / "a.zarr", shard="1/2")


@pytest.mark.parametrize("what", [{"overwrite": True}, {"extend": True}, {"out": None}])
def test_what_shards_cannot_do_is_refused(tmp_path, what):
    with pytest.raises(InputError, match="needs a store"):
        run(FakeSource(3), **{"out": tmp_path / "a.zarr", "shard": "1/2", **what})
