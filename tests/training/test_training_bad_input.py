"""What users get wrong in a training: one sentence each, before any work, and nothing lost."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_networks import PLANTED_NET, Squares, noisy, plain, quick
from torch import nn

import bandscope as bs
from bandscope.errors import BandscopeError, DataError, ImageError, InputError, ModelError, StoreError

TRAIN = "planted?split=train&per_class=4"


class Broken(Squares):
    """The image in the middle cannot be decoded."""

    def __getitem__(self, position: int) -> Image.Image:
        if position == len(self) // 2 + 1:
            raise ImageError("truncated")
        return super().__getitem__(position)


def refused(error: type[BandscopeError], words: str, model, data, out, **settings) -> None:
    with pytest.raises(error, match=re.escape(words)):
        quick(model, data, out, **settings)
    assert not out.exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"learning_rate": 1}, "no field 'learning_rate'"),
        ({"recipe": "zhang"}, "No recipe 'zhang'"),
        ({"batch_size": 17}, "batch_size=17 is more than the 16 training images"),
        ({"batch_size": 15, "accumulate": 2}, "cannot be shared evenly"),
        ({"val": 0.0}, "between 0 and 1"),
        ({"val": 1.5}, "between 0 and 1"),
        ({"val": 0.01}, "leaves no validation images"),
        ({"val": 0.99}, "leaves no training images"),
        ({"seed": -1}, "seed=-1"),
        ({"devices": 0}, "devices=0"),
        ({"precision": "fp8"}, "fp32, bf16, fp16"),
        ({"precision": "fp16"}, "needs a CUDA device"),
        ({"device": "gpu"}, "device='gpu'"),
        ({"memory_gb": -1}, "memory_gb=-1"),
        ({"filters": 45}, "filters must be probes"),
        ({"filters": [45]}, "filters must be probes"),
        ({"filters": [bs.LowPass([4]), bs.LowPass([5])]}, "given twice"),
        ({"convention": "zhang"}, "No convention"),
        ({"mean": (0.5,), "std": (0.2,)}, ""),
    ],
)
def test_settings(tmp_path, settings, words):
    if not words:  # one number serves every channel
        quick(plain(4), Squares(16), tmp_path / "out", **settings)
        return
    refused(InputError, words, plain(4), Squares(16), tmp_path / "out", **settings)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            "timm:gssdnet_050?num_classes=7&small_images=true",
            "has 7 outputs, but planted?split=train&per_class=4 has 9",
        ),
        ("python:tiny_networks:plain?num_classes=3", "has 3 outputs"),
        ("timm:gssdnet_51", "Did you mean"),
        ("torchvision:resnet19", "Did you mean"),
        ("python:tiny_networks:quick", "fails to make a classifier"),
        ("python:tiny_networks:Squares?count=1", "only a torch.nn.Module can be trained"),
    ],
)
def test_models_that_do_not_fit(tmp_path, model, words):
    refused(ModelError, words, model, TRAIN, tmp_path / "out", size=32)


def test_objects_that_do_not_fit(tmp_path):
    refused(ModelError, "has 5 outputs", plain(5), Squares(16), tmp_path / "out")
    refused(ModelError, "fails on images of (3, 8, 8)", nn.Linear(4, 4), Squares(16), tmp_path / "out")
    refused(ModelError, "builds another network", plain(4), Squares(16), tmp_path / "out", spec=PLANTED_NET)
    refused(InputError, "spec names", PLANTED_NET, TRAIN, tmp_path / "out", spec=PLANTED_NET)
    refused(InputError, "spec such as timm:resnet18", 3, TRAIN, tmp_path / "out")
    refused(InputError, "cannot be trained", "onnx:net.onnx", TRAIN, tmp_path / "out")


def test_weights_of_another_network(tmp_path):
    run = quick(plain(4), Squares(16), tmp_path / "run", spec="python:tiny_networks:plain?num_classes=4")
    refused(ModelError, "do not fit", PLANTED_NET, TRAIN, tmp_path / "out", weights=run.last)
    planted = quick(PLANTED_NET, TRAIN, tmp_path / "planted", size=32)
    refused(ModelError, "has 9 outputs, but squares", str(planted.last), Squares(16), tmp_path / "out")
    refused(InputError, "holds its own weights", str(planted.last), TRAIN, tmp_path / "out", weights=run.last)
    refused(ModelError, "does not exist", "nowhere.safetensors", TRAIN, tmp_path / "out")


def test_fewer_validation_images_than_processes(tmp_path):
    words = "1 validation image cannot be shared by 2 processes"
    refused(InputError, words, plain(4), Squares(16), tmp_path / "out", val=Squares(1, seed=1), devices=2)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (lambda y: y.float(), "torch.float32 of shape (8,)"),
        (lambda y: y[:4], "torch.int64 of shape (4,)"),
        (lambda y: torch.ones(len(y), 3), "torch.float32 of shape (8, 3)"),
        (lambda y: torch.ones(len(y), 4).long(), "torch.int64 of shape (8, 4)"),
        (lambda y: None, "labels None"),
    ],
)
def test_labels_that_no_loss_can_be_computed_of(tmp_path, labels, words):
    with pytest.raises(InputError, match=re.escape(words)):
        quick(plain(4), Squares(16), tmp_path / "out", transform=lambda x, y, p: (x, labels(y)))


def test_data(tmp_path):
    out = tmp_path / "out"
    refused(DataError, "does not exist", plain(4), f"folder:{tmp_path}/nowhere", out)
    refused(InputError, "the same", PLANTED_NET, TRAIN, out, val=TRAIN, size=32)
    refused(DataError, "9 in squares-16", plain(4), Broken(16), out)
    refused(DataError, "truncated", plain(4), Broken(16), out, memory_gb=0)
    other = Squares(16, classes=5, seed=1)
    refused(DataError, "level 4", plain(4), Squares(16), out, val=other)


def test_a_missing_root_says_how_to_get_the_data(tmp_path):
    refused(
        DataError,
        "add download=true",
        plain(10),
        f"torchvision:CIFAR10?root={tmp_path}/data&train=true",
        tmp_path / "out",
    )
    assert not (tmp_path / "data").exists()


def test_nobody_trains_on_the_test_part(tmp_path):
    refused(InputError, "add train=true", plain(10), mnist(tmp_path), tmp_path / "out")


def mnist(root) -> str:
    """A little MNIST in the files of the big one."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 20)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        header = b"\0\0\x08\x03" + count.to_bytes(4, "big") + (28).to_bytes(4, "big") * 2
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = (np.arange(count) % 10).astype(np.uint8)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + count.to_bytes(4, "big") + labels.tobytes())
    return f"torchvision:MNIST?root={root}"


