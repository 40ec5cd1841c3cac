"""`bandscope report`, and the report that an audit ends with."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from reading import Reader

import bandscope as bs
from bandscope import analysis
from bandscope.cli.main import main

RADII = [2, 8, 14, 30]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stores") / "small.zarr"
    bs.audit("planted", "planted?per_class=10", probes=[bs.LowPass(RADII)], out=path, threads=1)
    return path


def test_it_writes_a_file_and_says_where(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(store)]) == 0
    assert "Report small.html" in capsys.readouterr().out
    assert (tmp_path / "small.html").read_text().startswith("<!doctype html>")
    assert main(["report", str(store), str(store), "--out", "both.html"]) == 0
    assert "Comparison with" in (tmp_path / "both.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both.html", "small.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "missing/report.html"], "does not exist"),
        (["--out", "."], "is a folder"),
        (["--source", "folder:nowhere"], "nowhere"),
        (["--by", "imagenet"], "ImageNet"),
        (["nowhere.zarr"], "nowhere.zarr is not a bandscope store"),
    ],
)
def test_mistakes_are_one_sentence(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(store), *arguments]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


def test_missing_images_are_told_with_the_way_out(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bandscope.report.thumbnails.load_source", _gone)
    assert main(["report", str(store)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Pictures are left out." in out
    assert "--source folder:DIR" in out


def _gone(spec: str) -> None:
    raise bs.DataError(f"{spec} is gone.")


def test_in_python_stores_are_paths_or_cubes(store: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "report.html")
    with bs.open(store) as cube:
        written = bs.write_report([str(store), store, cube.load()], path)
    models = Reader(written.path.read_text()).data()["models"]
    assert [model["name"] for model in models] == ["small", "small (2)", "planted"]
    assert repr(written) == f"<Written: {path}, {written.size / 1e6:.1f} MB>"
    halves = {index: "low" if index < 4 else "high" for index in range(9)}
    page = Reader(bs.write_report({"mine": store}, path, by=halves).path.read_text()).data()
    assert [model["name"] for model in page["models"]] == ["mine"]
    assert set(page["tables"][0]["bands_by_group"]["group"]) == {"low", "high"}


@pytest.mark.parametrize(
    ("stores", "path", "message"),
    [
        ([], "report.html", "at least one"),
        ([3], "report.html", "given as int"),
        (xr.DataTree(), "report.html", "no cube"),
        ("nowhere.zarr", "report.html", "nowhere.zarr is not a bandscope store"),
        ("nowhere.zarr", "missing/report.html", "the folder missing does not exist"),
    ],
)
def test_in_python_mistakes_are_told(
    stores: Any, path: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(bs.BandscopeError, match=message):
        bs.write_report(stores, path)
    assert not list(tmp_path.iterdir())


def test_an_audit_ends_with_its_report_and_computes_no_table_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []

    def counted(table: Callable[..., Any], name: str, *given: Any) -> Any:
        computed.append((name, *given[1:]))
        return table(*given)

    for name in ("clean", "curves", "bands", "reach", "conflicts", "usurpers", "samples", "takeovers"):
        monkeypatch.setattr(analysis, name, partial(counted, getattr(analysis, name), name))
    out = tmp_path / "audited.zarr"
    arguments = ["audit", "planted", "planted?per_class=10", "--radii", "2,8,30", "--threads", "1", "--out", str(out)]
    assert main(arguments) == 0
    report = tmp_path / "audited-figures" / "report.html"
    assert report.is_file()
    assert str(report) in "".join(capsys.readouterr().out.split("\n"))
    assert sorted(computed) == sorted(set(computed))
    assert ("bands", "class") in computed
