import os
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_images import encoded, pixels, write_tree
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from bandscope.datasets.base import ImageSource
from bandscope.datasets.folder import EXTENSIONS, Folder
from bandscope.datasets.names import class_label
from bandscope.datasets.strings import Strings
from bandscope.errors import DataError, ImageError
from bandscope.labels import ClassLabel

part = st.text("ab-_Z1. é", min_size=1, max_size=4).filter(lambda s: s.strip(". ") == s and not s.startswith("."))
image_name = st.tuples(part, st.sampled_from([".jpg", ".PNG", ".webp", ".txt"])).map("".join)
inside = st.lists(part, max_size=2).flatmap(lambda folders: image_name.map(lambda name: "/".join([*folders, name])))
trees = st.dictionaries(part, st.sets(inside, min_size=1, max_size=6), min_size=1, max_size=4)


def as_torchvision(root):
    theirs = ImageFolder(root)
    return theirs.classes, [os.path.relpath(path, root) for path, _ in theirs.samples], theirs.targets


@given(tree=trees)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_classes_order_and_labels_are_torchvisions(tree, tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    for name, files in tree.items():
        (root / name / "always.jpg").parent.mkdir()
        (root / name / "always.jpg").touch()
        for file in files:
            try:
                (root / name / file).parent.mkdir(parents=True, exist_ok=True)
                (root / name / file).touch()
            except OSError:
                pass  # a file and a folder of one name
    ours = Folder(root)
    classes, paths, targets = as_torchvision(root)
    assert [label.name for label in ours.classes] == classes
    assert list(ours.paths) == paths
    assert ours.labels.tolist() == targets
    assert len(ours) == len(targets)


def test_images_are_the_files(tmp_path):
    root = write_tree(tmp_path, {"cat/1.png": 1, "cat/deep/er/2.png": 2, "dog/3.png": 3})
    source = Folder(root)
    assert isinstance(source, ImageSource)
    assert source.spec == f"folder:{root}"
    for position, seed in enumerate([1, 2, 3]):
        np.testing.assert_array_equal(source[position], pixels(seed))
    for outside in (3, -4):
        with pytest.raises(IndexError):
            source[outside]


def test_torchvisions_extensions_are_ours():
    assert set(IMG_EXTENSIONS) <= set(EXTENSIONS)
    assert {".avif", ".gif", ".jp2"} <= set(EXTENSIONS)
    assert not {".txt", ".pdf", ".eps", ".mpg", ".h5"} & set(EXTENSIONS)


def test_hidden_files_and_folders_are_left_out(tmp_path):
    root = write_tree(tmp_path, {"cat/1.png": 1, "cat/._1.png": 1, "cat/.cache/1.png": 1, ".trash/1.png": 1})
    assert list(Folder(root).paths) == ["cat/1.png"]


def test_images_beside_the_class_folders_are_left_out_as_in_torchvision(tmp_path):
    root = write_tree(tmp_path, {"cat/1.png": 1, "stray.png": 2})
    assert list(Folder(root).paths) == ["cat/1.png"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    elsewhere = write_tree(tmp_path / "elsewhere", {"1.png": 1, "more/2.png": 2})
    root = write_tree(tmp_path / "root", {"cat/0.png": 0})
    (root / "dog").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(elsewhere)
    (elsewhere / "more" / "up").symlink_to(elsewhere)
    (elsewhere / "itself").symlink_to(elsewhere / "itself")
    (elsewhere / "itself.png").symlink_to(elsewhere / "itself.png")
    (elsewhere / "gone.png").symlink_to(tmp_path / "gone.png")
    source = Folder(root)
    assert list(source.paths) == ["cat/0.png", "dog/1.png", "dog/gone.png", "dog/itself.png", "dog/more/2.png"]
    for broken in (2, 3):
        with pytest.raises(ImageError, match="cannot be read"):
            source[broken]
    assert source.fingerprint() == Folder(root).fingerprint()


def test_a_pipe_is_not_an_image(tmp_path):
    root = write_tree(tmp_path, {"cat/1.png": 1})
    os.mkfifo(root / "cat" / "2.png")
    assert list(Folder(root).paths) == ["cat/1.png"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no class folders"),
        (["a.jpg", "b.jpg"], "2 images but no class folders"),
        (["readme.txt"], "no class folders"),
        (["cat/readme.txt"], "No class folder .* holds an image"),
        (["cat/a.jpg", "dog/readme.txt"], "without an image .*'dog'"),
        (["train/cat/a.jpg", "val/cat/b.jpg"], r"parts of a data set.*folder:.*/train or folder:.*/val"),
    ],
)
def test_folders_of_another_shape_are_errors_that_say_what_is_expected(files, message, tmp_path):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(DataError, match=message):
        Folder(tmp_path)


def test_missing_folder_and_file_in_its_place(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        Folder(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="not a folder"):
        Folder(tmp_path / "file")


def test_empty_classes_where_allowed(tmp_path):
    root = write_tree(tmp_path, {"b/1.png": 1})
    (root / "a").mkdir()
    source = Folder(root, allow_empty=True)
    assert [label.name for label in source.classes] == ["a", "b"]
    assert source.labels.tolist() == [1]


def test_file_names_that_are_not_unicode(tmp_path):
    root = write_tree(tmp_path, {"cat/1.png": 1})
    os.close(os.open(os.fsencode(root / "cat") + b"/\xff.png", os.O_CREAT))
    with pytest.raises(DataError, match="not Unicode"):
        Folder(root)


TWO_FILES = {"cat/1.png": 1, "dog/2.png": 2}


class TestFingerprint:
    def test_is_the_same_elsewhere_and_later(self, tmp_path):
        here, there = (write_tree(tmp_path / name, TWO_FILES) for name in ("here", "there"))
        os.utime(there / "cat/1.png", (0, 0))
        assert Folder(here).fingerprint() == Folder(there).fingerprint()

    @pytest.mark.parametrize("change", ["rename", "resize", "relabel", "add", "class"])
    def test_changes_with_the_files(self, tmp_path, change):
        root = write_tree(tmp_path, TWO_FILES)
        before = Folder(root).fingerprint()
        if change == "rename":
            (root / "cat/1.png").rename(root / "cat/9.png")
        elif change == "resize":
            (root / "cat/1.png").write_bytes(b"12345")
        elif change == "relabel":
            (root / "cat/1.png").rename(root / "dog/1.png")
            (root / "dog/2.png").rename(root / "cat/2.png")
        elif change == "add":
            write_tree(root, {"dog/3.png": 3})
        elif change == "class":
            (root / "dog").rename(root / "wolf")
        assert Folder(root).fingerprint() != before


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("tench", ClassLabel("tench")),
        ("n01440764", ClassLabel("n01440764", "n01440764")),
        ("n01440764_tench", ClassLabel("tench", "n01440764")),
        ("n01440764 tench, Tinca tinca", ClassLabel("tench, Tinca tinca", "n01440764")),
        ("n02085620-Chihuahua", ClassLabel("Chihuahua", "n02085620")),
        ("n014407645", ClassLabel("n014407645")),
        ("n0144076", ClassLabel("n0144076")),
        ("night", ClassLabel("night")),
    ],
)
def test_class_names(text, label):
    assert class_label(text) == label


