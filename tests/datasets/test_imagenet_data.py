import json
from collections import Counter
from importlib.resources import files

import timm.data

from bandscope.data import imagenet_classes, imagenet_groups
from bandscope.datasets.matching import read_groups
from bandscope.datasets.names import normalised


def test_classes_are_timms():
    theirs = timm.data.ImageNetInfo("imagenet-1k")
    assert len(imagenet_classes()) == 1000
    for i, label in enumerate(imagenet_classes()):
        assert label.wnid == theirs.index_to_label_name(i)
        assert normalised(label.name) == normalised(theirs.index_to_description(i))


def test_classes_are_those_of_the_real_index(real_data):
    theirs = json.loads((real_data / "imagenet_class_index.json").read_text())
    assert [(c.wnid, c.name) for c in imagenet_classes()] == [
        (wnid, name.replace("_", " ")) for wnid, name in (theirs[str(i)] for i in range(1000))
    ]


def test_every_class_has_one_group_with_a_plain_name():
    groups = imagenet_groups()
    assert sorted(groups) == list(range(1000))
    assert 15 <= len(set(groups.values())) <= 25
    assert all(len(name) < 24 and name == name.strip().lower() for name in groups.values())


def test_a_dozen_groups_have_twenty_classes_of_even_index():
    even = Counter(group for i, group in imagenet_groups().items() if i % 2 == 0)
    assert sum(count >= 20 for count in even.values()) >= 12


def test_animal_groups_follow_wordnets_order():
    """ImageNet's classes are sorted by WordNet id, which keeps the animals of a kind together."""
    groups = imagenet_groups()
    kinds = {
        "birds": [*range(7, 25), *range(80, 101), *range(127, 147)],
        "reptiles & amphibians": range(25, 69),
        "dogs": range(151, 269),
        "cats": range(281, 294),
    }
    for kind, indices in kinds.items():
        assert [i for i, group in groups.items() if group == kind] == list(indices)
    assert {groups[i] for i in range(397)} == {*kinds, "other mammals", "fish & sea life", "bugs, spiders & snails"}


def test_namesakes_are_told_apart():
    groups = imagenet_groups()
    assert (groups[134], groups[517]) == ("birds", "tools & machines")  # crane and crane


def test_the_csv_of_groups_can_be_read_as_a_users_file(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_bytes(files("bandscope.data").joinpath("imagenet_groups.csv").read_bytes())
    assert read_groups(path, imagenet_classes()) == imagenet_groups()