def test_mnist_trains_on_its_training_part(tmp_path):
    """And the digits are grey, 28 x 28, not mirrored."""
    spec = mnist(tmp_path)
    said = []
    run = quick(
        "timm:gssdnet_050?small_images=true",
        f"{spec}&train=true",
        tmp_path / "out",
        val=spec,
        batch_size=20,
        say=said.append,
    )
    assert any("Mirror      off" in line for line in said)
    assert any("1 x 28 x 28" in line for line in said)
    assert bs.load_classifier(str(run.last)).preprocess.channels == 1
    assert run.history["step"].tolist() == [2]


def test_images_of_several_sizes_need_a_size(tmp_path):
    for k in range(2):
        (tmp_path / "data" / f"c{k}").mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (20 + i, 16), (90 * k + 9 * i, 30 * i, 60 * k)).save(
                tmp_path / "data" / f"c{k}" / f"{i}.png"
            )
    spec = f"folder:{tmp_path}/data"
    refused(InputError, "differ in size", plain(2), spec, tmp_path / "out", batch_size=4)
    quick(plain(2), spec, tmp_path / "small", batch_size=4, size=12)
    quick(plain(2), spec, tmp_path / "large", batch_size=4, size=12, augment="resized-crop")


def test_all_pixels_alike_have_no_std(tmp_path):
    source = Squares(16)
    source.images = np.full_like(source.images, 7)
    refused(InputError, "std cannot be measured", plain(4), source, tmp_path / "out")
    quick(plain(4), source, tmp_path / "given", mean=(0.5,) * 3, std=(0.2,) * 3)


