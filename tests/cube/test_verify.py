"""Verification: a whole store has no findings; each kind of damage has its own, and nothing is ever written."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

import bandscope as bs
from bandscope.cube.contradictions import contradictions
from bandscope.cube.store import Store
from bandscope.cube.verify import verify
from bandscope.engine.measure import outcome
from bandscope.errors import StoreError

SPEC = "planted?per_class=8"  # 72 images, three blocks of 32


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("verify") / "a.zarr"
    probes = (bs.LowPass([5, 20]), bs.BandPass([(0, 4), (4, 9)]))
    bs.audit("planted", SPEC, out=path, probes=probes, zoom=[1, 2], batch_size=8, threads=1)
    return path


@pytest.fixture
def store(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "a.zarr")


def found(path: Path) -> list[tuple[str, str, range | None, str]]:
    return [(f.severity, f.where, f.images, f.remedy) for f in verify(path)]


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def settings(store: Path, change) -> None:
    metadata = json.loads((store / "zarr.json").read_text())
    change(metadata["attributes"])
    (store / "zarr.json").write_text(json.dumps(metadata))


def snapshot(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {p: (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in sorted(folder.rglob("*"))}


def test_a_finished_store_is_whole(whole):
    assert verify(whole) == []


def test_the_smallest_store_is_whole(tmp_path):
    bs.audit("planted", out=tmp_path / "a.zarr", probes=[bs.HighPass([3])], limit=1, threads=1)
    assert verify(tmp_path / "a.zarr") == []


def test_images_that_fail_are_no_damage(tmp_path):
    def fails(batch: torch.Tensor) -> torch.Tensor:
        logits = batch.flatten(1)[:, :9].clone()
        logits[::3] = torch.nan
        return logits

    preprocess = bs.load_classifier("planted").preprocess
    bs.audit(fails, SPEC, out=tmp_path / "a.zarr", probes=[bs.LowPass([3])], match="index", preprocess=preprocess)
    assert (bs.open(tmp_path / "a.zarr")["status"].values != "ok").sum() == 25  # 11, 11 and 3 of the blocks
    assert verify(tmp_path / "a.zarr") == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
@pytest.mark.parametrize(
    ("chunk", "images"),
    [
        ("status/c/0", range(32)),
        ("all_pass/padded/c/2/0", range(64, 72)),
        ("low_pass/top5_class/c/1/0/0/0", range(32, 64)),
    ],
)
def test_a_damaged_chunk_is_named_with_its_images(store, chunk, images, damage):
    file = store / chunk
    if damage == "flip":
        flip(file)
    elif damage == "truncate":
        os.truncate(file, file.stat().st_size - 3)
    else:
        file.unlink()
    assert found(store) == [("damaged", chunk, images, "rerun")]
    assert verify(store)[0].what == ("is lost" if damage == "delete" else "has changed")
    computed = []
    bs.audit(
        "planted", SPEC, out=store, probes=[bs.LowPass([5])], zoom=[1], progress=lambda n, *_: computed.append(n)
    )
    assert sum(computed[1:]) == len(images) * 10  # exactly these: unfiltered and through 4 filters, twice
    assert verify(store) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"crc32": 3}', "\x00"])
def test_an_unreadable_marker(store, text):
    (store / ".blocks" / "000001.json").write_text(text)
    assert found(store) == [("damaged", ".blocks/000001.json", range(32, 64), "rerun")]


def test_missing_blocks_are_unfinished_and_no_damage(store):
    (store / ".blocks" / "000000.json").unlink()
    assert found(store) == [("unfinished", "block 0", range(32), "rerun")]
    (store / ".blocks" / "000001.json").unlink()
    assert found(store) == [("unfinished", "blocks 0 to 1", range(64), "rerun")]
    (store / ".blocks" / "000002.json").unlink()
    (store / ".blocks" / "000001.json").write_bytes(b"")
    severities = [finding.severity for finding in verify(store)]
    assert sorted(severities) == ["damaged", "unfinished", "unfinished"]


@pytest.mark.parametrize("file", ["label/c/0", "source/c/0", "low_pass/radius/c/0", "zoom/c/0", "band_pass/low/c/0"])
@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_labels_names_and_coordinates(store, file, damage):
    damage(store / file)
    assert found(store) == [("damaged", file, None, "overwrite")]


def test_the_checksums_of_the_header(store):
    (store / ".header.json").write_text("{ not json")
    assert found(store) == [("damaged", ".header.json", None, "overwrite")]
    (store / ".header.json").unlink()
    assert found(store) == [("note", ".header.json", None, "")]


def test_a_copy_without_hidden_files_is_unfinished(store):
    (store / ".header.json").unlink()
    shutil.rmtree(store / ".blocks")
    assert sorted(f.severity for f in verify(store)) == ["note", "note", "unfinished"]


def test_without_checksums_coordinates_are_held_against_the_settings(store):
    (store / ".header.json").unlink()
    zarr.open_group(store, mode="r+")["low_pass/radius"][1] = 21
    damaged = [f for f in verify(store) if f.severity == "damaged"]
    assert [(f.where, f.what) for f in damaged] == [("low_pass/radius", "is not what the settings say")]


def test_without_checksums_labels_are_held_against_the_outputs(store):
    (store / ".header.json").unlink()
    zarr.open_group(store, mode="r+")["label"][7] = 9
    damaged = [f for f in verify(store) if f.severity == "damaged"]
    assert [(f.where, f.images) for f in damaged] == [("label", range(7, 8))]


@pytest.mark.parametrize("name", ["model", "data", "preprocess", "convention", "probes", "plan", "command"])
def test_missing_provenance(store, name):
    settings(store, lambda attributes: attributes.pop(name))
    findings = verify(store)
    assert [(f.severity, f.where, f.remedy) for f in findings] == [("damaged", "zarr.json", "overwrite")]
    assert repr(name) in findings[0].what


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda a: a["data"].update(images=71), "label"),
        (lambda a: a["model"].update(outputs=10), "class_name"),
        (lambda a: a["probes"][0]["cutoffs"].pop(), "low_pass/radius"),
        (lambda a: a["probes"].pop(), "band_pass/high"),
        (lambda a: a["zoom"].update({"values": [1, 3]}), "zoom"),
        (lambda a: a["plan"].update(block_size=16), "status"),
        (lambda a: a["plan"].pop("precision"), "zarr.json"),
        (lambda a: a["data"].pop("fingerprint"), "zarr.json"),
    ],
)
def test_settings_that_contradict_the_arrays(store, change, where):
    settings(store, change)
    assert next(f for f in verify(store) if f.severity == "damaged").where == where


def test_metadata_of_arrays(store):
    file = store / "low_pass" / "margin" / "zarr.json"
    text = file.read_text()
    file.write_text(text.replace("float32", "float64"))
    assert found(store) == [("damaged", "low_pass/margin/zarr.json", None, "overwrite")]
    file.unlink()
    assert found(store) == [("damaged", "low_pass/margin/zarr.json", None, "overwrite")]


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("data_type", "float64", "type"),
        ("dimension_names", ["image", "radius", "zoom"], "dimensions"),
        ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [32, 1, 2]}}, "chunks"),
        ("shape", [72, 2, 3], "shape"),
    ],
)
def test_an_array_that_is_not_what_the_schema_asks_for(store, key, value, what):
    """Also where the array and the copy of its metadata agree."""
    for file, entry in (("low_pass/margin/zarr.json", lambda m: m), ("zarr.json", consolidated)):
        metadata = json.loads((store / file).read_text())
        entry(metadata)[key] = value
        (store / file).write_text(json.dumps(metadata))
    damaged = [f for f in verify(store) if f.severity == "damaged" and f.remedy == "overwrite"]
    assert [f.where for f in damaged] == ["low_pass/margin"]
    assert damaged[0].what.startswith(what)


def consolidated(metadata):
    return metadata["consolidated_metadata"]["metadata"]["low_pass/margin"]


def test_a_lost_array(store):
    metadata = json.loads((store / "zarr.json").read_text())
    del metadata["consolidated_metadata"]["metadata"]["band_pass/out_of_range"]
    (store / "zarr.json").write_text(json.dumps(metadata))
    assert ("damaged", "band_pass/out_of_range", None, "overwrite") in found(store)


def test_leftovers_are_notes(store):
    (store / ".blocks" / "000001.ab12.draft").write_text("{")
    (store / "clean_margin" / "c" / "1.ab12.partial").write_bytes(b"x")
    (store / ".blocks" / "000099.json").write_text("{}")
    for name in (".a.zarr.extending", ".a.zarr.retired", ".a.zarr.12ab.partial"):
        (store.parent / name).mkdir()
    findings = verify(store)
    assert {f.severity for f in findings} == {"note"}
    assert [f.where for f in findings] == [
        ".blocks/000099.json",
        ".blocks/000001.ab12.draft",
        "clean_margin/c/1.ab12.partial",
        "../.a.zarr.extending",
        "../.a.zarr.retired",
        "../.a.zarr.12ab.partial",
    ]


def test_what_is_no_store_cannot_be_verified(store, tmp_path):
    with pytest.raises(StoreError, match=r"no zarr\.json"):
        verify(tmp_path)
    settings(store, lambda attributes: attributes.update(schema_version=99))
    with pytest.raises(StoreError, match="schema version 99"):
        verify(store)
    (store / "zarr.json").unlink()
    assert found(store) == [("damaged", "zarr.json", None, "overwrite")]


def test_values_of_another_block(store):
    """A chunk that is whole but not this block's: its own checksum agrees."""
    shutil.copy(store / "low_pass/margin/c/0/0/0", store / "low_pass/margin/c/1/0/0")
    assert [(f.severity, f.images) for f in verify(store)] == [("damaged", range(32, 64))]


