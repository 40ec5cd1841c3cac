"""The summary in the terminal."""

import io

import pytest
import xarray as xr
from rich.console import Console

import bandscope as bs
from bandscope.report.audit import read_audit
from bandscope.report.summary import summary


def lines(cube: xr.DataTree) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    console.print(summary(read_audit("audit", cube)))
    return [line.strip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def cube() -> xr.DataTree:
    return bs.audit(probes=[bs.LowPass((44,)), bs.HighPass((1, 44), "gaussian")], limit=12, threads=1, workers=1)


def test_a_reason_that_levels_share_is_given_once_a_probe(cube: xr.DataTree):
    found = lines(cube.isel(image=slice(6)))
    reasons = [line for line in found if "at least 10 are needed" in line]
    assert reasons == [f"{name}: 6 images: at least 10 are needed" for name in ("Low-pass", "Gaussian High-pass")]
    assert sum(line.endswith("-") for line in found) == 5  # the levels keep their rows


def test_reasons_that_differ_are_all_given(cube: xr.DataTree):
    reasons = [line for line in lines(cube) if "at the smallest radius" in line]
    assert reasons == [
        f"Low-pass reaches {level} of it: already above {level} of clean at the smallest radius, 44"
        for level in ("50%", "90%", "99%")
    ]


@pytest.mark.parametrize(
    ("zooms", "named", "law"),
    [
        ((1, 1.5, 2), "Clean accuracy 1", "(0"),
        ((2, 3), "Clean accuracy at zoom 2 ", "2 usable zooms: at least 3 are needed"),
    ],
)
def test_a_cube_over_zooms_speaks_of_the_usual_one_and_of_the_scale_law(zooms, named, law):
    cube = bs.audit(probes=[bs.LowPass(range(1, 46, 2))], zoom=zooms, limit=60, threads=1, workers=1)
    found = lines(cube)
    assert any(line.startswith(named) for line in found)
    row = next(line for line in found if line.startswith("Low-pass ") and "reaches" not in line)
    assert law in row
    if len(zooms) > 2:
        beta = bs.scale_law(cube).iloc[0]
        assert f"{beta.beta:.2f}" in row
        assert f"{beta.n} images" in row
