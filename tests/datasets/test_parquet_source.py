import json
import multiprocessing
import pickle
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_images import encoded, pixels

from bandscope.datasets import parquet_rows
from bandscope.datasets.base import ImageSource
from bandscope.datasets.decode import decode
from bandscope.datasets.parquet import Parquet
from bandscope.errors import DataError, ImageError
from bandscope.labels import ClassLabel

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def structs(images):
    return pa.array([None if data is None else {"bytes": data, "path": "x.png"} for data in images], STRUCT)


def noise(count, first=0):
    return [encoded(pixels(first + i)) for i in range(count)]


def hugging_face(column, names):
    feature = {"_type": "ClassLabel", "names": names}
    return {b"huggingface": json.dumps({"info": {"features": {column: feature}}}).encode()}


def write(path, images, labels, *, names=None, column="label", group=3, **options):
    table = pa.table({"image": images, column: labels})
    if names:
        table = table.replace_schema_metadata(hugging_face(column, names))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group, **options)
    return path


@pytest.fixture
def two_files(tmp_path):
    names = ["n01443537 goldfish", "n02123045_tabby", "car"]
    write(tmp_path / "b.parquet", structs(noise(4, 7)), [1, 1, 1, 0], names=names)
    write(tmp_path / "a.parquet", structs(noise(7)), [0, 2, 1, 0, 0, 1, 2], names=names, group=2)
    return tmp_path


def test_rows_of_all_files_in_order(two_files):
    source = Parquet(two_files / "*.parquet")
    assert isinstance(source, ImageSource)
    assert source.spec == f"parquet:{two_files / '*.parquet'}"
    assert source.labels.tolist() == [0, 2, 1, 0, 0, 1, 2, 1, 1, 1, 0]
    assert source.classes == (
        ClassLabel("goldfish", "n01443537"),
        ClassLabel("tabby", "n02123045"),
        ClassLabel("car"),
    )
    assert list(source.paths) == [f"a.parquet#{i}" for i in range(7)] + [f"b.parquet#{i}" for i in range(4)]
    assert source.paths[5:9] == ["a.parquet#5", "a.parquet#6", "b.parquet#0", "b.parquet#1"]
    for i in [10, 0, 6, 7, 3, 3, 9]:
        np.testing.assert_array_equal(source[i], pixels(i))
    with pytest.raises(IndexError):
        source[11]
    with pytest.raises(IndexError):
        source.paths[11]


@given(
    groups=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    window=st.integers(1, 3000),
    steps=st.lists(st.integers(0, 10**6), min_size=1, max_size=25),
)
@settings(max_examples=40)
def test_any_order_of_reading_through_any_window(groups, window, steps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    images = [encoded(pixels(i, (2 + i % 5, 3))) for i in range(12 * len(groups))]
    for k, group in enumerate(groups):
        write(folder / f"{k}.parquet", structs(images[12 * k : 12 * (k + 1)]), [0] * 12, group=group)
    source = Parquet(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_rows, "WINDOW", window)
        for step in steps:
            position = step % len(source)
            assert source[position].tobytes() == decode(images[position]).tobytes()


def test_memory_does_not_grow_with_a_row_group(tmp_path):
    """One row group four windows long: never more than two windows of it are in Arrow's memory."""
    size = parquet_rows.WINDOW // 32
    images = [np.random.default_rng(i).bytes(size) for i in range(128)]
    path = write(tmp_path / "big.parquet", images, [0] * 128, group=128, use_dictionary=False, write_batch_size=4)
    del images
    source, before, most = Parquet(path), pa.total_allocated_bytes(), 0
    for position in range(128):
        with pytest.raises(ImageError):
            source[position]
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 3 * parquet_rows.WINDOW


@pytest.mark.parametrize(
    "images",
    [structs, lambda images: pa.array(images, pa.binary()), lambda images: pa.array(images, pa.large_binary())],
)
def test_images_as_structs_or_bytes(tmp_path, images):
    source = Parquet(write(tmp_path / "x.parquet", images([*noise(2), None, b"", b"text"]), [0] * 5))
    np.testing.assert_array_equal(source[1], pixels(1))
    for position, reason in [(2, "no bytes"), (3, "zero bytes"), (4, "not an image")]:
        with pytest.raises(ImageError, match=reason):
            source[position]


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        ([30, 7, 30], ["7", "30"], [1, 0, 1]),
        (pa.array([2, 0, 1], pa.uint8()), ["0", "1", "2"], [2, 0, 1]),
        (["dog", "cat", "dog"], ["cat", "dog"], [1, 0, 1]),
        (pa.array(["dog", "cat", "dog"], pa.large_string()), ["cat", "dog"], [1, 0, 1]),
        (pa.DictionaryArray.from_arrays([1, 1, 2], ["unused", "dog", "cat"]), ["cat", "dog"], [1, 1, 0]),
        (["n02123045_tabby", "n01443537", "n01443537"], ["n01443537", "tabby"], [1, 0, 0]),
    ],
)
def test_labels_without_names(tmp_path, labels, classes, expected):
    source = Parquet(write(tmp_path / "x.parquet", structs(noise(3)), labels))
    assert [label.name for label in source.classes] == classes
    assert source.labels.tolist() == expected
    assert source.labels.dtype == np.int32


