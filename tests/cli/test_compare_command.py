"""`bandscope compare` as a user and a pipeline meet it: what it prints, leaves and refuses, its exit codes."""

import contextlib
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import bandscope as bs
from bandscope.cli.main import main
from bandscope.cube.store import Store

RADII = (3, 9, 15, 21, 27, 33)
PROBES = (bs.LowPass(RADII), bs.HighPass(RADII))


def run(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    """(exit code, standard output, standard error), each with its white space made single."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["compare", *map(str, arguments)])
    return code, out.getvalue(), re.sub(r"\s+", " ", err.getvalue())


def refused(*arguments: object, cwd: Path) -> str:
    code, _, said = run(*arguments, cwd=cwd)
    assert code == 1
    assert said.startswith("Error: ")
    return said


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> Path:
    """sharp.zarr, and blurred.zarr: the same network behind a blur, on some of its images and more radii."""
    folder = tmp_path_factory.mktemp("stores")
    planted = bs.load_classifier("planted")
    blurred = torch.nn.Sequential(torch.nn.AvgPool2d(3, 1, 1), planted.module)
    names = {"preprocess": planted.preprocess, "classes": planted.classes, "threads": 1}
    bs.audit("planted", "planted?per_class=8", out=folder / "sharp.zarr", probes=PROBES, threads=1)
    more = (bs.LowPass((3, 5, 9, 15, 21, 27, 33)), PROBES[1], bs.BandPass(((0, 9), (9, 21))))
    bs.audit(blurred, "planted?per_class=8", out=folder / "blurred.zarr", probes=more, limit=60, **names)
    bs.audit(
        "planted", "planted?per_class=1", out=folder / "zhang.zarr", probes=PROBES, convention="zhang2023", threads=1
    )
    bs.audit("planted", "planted?per_class=1", out=folder / "bands.zarr", probes=more[2:], threads=1)
    return folder


def test_it_says_who_wins_and_by_how_much(stores):
    code, said, _ = run("sharp.zarr", "blurred.zarr", cwd=stores)
    assert code == 0
    assert max(len(line.rstrip()) for line in said.splitlines()) <= 100
    said = " ".join(said.split())
    assert "60 common images, low-pass at 6 radii from 3 to 33 cycles/image, high-pass at 6 radii" in said
    assert "12 of 72 images of sharp are left out: 12 not in all stores." in said
    assert "low_pass is compared on 6 common conditions (6 in sharp, 7 in blurred)." in said
    assert "band_pass is left out: only blurred has it." in said
    row = bs.compare({name: bs.open(stores / f"{name}.zarr") for name in ("sharp", "blurred")}).differences.iloc[0]
    assert f"{100 * row.difference:+.1f} ({100 * row.difference_ci_low:.1f} to" in said
    assert re.search(r"low-pass sharp \d+ (to 33 )?[a-z, ]*high", said)


def test_it_leaves_what_was_asked_for_and_nothing_else(stores, tmp_path):
    wanted = ("--json", "c.json", "--csv", "tables", "--markdown", "c.md", "--figures", "deep/figures")
    code, said, _ = run(stores / "sharp.zarr", stores / "blurred.zarr", "--by", "class", *wanted, cwd=tmp_path)
    assert code == 0
    for path in wanted[1::2]:
        assert f"-> {path}" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.json", "c.md", "deep", "tables"]
    read = json.loads((tmp_path / "c.json").read_text())
    weights = [model["model"].get("weights_sha256") for model in read["models"]]
    assert weights[0] == bs.open(stores / "sharp.zarr").attrs["model"]["weights_sha256"]
    assert [model["data"]["images"] for model in read["models"]] == [72, 60]
    assert read["models"][0]["preprocess"]["size"] == [64, 64]
    assert len(pd.read_csv(tmp_path / "tables" / "differences_by_class.csv")) == 9 * 13
    assert {path.name for path in (tmp_path / "deep" / "figures").iterdir()} == {"comparison.png", "comparison.pdf"}
    assert (tmp_path / "c.md").read_text().startswith("# blurred against sharp\n")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["accuracy@33 < -0.02"], 3),
        (["accuracy@33 > -0.02"], 0),
        (["accuracy@33 > 1", "high-pass.accuracy@15 < -0.02", "clean >= 1"], 3),
        (["r50 > 100", "high_pass.width > 100"], 0),
    ],
)
def test_the_exit_code_is_for_pipelines(stores, conditions, expected):
    options = [part for condition in conditions for part in ("--fail-if", condition)]
    code, said, _ = run("sharp.zarr", "blurred.zarr", *options, cwd=stores)
    assert code == expected
    assert ("VIOLATED" in said) == (expected == 3)
    assert all(condition in said for condition in conditions)


def test_intervals_are_those_asked_for(stores, tmp_path):
    asked = ("--confidence", "0.8", "--resamples", "100", "--seed", "7", "--json", tmp_path / "c.json")
    code, said, _ = run("sharp.zarr", "blurred.zarr", *asked, cwd=stores)
    assert code == 0
    assert "80 % intervals" in " ".join(said.split())
    assert "(100 resamples, seed 7)" in " ".join(said.split())
    cubes = {name: bs.open(stores / f"{name}.zarr") for name in ("sharp", "blurred")}
    expected = bs.compare(cubes, confidence=0.8, resamples=100, seed=7).differences
    found = pd.DataFrame(json.loads((tmp_path / "c.json").read_text())["differences"])
    for column in ("difference_ci_low", "difference_ci_high"):
        np.testing.assert_allclose(found[column].astype(float), expected[column])


def test_of_many_stores_any_violation_fails(stores):
    shutil.copytree(stores / "sharp.zarr", stores / "same.zarr", dirs_exist_ok=True)
    arguments = ("sharp.zarr", "same.zarr", "blurred.zarr", "--fail-if", "accuracy@33 < -0.02")
    code, said, _ = run(*arguments, cwd=stores)
    assert code == 3
    assert len(re.findall("VIOLATED", said)) == len(re.findall("passed", said)) == 1
    assert run(*arguments[:2], *arguments[3:], cwd=stores)[0] == 0


def test_what_is_undefined_is_an_error_after_everything_is_written(stores, tmp_path):
    few = bs.audit(
        "planted", "planted?per_class=1", out=tmp_path / "few.zarr", probes=(bs.LowPass((3, 9)),), threads=1
    )
    assert few.sizes["image"] == 9
    options = ("--fail-if", "r50 > 1", "--fail-if", "accuracy@9 > -1", "--json", "c.json")
    code, said, error = run("few.zarr", "few.zarr", *options, cwd=tmp_path)
    assert code == 1
    assert "undefined" in said
    assert "The condition 'r50 > 1' cannot be decided for few (2): 9 images: at least 10 are needed." in error
    assert json.loads((tmp_path / "c.json").read_text())["thresholds"][0]["violated"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sharp.zarr"], "at least two cubes; given: 1"),
        (["sharp.zarr", "nowhere.zarr"], "nowhere.zarr is not a bandscope store"),
        (["sharp.zarr", "zhang.zarr"], "centre is dc in sharp, half-pixel in zhang"),
        (["sharp.zarr", "bands.zarr"], "no probe with a common condition: sharp has low_pass at 3, 9, 15"),
        (["sharp.zarr", "blurred.zarr", "--zoom", "2"], "sharp: The cube has no zoom 2"),
        (["sharp.zarr", "blurred.zarr", "--fail-if", "accuracy@5 < 0"], "the nearest that they share are 3 and 9"),
        (["sharp.zarr", "blurred.zarr", "--fail-if", "acuracy@9 < 0"], "Did you mean 'accuracy'"),
        (["sharp.zarr", "blurred.zarr", "--alpha", "5"], "between 0 and 1"),
        (["nowhere.zarr", "blurred.zarr", "--confidence", "95"], "confidence = 95.0: it must lie between 0 and 1"),
        (["nowhere.zarr", "blurred.zarr", "--resamples", "1"], "resamples = 1: intervals need at least"),
        (["nowhere.zarr", "blurred.zarr", "--seed", "-1"], "seed = -1"),
        (["sharp.zarr", "blurred.zarr", "--by", "imagenet"], "1000 outputs"),
        (["sharp.zarr", "blurred.zarr", "--json", "nowhere/c.json"], "--json nowhere/c.json: the folder nowhere"),
        (["sharp.zarr", "blurred.zarr", "--csv", "nowhere/c.csv"], "--csv nowhere/c.csv: the folder nowhere"),
        (["sharp.zarr", "blurred.zarr", "--markdown", "sharp.zarr"], "is a folder; give a file"),
        (["sharp.zarr", "blurred.zarr", "--csv", "sharp.zarr/zarr.json"], "The CSV folder sharp.zarr/zarr.json"),
        (
            ["sharp.zarr", "blurred.zarr", "--figures", "sharp.zarr/zarr.json"],
            "The figures folder sharp.zarr/zarr.json",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_error(stores, arguments, says):
    before = sorted(path.name for path in stores.iterdir())
    assert says in refused(*arguments, cwd=stores)
    assert sorted(path.name for path in stores.iterdir()) == before


def test_other_conventions_can_be_welcome(stores):
    code, said, _ = run("sharp.zarr", "zhang.zarr", "--any-convention", cwd=stores)
    assert code == 0
    assert "Conventions differ: centre is dc in sharp, half-pixel in zhang." in said


def test_damaged_empty_and_unfinished_stores(stores, tmp_path):
    for name in ("sharp.zarr", "blurred.zarr"):
        shutil.copytree(stores / name, tmp_path / name)
    status = Store(tmp_path / "blurred.zarr")._group["status"]
    (tmp_path / "blurred.zarr" / ".blocks" / "000001.json").unlink()
    status[32:60] = np.full(28, "", dtype=object)
    code, said, _ = run("sharp.zarr", "blurred.zarr", cwd=tmp_path)
    assert code == 0
    assert "28 of 60 images of blurred are left out: 28 not computed yet." in said
    (tmp_path / "blurred.zarr" / ".blocks" / "000000.json").unlink()
    status[:32] = np.full(32, "", dtype=object)
    assert "No image of blurred.zarr counts" in refused("sharp.zarr", "blurred.zarr", cwd=tmp_path)
    (tmp_path / "sharp.zarr" / "low_pass" / "probability" / "c" / "1" / "0").unlink()
    assert "sharp.zarr is damaged" in refused("sharp.zarr", "blurred.zarr", cwd=tmp_path)
