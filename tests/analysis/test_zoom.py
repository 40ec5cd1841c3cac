"""A cube at one zoom is the cube that an audit at that zoom alone would have made."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from planted_cubes import random_cube, stack_zooms

import bandscope as bs
from bandscope.analysis.zoom import at_zoom, scale_axis
from bandscope.errors import InputError

ZOOMS = (0.5, 1.0, 2.0)
TABLES = [
    bs.clean,
    bs.curves,
    bs.bands,
    bs.reach,
    bs.conflicts,
    bs.samples,
    bs.takeovers,
    bs.usurpers,
    bs.similarity,
    lambda cube: bs.sample_curves(cube, 3),
]


@pytest.fixture(scope="module")
def alone() -> dict[float, xr.DataTree]:
    """A cube at each zoom: the same images and labels, other outcomes."""
    cubes = {zoom: random_cube(seed) for seed, zoom in enumerate(ZOOMS)}
    for cube in cubes.values():
        cube["label"] = cubes[1.0]["label"]
        cube["source"] = cubes[1.0]["source"]
    return cubes


@pytest.fixture(scope="module")
def together(alone: dict[float, xr.DataTree]) -> xr.DataTree:
    return stack_zooms(alone)


@pytest.mark.parametrize("table", TABLES)
def test_tables_at_a_zoom_are_those_of_the_audit_at_that_zoom(table, alone, together):
    for zoom in ZOOMS:
        pd.testing.assert_frame_equal(table(at_zoom(together, zoom)), table(alone[zoom]))
    pd.testing.assert_frame_equal(table(together), table(alone[1.0]))


def test_it_is_a_cube_without_zoom_that_says_where_it_is(alone, together):
    cube, plain = at_zoom(together, 2), alone[2.0]
    assert scale_axis(together) == "zoom"
    assert scale_axis(cube) is None
    assert float(cube["zoom"]) == 2
    assert set(cube.children) == set(plain.children)
    assert set(cube.dataset.data_vars) == set(plain.dataset.data_vars)
    assert cube.attrs == together.attrs
    for name, node in plain.children.items():
        xr.testing.assert_identical(cube[name].to_dataset(inherit=False), node.to_dataset(inherit=False))


def test_a_cube_without_zoom_is_given_back(alone, together):
    plain = alone[1.0]
    assert at_zoom(plain) is plain
    assert at_zoom(plain, 1) is plain
    there = at_zoom(together, 2)
    assert at_zoom(there) is there
    assert at_zoom(there, 2) is there


def test_a_rounded_zoom_is_found():
    cube = stack_zooms({1.0: random_cube(0), 2**0.5: random_cube(0)})
    assert float(at_zoom(cube, 1.4142136)["zoom"]) == 2**0.5


@pytest.mark.parametrize(
    ("axis", "zooms", "value", "words"),
    [
        ("zoom", ZOOMS, 3, "no zoom 3; it has zoom 0.5, 1, 2"),
        ("zoom", (0.5, 2.0), None, "no zoom 1; it has zoom 0.5, 2"),
        ("object_size", (32.0, 64.0), None, "no object size 1; it has object size 32, 64"),
    ],
)
def test_a_zoom_that_is_not_there_is_refused(axis, zooms, value, words):
    cube = stack_zooms({zoom: random_cube(0) for zoom in zooms}, axis=axis)
    with pytest.raises(InputError, match=re.escape(words)):
        at_zoom(cube, value)


def test_one_zoom_has_no_other(alone, together):
    with pytest.raises(InputError, match="no zoom 2; it has zoom 1"):
        at_zoom(alone[1.0], 2)
    with pytest.raises(InputError, match="no zoom 1; it has zoom 2"):
        at_zoom(at_zoom(together, 2), 1)


def test_object_sizes_are_an_axis_like_zooms(alone):
    sizes = stack_zooms({32.0: alone[0.5], 64.0: alone[2.0]}, axis="object_size")
    pd.testing.assert_frame_equal(bs.bands(at_zoom(sizes, 64)), bs.bands(alone[2.0]))


def test_nothing_is_read(together, tmp_path: Path):
    together.to_zarr(tmp_path / "cube.zarr", zarr_format=3, consolidated=False, write_inherited_coords=False)
    with xr.open_datatree(tmp_path / "cube.zarr", engine="zarr", chunks=None, consolidated=False) as cube:
        there = at_zoom(cube, 2)
        read = [name for node in there.subtree for name, array in node.data_vars.items() if array.variable._in_memory]
        assert not read
        np.testing.assert_array_equal(
            there["low_pass"]["probability"], at_zoom(together, 2)["low_pass"]["probability"]
        )