@given(st.lists(st.text()), st.data())
def test_strings_are_a_list_of_strings(texts, data):
    try:
        strings = Strings(texts)
    except DataError:
        assert any(0xD800 <= ord(c) < 0xE000 for text in texts for c in text)
        return
    assert list(strings) == texts
    assert list(pickle.loads(pickle.dumps(strings))) == texts
    cut = data.draw(st.slices(len(texts)))
    assert list(strings[cut]) == texts[cut]
    with pytest.raises(IndexError):
        strings[len(texts)]


def test_real_images(real_data):
    source = Folder(real_data / "imagenet-500")
    classes, paths, targets = as_torchvision(real_data / "imagenet-500")
    assert (len(source), len(source.classes)) == (500, 500)
    assert (list(source.paths), source.labels.tolist()) == (paths, targets)
    assert [label.wnid for label in source.classes] == classes
    theirs = ImageFolder(real_data / "imagenet-500")
    for position in range(0, 500, 100):
        np.testing.assert_array_equal(source[position].convert("RGB"), theirs[position][0])


def test_a_bad_image_says_why_and_the_others_stay(tmp_path):
    root = write_tree(tmp_path, {"cat/0.png": 0})
    whole = encoded(pixels(1, (64, 64)), "JPEG")
    (root / "cat/1.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "cat/2.jpg").touch()
    (root / "cat/3.jpg").write_text("hello")
    source = Folder(root)
    for position, reason in enumerate(["truncated", "zero bytes", "not an image"], start=1):
        with pytest.raises(ImageError, match=reason):
            source[position]
    np.testing.assert_array_equal(source[0], pixels(0))
