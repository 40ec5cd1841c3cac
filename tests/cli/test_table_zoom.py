"""`bandscope table` of an audit over zooms: at one of them, and over all."""

import re
from pathlib import Path

import pandas as pd
import pytest

import bandscope as bs
from bandscope.cli.main import main

ZOOMS = [1, 1.41, 2]
SCALE_TABLES = {"scale-law": bs.scale_law, "scale-points": bs.scale_points, "scale-surface": bs.scale_surface}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stores") / "zooms.zarr"
    probes = [bs.LowPass([2, 4, 8, 16, 32]), bs.HighPass([2, 4, 8, 16, 32])]
    bs.audit("planted", "planted", out=path, probes=probes, zoom=ZOOMS, per_class=3, device="cpu", threads=1)
    return path


def table(store: Path, folder: Path, *arguments: str) -> pd.DataFrame:
    assert main(["table", str(store), *arguments, "--csv", str(folder / "table.csv")]) == 0
    return pd.read_csv(folder / "table.csv", keep_default_na=True)


def test_zoom_makes_a_table_speak_of_that_zoom(store, tmp_path):
    cube = bs.open(store)
    usual, there = table(store, tmp_path, "curves"), table(store, tmp_path, "curves", "--zoom", "1.41")
    pd.testing.assert_frame_equal(usual, table(store, tmp_path, "curves", "--zoom", "1"))
    pd.testing.assert_series_equal(there["accuracy"], bs.curves(bs.at_zoom(cube, 1.41))["accuracy"])
    assert not there["accuracy"].equals(usual["accuracy"])


@pytest.mark.parametrize("name", SCALE_TABLES)
@pytest.mark.parametrize("by", [None, "class", "image"])
def test_tables_over_zooms(store, tmp_path, name, by):
    found = table(store, tmp_path, name, *(["--by", by] if by else []))
    expected = SCALE_TABLES[name](bs.open(store), by)
    assert list(found.columns) == list(expected.columns)
    numbers = expected.select_dtypes("number").columns
    pd.testing.assert_frame_equal(found[numbers], expected[numbers], check_dtype=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["curves", "--zoom", "3"], "The cube has no zoom 3; it has zoom 1, 1.41, 2."),
        (["scale-law", "--zoom", "2"], "is about all zooms and takes no --zoom"),
        (["bands", "--by", "image"], "--by image is for scale-surface, scale-points, scale-law"),
    ],
)
def test_what_makes_no_sense_is_refused(store, capsys, arguments, words):
    assert main(["table", str(store), *arguments]) == 1
    assert words in re.sub(r"\s+", " ", capsys.readouterr().err)
