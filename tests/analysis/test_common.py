"""What cubes share: images by path, whatever their order; classes by name, whatever the outputs; equal conditions."""

import re
import subprocess
import sys

import numpy as np
import pytest
from model_pairs import changed, planted_pair, with_outputs
from planted_cubes import make_cube, random_cube, stack_zooms, take_images, threshold_curves

from bandscope.analysis import common_images, differences
from bandscope.analysis.comparison.common import common_of
from bandscope.errors import InputError, StoreError

CONVENTION = {"preset": "bandscope", "metric": "disc", "centre": "dc"}


def refused(cubes, **settings) -> str:
    with pytest.raises((InputError, StoreError)) as caught:
        common_images(cubes, **settings)
    return str(caught.value)


def test_images_are_matched_by_path_whatever_their_order_and_number():
    cube = random_cube(0, n=50)
    some = take_images(cube, np.random.default_rng(1).permutation(50)[:30])
    common = common_images({"all": cube, "some": some})
    sources = [images.root("source").tolist() for images in common.images]
    assert sources[0] == sources[1] == [s for s in cube["source"].values if s in set(some["source"].values)]
    assert common.left_out == (20, 0)
    assert common.notes == ("20 of 50 images of all are left out: 20 not in all stores.",)
    for probe in common.probes():
        np.testing.assert_array_equal(*(outcomes.probability() for outcomes in probe))
        np.testing.assert_array_equal(*(outcomes.ranked_class(1) for outcomes in probe))


def test_only_images_that_count_in_every_cube_are_compared():
    cube = random_cube(1, n=20)
    one = changed(cube, status=["ok"] * 17 + ["corrupt: x"] * 3)
    other = changed(cube, status=[""] * 5 + ["ok"] * 15)
    common = common_images({"one": one, "other": other})
    np.testing.assert_array_equal(common.images[0].root("source"), cube["source"].values[5:17])
    assert common.left_out == (8, 8)
    assert common.notes == (
        "8 of 20 images of one are left out: 5 not in all stores, 3 failed.",
        "8 of 20 images of other are left out: 3 not in all stores, 5 not computed yet.",
    )


def test_the_order_of_a_models_outputs_does_not_matter():
    pair = planted_pair(n=60)
    turned = {"A": pair["A"], "B": with_outputs(pair["B"], np.array([2, 0, 3, 1]))}
    assert not np.array_equal(turned["B"]["label"], pair["B"]["label"])
    for by in (None, "class", {0: "x", 3: "x"}):
        left, right = differences(pair, by, resamples=100), differences(turned, by, resamples=100)
        assert left.equals(right)
        assert left["difference"].abs().max() > 0.05


@pytest.mark.parametrize(
    ("names", "wnids", "same"),
    [
        (["Class_0", "class 1, any", "CLASS-2", "class 3"], ["", "", "", ""], True),
        (["other"] * 4, ["n1", "n2", "n3", "n4"], True),
        (["class 0", "class 1", "class 2", "class 3"], ["n1", "n2", "n9", "n4"], False),
        (["class 0", "class 1", "other", "class 3"], ["", "", "", ""], False),
        (["class 1", "class 0", "class 2", "class 3"], ["", "", "", ""], False),
    ],
)
def test_classes_agree_by_wordnet_id_else_by_name(names, wnids, same):
    cube = changed(random_cube(2), class_wnid=["n1", "n2", "n3", "n4"])
    other = changed(cube, class_name=names, class_wnid=wnids)
    if same:
        assert len(common_images([cube, other]).images[0]) == 60
    else:
        assert "differ" in refused([cube, other])


def test_images_of_other_classes_are_counted_and_the_first_are_named():
    cube = random_cube(3, n=40)
    label = cube["label"].values.copy()
    label[[4, 7, 9, 30]] = (label[[4, 7, 9, 30]] + 1) % 4
    said = refused({"left": cube, "right": changed(cube, label=label)})
    sources = cube["source"].values
    assert "The right classes of 4 of 40 common images differ" in said
    assert f"{sources[4]} is 'class {cube['label'].values[4]}' in left and 'class {label[4]}' in right" in said
    assert sources[9] in said
    assert sources[30] not in said


def test_radii_are_those_that_all_have_up_to_rounding():
    def cube(radii):
        right = threshold_curves(np.arange(30) % 4, len(radii))
        return make_cube({"low_pass": right, "high_pass": ~right}, radius=np.array(radii))

    one, other = cube([5, 10, 20, 40]), cube([10 + 1e-9, 20.001, 30, 40 * (1 - 1e-10)])
    common = common_images({"one": one, "other": other})
    assert [[outcomes.radius.round(6).tolist() for outcomes in probe] for probe in common.probes()] == 2 * [
        [[10, 40], [10, 40]]
    ]
    assert common.notes == (
        "low_pass is compared on 2 common conditions (4 in one, 4 in other).",
        "high_pass is compared on 2 common conditions (4 in one, 4 in other).",
    )
    low, _ = common.probes()
    np.testing.assert_array_equal(low[1].right(), other["low_pass"]["top5_class"].values[:, [0, 3], 0] == 0)


def test_bands_are_matched_by_both_ends():
    right = threshold_curves(np.arange(30) % 4, 3)
    one = make_cube({"band_pass": right, "low_pass": right})
    other = make_cube({"band_pass": right[:, :2], "high_pass": right})
    common = common_images({"one": one, "other": other})
    ((first, _),) = common.probes()
    assert first.coordinates()["low"].tolist() == [10, 20]
    assert "low_pass is left out: only one has it." in common.notes
    assert "high_pass is left out: only other has it." in common.notes


