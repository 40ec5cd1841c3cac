"""A comparison in words, as a page, as JSON and as CSV: nothing lost, nothing that breaks a reader."""

import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from bandscope.analysis import compare
from bandscope.analysis.comparison.thresholds import check_against, parse_threshold
from bandscope.errors import StoreError
from bandscope.report import comparison_files as files
from bandscope.report.comparison import Report, markdown, terminal


def helpers(name: str):
    """A module of the analysis tests."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "analysis" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cubes = helpers("planted_cubes")


def cube(seed: int, **settings):
    """Images that become right one after the other, seed / 10 radii later with each seed."""
    rng = np.random.default_rng(0)
    onset = rng.integers(0, 9, 120) + (np.random.default_rng(seed).random(120) < seed / 10)
    low = cubes.threshold_curves(onset, 10)
    return cubes.make_cube({"low_pass": low, "high_pass": ~low, **settings}, labels=np.arange(120) % 3)


@pytest.fixture(scope="module")
def report() -> Report:
    both = {"base|line": cube(0), "other *model*": cube(7)}
    found = compare(both, resamples=200)
    texts = ("accuracy@50 < -0.01", "relative@50 < -0.5", "high_pass.r50 > 1000")
    verdicts = check_against([parse_threshold(text) for text in texts], found)
    return Report(found, compare(both, "class", resamples=200), "class", verdicts)


def printed(report: Report, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, emoji=False)
    console.print(terminal(report))
    return console.file.getvalue()


def test_the_terminal_says_who_wins_where_by_how_much(report):
    said = printed(report)
    assert max(map(len, said.splitlines())) <= 100
    assert "120 common images, low-pass at 10 radii from 10 to 100 cycles/image" in said
    win = report.comparison.wins.query("probe == 'low_pass' and conditions > 1").iloc[0]
    assert win["winner"] == "base|line"
    shown = (win.winner, f"{win.from_radius:g} to {win.to_radius:g}", win.part)
    row = next(line for line in said.splitlines() if all(text in line for text in shown))
    assert f" {100 * abs(win.difference):.1f} " in row
    assert "VIOLATED" in said
    assert said.count("passed") == 2
    assert "[/]" not in said


def test_every_number_of_the_clean_accuracy_is_there(report):
    row = report.comparison.clean.iloc[0]
    assert f"{100 * row.accuracy:.1f} ({100 * row.ci_low:.1f} to {100 * row.ci_high:.1f})" in printed(report)


def test_where_no_one_wins_the_nearest_to_it_is_shown():
    said = " ".join(printed(Report(compare([cube(3), cube(3)], resamples=100))).split())
    assert "low-pass: nowhere do model 2 and model 1 differ; nearest to it at 10, +0.0" in said
    assert "p 1, adjusted 1." in said


def test_without_a_band_or_with_few_images_the_reason_is_shown():
    few = [cubes.make_cube(np.ones((4, 3), dtype=bool)) for _ in range(2)]
    said = printed(Report(compare(few, resamples=100)))
    assert "model 2: no band, low-pass: 4 images: at least 10 are needed." in said
    assert "nan" not in said.lower()


def test_the_page_is_a_page_whatever_the_names(report):
    page = markdown(report)
    lines = page.splitlines()
    assert lines[0] == "# other \\*model\\* against base\\|line"
    for block in "\n".join(line if line.startswith("|") else "" for line in lines).split("\n\n"):
        rows = [row for row in block.splitlines() if row]
        assert all(row.endswith(" |") for row in rows)
        assert len({row.replace("\\|", "").count("|") for row in rows}) <= 1  # as many cells in each row
    assert page.count("## low-pass") == 1
    differences = report.comparison.differences.query("probe == 'low_pass'")
    row = differences[differences["radius"] == 50].iloc[0]
    assert f"| 50 | {100 * row.accuracy_a:.1f} | {100 * row.accuracy_b:.1f} | {100 * row.difference:+.1f} (" in page


def test_json_is_strict_and_whole(report, tmp_path):
    files.write_json(report, tmp_path / "c.json")
    read = json.loads((tmp_path / "c.json").read_text(), parse_constant=pytest.fail)
    assert read["baseline"] == "base|line"
    assert [model["name"] for model in read["models"]] == ["base|line", "other *model*"]
    assert read["settings"] == {
        "confidence": 0.95, "resamples": 200, "seed": 0, "alpha": 0.05, "at": {},
        "test": "McNemar, exact; Holm over the conditions of each probe, model and group",
    }  # fmt: skip
    for name, table in report.tables().items():
        assert len(read[name]) == len(table)
    ours = pd.DataFrame(read["differences"])
    theirs = report.comparison.differences
    assert list(ours) == list(theirs)
    np.testing.assert_array_equal(ours["difference"], theirs["difference"])  # to the last bit
    assert read["differences"][0]["radius"] is None  # clean
    assert [row["violated"] for row in read["thresholds"]] == [True, False, False]


def test_json_tells_where_the_models_come_from(tmp_path):
    told = {"model": {"spec": "timm:x", "weights_sha256": "ab"}, "data": {"spec": "folder:y", "fingerprint": "cd"}}
    both = [cube(0), cube(5)]
    for tree in both:
        tree.attrs.update(
            told, convention={"preset": "bandscope"}, preprocess={"size": [8, 8]}, plan={"mean": np.float64(1)}
        )
    found = Report(compare(both, resamples=100))
    files.write_json(found, tmp_path / "c.json")
    for model in json.loads((tmp_path / "c.json").read_text())["models"]:
        assert {key: model[key] for key in told} == told
        assert model["preprocess"] == {"size": [8, 8]}
        assert model["convention"] == {"preset": "bandscope"}
        assert model["zoom"] is None
    assert "timm:x" in printed(found)
    assert "ab" in printed(found)


def test_csv_is_a_folder_of_all_tables_or_a_file_of_differences(report, tmp_path):
    files.write_csv(report, tmp_path / "tables")
    found = {path.stem: pd.read_csv(path) for path in (tmp_path / "tables").iterdir()}
    assert set(found) == set(report.tables())
    assert {"wins_by_class", "thresholds"} <= set(found)
    for name, table in report.tables().items():
        assert found[name].shape == table.shape
    files.write_csv(report, tmp_path / "one.csv")
    assert len(pd.read_csv(tmp_path / "one.csv")) == len(report.groups.differences)
    files.write_csv(Report(report.comparison), tmp_path / "one.csv")
    assert len(pd.read_csv(tmp_path / "one.csv")) == len(report.comparison.differences)


def test_a_figure_for_each_family_of_probes(tmp_path):
    right = cubes.threshold_curves(np.arange(40) % 5, 5)
    probes = {"low_pass": right, "low_pass_gaussian": right, "high_pass_butterworth": ~right, "band_stop": right}
    both = [cubes.make_cube(probes), cubes.make_cube({name: ~own for name, own in probes.items()})]
    files.write_figures(Report(compare(both, resamples=100)), tmp_path / "deep" / "er")
    made = {path.name for path in (tmp_path / "deep" / "er").iterdir()}
    names = ("comparison", "comparison-gaussian", "comparison-butterworth", "comparison-bands")
    assert made == {f"{name}.{kind}" for name in names for kind in ("png", "pdf")}
    with Image.open(tmp_path / "deep" / "er" / "comparison.png") as picture:
        assert picture.width > 1000


def test_what_cannot_be_written_is_named_and_nothing_half_written_stays(report, tmp_path, monkeypatch):
    for write, name in ((files.write_json, "c.json"), (files.write_markdown, "c.md"), (files.write_csv, "c.csv")):
        with pytest.raises(StoreError, match="cannot be written"):
            write(report, tmp_path / "nowhere" / name)
        (tmp_path / name).write_text("before")

        def full(self, text, **_):
            self.write_bytes(text[:9].encode())
            raise OSError(28, "No space left on device")

        def full_table(self, path, **_):
            full(Path(path), "probe,radius")

        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_text", full)
            patch.setattr(pd.DataFrame, "to_csv", full_table)
            with pytest.raises(StoreError, match="No space left"):
                write(report, tmp_path / name)
        assert (tmp_path / name).read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(StoreError, match="cannot be made"):
        files.write_csv(report, tmp_path / "c.md")
