"""Curves against counting by hand, statsmodels and SciPy's paired bootstrap; the cube as it comes from disk."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from planted_cubes import make_cube, random_cube, threshold_curves
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from bandscope.analysis import (
    bands,
    clean,
    conflicts,
    curves,
    samples,
    similarity,
    similarity_summary,
    takeovers,
    usurpers,
)
from bandscope.analysis.outcomes import images_of
from bandscope.analysis.statistics import expanded_tail
from bandscope.errors import InputError, StoreError


def test_every_proportion_is_counted_and_has_wilsons_interval():
    cube = random_cube(0)
    table = curves(cube, "class", confidence=0.9)
    for row in table.itertuples():
        mine = cube["label"].values == row.class_index
        place = int(np.flatnonzero(cube[row.probe]["radius"].values == row.radius)[0])
        top = cube[row.probe]["top5_class"].values[mine, place]
        hits, hits5 = (top[:, 0] == row.class_index).sum(), (top == row.class_index).any(axis=1).sum()
        assert row.n == mine.sum()
        assert row.accuracy == hits / row.n
        assert row.top5 == hits5 / row.n
        for found, count in (((row.ci_low, row.ci_high), hits), ((row.top5_ci_low, row.top5_ci_high), hits5)):
            np.testing.assert_allclose(found, proportion_confint(count, row.n, 0.1, method="wilson"), atol=1e-12)
        np.testing.assert_allclose(
            row.probability, cube[row.probe]["probability"].values[mine, place].mean(), rtol=1e-6
        )
        assert row.relative == pytest.approx(row.accuracy / row.clean)
        assert row.frequency == row.radius / 224
    assert len(table) == 2 * 4 * 8


def test_top5_counts_five_places_and_no_more():
    right = np.zeros((10, 2), dtype=bool)
    ranks = np.array([1, 2, 3, 4, 5, 6, 1, 2, 3, 4])[:, None]
    table = curves(make_cube(right, label_rank=ranks))
    np.testing.assert_allclose(table["top5"], 0.8)


def test_bootstrap_intervals_are_scipys_at_the_expanded_level():
    cube = random_cube(1, n=80)
    row = curves(cube, resamples=20_000).query("probe == 'low_pass'").iloc[4]
    top = cube["low_pass"]["top5_class"].values[:, 4, 0]
    right = (top == cube["label"].values).astype(float)
    without = (cube["clean_top5_class"].values[:, 0] == cube["label"].values).astype(float)
    options = {
        "method": "percentile",
        "confidence_level": 1 - 2 * expanded_tail(0.95, 80),
        "n_resamples": 20_000,
        "rng": np.random.default_rng(7),
    }
    ratio = stats.bootstrap((right, without), lambda a, b, axis: a.mean(axis) / b.mean(axis), paired=True, **options)
    mean = stats.bootstrap((cube["low_pass"]["probability"].values[:, 4],), np.mean, **options)
    for name, theirs in (("relative", ratio), ("probability", mean)):
        ours = [row[f"{name}_ci_low"], row[f"{name}_ci_high"]]
        np.testing.assert_allclose(ours, theirs.confidence_interval, atol=0.015)


def test_pairing_makes_the_unfiltered_image_exactly_one():
    cube = make_cube(threshold_curves(np.arange(40) % 6, 5), labels=np.arange(40) % 3)
    last = curves(cube).query("radius == 50").iloc[0]
    assert last.relative == last.relative_ci_low == last.relative_ci_high == 1
    assert last.ci_low < last.accuracy < last.ci_high


def test_too_few_images_and_nothing_to_be_relative_to_are_said():
    right = np.zeros((9, 3), dtype=bool)
    right[:4] = True
    table = curves(make_cube(right, labels=np.array([0] * 4 + [1] * 5)), "class")
    few, hopeless = table[table["class_index"] == 0], table[table["class_index"] == 1]
    assert set(few["reason"]) == {"4 images: at least 5 are needed"}
    assert few["probability_ci_low"].isna().all()
    assert (few["relative"] == 1).all()
    assert few["ci_low"].notna().all()
    assert set(hopeless["reason"]) == {"clean accuracy is 0"}
    assert hopeless[["relative", "relative_ci_low", "relative_ci_high"]].isna().all(axis=None)
    assert hopeless["probability_ci_low"].notna().all()


def test_a_cube_without_usable_images_is_nan_with_a_reason():
    cube = make_cube(np.ones((3, 2), dtype=bool), status=["corrupt: x", "", "non-finite: y"])
    for table in (curves(cube), clean(cube)):
        assert set(table["reason"]) == {"no images"}
        assert set(table["n"]) == {0}
        assert table[["accuracy", "ci_low", "ci_high", "top5"]].isna().all(axis=None)
    assert set(bands(cube)["reason"]) == set(conflicts(cube)["reason"]) == {"no images"}
    assert len(samples(cube)) == len(takeovers(cube)) == len(usurpers(cube)) == len(similarity(cube)) == 0


def test_clean_is_the_accuracy_without_a_filter():
    cube = random_cube(3)
    table = clean(cube, "class")
    right = cube["clean_top5_class"].values[:, 0] == cube["label"].values
    expected = pd.Series(right).groupby(cube["label"].values).mean()
    np.testing.assert_allclose(table["accuracy"], expected)
    np.testing.assert_allclose(clean(cube)["accuracy"], right.mean())


def test_band_probes_have_a_low_and_a_high_end_and_soft_probes_follow_ideal_ones():
    right = threshold_curves(np.arange(12) % 3, 4)
    names = ["band_stop", "low_pass_butterworth", "high_pass", "band_pass", "low_pass_gaussian", "low_pass"]
    table = curves(make_cube(dict.fromkeys(names, right)))
    expected = ["low_pass", "low_pass_gaussian", "low_pass_butterworth", "high_pass", "band_pass", "band_stop"]
    assert list(table["probe"].unique()) == expected
    rows = table[table["probe"] == "band_pass"]
    assert rows["radius"].isna().all()
    np.testing.assert_array_equal(rows[["low", "high"]], [[10, 20], [20, 30], [30, 40], [40, 50]])
    np.testing.assert_allclose(rows["high_frequency"], rows["high"] / 224)
    assert "band_pass" not in set(bands(make_cube(dict.fromkeys(names, right)))["probe"])


def test_a_lazily_opened_store_gives_the_same_tables(tmp_path):
    cube = random_cube(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Zarr warns of string types that v3 has not yet specified
        cube.to_zarr(tmp_path / "cube.zarr", zarr_format=3)
        lazy = xr.open_datatree(tmp_path / "cube.zarr", engine="zarr", chunks=None)
    for table in (clean, curves, bands, conflicts, takeovers, usurpers, similarity, similarity_summary):
        pd.testing.assert_frame_equal(table(cube, "class"), table(lazy, "class"))
    pd.testing.assert_frame_equal(samples(cube), samples(lazy))


def test_what_is_no_cube_is_refused():
    with pytest.raises(InputError, match="DataTree"):
        images_of("cube.zarr")
    with pytest.raises(StoreError, match="'label' is missing"):
        curves(xr.DataTree())
