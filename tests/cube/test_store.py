"""The store: blocks, markers, damage, refusals."""

import errno
import json
import os
import shutil
import socket
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import xarray as xr

from bandscope import cube
from bandscope.cube.schema import CubeHeader, ProbeAxes
from bandscope.cube.store import Store, read_marker
from bandscope.errors import StoreError
from bandscope.labels import ClassLabel

RADII = {"radius": np.array([1.0, 2.5, 4.0]), "frequency": np.array([0.1, 0.25, 0.4])}
BANDS = {name: np.array([0.0, 2.0]) for name in ("low", "high", "low_frequency", "high_frequency")}


def header(images: int = 10, classes: int = 7) -> CubeHeader:
    return CubeHeader(
        labels=np.arange(images) % classes,
        sources=[f"ordner/bild é{i}.jpg" for i in range(images)],
        classes=[ClassLabel(f"class {i}", f"n{i:08d}") for i in range(classes)],
        probes=(
            ProbeAxes("low_pass", "low_pass", "ideal", "radius", RADII),
            ProbeAxes("band_stop", "band_stop", "ideal", "band", BANDS),
        ),
        attributes={"model": {"spec": "x"}, "probes": []},
    )


def block_of(store: Store, block: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([seed, block])
    arrays = {}
    for name, empty in store.read(block).items():
        if name == "status":
            arrays[name] = np.full(empty.shape, "ok", dtype=object)
        else:
            arrays[name] = rng.integers(0, 5, empty.shape).astype(empty.dtype)
    return arrays


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.create(tmp_path / "a.zarr", header(), block_size=4)


def test_no_image_is_ok_before_all_its_arrays_are_there(store):
    arrays = block_of(store, 0)
    for name in [name for name in arrays if name != "status"]:
        cut = {other: values for other, values in arrays.items() if other != name}
        with pytest.raises(KeyError):
            store.write(0, Cut(cut, arrays))
        assert (cube.open(store.place.path)["status"].values == "").all()
    store.write(0, arrays)
    assert (cube.open(store.place.path)["status"].values[:4] == "ok").all()


class Cut(dict):
    """Arrays that claim to be all there, and end the write where one of them is missing, as a kill would."""

    def __init__(self, held, claimed) -> None:
        super().__init__(held)
        self.claimed = claimed

    def __iter__(self):
        return iter(self.claimed)


def test_what_is_written_is_what_plain_xarray_reads(store):
    written = [block_of(store, block) for block in store.blocks]
    for block, arrays in enumerate(written):
        store.write(block, arrays)
    tree = xr.open_datatree(store.place.path, engine="zarr", chunks=None)
    for name in ("status", "clean_margin", "low_pass/top5_class", "band_stop/probability"):
        np.testing.assert_array_equal(tree[name].values, np.concatenate([w[name] for w in written]))
    assert tree["low_pass"]["top5_class"].dims == ("image", "radius", "rank")
    assert tree["low_pass"]["top5_class"].dtype == np.int32
    assert tree["band_stop"]["low"].dims == ("band",)
    np.testing.assert_array_equal(tree["low_pass"]["frequency"], RADII["frequency"])
    assert "frequency" in tree["low_pass"].coords
    assert tree["source"].values[3] == "ordner/bild é3.jpg"
    assert tree["class_wnid"].values[2] == "n00000002"
    assert tree.attrs["model"] == {"spec": "x"}


def test_nothing_counts_before_its_marker(store):
    assert store.done() == []
    store.write(1, block_of(store, 1))
    assert store.done() == [1]
    (store.place.path / ".blocks" / "000001.json").unlink()
    assert store.done() == []


def test_unwritten_images_are_not_ok(store):
    store.write(2, block_of(store, 2))
    opened = cube.open(store.place.path)
    assert cube.status_ok(opened).tolist() == [False] * 8 + [True] * 2
    assert np.isnan(opened["low_pass/margin"].values[:8]).all()
    assert (opened["low_pass/top5_class"].values[:8] == -1).all()


def test_blocks_of_fill_values_are_still_files(store):
    """A lost chunk must never read as data: even an all-fill block is on disk and in the marker."""
    arrays = {name: array.copy() for name, array in store.read(0).items()}
    store.write(0, arrays)
    marker = json.loads((store.place.path / ".blocks" / "000000.json").read_text())
    assert all(marker["crc32"].values())
    shutil.rmtree(store.place.path / "low_pass" / "margin" / "c" / "0")
    assert Store(store.place.path).done() == []


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
def test_a_damaged_block_is_done_again(store, damage):
    for block in store.blocks:
        store.write(block, block_of(store, block))
    chunk = store.place.path / "band_stop" / "top5_probability" / "c" / "1" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    if damage == "truncate":
        chunk.write_bytes(data[:-3])
    elif damage == "flip":
        data[len(data) // 2] ^= 1
        chunk.write_bytes(data)
    else:
        chunk.unlink()
    assert Store(store.place.path).done() == [0, 2]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"crc32": 3}', "\x00"])
def test_a_damaged_marker_is_no_marker(store, text):
    store.write(0, block_of(store, 0))
    (store.place.path / ".blocks" / "000000.json").write_text(text)
    assert store.done() == []


def test_rewriting_a_block_gives_the_same_bytes(store, tmp_path):
    other = Store.create(tmp_path / "b.zarr", header(), block_size=4)
    for s, order in ((store, [0, 1, 2]), (other, [2, 0, 2, 1, 0])):
        for block in order:
            s.write(block, block_of(s, block))
    files = sorted(p.relative_to(store.place.path) for p in store.place.path.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(other.place.path) for p in other.place.path.rglob("*") if p.is_file())
    markers = [[json.loads(p.read_text()) for p in sorted(s.place.path.glob(".blocks/*"))] for s in (store, other)]
    assert [m["crc32"] for m in markers[0]] == [m["crc32"] for m in markers[1]]
    for file in files:
        if file.parent.name != ".blocks":  # a marker also says who made it and when
            assert (store.place.path / file).read_bytes() == (other.place.path / file).read_bytes(), file


def test_a_marker_says_who_computed_the_block_and_when(store):
    before = datetime.now(UTC)
    store.write(1, block_of(store, 1))
    marker = read_marker(store.place, 1)
    assert (marker["host"], marker["process"]) == (socket.gethostname(), os.getpid())
    finished = datetime.fromisoformat(marker["finished"])
    assert finished.tzinfo == UTC
    assert before - timedelta(milliseconds=1) <= finished <= datetime.now(UTC)


def test_a_marker_that_does_not_say_who_made_it_counts(store):
    store.write(1, block_of(store, 1))
    file = store.place.path / ".blocks" / "000001.json"
    file.write_text(json.dumps({"block": 1, "crc32": json.loads(file.read_text())["crc32"]}))
    assert store.done() == [1]


def test_what_a_kill_left_half_written_is_tidied_away(store):
    store.write(0, block_of(store, 0))
    before = sorted(store.place.path.rglob("*"))
    (store.place.path / ".blocks" / "000001.ab12.draft").write_text("{")
    (store.place.path / "clean_margin" / "c" / "1.ab12.partial").write_bytes(b"x")
    store.tidy()
    assert sorted(store.place.path.rglob("*")) == before


def test_a_block_that_lacks_an_array_is_refused(store):
    arrays = block_of(store, 0)
    del arrays["low_pass/margin"]
    with pytest.raises(StoreError, match="low_pass/margin"):
        store.write(0, arrays)
    assert store.done() == []


def test_creation_is_all_or_nothing(tmp_path, monkeypatch):
    import zarr

    def fail(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zarr, "consolidate_metadata", fail)
    with pytest.raises(StoreError, match="is full"):
        Store.create(tmp_path / "a.zarr", header(), 4)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_writing_is_one_sentence(store, monkeypatch):
    store.write(0, block_of(store, 0))
    monkeypatch.setattr(os, "fsync", lambda _fd: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(StoreError, match="Finished blocks are safe"):
        store.write(1, block_of(store, 1))
    assert store.done() == [0]


def test_what_is_not_a_store_is_refused(tmp_path, store):
    with pytest.raises(StoreError, match=r"no zarr\.json"):
        cube.open(tmp_path / "missing.zarr")
    with pytest.raises(StoreError, match=r"no zarr\.json"):
        cube.open(tmp_path)
    xr.Dataset({"a": ("x", [1.0])}).to_zarr(tmp_path / "foreign.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(StoreError, match="no schema version"):
        cube.open(tmp_path / "foreign.zarr")
    (store.place.path / "zarr.json").write_text("{ not json")
    with pytest.raises(StoreError, match="cannot be read"):
        cube.open(store.place.path)


def test_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Store.create(tmp_path / "file" / "a.zarr", header(), 4)


def test_a_store_that_lacks_an_array_says_so(store):
    shutil.rmtree(store.place.path / "low_pass" / "margin")
    metadata = store.place.path / "zarr.json"
    held = json.loads(metadata.read_text())
    held["consolidated_metadata"]["metadata"].pop("low_pass/margin")
    metadata.write_text(json.dumps(held))
    with pytest.raises(StoreError, match="lacks low_pass/margin"):
        Store(store.place.path)


def test_a_whole_chunk_in_the_place_of_another_is_found(store):
    for block in (0, 1):
        store.write(block, block_of(store, block))
    chunks = store.place.path / "low_pass" / "margin" / "c"
    shutil.copy(chunks / "0" / "0", chunks / "1" / "0")
    assert store.done() == [0]
    assert store.damaged() == [1]
