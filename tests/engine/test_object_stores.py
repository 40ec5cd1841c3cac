"""Audits into object stores: the bytes of a local store, whatever fails in between."""

import json
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from bucket import Bucket, files_at
from fakes import FakeClassifier, FakeSource

import bandscope as bs
from bandscope.api import audit, audit_together
from bandscope.cli.main import main
from bandscope.cube import lease as leases
from bandscope.cube.lock import writing
from bandscope.cube.progress import read_marks
from bandscope.cube.verify import verify
from bandscope.errors import StoreError

PROBES = (bs.LowPass((2, 5)), bs.HighPass((2,)))
FEW = (bs.LowPass((5,)),)
IMAGES = 70  # three blocks of 32
BEGINNINGS = {"new": {}, "overwrite": {"overwrite": True}, "extend": {"extend": True}}
numbers = count()


def run(out, source=None, **options):
    return audit(FakeClassifier(), source or FakeSource(IMAGES), out=out, **{"probes": PROBES, **options})


def content(files: dict[str, bytes]) -> dict[str, bytes]:
    """Every file; of a marker the checksums, of the root what does not say how the store came about."""
    return {name: _same(name, data) for name, data in files.items()}


def _same(name: str, data: bytes) -> bytes:
    if name.startswith(".blocks/"):
        return json.dumps(json.loads(data)["crc32"]).encode()
    if name == "zarr.json":
        held = json.loads(data)
        held["attributes"].pop("command")
        return json.dumps(held).encode()
    return data


