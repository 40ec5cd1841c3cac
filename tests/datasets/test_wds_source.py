"""WebDataset shards: its own writer and reader are the oracle."""

import io
import multiprocessing
import pickle
import re
import shutil
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from small_images import encoded, pixels
from tars import plain, sample, write, write_tar
from webdataset.tariterators import group_by_keys, tar_file_expander

from bandscope.datasets import load_source
from bandscope.datasets.base import ImageSource
from bandscope.datasets.decode import decode
from bandscope.datasets.wds import Shards
from bandscope.errors import DataError, InputError
from bandscope.labels import ClassLabel


@pytest.fixture
def shards(tmp_path):
    return write(tmp_path / "data", plain(10))


def test_shards_in_the_order_of_their_braces(shards):
    source = Shards(shards / "train-{002..000}.tar")
    assert isinstance(source, ImageSource)
    order = [8, 9, 4, 5, 6, 7, 0, 1, 2, 3]
    assert list(source.paths) == [f"train-{i // 4:03d}.tar#{i:05d}.png" for i in order]
    assert source.labels.tolist() == [7 * i % 3 for i in order]
    assert source.labels.dtype == np.int32
    assert source.classes == (ClassLabel("0"), ClassLabel("1"), ClassLabel("2"))
    for position in (9, 0, 3, 3, 6):
        np.testing.assert_array_equal(source[position], pixels(order[position]))
    for position in (10, -11):
        with pytest.raises(IndexError):
            source[position]


def test_the_librarys_reader_finds_the_same(shards):
    theirs = []
    for path in sorted(shards.glob("*.tar")):
        with path.open("rb") as stream:
            theirs.extend(group_by_keys(tar_file_expander([{"url": path.name, "stream": stream}])))
    ours = Shards(shards / "*.tar")
    assert [each["__key__"] for each in theirs] == [re.split("[#.]", path)[2] for path in ours.paths]
    assert [int(each["cls"]) for each in theirs] == ours.labels.tolist()
    for position, each in enumerate(theirs):
        np.testing.assert_array_equal(ours[position], decode(each["png"]))


def test_wildcards_folders_and_home(tmp_path, shards, monkeypatch):
    shutil.copytree(shards, tmp_path / "data" / "more")
    assert len(Shards(shards / "**" / "train-00?.tar")) == 20
    both = Shards(f"{shards}/{{more/,}}train-000.tar")
    assert list(both.paths)[::4] == ["more/train-000.tar#00000.png", "train-000.tar#00000.png"]
    assert len(Shards(f"{shards}/train-{{000,*}}.tar")) == 10  # a shard named twice is one
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(Shards("~/data/train-001.tar")) == 4
    monkeypatch.chdir(shards)
    assert list(Shards("train-002.tar").paths) == ["train-002.tar#00008.png", "train-002.tar#00009.png"]


@pytest.mark.parametrize("kind", ["jpg", "jpeg", "png", "webp", "JPG"])
def test_images_by_their_extension(tmp_path, kind):
    data = encoded(pixels(1), {"png": "PNG", "webp": "WEBP"}.get(kind, "JPEG"))
    source = Shards(write_tar(tmp_path / "x.tar", [(f"a/1.{kind}", data), ("a/1.cls", b"0"), ("a/1.txt", b"a cat")]))
    assert list(source.paths) == [f"x.tar#a/1.{kind}"]
    assert source[0].tobytes() == decode(data).tobytes()


