"""The curves of one image against a plain loop over its stored ranks, and on a planted story."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_cubes import make_cube, random_cube, take_images

from bandscope.analysis import sample_curves, takeovers
from bandscope.analysis.sample import image_position, one_image
from bandscope.errors import InputError

COLUMNS = ["probe", "radius", "frequency", "class_name", "class_index", "probability"]
SPIDER, HARVESTMAN = 4, 1


def story():
    """A spider, right at radii 20 and 30, then lost to a harvestman."""
    right = np.array([[0, 1, 1, 0, 0]] * 2, dtype=bool)
    return make_cube(right, labels=[SPIDER, 0], winner=np.array([[6, 1, 1, HARVESTMAN, HARVESTMAN]] * 2))


def by_hand(cube, image: int) -> dict[tuple, float]:
    """(probe, radius, class) -> probability, cell by cell."""
    found = {}
    label = int(cube["label"].values[image])
    for name, node in cube.children.items():
        top, p = node["top5_class"].values[image], node["top5_probability"].values[image]
        for index in {label, *top[:, 0].tolist()}:
            for at, radius in enumerate(node["radius"].values):
                places = [rank for rank in range(top.shape[1]) if top[at, rank] == index]
                value = p[at, places[0]] if places else np.nan
                found[name, radius, index] = node["probability"].values[image, at] if index == label else value
    return found


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(0, 14))
def test_curves_are_those_found_by_hand(seed, image):
    cube = random_cube(seed, n=15, conditions=7, classes=9)
    table, expected = sample_curves(cube, image), by_hand(cube, image)
    assert list(table.columns) == COLUMNS
    found = {(row.probe, row.radius, row.class_index): row.probability for row in table.itertuples()}
    assert len(found) == len(table)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-6, nan_ok=True)


@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_every_usurper_has_a_curve(seed):
    cube = random_cube(seed, n=6, classes=9)
    for row in takeovers(cube).itertuples():
        rows = sample_curves(cube, row.image).query("probe == @row.probe and class_index == @row.usurper_index")
        during = rows[(rows["radius"] >= row.from_radius) & (rows["radius"] <= row.to_radius)]
        assert during["probability"].mean() == pytest.approx(row.usurper_probability, rel=1e-6)


def test_a_spider_becomes_a_harvestman():
    table = sample_curves(story(), 0)
    assert list(dict.fromkeys(table["class_name"])) == ["class 4", "class 6", "class 1"]
    wide = table.pivot(index="radius", columns="class_index", values="probability")
    np.testing.assert_allclose(wide[SPIDER], [0.1, 0.8, 0.8, 0.1, 0.1], rtol=1e-6)
    # Ranks at first: 6, label, 0, harvestman; then label, 0, harvestman; at last harvestman, label. 6 is out of them.
    np.testing.assert_allclose(wide[6], [0.5, np.nan, np.nan, np.nan, np.nan], rtol=1e-6)
    np.testing.assert_allclose(wide[HARVESTMAN], [0.05, 0.1, 0.1, 0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(table["frequency"], table["radius"] / 224)


def test_an_image_that_always_wins_has_one_curve():
    table = sample_curves(make_cube(np.ones((1, 4), dtype=bool), labels=[2]), 0)
    assert set(table["class_index"]) == {2}
    assert len(table) == 4


def test_images_are_found_by_position_and_by_source():
    cube = random_cube(3, n=8)
    sources = cube["source"].values
    for position in (0, np.int64(5), 7):
        path = str(sources[position])
        assert image_position(cube, path) == image_position(cube, position) == position
        assert sample_curves(cube, path).equals(sample_curves(cube, position))


def test_an_image_does_not_depend_on_its_company():
    cube = random_cube(4, n=8)
    alone = take_images(cube, np.array([5]))
    assert sample_curves(cube, 5).equals(sample_curves(alone, 0))
    assert one_image(cube, 5)["source"].values.tolist() == alone["source"].values.tolist()


@pytest.mark.parametrize("image", [-1, 8])
def test_positions_outside_the_cube_are_refused(image):
    with pytest.raises(InputError, match=f"image = {image}: it must be 0 to 7"):
        sample_curves(random_cube(0, n=8), image)


def test_an_unknown_source_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"'4/0\.pgn': no image .* they look like '4/0\.png'.* mean '4/0\.png'"):
        sample_curves(story(), "4/0.pgn")


@pytest.mark.parametrize(
    ("status", "words"), [("", "not computed yet"), ("corrupt: truncated", "corrupt: truncated")]
)
def test_an_image_without_results_is_refused(status, words):
    cube = make_cube(np.ones((2, 3), dtype=bool), status=np.array(["ok", status], dtype=object))
    sample_curves(cube, 0)
    with pytest.raises(InputError, match=rf"Image 1 \(0/1\.png\) has no results: .*{words}"):
        sample_curves(cube, 1)


def test_a_cube_without_radii_gives_an_empty_table():
    assert len(sample_curves(make_cube({"band_pass": np.ones((2, 3), dtype=bool)}), 1)) == 0
