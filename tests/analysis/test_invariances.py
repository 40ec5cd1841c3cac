"""What must not matter: the order of images, images that do not count, the unit of radii, the name of a group."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_cubes import random_cube, take_images

from bandscope.analysis import (
    bands,
    clean,
    conflicts,
    curves,
    reach,
    samples,
    similarity,
    similarity_summary,
    takeovers,
    usurpers,
)

TABLES = [curves, clean, bands, conflicts, reach, usurpers, takeovers, similarity, similarity_summary]
PER_GROUP = [curves, clean, bands, conflicts, reach, usurpers]
BOOTSTRAPPED = "_ci_"
seeds = st.integers(0, 2**16)
few = settings(max_examples=3)


def without(table: pd.DataFrame, pattern: str) -> pd.DataFrame:
    return table.loc[:, ~table.columns.str.contains(pattern)]


@few
@given(seeds)
def test_the_order_of_images_does_not_matter(seed):
    cube = random_cube(seed)
    shuffled = take_images(cube, np.random.default_rng(seed).permutation(60))
    for table in PER_GROUP:
        pd.testing.assert_frame_equal(table(cube, "class"), table(shuffled, "class"))
    for table in (samples, takeovers, similarity):
        keys = [k for k in ("probe", "image", "from_radius") if k in table(cube)]
        first, second = (table(c).sort_values(keys).reset_index(drop=True) for c in (cube, shuffled))
        pd.testing.assert_frame_equal(first, second)


@few
@given(seeds)
def test_images_that_do_not_count_change_nothing(seed):
    cube = random_cube(seed)
    rng = np.random.default_rng(seed)
    wider = take_images(cube, np.concatenate([np.arange(60), rng.integers(0, 60, 9)])).copy(deep=True)
    bad = np.arange(69) >= 60
    wider["status"].values[bad] = rng.choice(["corrupt: truncated", "", "non-finite: logits"], 9)
    wider["clean_top5_class"].values[bad] = -1
    for probe in ("low_pass", "high_pass"):
        wider[probe]["probability"].values[bad] = np.nan
        wider[probe]["top5_class"].values[bad] = -1
    for table in TABLES:
        pd.testing.assert_frame_equal(table(cube, "class"), table(wider, "class"))
    pd.testing.assert_frame_equal(samples(cube), samples(wider))


@few
@given(seeds)
def test_one_group_of_all_is_overall(seed):
    cube = random_cube(seed)
    for table in PER_GROUP:
        pd.testing.assert_frame_equal(table(cube), table(cube, dict.fromkeys(range(4), "all")))


@few
@given(seeds)
def test_a_class_is_the_same_alone_and_under_another_name(seed):
    cube = random_cube(seed)
    for table in PER_GROUP:
        as_class = table(cube, "class").query("class_index == 2").drop(columns=["class_index", "group"])
        alone = table(cube, {2: "x"}).drop(columns="group")
        pd.testing.assert_frame_equal(as_class.reset_index(drop=True), alone.reset_index(drop=True))


@few
@given(seeds, st.sampled_from([0.25, 3.0, 10.0]))
def test_radii_in_another_unit_scale_the_results(seed, scale):
    cube = random_cube(seed)
    nodes = {f"/{name}": node.to_dataset(inherit=False) for name, node in cube.children.items()}
    wider = {name: node.assign_coords(radius=node["radius"] * scale) for name, node in nodes.items()}
    scaled = xr.DataTree.from_dict({"/": cube.to_dataset(), **wider})
    for table, columns in ((bands, "r10 r50 r90 width"), (conflicts, "peak_radius end_radius"), (samples, "onset")):
        names = [n for n in table(cube).columns if n.startswith(tuple(columns.split()))]
        plain, other = table(cube), table(scaled)
        np.testing.assert_allclose(other[names], plain[names] * scale)
        rest = [n for n in plain.columns if n not in names and "takeover_" not in n]
        pd.testing.assert_frame_equal(other[rest], plain[rest])


@pytest.mark.parametrize("table", [curves, bands])
def test_the_seed_moves_intervals_and_nothing_else(table):
    cube = random_cube(0)
    pd.testing.assert_frame_equal(table(cube, seed=1), table(cube, seed=1))
    first, second = table(cube, seed=1), table(cube, seed=2)
    pd.testing.assert_frame_equal(without(first, BOOTSTRAPPED), without(second, BOOTSTRAPPED))
    assert not first.equals(second)


def test_analysis_imports_neither_torch_nor_matplotlib():
    code = "import sys, bandscope.analysis; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
