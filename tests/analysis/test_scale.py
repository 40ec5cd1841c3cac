"""The scale law of cubes in which it is planted; which images it is about; whether its intervals hold."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_cubes import FINE, law_cube, take_images
from scipy import stats

from bandscope.analysis import at_zoom, curves, scale_law, scale_points, scale_surface
from bandscope.errors import InputError

ZOOMS = np.array([1.0, 1.41, 2, 2.83])
LOGS = np.log(ZOOMS)


def r50s(beta, n: int = 30, seed: int = 0, zooms: np.ndarray = ZOOMS, scatter: float = 0.0) -> np.ndarray:
    """r50 ~ zoom^-beta, images x zooms, each image with its own r50 at zoom 1."""
    rng = np.random.default_rng(seed)
    start = rng.normal(np.log(30), 0.25, (n, 1))
    return np.exp(start - np.reshape(beta, (-1, 1)) * np.log(zooms) + scatter * rng.normal(size=(n, len(zooms))))


@pytest.mark.parametrize(("beta", "verdict"), [(0, "image"), (0.5, "between"), (1, "object"), (1.4, "beyond")])
@pytest.mark.parametrize("of", ["probability", "accuracy"])
def test_the_planted_exponent_is_found(beta, verdict, of):
    table = scale_law(law_cube(r50s(beta, scatter=0.03), ZOOMS), of=of)
    assert list(table["probe"]) == ["low_pass", "high_pass"]
    assert table["beta"].to_numpy() == pytest.approx(beta, abs=0.07)
    assert (table["beta_ci_low"] < table["beta"]).all()
    assert (table["beta"] < table["beta_ci_high"]).all()
    assert table["r50"].to_numpy() == pytest.approx(30, rel=0.1)
    assert set(table["verdict"]) == {verdict}
    assert ((table["p_object"] < 0.05) == (verdict != "object")).all()
    assert ((table["p_image"] < 0.05) == (verdict != "image")).all()
    assert (table[["n", "zooms", "zoom_low", "zoom_high", "left_out"]] == [30, 4, 1, 2.83, 0]).all(axis=None)
    assert (table[["left_out_because", "reason"]] == "").all(axis=None)


def test_each_image_has_its_own_exponent():
    beta = np.linspace(0, 1, 30)
    table = scale_law(law_cube(r50s(beta), ZOOMS), "image")
    low = table[table["probe"] == "low_pass"]
    np.testing.assert_allclose(low["beta"], beta, atol=0.08)
    assert (low["reason"] == "").all()
    assert list(low["verdict"].iloc[[0, -1]]) == ["image", "object"]


def test_points_and_line_are_those_of_least_squares():
    cube = law_cube(r50s(0.7, scatter=0.2), ZOOMS)
    points, law = scale_points(cube), scale_law(cube).set_index("probe")
    for probe, own in points.groupby("probe"):
        fit = stats.linregress(np.log(own["achieved"]), np.log(own["r50"]))
        assert law.loc[probe, "beta"] == pytest.approx(-fit.slope)
        assert law.loc[probe, "r50"] == pytest.approx(np.exp(fit.intercept))
    assert ((points["r50_ci_low"] < points["r50"]) & (points["r50"] < points["r50_ci_high"])).all()
    np.testing.assert_allclose(points["r50"], 30 * points["zoom"] ** -0.7, rtol=0.15)


def test_an_images_interval_is_that_of_its_residuals():
    cube = law_cube(r50s(0.7, scatter=0.4), ZOOMS)
    points = scale_points(cube, "image").query("probe == 'low_pass'")
    law = scale_law(cube, "image", confidence=0.9).query("probe == 'low_pass'").set_index("image")
    for image, own in points.groupby("image"):
        known = sm.OLS(np.log(own["r50"].to_numpy()), sm.add_constant(-np.log(own["achieved"].to_numpy()))).fit()
        low, high = known.conf_int(0.1)[1]
        row = law.loc[image]
        assert row["beta"] == pytest.approx(known.params[1])
        assert row["beta_ci_low"] <= low + 1e-9  # wider where the residuals are less than r50 is read to
        assert row["beta_ci_high"] >= high - 1e-9
    assert np.mean(law["p_object"] < 0.1) == np.mean((law["beta_ci_low"] > 1) | (law["beta_ci_high"] < 1))


def test_the_zoom_achieved_counts_not_the_one_asked_for():
    cube = law_cube(r50s(1), ZOOMS, achieved=ZOOMS**1.25)
    for by in (None, "image"):
        assert scale_law(cube, by)["beta"].to_numpy() == pytest.approx(0.8, abs=0.04)


def test_only_images_that_are_right_unpadded_and_in_the_grid_at_every_zoom_are_used():
    r50 = r50s(1, n=20)
    r50[4] = 900  # does not rise
    r50[5, 3] = 0.8  # rises below the grid
    r50[6, 0] = 200  # rises above it: at its end the curve is not half way to clean
    right, padded = np.ones(r50.shape, dtype=bool), np.zeros(r50.shape)
    right[2:4, 3] = False
    padded[0, :2], padded[1, 2] = 0.01, 1
    cube = law_cube(r50, ZOOMS, right=right, padded=padded)
    row = scale_law(cube).iloc[0]
    assert [row["n"], row["left_out"]] == [13, 7]
    assert row["left_out_because"] == "2 padded, 2 not right when clean, 1 rise below 0.2, 2 r50 outside the grid"
    kept = scale_law(take_images(cube, np.arange(7, 20))).iloc[0]
    pd.testing.assert_series_equal(
        kept.drop(["left_out", "left_out_because"]), row.drop(["left_out", "left_out_because"])
    )
    images = scale_law(cube, "image").query("probe == 'low_pass'")
    assert list(images["reason"][:8]) == [
        "2 usable zooms: at least 3 are needed",
        "",
        "not right when clean at zoom 2.83",
        "not right when clean at zoom 2.83",
        "rise below 0.2 at zoom 1",
        "r50 outside the grid at zoom 2.83",
        "r50 outside the grid at zoom 1",
        "",
    ]
    assert list(images["zooms"][:3]) == [2, 3, 4]
    points = scale_points(cube, "image").query("probe == 'low_pass'").set_index(["image", "zoom"])
    assert list(points.loc[2, "reason"]) == ["", "", "", "not right when clean"]
    assert (points["r50"].isna() == (points["reason"] != "")).all()


@pytest.mark.parametrize("probe", ["low_pass", "high_pass"])
def test_a_grid_that_begins_too_late_or_ends_too_early_is_seen(probe):
    """Of images on either side of it: at radii from 10 to 40, half of the rise is only seen if it is there."""
    r50 = np.repeat([[2.0], [8], [14], [28], [50], [200]], len(ZOOMS), axis=1)
    cube = law_cube(r50, ZOOMS, radius=np.arange(10.0, 41, 2))
    reasons = scale_law(cube, "image").query("probe == @probe")["reason"]
    assert [bool(why) for why in reasons] == [True, True, False, False, True, True]


def test_where_all_is_gone_the_lowest_value_is_the_end():
    """A network may be quite sure of a blank image; that is not a grid which begins too late."""
    cube = law_cube(np.full((6, 4), 30.0), ZOOMS, radius=np.r_[0.5, FINE])
    for probe in ("low_pass", "high_pass"):
        cube[probe]["probability"] = 0.7 + 0.3 * cube[probe]["probability"]
    cube["all_pass"]["probability"][:] = 0.98
    assert (scale_law(cube, "image")["reason"] == "").all()
    late = cube["low_pass"].to_dataset(inherit=False).isel(radius=slice(1, None))
    cube["low_pass"] = xr.DataTree(late)
    assert set(scale_law(cube, "image").query("probe == 'low_pass'")["reason"]) == {"r50 outside the grid at zoom 1"}


def test_zooms_that_are_padded_for_most_are_left_out_unless_they_are_wanted():
    zooms = np.array([0.5, 0.71, 1, 1.41, 2])
    padded = np.zeros((20, 5))
    padded[:, 0] = 0.75
    padded[:9, 1] = 0.5
    cube = law_cube(r50s(1, n=20, zooms=zooms), zooms, padded=padded)
    row = scale_law(cube).iloc[0]
    assert [row["n"], row["zooms"], row["zoom_low"], row["zoom_high"]] == [11, 4, 0.71, 2]
    assert row["left_out_because"] == "9 padded"
    assert list(scale_points(cube).query("probe == 'low_pass'")["reason"]) == ["padded", "", "", "", ""]
    everything = scale_law(cube, padded=True).iloc[0]
    assert [everything["n"], everything["zooms"], everything["zoom_low"]] == [20, 5, 0.5]
    assert set(scale_law(cube, "image")["zooms"]) == {3, 4}
    assert set(scale_law(cube, "image", padded=True)["zooms"]) == {5}


def test_undefined_groups_say_why():
    labels = np.repeat([0, 1, 2, 3], [4, 10, 10, 10])
    r50, right, padded = r50s(1, n=34), np.ones((34, 4), dtype=bool), np.zeros((34, 4))
    right[labels == 1, 0] = False
    padded[labels == 2, 2:] = 0.1
    cube = law_cube(r50, ZOOMS, labels=labels, right=right, padded=padded)
    # Class 3: each image's probability rises once, but not all at one radius, so that their mean hardly does.
    humps = np.abs(np.log2(FINE) - np.where(np.arange(10)[:, None] % 2, 3, 6)) < 0.5
    cube["low_pass"]["probability"].values[labels == 3] = np.where(humps, 0.3, 0.02)[:, None]
    cube["all_pass"]["probability"].values[labels == 3] = 0.3
    table = scale_law(cube, "class").query("probe == 'low_pass'").set_index("class_index")
    assert table["reason"].to_dict() == {
        0: "4 images: at least 5 are needed",
        1: "0 of 10 images usable: at least 5 are needed",
        2: "2 usable zooms: at least 3 are needed",
        3: "rise below 0.2 at zoom 1",
    }
    assert table["n"].to_dict() == {0: 4, 1: 0, 2: 10, 3: 10}
    numbers = ["beta", "beta_ci_low", "beta_ci_high", "r50", "p_object", "p_image"]
    assert table[numbers].isna().all(axis=None)
    assert (table["verdict"] == "").all()
    assert table.loc[1, "left_out_because"] == "10 not right when clean"
    points = scale_points(cube, "class").query("probe == 'low_pass'").set_index("class_index")
    assert list(points.loc[2, "r50"].notna()) == [True, True, False, False]  # two zooms make points, not a law
    assert list(points.loc[3, "reason"]) == ["rise below 0.2"] * 4
    assert points.loc[[0, 1, 3], ["r50", "r50_ci_low", "r50_ci_high"]].isna().all(axis=None)


def test_object_sizes_have_the_same_law():
    sizes = np.array([32.0, 45, 64, 91])
    cube = law_cube(r50s(1, zooms=sizes / 64), sizes, axis="object_size")
    row = scale_law(cube).iloc[0]
    assert row["beta"] == pytest.approx(1, abs=0.03)
    assert [row["zooms"], row["object_size_low"], row["object_size_high"]] == [4, 32, 91]
    assert row["r50_at"] == pytest.approx(stats.gmean(sizes))
    assert row["r50"] == pytest.approx(30 * 64 / row["r50_at"], rel=0.15)
    assert list(scale_points(cube)["object_size"][:4]) == list(sizes)
    assert scale_law(cube, "image")["r50_at"].to_numpy() == pytest.approx(row["r50_at"])


few = settings(max_examples=5)
seeds = st.integers(0, 2**16)


@few
@given(seeds, st.sampled_from([None, "class"]))
def test_the_order_of_images_does_not_matter(seed, by):
    labels = np.random.default_rng(seed).integers(0, 2, 24)
    cube = law_cube(r50s(0.8, n=24, seed=seed, scatter=0.2), ZOOMS, labels=labels)
    shuffled = take_images(cube, np.random.default_rng(seed).permutation(24))
    for table in (scale_law, scale_points, scale_surface):
        pd.testing.assert_frame_equal(table(cube, by, resamples=100), table(shuffled, by, resamples=100))
    for table in (scale_law, scale_points, scale_surface):
        first, second = (table(c, "image") for c in (cube, shuffled))
        keys = [key for key in ("probe", "image", "zoom", "radius") if key in first]
        pd.testing.assert_frame_equal(*(t.sort_values(keys, ignore_index=True) for t in (first, second)))


@few
@given(seeds)
def test_images_that_do_not_count_and_names_of_groups_change_nothing(seed):
    labels = np.arange(24) % 3
    cube = law_cube(r50s(0.8, n=24, seed=seed, scatter=0.2), ZOOMS, labels=labels)
    wider = take_images(cube, np.r_[np.arange(24), 0, 7]).copy(deep=True)
    wider["status"].values[24:] = ["", "corrupt: truncated"]
    for name in ("probability", "achieved", "padded"):
        wider["all_pass"][name].values[24:] = np.nan
    wider["low_pass"]["probability"].values[24:] = np.nan
    for table in (scale_law, scale_points, scale_surface):
        pd.testing.assert_frame_equal(table(cube, "class", resamples=100), table(wider, "class", resamples=100))
        own = table(cube, "class", resamples=100).query("class_index == 2").drop(columns=["class_index", "group"])
        alone = table(cube, {2: "x"}, resamples=100).drop(columns="group")
        pd.testing.assert_frame_equal(own.reset_index(drop=True), alone.reset_index(drop=True))
    pd.testing.assert_frame_equal(scale_law(cube, "image"), scale_law(wider, "image"))


@few
@given(seeds, st.floats(0.1, 10), st.sampled_from([None, "image"]))
def test_the_unit_of_radii_does_not_move_beta(seed, scale, by):
    cube = law_cube(r50s(0.8, n=12, seed=seed, scatter=0.2), ZOOMS)
    nodes = {f"/{name}": node.to_dataset(inherit=False) for name, node in cube.children.items()}
    for name in ("/low_pass", "/high_pass"):
        nodes[name] = nodes[name].assign_coords(radius=nodes[name]["radius"] * scale)
    plain, scaled = (
        scale_law(c, by, resamples=100) for c in (cube, xr.DataTree.from_dict({"/": cube.to_dataset(), **nodes}))
    )
    np.testing.assert_allclose(scaled["r50"], plain["r50"] * scale)
    pd.testing.assert_frame_equal(scaled.drop(columns="r50"), plain.drop(columns="r50"))


def test_the_seed_moves_intervals_and_p_alone():
    cube = law_cube(r50s(0.8, scatter=0.2), ZOOMS)
    first, second = scale_law(cube, seed=1), scale_law(cube, seed=2)
    moved = [name for name in first if not first[name].equals(second[name])]
    assert set(moved) <= {"beta_ci_low", "beta_ci_high", "p_object", "p_image"}
    assert moved
    pd.testing.assert_frame_equal(first, scale_law(cube, seed=1))


def test_the_surface_is_the_curves_of_each_zoom():
    cube = law_cube(r50s(1, n=12), ZOOMS, labels=np.arange(12) % 2)
    surface = scale_surface(cube, "class", resamples=100)
    assert not surface.duplicated(["probe", "class_index", "zoom", "radius"]).any()
    pd.testing.assert_index_equal(surface.columns.drop("zoom"), curves(cube, resamples=100, by="class").columns)
    for zoom, own in surface.groupby("zoom"):
        expected = curves(at_zoom(cube, zoom), "class", resamples=100)
        pd.testing.assert_frame_equal(own.drop(columns="zoom").reset_index(drop=True), expected)


def test_the_surface_of_images_holds_their_probabilities():
    cube = law_cube(r50s(1, n=3), ZOOMS, labels=np.array([2, 0, 1]))
    surface = scale_surface(cube, "image")
    assert len(surface) == 2 * 3 * 4 * len(FINE)
    wide = surface.query("probe == 'high_pass'").pivot(
        index=["image", "zoom"], columns="radius", values="probability"
    )
    np.testing.assert_array_equal(wide.to_numpy(), cube["high_pass"]["probability"].values.reshape(12, -1))
    assert list(surface.drop_duplicates("image")["label_name"]) == ["class 2", "class 0", "class 1"]


@pytest.mark.parametrize("table", [scale_law, scale_points, scale_surface])
def test_a_cube_of_one_zoom_is_refused(table):
    cube = law_cube(r50s(1, n=3), ZOOMS)
    with pytest.raises(InputError, match="no scale axis: audit at several zooms"):
        table(at_zoom(cube, 1))


def test_what_cannot_be_asked_is_refused():
    cube = law_cube(r50s(1, n=3), ZOOMS)
    with pytest.raises(InputError, match="Did you mean 'accuracy'"):
        scale_law(cube, of="acuracy")
    with pytest.raises(InputError, match="a single image's curve"):
        scale_points(cube, "image", of="accuracy")
    with pytest.raises(InputError, match="at least 100"):
        scale_law(cube, "image", resamples=3)


def drawn_law(rng: np.random.Generator, template: xr.DataTree, beta: float) -> pd.Series:
    """The law of new images: r50, its scatter, the slope and height of the curve and beta itself differ."""
    curve = template["low_pass"]["probability"].values
    n, (start, own, width) = len(curve), rng.normal(size=(3, curve.shape[0], 1))
    centre = np.log(35) + 0.4 * start - (beta + 0.2 * own) * LOGS + 0.15 * rng.normal(size=(n, len(LOGS)))
    steepness = 7 * np.exp(0.3 * width)[..., None]
    curve[:] = rng.uniform(0.5, 1, (n, 1, 1)) / (1 + np.exp(steepness * (centre[..., None] - np.log(FINE))))
    template["all_pass"]["probability"].values[:] = curve[..., -1]
    return scale_law(template, resamples=200).iloc[0]


def laws(n: int, beta: float, sets: int) -> pd.DataFrame:
    rng = np.random.default_rng(n)
    cube = law_cube(r50s(1, n=n), ZOOMS)
    del cube["high_pass"]
    return pd.DataFrame([drawn_law(rng, cube, beta) for _ in range(sets)])


def compatible(hits: pd.Series, share: float, alternative: str) -> bool:
    return bool(stats.binomtest(int(hits.sum()), len(hits), share, alternative=alternative).pvalue > 0.001)


@pytest.mark.parametrize("beta", [0, 1])
def test_the_truth_lies_in_the_interval_and_p_is_even(beta):
    table = laws(n=20, beta=beta, sets=80)
    assert (table["left_out"] == 0).mean() > 0.9
    covered = (table["beta_ci_low"] <= beta) & (beta <= table["beta_ci_high"])
    assert compatible(covered, 0.95, "less")
    p = table["p_object" if beta else "p_image"]
    assert compatible(p < 0.05, 0.05, "greater")
    assert compatible(p < 0.5, 0.5, "greater")
    assert compatible(p < 0.5, 0.35, "less")
    other = table["p_image" if beta else "p_object"]
    assert (other < 0.05).all()


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10, 20, 100])
@pytest.mark.parametrize("beta", [0, 0.5, 1])
def test_intervals_hold_with_few_images_and_many(n, beta):
    table = laws(n, beta, sets=400)
    covered = (table["beta_ci_low"] <= beta) & (beta <= table["beta_ci_high"])
    assert compatible(covered, 0.92, "less"), covered.mean()
    if beta in (0, 1):
        p = table["p_object" if beta else "p_image"]
        assert compatible(p < 0.05, 0.06, "greater"), (p < 0.05).mean()
        assert compatible(p < 0.2, 0.25, "greater"), (p < 0.2).mean()
        assert n < 20 or compatible(p < 0.2, 0.15, "less"), (p < 0.2).mean()