@pytest.mark.parametrize(
    ("members", "options", "names", "expected"),
    [
        ([{"cls": 30}, {"cls": 7}, {"cls": 30}], {}, ["7", "30"], [1, 0, 1]),
        ([{"cls": -1}, {"cls": 2}, {"cls": 2}], {}, ["-1", "2"], [0, 1, 1]),
        ([{"cls": b"1_0"}, {"cls": b"1_1"}, {"cls": b"1_0"}], {}, ["1_0", "1_1"], [0, 1, 0]),
        ([{"txt": "dog"}, {"txt": "cat\n"}, {"txt": "dog"}], {"label": "txt"}, ["cat", "dog"], [1, 0, 1]),
        ([{"json": {"label": 4}}, {"json": {"label": 2}}, {"json": {"label": 4}}], {}, ["2", "4"], [1, 0, 1]),
        ([{"json": {"label": "n01443537"}}] * 3, {}, ["n01443537"], [0, 0, 0]),
        ([{"json": {"y": i, "label": 9}, "cls": 5} for i in range(3)], {"label": "y"}, ["0", "1", "2"], [0, 1, 2]),
        ([{"json": {"label": 9}, "cls": i} for i in range(3)], {}, ["0", "1", "2"], [0, 1, 2]),
        (
            [{"json": {"label": 9}, "fine.cls": str(i).encode()} for i in (1, 0, 1)],
            {"label": "fine.cls"},
            ["0", "1"],
            [1, 0, 1],
        ),
    ],
)
def test_labels(tmp_path, members, options, names, expected):
    write(tmp_path, [sample(i, png=encoded(pixels(i)), **each) for i, each in enumerate(members)])
    source = Shards(tmp_path / "*.tar", **options)
    assert [label.name for label in source.classes] == names
    assert source.labels.tolist() == expected


def test_one_of_several_images(tmp_path):
    members = {"input.png": encoded(pixels(1)), "mask.png": encoded(pixels(2)), "cls": b"0"}
    write_tar(tmp_path / "x.tar", [(f"1.{name}", data) for name, data in members.items()])
    np.testing.assert_array_equal(Shards(tmp_path / "x.tar", image="mask.png")[0], pixels(2))
    with pytest.raises(
        DataError, match=r"'1' in .* has no image \(\.jpg, \.jpeg, \.png, \.webp\) among 'cls', 'input\.png'"
    ):
        Shards(tmp_path / "x.tar")


class TestClassNames:
    def test_of_numbers(self, shards, tmp_path):
        (tmp_path / "names.txt").write_text("n01443537 goldfish\nn02123045_tabby\ncar\n\n", encoding="utf-8-sig")
        source = Shards(shards / "*.tar", classes=str(tmp_path / "names.txt"))
        assert source.classes == (
            ClassLabel("goldfish", "n01443537"),
            ClassLabel("tabby", "n02123045"),
            ClassLabel("car"),
        )
        assert source.labels.tolist() == [7 * i % 3 for i in range(10)]

    def test_of_texts(self, tmp_path):
        write(tmp_path, [sample(i, png=encoded(pixels(i)), txt=name) for i, name in enumerate(["dog", "cat", "dog"])])
        (tmp_path / "names.txt").write_text("dog\ncow\ncat\n")
        source = Shards(tmp_path / "*.tar", label="txt", classes=str(tmp_path / "names.txt"))
        assert [label.name for label in source.classes] == ["dog", "cow", "cat"]
        assert source.labels.tolist() == [0, 2, 0]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("cat\ndog", r"Labels '2' in .* have no name among 2 classes"),
            ("", "must name one class a line"),
            ("cat\n\ndog", "must name one class a line; one is empty"),
            ("cat\ndog\ncat", "names 'cat' twice"),
            (None, "cannot be read"),
        ],
    )
    def test_that_do_not_fit(self, shards, tmp_path, text, message):
        if text is not None:
            (tmp_path / "names.txt").write_text(text)
        with pytest.raises(DataError, match=message):
            Shards(shards / "*.tar", classes=str(tmp_path / "names.txt"))


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        ("{}/none.tar", DataError, "No shard fits .*none.tar'; expected tar files"),
        ("{}/train-{{000..003}}.tar", DataError, r"No shard fits '.*train-003\.tar'"),
        ("{}/*.tgz", DataError, "No shard fits"),
        ("{}", DataError, "No shard fits"),
        ("{}/train-{{000..002.tar", (InputError, DataError), "cannot be expanded|No shard fits"),
        ("https://example.org/{{0..9}}.tar", InputError, "is remote"),
        ("pipe:touch {}/ran", InputError, "is remote"),
    ],
)
def test_shards_that_are_not_there(shards, pattern, error, message):
    with pytest.raises(error, match=message):
        Shards(pattern.format(shards))
    assert not (shards / "ran").exists()


