"""Data sets of the Hugging Face library, written by it; what it reads back is the oracle."""

import io
import pickle
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from hub_tables import own_cache, table  # noqa: F401 - a fixture that every test here gets
from PIL import Image
from small_images import encoded, pixels, write_tree

from bandscope.datasets import hf, load_source
from bandscope.datasets.base import ImageSource
from bandscope.datasets.hf import HuggingFace
from bandscope.datasets.parquet import Parquet
from bandscope.errors import DataError, ImageError, InputError
from bandscope.labels import ClassLabel


@pytest.fixture
def saved(tmp_path):
    parts = {"train": table(), "test": table((1, 1, 0), first=5)}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_saved_data_set(saved):
    source = HuggingFace(saved, split="train")
    assert isinstance(source, ImageSource)
    assert source.spec == f"hf:{saved}"
    assert source.classes == (
        ClassLabel("goldfish", "n01443537"),
        ClassLabel("tabby", "n02123045"),
        ClassLabel("car"),
    )
    assert source.labels.tolist() == [0, 2, 1, 0, 1]
    assert source.labels.dtype == np.int32
    assert list(source.paths) == [f"#{i}" for i in range(5)]
    theirs = datasets.load_from_disk(str(saved))["train"]
    for position in (4, 0, 2, 2):
        np.testing.assert_array_equal(source[position], pixels(position))
        np.testing.assert_array_equal(source[position], theirs[position]["image"])
    for position in (5, -6):
        with pytest.raises(IndexError):
            source[position]


def test_one_part_saved_alone(tmp_path):
    table().save_to_disk(tmp_path / "one")
    assert HuggingFace(tmp_path / "one", spec="hf:one").spec == "hf:one"
    assert len(HuggingFace(tmp_path / "one")) == 5
    with pytest.raises(InputError, match="is one part alone"):
        HuggingFace(tmp_path / "one", split="test")
    with pytest.raises(InputError, match="has no configurations"):
        HuggingFace(tmp_path / "one", config="small")


def test_shuffled_and_selected_rows(tmp_path):
    """Rows that the library keeps as a list of positions."""
    chosen = table((0, 1, 2, 0, 1, 2, 0)).shuffle(seed=3).select([5, 1, 4, 2])
    chosen.save_to_disk(tmp_path / "some")
    source = HuggingFace(tmp_path / "some")
    assert source.labels.tolist() == chosen["label"]
    for position in range(4):
        np.testing.assert_array_equal(source[position], chosen[position]["image"])


class TestFolders:
    def test_of_class_folders(self, tmp_path):
        names = [f"{part}/{name}/{i}.png" for part in ("train", "test") for name in ("cat", "dog") for i in range(2)]
        root = write_tree(tmp_path / "data", {name: i for i, name in enumerate(names)})
        source = load_source(f"hf:{root}")
        assert source.spec == f"hf:{root}?split=test"
        assert [label.name for label in source.classes] == ["cat", "dog"]
        assert list(source.paths) == names[4:]
        assert source.labels.tolist() == [0, 0, 1, 1]
        np.testing.assert_array_equal(source[2], pixels(6))
        (tmp_path / "link").symlink_to(root)
        linked = HuggingFace(tmp_path / "link")
        assert list(linked.paths) == names[4:]
        assert linked.fingerprint() == source.fingerprint()
        assert source.fingerprint() != load_source(f"hf:{root}?split=train").fingerprint()
        (root / names[6]).write_bytes(b"no image")
        with pytest.raises(ImageError, match="not an image"):
            source[2]
        (root / names[6]).unlink()
        with pytest.raises(ImageError, match="cannot be read: No such file"):
            source[2]

    def test_of_parquet_files(self, tmp_path):
        (tmp_path / "data").mkdir()
        table().to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
        table((2, 1), first=5).to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
        source, other = HuggingFace(tmp_path / "data"), Parquet(tmp_path / "data", split="test")
        assert source.spec.endswith("?split=test")
        assert source.classes == other.classes
        assert source.labels.tolist() == other.labels.tolist() == [2, 1]
        np.testing.assert_array_equal(source[1], other[1])

    def test_of_files_that_are_no_data_set(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match="cannot be opened: "):
            HuggingFace(tmp_path / "empty")
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad" / "test.parquet").write_text("not parquet")
        with pytest.raises(DataError, match="cannot be opened: "):
            HuggingFace(tmp_path / "bad")

    def test_with_configurations(self, tmp_path):
        root = tmp_path / "data"
        for config in ("small", "large"):
            (root / config).mkdir(parents=True)
            table((0,) if config == "small" else (1, 2)).to_parquet(root / config / "test.parquet")
        configs = "".join(f"- config_name: {name}\n  data_files: {name}/*.parquet\n" for name in ("small", "large"))
        (root / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
        assert len(HuggingFace(root, config="large")) == 2
        with pytest.raises(InputError, match=r"several configurations: 'small', 'large'; say which: \?config=NAME"):
            HuggingFace(root)
        with pytest.raises(InputError, match=r"no configuration 'lrge'; it has .*Did you mean 'large'"):
            HuggingFace(root, config="lrge")


class TestSplits:
    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (["train", "validation", "test"], "test"),
            (["train", "validation"], "validation"),
            (["valid", "train"], "valid"),
            (["train"], "train"),
        ],
    )
    def test_the_held_out_part_is_the_default(self, tmp_path, names, expected):
        parts = {name: table((0,) * (i + 1)) for i, name in enumerate(names)}
        datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
        source = HuggingFace(tmp_path / "saved", spec="hf:saved?label=label")
        assert source.spec == f"hf:saved?label=label&split={expected}"
        assert len(source) == names.index(expected) + 1

    def test_unknown_and_undecided(self, saved, tmp_path):
        with pytest.raises(InputError, match=r"no split 'tset'; it has 'train', 'test'\. Did you mean 'test'"):
            HuggingFace(saved, split="tset")
        datasets.DatasetDict({"a": table(), "b": table()}).save_to_disk(tmp_path / "ab")
        with pytest.raises(InputError, match=r"several splits: 'a', 'b'; say which: \?split=NAME"):
            HuggingFace(tmp_path / "ab")


