"""`bandscope verify` and `bandscope status` as a user meets them."""

import contextlib
import io
import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import bandscope as bs
from bandscope.cli.main import main
from bandscope.cli.status import duration
from bandscope.cube.store import Store
from bandscope.cube.verify import Finding

SPEC = "planted?per_class=8"  # 72 images, three blocks of 32
PROBES = (bs.LowPass([5, 80]), bs.HighPass([5]))  # 80 is beyond the corner: the clean image again


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("verify") / "a.zarr"
    bs.audit("planted", SPEC, out=path, probes=PROBES, batch_size=8, threads=1)
    command = "bandscope audit planted 'planted?per_class=8' --overwrite -o elsewhere/a.zarr --shard 2/8 --radii 5"
    text = (path / "zarr.json").read_text()
    made_by = json.dumps(json.loads(text)["attributes"]["command"])
    (path / "zarr.json").write_text(text.replace(made_by, json.dumps(command)))
    return path


@pytest.fixture
def store(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "a.zarr")


def run(*arguments: object, cwd: Path) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return code, out.getvalue() + err.getvalue()


def verified(store: Path) -> tuple[int, str]:
    code, said = run("verify", store.name, cwd=store.parent)
    assert max(map(len, said.splitlines())) <= 100
    return code, re.sub(r"\s+", " ", said)


def status(store: Path) -> str:
    code, said = run("status", store.name, cwd=store.parent)
    assert code == 0, said
    assert max(map(len, said.splitlines())) <= 100
    assert len(said.splitlines()) < 24
    return re.sub(r" +", " ", said)


def unmark(store: Path, *blocks: int) -> None:
    for block in blocks:
        (store / ".blocks" / f"{block:06d}.json").unlink()


def test_whole(store):
    assert verified(store) == (0, "a.zarr is whole. ")


def test_damage_names_file_images_and_command(store):
    (store / "high_pass/margin/c/1/0").write_bytes(b"x")
    code, said = verified(store)
    assert code == 3
    assert "damaged high_pass/margin/c/1/0 has changed 32 to 63" in said
    assert "32 images are affected" in said
    again = "bandscope audit planted 'planted?per_class=8' --radii 5 --out a.zarr"
    assert f"computes exactly the damaged blocks: {again}" in said


def test_unfinished_is_no_damage_and_says_how_to_go_on(store):
    unmark(store, 2)
    code, said = verified(store)
    assert code == 0
    assert "unfinished block 2 not computed yet 64 to 71" in said
    assert "a.zarr is unfinished: 8 images" in said
    assert "computes exactly the missing blocks: bandscope audit" in said


def test_damaged_and_unfinished(store):
    (store / "status/c/0").unlink()
    unmark(store, 2)
    code, said = verified(store)
    assert code == 3
    assert "exactly the damaged and the missing blocks" in said


def test_what_cannot_be_repaired(store):
    (store / "label/c/0").unlink()
    code, said = verified(store)
    assert code == 3
    assert "label/c/0 is lost" in said
    assert "--overwrite" in said
    assert "computes exactly" not in said


def test_values_that_contradict_each_other(store):
    whole = Store(store)
    arrays = whole.read(1)
    arrays["low_pass/margin"] *= -1
    whole.write(1, arrays)
    code, said = verified(store)
    assert code == 3
    assert "Delete the markers" in said


def test_an_extension_is_repaired_through_its_store(store):
    unmark(store, 2)
    growing = store.rename(store.with_name(".a.zarr.extending"))
    assert verified(growing)[1].endswith("--radii 5 --out a.zarr ")


def test_many_findings_are_cut_short(store, monkeypatch):
    several = [Finding("damaged", f"status/c/{i}", "is lost", range(i, i + 1), "rerun") for i in range(34)]
    monkeypatch.setattr("bandscope.cli.verify.verify", lambda _: several)
    code, said = verified(store)
    assert code == 3
    assert said.count("is lost") == 20
    assert "and 14 more" in said
    assert "34 images are affected" in said