class TestFingerprint:
    def test_is_the_same_elsewhere(self, shards, tmp_path):
        shutil.copytree(shards, tmp_path / "there" / "copy")
        assert Shards(shards / "*.tar").fingerprint() == Shards(tmp_path / "there" / "copy" / "*.tar").fingerprint()

    @pytest.mark.parametrize("change", ["name", "key", "label", "size", "order", "fewer"])
    def test_changes(self, tmp_path, change):
        before = Shards(write(tmp_path / "a", plain(6)) / "*.tar").fingerprint()
        samples = plain(6)
        if change == "key":
            samples[1]["__key__"] = "other"
        if change == "label":
            samples[1]["cls"] = 0
        if change == "size":
            samples[1]["png"] = encoded(pixels(1, (8, 8)))
        if change == "order":
            samples = samples[::-1]
        if change == "fewer":
            samples = samples[:-1]
        name = "test-%03d.tar" if change == "name" else "train-%03d.tar"
        assert Shards(write(tmp_path / "b", samples, name=name) / "*.tar").fingerprint() != before


def test_an_image_is_one_read_of_its_own_bytes(shards, monkeypatch):
    source = Shards(shards / "*.tar")
    read = []
    plain_open = open

    class Counting(io.FileIO):
        def read(self, size=-1):
            data = super().read(size)
            read.append(len(data))
            return data

    monkeypatch.setattr(
        "builtins.open",
        lambda file, *a, **k: Counting(file) if str(file).endswith(".tar") else plain_open(file, *a, **k),
    )
    source[5]
    assert read == [len(encoded(pixels(5)))]


def test_threads_read_what_one_reader_reads(tmp_path):
    source = Shards(write(tmp_path, plain(60), size=20) / "*.tar")
    expected = [pixels(i).tobytes() for i in range(60)]
    order = np.random.default_rng(0).integers(0, 60, 3000).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda i: source[i].tobytes() == expected[i], order))


def read_all(source, queue):
    queue.put([source[i].tobytes() for i in range(len(source))])


def test_pickled_and_in_forked_workers(shards):
    source = Shards(shards / "*.tar")
    again = pickle.loads(pickle.dumps(source))
    assert again.fingerprint() == source.fingerprint()
    np.testing.assert_array_equal(again[3], source[3])
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=read_all, args=(source, queue))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on fork beside threads
        worker.start()
    assert queue.get(timeout=20) == [pixels(i).tobytes() for i in range(10)]
    worker.join()


def test_as_a_spec(shards, tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\ncow\n")
    text = f"wds:{shards}/train-{{000..002}}.tar?classes={tmp_path / 'names.txt'}&label=cls"
    source = load_source(text)
    assert source.spec == text
    assert [label.name for label in source.classes] == ["cat", "dog", "cow"]
    assert len(load_source(f"wds:{shards}/train-00?.tar")) == 10
    with pytest.raises(
        InputError, match=r"unknown option 'labels'; allowed: classes, image, label\. Did you mean 'label'"
    ):
        load_source(f"wds:{shards}/*.tar?labels=cls")
    with pytest.raises(InputError, match="Did you mean 'wds:"):
        load_source(f"{shards}/train-000.tar")


def test_a_missing_webdataset_names_the_extra(shards, monkeypatch):
    monkeypatch.setitem(sys.modules, "webdataset.shardlists", None)
    monkeypatch.delitem(sys.modules, "bandscope.datasets.wds", raising=False)
    with pytest.raises(DataError, match=r"pip install 'bandscope\[wds\]'"):
        load_source(f"wds:{shards}/*.tar")