def test_damaged_images_are_recorded_one_by_one(tmp_path):
    """The library's own decoder would stop the run."""
    whole = encoded(pixels(0))
    table((0, 1, 2, 0), images=[b"", b"text", whole[:80], whole]).save_to_disk(tmp_path / "one")
    source = HuggingFace(tmp_path / "one")
    for position, reason in enumerate(["zero bytes|no bytes", "not an image", "truncated"]):
        with pytest.raises(ImageError, match=reason):
            source[position]
    np.testing.assert_array_equal(source[3], pixels(0))


def test_pixels_are_ours(tmp_path):
    """A picture that says it lies on its side is shown as the other sources show it: as it is stored."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(pixels(3, (12, 5)), exif=exif)
    table((0,), images=[data]).save_to_disk(tmp_path / "one")
    assert HuggingFace(tmp_path / "one")[0].size == (12, 5)


@pytest.mark.parametrize("damage", ["state.json", "dataset_info.json", "data-00000-of-00001.arrow"])
def test_damaged_saved_data_sets(tmp_path, damage):
    table().save_to_disk(tmp_path / "one")
    (tmp_path / "one" / damage).write_text("{")
    with pytest.raises(DataError, match="cannot be opened"):
        HuggingFace(tmp_path / "one")


class TestFingerprint:
    def test_is_the_same_elsewhere(self, saved, tmp_path):
        shutil.copytree(saved, tmp_path / "there" / "copy")
        assert HuggingFace(saved).fingerprint() == HuggingFace(tmp_path / "there" / "copy").fingerprint()

    def test_is_the_same_however_it_is_stored(self, saved, tmp_path):
        """The library's own fingerprint is not."""
        (tmp_path / "files").mkdir()
        table().to_parquet(tmp_path / "files" / "train.parquet", batch_size=2)
        assert HuggingFace(tmp_path / "files").fingerprint() == HuggingFace(saved, split="train").fingerprint()

    @pytest.mark.parametrize("change", ["labels", "names", "rows", "order", "size", "bytes"])
    def test_changes(self, tmp_path, change):
        images = [encoded(pixels(i)) for i in range(5)]
        table(images=images).save_to_disk(tmp_path / "a")
        before = HuggingFace(tmp_path / "a").fingerprint()
        other = list(images)
        if change == "size":
            other[2] += b"\0"
        if change == "bytes":
            other[2] = images[2][:-1] + b"\1"
        changed = table((0, 2, 2, 0, 1) if change == "labels" else (0, 2, 1, 0, 1), images=other)
        if change == "names":
            changed = changed.cast_column("label", datasets.ClassLabel(names=["cat", "dog", "car"]))
        if change == "rows":
            changed = changed.select(range(4))
        if change == "order":
            changed = changed.select([3, 1, 2, 0, 4])  # of images alone: 0 and 3 have the same label
        changed.save_to_disk(tmp_path / "b")
        assert HuggingFace(tmp_path / "b").fingerprint() != before

    def test_reads_a_few_images_alone(self, tmp_path, monkeypatch):
        monkeypatch.setattr(hf, "SAMPLED", 3)
        monkeypatch.setattr(hf, "ROWS", 7)
        table((0,) * 40).save_to_disk(tmp_path / "one")
        source, read = HuggingFace(tmp_path / "one"), []
        plain = source._encoded
        monkeypatch.setattr(source, "_encoded", lambda position: read.append(position) or plain(position))
        source.fingerprint()
        assert read == [0, 19, 39]


