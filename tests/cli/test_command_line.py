"""The command line as a user meets it: what it prints, what it leaves on disk, how it fails."""

import contextlib
import io
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import bandscope as bs
from bandscope.cli.main import main

SMALL = ["--limit", "45", "--radii", "2:44:6", "--threads", "1"]


def run(*arguments: object, cwd: Path, ok: bool = True) -> str:
    """Standard output; with ok=False standard error, after checking that the command failed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    assert (code == 0) == ok, out.getvalue() + err.getvalue()
    return out.getvalue() if ok else re.sub(r"\s+", " ", err.getvalue())


@pytest.fixture(scope="module")
def audited(tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("audit")
    return folder, run("audit", *SMALL, cwd=folder)


def test_the_default_audit_ends_with_a_summary_and_files(audited):
    folder, printed = audited
    assert re.search(r"Clean accuracy 1?\d\d\.\d% \(\d+\.\d to \d+\.\d %, 45 images\)", printed)
    for line in ("Low-pass reaches 50% of it", "Low-pass reaches 99% of it", "High-pass falls to 10% of it"):
        assert line in printed
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= 100
    made = {path.name for path in (folder / "planted-figures").iterdir()}
    assert {"overview.png", "overview.pdf", "curves.png", "heatmap-low-pass.png", "curves.csv", "bands.csv"} <= made
    assert sorted(p.name for p in folder.iterdir()) == ["planted-figures", "planted.zarr"]
    with Image.open(folder / "planted-figures" / "overview.png") as picture:
        assert picture.width > 1000
        assert len(set(picture.convert("L").resize((64, 64)).get_flattened_data())) > 20


def test_the_cube_is_labelled(audited):
    cube = bs.open(audited[0] / "planted.zarr")
    assert cube["low_pass"].dataset["radius"].values.tolist() == [2, 8, 14, 20, 26, 32, 38, 44]
    assert cube.attrs["plan"]["threads"] == 1


def test_the_same_command_again_computes_nothing(audited):
    folder, _ = audited
    before = {p: p.stat().st_mtime_ns for p in (folder / "planted.zarr").rglob("*")}
    run("audit", *SMALL, cwd=folder)
    assert before == {p: p.stat().st_mtime_ns for p in (folder / "planted.zarr").rglob("*")}


@pytest.mark.parametrize(
    "name",
    ["curves", "bands", "reach", "conflicts", "samples", "takeovers", "usurpers", "similarity", "band-accuracy"],
)
def test_tables_in_the_terminal_and_as_csv(audited, name):
    folder, _ = audited
    printed = run("table", "planted.zarr", name, cwd=folder)
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= 100
    run("table", "planted.zarr", name, "--csv", f"{name}.csv", cwd=folder)
    (folder / f"{name}.csv").rename(folder.parent / f"{name}.csv")
    assert len(pd.read_csv(folder.parent / f"{name}.csv").columns) > 4


def test_tables_by_class_and_by_groups(audited, tmp_path):
    folder, _ = audited
    by_class = run("table", "planted.zarr", "curves", "--by", "class", cwd=folder)
    assert "stripes 3-5" in by_class
    groups = tmp_path / "groups.csv"
    groups.write_text("class,group\nstripes 3-5,coarse\nstripes 5-7,coarse\nstripes 23-28,fine\n")
    run("table", "planted.zarr", "curves", "--by", groups, "--csv", tmp_path / "c.csv", cwd=folder)
    assert set(pd.read_csv(tmp_path / "c.csv")["group"]) == {"coarse", "fine"}


def test_another_configuration_is_refused_and_the_store_stays(audited):
    folder, _ = audited
    said = run("audit", *SMALL, "--convention", "zhang2023", cwd=folder, ok=False)
    assert "convention.centre: half-pixel asked, dc stored" in said
    assert "--overwrite" in said
    said = run("audit", "--limit", "45", "--radii", "3", cwd=folder, ok=False)
    assert "--extend" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["audit", "timm:resnet50"], "Only 'timm:resnet50' was given"),
        (["audit", "tim:resnet50", "planted"], "timm"),
        (["audit", "timm:resnet5?pretrained=false", "planted"], "resnet50"),
        (["audit", "planted", "folder:nowhere"], "nowhere"),
        (["audit", "planted", "folder:empty"], "empty"),
        (["audit", "planted", "foldr:x"], "folder"),
        (["audit", "--radii", "5,3"], "strictly increasing"),
        (["audit", "--radii", "-3"], ">= 0"),
        (["audit", "--radii", "nan"], ">= 0"),
        (["audit", "--probes", "lowpass"], "Did you mean 'low-pass'"),
        (["audit", "--batch-size", "many"], "number >= 1 or auto"),
        (["audit", "--limit", "0"], "limit"),
        (["audit", "--mean", "a,b"], "list of numbers"),
        (["audit", "--input-size", "big"], "224x320"),
        (["audit", "--out", "empty"], "not a bandscope store"),
        (["audit", "--by", "imagenet"], "1000 outputs"),
        (["audit", "--by", "nowhere.csv"], "nowhere.csv"),
        (["table", "nowhere.zarr", "curves"], "zarr.json"),
        (["table", "empty", "curves"], "zarr.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_error_and_leaves_nothing(tmp_path, arguments, says):
    (tmp_path / "empty").mkdir()
    said = run(*arguments, cwd=tmp_path, ok=False)
    assert says in said
    assert said.startswith("Error: ")
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_unmatched_classes_are_listed(tmp_path):
    for name in ("stripes 3-5", "zebra", "okapi"):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(tmp_path / "images" / name / "1.png")
    said = run("audit", "planted", "folder:images", cwd=tmp_path, ok=False)
    assert "zebra" in said
    assert "okapi" in said
    assert not (tmp_path / "planted-images.zarr").exists()


def test_corrupt_images_are_counted_in_the_summary(tmp_path):
    for i in range(12):
        folder = tmp_path / "images" / ("stripes 3-5" if i % 2 else "background")
        folder.mkdir(parents=True, exist_ok=True)
        bs.load_source("planted")[i].save(folder / f"{i}.png")
    (tmp_path / "images" / "background" / "12.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    printed = run("audit", "planted", "folder:images", "--radii", "5,40", cwd=tmp_path)
    assert "1 of 13 images are left out of every statistic" in printed
    assert "12.png" in printed
    said = run(
        "audit", "planted", "folder:images", "--radii", "5,40", "--strict", "--out", "b.zarr", cwd=tmp_path, ok=False
    )
    assert "12.png" in said


def test_ctrl_c_says_how_to_go_on(tmp_path):
    # Far more images than it will see, so that the interrupt finds it at work.
    command = [sys.executable, "-m", "bandscope", "audit", "planted", "planted?per_class=2000", "--out", "a.zarr"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("a.zarr/.blocks/*.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        for _ in range(3):  # a signal that lands in a callback may be lost; a user would press again
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
                break
        said = process.communicate(timeout=30)[1]
    finally:
        process.kill()  # where it has not ended, it would go on for an hour
    assert process.returncode == 130
    assert "run the same command again" in said
    assert "Traceback" not in said


def test_help_is_light():
    loaded = "print([m for m in ('torch', 'matplotlib', 'pandas') if m in sys.modules])"
    code = f"import sys; from bandscope.cli.main import app; {loaded}"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    code = f"import sys, bandscope; {loaded}"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_version(tmp_path):
    assert run("--version", cwd=tmp_path).strip() == f"bandscope {bs.__version__}"


@pytest.mark.parametrize("name", [name for name in bs.__all__ if name != "__version__"])
def test_every_public_name_is_there(name):
    assert getattr(bs, name) is not None
