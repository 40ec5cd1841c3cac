"""A model of transformers on shards of WebDataset, from the command line to the cube."""

import contextlib
import io
import re

import numpy as np
import pytest
import torch
import transformers
import webdataset
from PIL import Image

import bandscope as bs
from bandscope.cli.main import main


def jpeg(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (37, 40 + seed, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def test_an_audit_of_a_model_of_transformers_on_shards(tmp_path):
    """From the command line to a table; one image is damaged, and the audit says so and goes on."""
    torch.manual_seed(0)
    names = {0: "cat", 1: "dog", 2: "cow"}
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], id2label=names, num_labels=3)
    model = transformers.ResNetForImageClassification(config).eval()
    model.save_pretrained(tmp_path / "net")
    transformers.ConvNextImageProcessor(size={"shortest_edge": 28}).save_pretrained(tmp_path / "net")
    images = [jpeg(position) for position in range(8)]
    images[5] = b"no image"
    with webdataset.ShardWriter(str(tmp_path / "train-%03d.tar"), maxcount=4, verbose=0) as writer:
        for position, data in enumerate(images):
            writer.write({"__key__": f"{position:05d}", "jpg": data, "cls": position % 3})
    (tmp_path / "names.txt").write_text("\n".join(names.values()))
    data = "wds:train-{000..001}.tar?classes=names.txt"
    out, err = io.StringIO(), io.StringIO()
    arguments = [
        "audit",
        "hf:net",
        data,
        "--radii",
        "4,9",
        "--threads",
        "1",
        "--batch-size",
        "4",
        "--out",
        "net.zarr",
    ]
    with contextlib.chdir(tmp_path), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(arguments) == 0, err.getvalue()
        cube = bs.open("net.zarr")
    assert "1 of 8 images" in re.sub(r"\s+", " ", out.getvalue() + err.getvalue())
    assert cube.attrs["model"]["library"] == "transformers"
    assert cube.attrs["data"]["spec"] == data
    assert (cube["status"].values != "ok").tolist() == [position == 5 for position in range(8)]
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "net", backend="pil")
    for position in (0, 7):
        image = Image.open(io.BytesIO(images[position]))
        with torch.inference_mode():
            logits = model(**processor(images=image, return_tensors="pt")).logits[0]
        expected = logits.softmax(0)[position % 3]
        assert float(cube["clean_probability"][position]) == pytest.approx(float(expected), rel=1e-4)