def on_disk(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """The files of a local store."""
    path = tmp_path_factory.mktemp("whole") / "a.zarr"
    run(path)
    return content(on_disk(path))


@pytest.fixture
def name(monkeypatch) -> Iterator[str]:
    """Of a store in the bucket b, in which leases go by quickly; what is left there is deleted."""
    for constant, seconds in {"BEAT": 0.02, "PATIENCE": 0.2, "POLL": 0.01}.items():
        monkeypatch.setattr(leases, constant, seconds)
    yield f"{next(numbers)}.zarr"
    Bucket.objects.clear()
    Bucket.fault = None


def fail_from(request: int) -> None:
    """Every request from that one on fails, as of a process that is killed: it cannot tidy up either."""
    left = count(-request)

    def fault(what: str, path: str) -> None:
        if next(left) >= 0:
            raise OSError(f"{what} {path} failed")

    Bucket.fault = fault


def check_readable(name: str, whole: dict[str, bytes]) -> None:
    """At any moment: there is no store, or every image that counts has its final numbers."""
    if "zarr.json" not in files_at(name):
        with pytest.raises(StoreError, match=r"has no zarr\.json"):
            bs.open(f"bucket://b/{name}")
        return
    assert {finding.severity for finding in verify(f"bucket://b/{name}")} <= {"unfinished", "note"}
    done = [key for key in files_at(name) if key.startswith(".blocks/")]
    ok = bs.open(f"bucket://b/{name}")["status"].values == "ok"
    assert len(done) * 32 - 26 * (len(done) == 3) <= ok.sum()
    if "high_pass/margin/zarr.json" in files_at(name):
        held = content(files_at(name))
        assert all(held[key] == whole[key] for key in done)


# ---- the bytes


@pytest.mark.parametrize("where", ["bucket://b/{}", "memory://{}", "file://{}/c.zarr"])
def test_an_audit_elsewhere_is_the_local_one_bit_for_bit(tmp_path, whole, name, where):
    out = where.format(tmp_path if where.startswith("file") else name)
    cube = run(out)
    assert (cube["status"].values == "ok").all()
    if where.startswith("file"):
        assert content(on_disk(tmp_path / "c.zarr")) == whole
    elif where.startswith("bucket"):
        assert content(files_at(name)) == whole
    assert verify(out) == []
    computed = []
    run(out, progress=lambda done, *_: computed.append(done))
    assert computed == [IMAGES * 4]  # all of it was there
    with bs.open(out) as opened:
        np.testing.assert_array_equal(opened["low_pass/margin"], cube["low_pass/margin"])


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_shards_make_the_store_of_one_process(whole, name, order):
    for number in order:
        run(f"bucket://b/{name}", shard=f"{number}/2")
    assert content(files_at(name)) == whole


def test_an_extended_store_is_that_of_one_audit(whole, name):
    run(f"bucket://b/{name}", probes=FEW)
    run(f"bucket://b/{name}", extend=True)
    assert content(files_at(name)) == whole
    assert {key.split("/")[1] for key in Bucket.objects} == {name}


def test_a_store_is_begun_anew_and_nothing_of_the_old_one_stays(whole, name):
    run(f"bucket://b/{name}", FakeSource(200), probes=(*PROBES, bs.BandPass(((0, 3),))))
    run(f"bucket://b/{name}", overwrite=True)
    assert content(files_at(name)) == whole


def test_several_models_in_one_pass(whole, name):
    out = [f"bucket://b/{name}", f"bucket://b/other-{name}"]
    models = [FakeClassifier(), FakeClassifier(seed=1)]
    audit_together(models, FakeSource(IMAGES), out=out, probes=PROBES)
    assert content(files_at(name)) == whole
    assert verify(out[1]) == []


# ---- faults


@pytest.fixture(scope="module")
def requests(whole) -> dict[str, int]:
    """How many each beginning takes."""
    found = {}
    for beginning, options in BEGINNINGS.items():
        if options:
            run("bucket://b/r.zarr", probes=FEW)
        before = len(Bucket.requests)
        run("bucket://b/r.zarr", **options)
        found[beginning] = len(Bucket.requests) - before
        Bucket.objects.clear()
    return found


MOMENTS = [0.35, 0.8]


@pytest.mark.parametrize("moment", MOMENTS + [pytest.param(m / 40, marks=pytest.mark.slow) for m in range(40)])
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_after_a_failure_at_any_moment_running_again_finishes(whole, requests, name, beginning, moment):
    out, options = f"bucket://b/{name}", BEGINNINGS[beginning]
    if options:
        run(out, probes=FEW)
    fail_from(int(moment * requests[beginning]))
    with pytest.raises(StoreError, match="failed"):
        run(out, **options)
    Bucket.fault = None
    check_readable(name, whole)
    run(out, **options)
    assert content(files_at(name)) == whole
    assert {key.split("/")[1] for key in Bucket.objects} == {name}


def test_a_failure_in_the_middle_of_a_block_costs_that_block(whole, name):
    out = f"bucket://b/{name}"

    def fault(what: str, path: str) -> None:
        if what == "put" and path.endswith("high_pass/margin/c/1/0"):
            raise OSError("connection reset")

    Bucket.fault = fault
    with pytest.raises(StoreError, match=r"cannot be written: connection reset\. Finished blocks are safe"):
        run(out)
    Bucket.fault = None
    check_readable(name, whole)
    assert (bs.open(out)["status"].values == "ok").sum() == 32
    opened = []
    run(out, FakeSource(IMAGES, killer=opened.append))
    assert sorted(opened) == [*range(32, 70)]
    assert content(files_at(name)) == whole


def test_a_flipped_bit_is_found_named_and_computed_again(whole, name):
    out, key = f"bucket://b/{name}", "low_pass/top5_class/c/1/0/0"
    run(out)
    data = bytearray(Bucket.objects[f"b/{name}/{key}"])
    data[len(data) // 2] ^= 1
    Bucket.objects[f"b/{name}/{key}"] = bytes(data)
    assert [(f.severity, f.where, f.images) for f in verify(out)] == [("damaged", key, range(32, 64))]
    opened = []
    run(out, FakeSource(IMAGES, killer=opened.append))
    assert sorted(opened) == [*range(32, 64)]
    assert content(files_at(name)) == whole


def test_where_reading_fails_nothing_is_taken_for_lost(whole, name):
    """A network that is down has damaged no block."""
    out = f"bucket://b/{name}"
    run(out)

    def fault(what: str, path: str) -> None:
        if what == "get" and "/c/" in path:
            raise ConnectionError("no route to host")

    Bucket.fault = fault
    with pytest.raises(StoreError, match="no route to host"):
        verify(out)
    with pytest.raises(StoreError, match="no route to host"):
        run(out)
    Bucket.fault = None
    assert content(files_at(name)) == whole


# ---- who may write


@pytest.mark.parametrize(("held", "asked"), [(False, None), (False, "1/2"), (True, None)])
def test_two_runs_at_once_are_refused(whole, name, held, asked):
    out = f"bucket://b/{name}"
    run(out)
    with writing(out, shared=held):
        for options in ({"shard": asked},) if asked else ({}, {"overwrite": True}, {"extend": True}):
            with pytest.raises(StoreError, match="being written by another run"):
                run(out, **options)
    assert content(files_at(name)) == whole
    with writing(out, shared=True):
        run(out, shard="1/2")


def test_objects_of_others_are_left_alone(name):
    Bucket.objects[f"b/{name}/photo.jpg"] = b"not ours"
    with pytest.raises(StoreError, match="is not a bandscope store"):
        run(f"bucket://b/{name}")
    with pytest.raises(StoreError, match="exists and is not a bandscope store; it was left alone"):
        run(f"bucket://b/{name}", overwrite=True)
    assert files_at(name) == {"photo.jpg": b"not ours"}


def test_a_missing_bucket(capsys):
    with pytest.raises(StoreError, match=r"cannot be written: The specified bucket does not exist\. Choose another"):
        run("bucket://none/a.zarr")
    assert main(["table", "bucket://none/a.zarr", "curves"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "Error: bucket://none/a.zarr is not a bandscope store" in said
    assert "The specified bucket does not exist" in said


def test_what_can_only_be_read_is_refused_before_any_work():
    classifier = FakeClassifier()
    with pytest.raises(StoreError, match="can be read, but not written"):
        audit(classifier, FakeSource(), out="http://localhost:1/a.zarr")
    assert classifier.batches == []


def test_a_web_server_that_lists_nothing_is_enough_to_read(tmp_path):
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_) -> None:
            pass

        def list_directory(self, _) -> None:
            self.send_error(404)

    run(tmp_path / "a.zarr")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.zarr"
        assert verify(url) == []
        assert [mark.block for mark in read_marks(url, range(4))] == [0, 1, 2]
        assert (bs.open(url)["status"].values == "ok").all()
        with pytest.raises(StoreError, match=r"has no zarr\.json"):
            bs.open(f"{url}/none")
        server.shutdown()


def test_storage_options_reach_the_file_system(name, monkeypatch):
    asked = set()
    plain = Bucket._ask

    def ask(self, what, path):
        asked.add(self.storage_options.get("endpoint"))
        return plain(self, what, path)

    monkeypatch.setattr(Bucket, "_ask", ask)
    run(f"bucket://b/{name}", storage_options={"endpoint": "here"})
    bs.open(f"bucket://b/{name}", {"endpoint": "here"})["status"].load()
    assert asked == {"here"}


# ---- the command line


def test_the_commands_read_it_and_write_into_the_current_folder(tmp_path, name, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bandscope", "audit", "planted", "planted", "--out=elsewhere.zarr"])
    out = f"bucket://b/{name.replace('.zarr', '-cli.zarr')}"

    def said(*words: str) -> str:
        assert main([*words]) == 0
        return " ".join(capsys.readouterr().out.split())

    few = ("--radii", "4,16", "--per-class", "1", "--threads", "1")
    assert f"Cube {out}" in said("audit", "planted", "planted", *few, "--out", out)
    stem = name.replace(".zarr", "-cli")
    assert {path.name for path in tmp_path.iterdir()} == {f"{stem}-figures"}
    assert f"{out} is whole." in said("verify", out)
    told = json.loads(said("status", out, "--json"))
    assert (told["store"], told["blocks_done"], told["seconds_left"]) == (out, 1, 0)
    assert "finished" in said("status", out)
    said("table", out, "curves", "--csv", "curves.csv")
    bs.audit(probes=[bs.LowPass((4, 16)), bs.HighPass((4, 16))], per_class=1, threads=1, out="local.zarr")
    said("table", "local.zarr", "curves", "--csv", "local.csv")
    assert (tmp_path / "curves.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
    assert "+0.0" in said("compare", "local.zarr", out)
    said("report", out)
    said("sample", out, "0")
    assert (tmp_path / f"{stem}.html").exists()
    assert [*tmp_path.glob(f"{stem}-*.png")]
    Bucket.objects.pop(f"b/{stem}.zarr/.blocks/000000.json")
    assert f"--out {out}" in said("verify", out)