def test_threads_read_what_one_reader_reads(tmp_path):
    table((0,) * 60).save_to_disk(tmp_path / "one", num_shards=4)
    source = HuggingFace(tmp_path / "one")
    expected = [pixels(i).tobytes() for i in range(60)]
    order = np.random.default_rng(0).integers(0, 60, 3000).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda i: source[i].tobytes() == expected[i], order))


def test_pickles(saved):
    source = HuggingFace(saved)
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[1], source[1])
    assert again.fingerprint() == source.fingerprint()


def test_as_a_spec(saved):
    source = load_source(f"hf:{saved}?split=train&image=image&label=label")
    assert len(source) == 5
    assert source.spec == f"hf:{saved}?split=train&image=image&label=label"
    assert load_source(load_source(f"hf:{saved}").spec).fingerprint() == load_source(f"hf:{saved}").fingerprint()


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("hf:{}?spilt=test", InputError, "unknown option 'spilt'; allowed: config, image, label, revision, split"),
        ("hf:{}?revision=main", InputError, "a folder has no revisions"),
        ("hf:{}/none", DataError, "neither a folder that exists nor an id of the hub"),
        ("hf:./none", DataError, "neither a folder that exists nor an id of the hub"),
        ("hf:a/b/c", DataError, "neither a folder that exists nor an id of the hub"),
        ("hf:{}/dataset_dict.json", DataError, "neither a folder that exists nor an id of the hub"),
        ("hf:", InputError, "lacks what comes after hf:"),
    ],
)
def test_wrong_specs(saved, spec, error, message):
    with pytest.raises(error, match=message):
        load_source(spec.format(saved))


def test_an_unreachable_hub_is_one_sentence_at_once(monkeypatch, capfd):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    began = time.monotonic()
    with pytest.raises(
        DataError, match=r"no folder 'nobody/nothing', .*hub cannot be reached, and its cache does not"
    ):
        load_source("hf:nobody/nothing?split=test")
    assert time.monotonic() - began < 5
    assert datasets.config.HF_HUB_OFFLINE is False
    assert capfd.readouterr().err == ""


def test_the_librarys_bars_are_left_as_they_were(saved):
    datasets.enable_progress_bars()
    HuggingFace(saved)
    assert not datasets.are_progress_bars_disabled()


def test_a_missing_library_names_the_extra(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.delitem(sys.modules, "bandscope.datasets.hf", raising=False)
    with pytest.raises(DataError, match=r"pip install 'bandscope\[hf\]'"):
        load_source(f"hf:{saved}")


def test_real_tiny_imagenet(real_data, tmp_path):
    """The same files through both readers."""
    (tmp_path / "data").mkdir()
    for file in real_data.glob("tiny-imagenet-100/val*.parquet"):
        (tmp_path / "data" / file.name).symlink_to(file)
    source, other = HuggingFace(tmp_path / "data"), Parquet(real_data / "tiny-imagenet-100", split="val")
    assert (len(source), source.classes) == (5000, other.classes)
    np.testing.assert_array_equal(source.labels, other.labels)
    stored = pq.read_table(next(iter(sorted((tmp_path / "data").iterdir())))).column("image")
    for position in (0, 4321):
        np.testing.assert_array_equal(source[position], other[position])
        np.testing.assert_array_equal(source[position], Image.open(io.BytesIO(stored[position]["bytes"].as_py())))