def test_other_columns_and_splits(tmp_path):
    for split in ("train", "test"):
        table = pa.table({"img": structs(noise(2)), "fine_label": [0, 1], "coarse_label": [1, 1]})
        path = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path)
    source = Parquet(tmp_path, image="img", label="fine_label", split="test")
    assert list(source.paths) == [f"data/test-00000-of-00001.parquet#{i}" for i in range(2)]
    assert (
        len(Parquet(tmp_path / "**" / "**" / "test-*", image="img", label="fine_label")) == 2
    )  # two globs, one file
    with pytest.raises(DataError, match=r"no column 'image'.*img, fine_label, coarse_label.*\?image="):
        Parquet(tmp_path)
    with pytest.raises(DataError, match=r"no column 'fine'.*\?label=.*Did you mean 'fine_label'"):
        Parquet(tmp_path, image="img", label="fine")
    for split in ("es", "validation"):
        with pytest.raises(DataError, match=f"split '{split}'"):
            Parquet(tmp_path, image="img", label="fine_label", split=split)


@pytest.mark.parametrize(
    ("images", "labels", "names", "message"),
    [
        (["a.png", "b.png"], [0, 1], None, "expected bytes"),
        (structs(noise(2)), [0.5, 1.0], None, "expected integers or strings"),
        (structs(noise(2)), [[0], [1]], None, "expected integers or strings"),
        (structs(noise(2)), [0, None], None, "lacks 1 of its 2 labels"),
        (structs(noise(2)), [0, -1], ["cat", "dog"], "'-1'.*unlabelled"),
        (structs(noise(2)), [0, 2], ["cat", "dog"], "'2'.*2 classes"),
        (structs([]), pa.array([], pa.int64()), None, "no rows"),
    ],
)
def test_files_of_another_shape(tmp_path, images, labels, names, message):
    write(tmp_path / "x.parquet", images, labels, names=names)
    with pytest.raises(DataError, match=message):
        Parquet(tmp_path / "x.parquet")


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(DataError, match="No file fits"):
        Parquet(tmp_path / "*.parquet")
    (tmp_path / "x.parquet").write_text("not parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        Parquet(tmp_path / "x.parquet")
    (tmp_path / "x.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        Parquet(tmp_path / "*.parquet")


def test_files_that_do_not_belong_together(tmp_path):
    write(tmp_path / "a.parquet", structs(noise(1)), [0], names=["cat"])
    write(tmp_path / "b.parquet", structs(noise(1)), [0], names=["dog"])
    with pytest.raises(DataError, match=r"'b.parquet' and 'a.parquet' have different classes"):
        Parquet(tmp_path)


def test_a_file_damaged_after_opening_makes_image_errors(tmp_path):
    path = write(tmp_path / "x.parquet", structs(noise(6)), [0] * 6, group=3, compression="zstd")
    source = Parquet(path)
    metadata = pq.ParquetFile(path).metadata.row_group(0).column(0)
    data = bytearray(path.read_bytes())
    start = metadata.dictionary_page_offset or metadata.data_page_offset
    data[start : start + metadata.total_compressed_size] = b"\xff" * metadata.total_compressed_size
    path.write_bytes(data)
    for position in (0, 1, 0):
        with pytest.raises(ImageError, match="row group"):
            source[position]
    np.testing.assert_array_equal(source[4], pixels(4))


def test_a_question_mark_and_brackets_in_names(tmp_path):
    write(tmp_path / "a[1]" / "x.parquet", structs(noise(1)), [0])
    assert list(Parquet(tmp_path / "a[1]" / "x.parquet").paths) == ["x.parquet#0"]
    assert list(Parquet(tmp_path / "a[1]").paths) == ["x.parquet#0"]
    assert list(Parquet(tmp_path / "a*" / "?.parquet").paths) == ["a[1]/x.parquet#0"]


class TestFingerprint:
    def test_is_the_same_elsewhere(self, two_files, tmp_path_factory):
        there = tmp_path_factory.mktemp("there") / "copy"
        shutil.copytree(two_files, there)
        assert Parquet(two_files).fingerprint() == Parquet(there).fingerprint()

    @pytest.mark.parametrize("change", ["name", "labels", "names", "rows", "group"])
    def test_changes(self, tmp_path, change):
        images, labels, names = noise(4), [0, 1, 0, 1], ["cat", "dog"]
        plain = {"compression": "none", "use_dictionary": False}  # so that exchanged labels leave the footer as it is
        before = Parquet(write(tmp_path / "a.parquet", structs(images), labels, names=names, **plain)).fingerprint()
        (tmp_path / "a.parquet").unlink()
        path = tmp_path / ("b.parquet" if change == "name" else "a.parquet")
        labels = [1, 0, 0, 1] if change == "labels" else labels
        names = ["cat", "cow"] if change == "names" else names
        rows = 3 if change == "rows" else 4
        write(path, structs(images[:rows]), labels[:rows], names=names, group=2 if change == "group" else 3, **plain)
        assert Parquet(path).fingerprint() != before


def test_threads_read_what_one_reader_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "WINDOW", 1000)
    source = Parquet(write(tmp_path / "x.parquet", structs(noise(60)), [0] * 60, group=20))
    expected = [pixels(i).tobytes() for i in range(60)]
    order = np.random.default_rng(0).integers(0, 60, 3000).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda i: source[i].tobytes() == expected[i], order))