@pytest.mark.parametrize("command", ["verify", "status"])
def test_no_store(tmp_path, command):
    code, said = run(command, "missing.zarr", cwd=tmp_path)
    assert code == 1
    assert "is not a bandscope store" in said


@pytest.mark.parametrize(
    "command", [("verify",), ("status",), ("status", "--json"), ("table", "curves"), ("compare", "a.zarr")]
)
def test_no_command_that_reads_writes(store, command):
    unmark(store, 2)
    name, *more = command
    before = {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in sorted(store.parent.rglob("*"))}
    code, said = run(name, "a.zarr", *more, cwd=store.parent)
    assert code == 0, said
    after = {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in sorted(store.parent.rglob("*"))}
    assert after == before


# ---- status


def mark(store: Path, block: int, **fields) -> None:
    file = store / ".blocks" / f"{block:06d}.json"
    marker = json.loads(file.read_text())
    for name in ("host", "process", "finished"):
        del marker[name]
    file.write_text(json.dumps(marker | fields))


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def test_status_of_an_audit_at_work(store):
    unmark(store, 2)
    mark(store, 0, host="tower", process=7, finished=ago(101))
    mark(store, 1, host="tower", process=7, finished=ago(1))
    said = status(store)
    assert "Blocks 2 of 3 (66 %), 32 images each" in said
    assert "Images 64 of 72" in said
    assert "Passes 192 of 216: 3 an image, clean, low-pass 2, high-pass 1" in said
    assert "Plan batch 8, 1 threads, cpu, fp32" in said
    assert re.search(r"First block 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC \(1 min 4\d s ago\)", said)
    assert "Rate 0.32 images/s, 0.96 passes/s" in said
    assert "Left about 1 min 40 s with 1 process" in said
    assert re.search(r"tower 7 2 .* 100\n", said)


def test_status_of_an_audit_that_was_stopped(store):
    unmark(store, 2)
    mark(store, 0, host="tower", process=7, finished=ago(5100))
    mark(store, 1, host="tower", process=7, finished=ago(5000))
    assert "once the same audit command is run again: no process is at work" in status(store)


def test_status_of_a_store_whose_markers_say_nothing(store):
    for block in range(3):
        mark(store, block)
    said = status(store)
    assert "Rate unknown" in said
    assert "Left nothing: finished" in said
    assert "Host" not in said


def test_status_tells_of_damaged_markers_and_of_an_extension(store):
    shutil.copytree(store, store.with_name(".a.zarr.extending"))
    unmark(store.with_name(".a.zarr.extending"), 1, 2)
    (store / ".blocks" / "000001.json").write_text("")
    said = status(store)
    assert "Extension grows beside it: 1 of 3 blocks" in said
    assert "1 marker cannot be read: see bandscope verify a.zarr" in said
    assert "Blocks 1 of 3" in status(store.with_name(".a.zarr.extending"))


def test_status_as_json(store):
    code, said = run("status", "a.zarr", "--json", cwd=store.parent)
    found = json.loads(said)
    assert code == 0
    assert (found["blocks"], found["blocks_done"], found["passes"], found["seconds_left"]) == (3, 3, 216, 0)
    assert found["plan"]["batch_size"] == 8
    assert found["extension"] is None
    assert datetime.fromisoformat(found["last"]) >= datetime.fromisoformat(found["first"])
    assert sum(worker["blocks"] for worker in found["workers"]) == 3


def test_status_without_settings(store):
    text = (store / "zarr.json").read_text()
    (store / "zarr.json").write_text(text.replace('"plan"', '"plam"'))
    code, said = run("status", "a.zarr", cwd=store.parent)
    assert code == 1
    assert "lacks its settings (plan)" in said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (125, "2 min 5 s"),
        (660, "11 min"),
        (3600, "1 h 0 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words