def test_no_common_condition_names_what_each_has():
    right = threshold_curves(np.arange(30) % 4, 12)
    said = refused(
        {"one": make_cube(right, radius=np.arange(1.0, 13)), "other": make_cube({"high_pass": right[:, :2]})}
    )
    assert "one has low_pass at 1, 2, 3, 4, 5, 6, 7 ... 12 (12 in all)" in said
    assert "other has high_pass at 10, 20." in said
    apart = make_cube(right, radius=np.arange(1.0, 13) + 0.5)
    assert "no probe with a common condition" in refused([make_cube(right, radius=np.arange(1.0, 13)), apart])


def test_no_common_image_says_how_they_are_matched():
    cube = random_cube(4, n=10)
    said = refused({"one": cube, "other": changed(cube, source=[f"elsewhere/{i}" for i in range(10)])})
    assert "matched by their path" in said
    assert "other has 10, such as elsewhere/0" in said


def test_an_image_twice_in_a_cube_is_refused():
    cube = random_cube(5, n=10)
    twice = changed(cube, source=[*cube["source"].values[:9], cube["source"].values[0]])
    assert f"other holds images twice, such as {cube['source'].values[0]}" in refused({"one": cube, "other": twice})


def test_not_one_image_that_counts():
    cube = random_cube(6, n=10)
    assert "No image of other counts" in refused({"one": cube, "other": changed(cube, status=[""] * 10)})


def test_different_conventions_are_refused_unless_they_are_welcome():
    cube = random_cube(7)
    one = changed(cube, {"convention": CONVENTION})
    renamed = changed(cube, {"convention": CONVENTION | {"preset": "mine"}})
    other = changed(cube, {"convention": CONVENTION | {"preset": "zhang2023", "centre": "half-pixel"}})
    assert common_images([one, renamed]).notes == ()
    said = refused({"one": one, "other": other})
    assert "centre is dc in one, half-pixel in other" in said
    assert "metric" not in said
    assert "--any-convention" in said
    (note,) = common_images([one, other], any_convention=True).notes
    assert "centre is dc in model 1, half-pixel in model 2" in note


def test_what_makes_pictures_differ_is_told():
    cube = random_cube(8)
    one, other = (
        changed(cube, {"preprocess": {"size": [side, side]}, "data": {"fingerprint": mark}})
        for side, mark in ((224, "a"), (64, "b"))
    )
    pictures, crops = common_images([one, other]).notes
    assert "Make sure that equal paths mean equal pictures" in pictures
    assert "224 x 224 in model 1, 64 x 64 in model 2" in crops
    assert "cycles/image" in crops


def test_zooms_that_are_cut_in_other_ways_are_told():
    real, shrunk, plain = (
        changed(random_cube(8), {"zoom": zoom})
        for zoom in ({"outside": "real", "boxes": None}, {"outside": "shrink", "boxes": {"about": "x"}}, None)
    )
    assert common_images([real, real, plain]).notes == ()
    assert "outside and boxes differ" in common_images([real, plain, shrunk]).notes[0]


@pytest.mark.parametrize("given", [[], [random_cube(9)], {"only": random_cube(9)}])
def test_one_cube_is_no_comparison(given):
    assert re.search(r"at least two cubes; given: [01]\.", refused(given))


def test_what_are_no_cubes_is_named():
    code = """
import xarray as xr
import bandscope as bs
for given in (xr.DataTree(), [xr.DataTree(), "b.zarr"]):
    try:
        bs.common_images(given)
    except bs.InputError as error:
        print(error)
"""  # in a process of its own, whose types nobody checks
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert "at least two cubes; given: 1." in said
    assert "model 2 is a str" in said


def test_zoomed_cubes_are_compared_at_one_zoom():
    plain, close = random_cube(10), random_cube(11)
    close = changed(close, source=plain["source"].values, label=plain["label"].values)
    zoomed = stack_zooms({1.0: plain, 2.0: close})
    common = common_images({"plain": plain, "zoomed": zoomed})
    for probe in common.probes():
        np.testing.assert_array_equal(probe[0].probability(), probe[1].probability())
    assert common.zoom() == {}
    assert common.scaled == ()
    both = common_images([zoomed, zoomed], zoom=2)
    assert both.zoom() == {"zoom": 2}
    np.testing.assert_array_equal(next(both.probes())[0].probability(), close["low_pass/probability"].values)
    assert [cube.sizes["zoom"] for cube in both.scaled] == [2, 2]
    assert "plain: The cube has no zoom 2" in refused({"plain": plain, "zoomed": zoomed}, zoom=2)


def test_scale_axes_are_cut_to_common_zooms():
    cube = random_cube(12)
    one, other = stack_zooms({0.5: cube, 1.0: cube, 2.0: cube}), stack_zooms({1.0: cube, 1.5: cube, 2.0: cube})
    common = common_images([one, take_images(other, np.arange(59, 9, -1))])
    assert [tree["zoom"].values.tolist() for tree in common.scaled] == [[1, 2], [1, 2]]
    np.testing.assert_array_equal(*(tree["all_pass/probability"].values for tree in common.scaled))
    sizes = stack_zooms({32.0: cube, 64.0: cube}, axis="object_size")
    assert "model 1: The cube has no object size 1; it has object size 32, 64" in refused([sizes, sizes])
    assert common_images([sizes, sizes], zoom=64).zoom() == {"object_size": 64}


def test_what_is_common_is_looked_for_once():
    common = common_images([random_cube(13), random_cube(13)])
    assert common_of(common) is common