def test_a_folder_that_is_taken(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("...")
    for overwrite in (False, True):
        with pytest.raises(StoreError, match="not the folder of a training"):
            quick(plain(4), Squares(16), out, overwrite=overwrite)
    assert [file.name for file in out.iterdir()] == ["thesis.tex"]
    for name in ("", ".", "/"):
        with pytest.raises(InputError, match="folder of its own"):
            quick(plain(4), Squares(16), name)
    for name in ("s3://bucket/trained", Path("gs://bucket/trained")):
        with pytest.raises(InputError, match="is a URL"):
            quick(plain(4), Squares(16), name)


def test_a_folder_of_another_training_tells_the_difference(tmp_path):
    out = tmp_path / "out"
    quick(plain(4), Squares(16), out)
    for settings, words in (
        ({"lr": 0.07}, "recipe.lr: 0.07 asked, 0.05 stored"),
        ({"seed": 1}, "seed: 1 asked, 0 stored"),
        ({"filters": [bs.LowPass([2])]}, "filters.conditions"),
        ({"val": 0.5}, "val.fingerprint"),
    ):
        with pytest.raises(StoreError, match=re.escape(words)):
            quick(plain(4), Squares(16), out, **settings)
    with pytest.raises(StoreError, match=r"model\.network"):
        quick(noisy(4), Squares(16), out)
    with pytest.raises(StoreError, match=r"data\.fingerprint"):
        quick(plain(4), Squares(16, seed=1), out)


def test_a_damaged_state_says_so(tmp_path):
    quick(plain(4), Squares(16), tmp_path / "out")
    (tmp_path / "out" / "state.ckpt").write_bytes(b"nothing of use")
    with pytest.raises(StoreError, match="start again with --overwrite"):
        quick(plain(4), Squares(16), tmp_path / "out")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_and_keeps_the_batch(tmp_path, value):
    """In step 5, the first of the third epoch."""
    source, seen = Squares(16), []

    def spoil(images, labels, positions):
        seen.append(positions.tolist())
        return images * value if len(seen) == 5 else images, labels

    with pytest.raises(ModelError, match="at step 4: the training stops"):
        quick(plain(4), source, tmp_path / "out", epochs=4, transform=spoil, augment="none", flip=0.0)
    saved = torch.load(tmp_path / "out" / "bad-batch-step4-rank0.pt", weights_only=True)
    assert saved["positions"].tolist() == seen[-1]
    np.testing.assert_array_equal(saved["pixels"], source.images[seen[-1]])
    assert not np.isfinite(saved["loss"])
    assert (tmp_path / "out" / "state.ckpt").exists()


def test_a_network_that_nobody_can_rebuild_says_so_when_it_is_loaded(tmp_path):
    run = quick(plain(4), Squares(16), tmp_path / "run")
    with pytest.raises(ModelError, match="does not say which network"):
        bs.load_classifier(str(run.last))


def test_missing_libraries(tmp_path, monkeypatch):
    monkeypatch.setattr("bandscope.training.fit.find_spec", lambda name: None if name == "lightning" else name)
    refused(InputError, "pip install 'bandscope[train]'", plain(4), Squares(16), tmp_path / "out")


def test_pretrained_weights_that_do_not_exist(tmp_path):
    refused(
        ModelError, "no pretrained weights", "timm:gssdnet_050", TRAIN, tmp_path / "out", pretrained=True, size=32
    )
