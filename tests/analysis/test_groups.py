"""Groups of images: all, classes, mappings; and the random numbers that belong to them."""

import numpy as np
import pytest
from planted_cubes import make_cube

from bandscope.analysis.groups import group_codes, groups_of
from bandscope.analysis.outcomes import images_of
from bandscope.analysis.statistics import Bootstrap
from bandscope.errors import InputError

LABELS = np.array([2, 0, 2, 5, 0, 2])
IMAGES = images_of(make_cube(np.ones((6, 3), dtype=bool), labels=LABELS))


def test_none_is_one_group_of_all():
    (group,) = groups_of(IMAGES)
    assert group.keys() == {"group": "all", "n": 6}


def test_classes_are_those_that_have_images():
    keys = [group.keys() for group in groups_of(IMAGES, "class")]
    assert keys == [{"group": f"class {k}", "class_index": k, "n": n} for k, n in ((0, 2), (2, 3), (5, 1))]


def test_a_mapping_keeps_its_order_leaves_out_the_rest_and_shows_empty_groups():
    groups = groups_of(IMAGES, {5: "b", 1: "none", 2: "b"})
    assert [(group.name, len(group)) for group in groups] == [("b", 4), ("none", 0)]
    np.testing.assert_array_equal(group_codes(IMAGES, groups), [0, -1, 0, 0, -1, 0])


def test_groups_made_before_are_taken_as_they_are():
    groups = groups_of(IMAGES, {5: "b", 1: "none"})
    assert groups_of(IMAGES, groups) == groups
    assert groups_of(IMAGES, tuple(groups)) == groups


def test_images_that_do_not_count_make_no_group():
    cube = make_cube(np.ones((6, 3), dtype=bool), labels=LABELS, status=["ok"] * 3 + ["corrupt: x", "ok", ""])
    assert [group.keys()["class_index"] for group in groups_of(images_of(cube), "class")] == [0, 2]


def test_a_group_draws_the_same_numbers_under_any_name_beside_any_others():
    def draw(group):
        return tuple(group.random(Bootstrap(seed=3)).integers(0, 2**40, 2))

    as_class = draw(groups_of(IMAGES, "class")[1])
    assert draw(groups_of(IMAGES, {2: "x"})[0]) == as_class
    assert draw(groups_of(IMAGES, {0: "y", 2: "x"})[1]) == as_class
    assert draw(groups_of(IMAGES, {0: "y", 2: "x"})[0]) != as_class
    assert draw(groups_of(IMAGES, {0: "x", 2: "x", 5: "x", 7: "x"})[0]) == draw(groups_of(IMAGES)[0])


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("klass", "by = 'klass'"),
        ("", "by = ''"),
        ([], "must be None"),
        ({}, "at least one"),
        ({8: "x"}, "0 to 7"),
        ({-1: "x"}, "-1"),
    ],
)
def test_other_groupings_are_refused(by, words):
    with pytest.raises(InputError, match=words):
        groups_of(IMAGES, by)