def test_nothing_is_written(store):
    flip(store / "status/c/0")
    (store / ".blocks" / "000002.json").unlink()
    (store / ".blocks" / "000001.ab12.draft").write_text("{")
    before = snapshot(store)
    verify(store)
    Store(store, read_only=True).damaged()
    assert snapshot(store) == before


def test_everything_is_opened_for_reading_alone(store, monkeypatch):
    modes, plain = [], zarr.open_group

    def opened(*args, **kwargs):
        modes.append(kwargs["mode"])
        return plain(*args, **kwargs)

    monkeypatch.setattr(zarr, "open_group", opened)
    verify(store)
    Store(store, read_only=True).damaged()
    assert modes == ["r", "r"]
    with pytest.raises(ValueError, match="read-only"):
        Store(store, read_only=True)._group["status"][0] = "ok"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_store(store):
    folders = [store, *(p for p in store.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    try:
        assert verify(store) == []
        assert Store(store, read_only=True).done() == [0, 1, 2]
    finally:
        for folder in folders:
            folder.chmod(0o700)


# ---- values


def block(dtype=torch.float32, images: int = 40, classes: int = 7) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What the engine makes of random logits, ties among them; every fifth image is left out."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(classes, (images,), generator=generator)
    status = np.array(["ok", "ok", "ok", "ok", "not an image"] * (images // 5), dtype=object)
    arrays: dict[str, np.ndarray] = {"status": status}
    for prefix in ("clean_", "low_pass/"):
        logits = (torch.randn(images, classes, generator=generator) * 3).round().to(dtype)
        values = {name: value.float().numpy() for name, value in outcome(logits, labels).items() if name != "finite"}
        values["top5_class"] = values["top5_class"].astype(np.int32)
        for name, value in values.items():
            value[status != "ok"] = -1 if name == "top5_class" else np.nan
            arrays[prefix + name] = value
    arrays["low_pass/out_of_range"] = np.where(status == "ok", 0.25, np.nan).astype(np.float32)
    return arrays, labels.numpy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_an_audit_measures_does_not_contradict_itself(dtype):
    arrays, labels = block(dtype)
    assert (arrays["clean_margin"] == 0).any()  # ties are there
    assert list(contradictions(arrays, labels, 7)) == []


def test_one_output_has_an_infinite_margin():
    values = outcome(torch.randn(4, 1), torch.zeros(4, dtype=torch.int64))
    arrays = {f"clean_{name}": value.numpy() for name, value in values.items() if name != "finite"}
    assert np.isinf(arrays["clean_margin"]).all()
    assert list(contradictions({"status": np.full(4, "ok"), **arrays}, np.zeros(4, dtype=int), 1)) == []


def put(name, image, value):
    def change(arrays):
        arrays[name][image] = value

    return change


def swap_ranks(arrays):
    arrays["low_pass/top5_probability"][0] = arrays["low_pass/top5_probability"][0][::-1].copy()


def negate(arrays):
    arrays["low_pass/margin"] *= -1


@pytest.mark.parametrize(
    ("change", "name", "what"),
    [
        (put("status", 0, ""), "status", "1 images without a status"),
        (put("clean_probability", 1, np.nan), "clean_probability", "not finite"),
        (put("clean_margin", 1, np.nan), "clean_margin", "not finite"),
        (put("low_pass/out_of_range", 1, np.inf), "low_pass/out_of_range", "not finite"),
        (put("low_pass/out_of_range", 1, 1.5), "low_pass/out_of_range", "outside 0 to 1"),
        (put("low_pass/probability", 1, -0.1), "low_pass/probability", "outside 0 to 1"),
        (put("clean_top5_class", 1, 7), "clean_top5_class", "outside 0 to 6"),
        (put("clean_top5_class", 1, -1), "clean_top5_class", "outside 0 to 6"),
        (put("clean_top5_class", 4, 0), "clean_top5_class", "left out"),
        (put("clean_margin", 4, 0), "clean_margin", "left out"),
        (negate, "low_pass/margin", "sign"),
        (swap_ranks, "low_pass/top5_probability", "rises"),
    ],
)
def test_contradicting_values_are_named(change, name, what):
    arrays, labels = block()
    change(arrays)
    assert any(where == name and what in said for where, said in contradictions(arrays, labels, 7))


def test_the_probability_of_the_label_is_held_against_its_rank():
    arrays, labels = block()
    image = next(i for i in range(40) if labels[i] in arrays["clean_top5_class"][i])
    arrays["clean_probability"][image] *= 0.99
    assert [name for name, _ in contradictions(arrays, labels, 7)] == ["clean_probability"]