def test_pickles_without_its_open_files(two_files):
    source = Parquet(two_files)
    empty = len(pickle.dumps(source))
    source[0]
    again = pickle.loads(pickle.dumps(source))
    assert len(pickle.dumps(source)) == empty
    np.testing.assert_array_equal(again[3], source[3])
    assert again.fingerprint() == source.fingerprint()


def read_all(source, queue):
    queue.put([source[i].tobytes() for i in range(len(source))])


def test_forked_workers_open_their_own_files(two_files):
    source = Parquet(two_files)
    source[0]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=read_all, args=(source, queue)) for _ in range(2)]
    with warnings.catch_warnings(), source._rows._open()._lock:  # as if another thread were reading
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on fork beside threads
        for worker in workers:
            worker.start()
    expected = [pixels(i).tobytes() for i in range(len(source))]
    for _ in workers:
        assert queue.get(timeout=20) == expected
    for worker in workers:
        worker.join()


def test_real_cifar(real_data):
    source = Parquet(real_data / "cifar10-jpeg" / "test.parquet")
    table = pq.read_table(real_data / "cifar10-jpeg" / "test.parquet")
    assert source.labels.tolist() == table["label"].to_pylist()
    assert [label.name for label in source.classes][:3] == ["airplane", "automobile", "bird"]
    for position in (9999, 0, 1234, 1233):
        expected = decode(table["image"][position]["bytes"].as_py())
        np.testing.assert_array_equal(source[position], expected)
        assert source[position].size == (32, 32)


def test_real_tiny_imagenet(real_data):
    source = Parquet(real_data / "tiny-imagenet-100" / "train-*.parquet")
    assert (len(source), len(source.classes)) == (50000, 100)
    np.testing.assert_array_equal(np.bincount(source.labels), np.full(100, 500))
    assert source.classes[0] == ClassLabel("goldfish", "n01443537")
    assert source.paths[12500] == "train-00001-of-00004.parquet#0"
    table = pq.read_table(real_data / "tiny-imagenet-100" / "train-00001-of-00004.parquet")
    np.testing.assert_array_equal(source[12500 + 777], decode(table["image"][777]["bytes"].as_py()))
    by_split = Parquet(real_data / "tiny-imagenet-100", split="val")
    assert len(by_split) == 5000
