"""The same network through every backend, against eager PyTorch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bandscope.classifiers import load_classifier
from bandscope.classifiers.backends import BACKENDS, PART, PRECISIONS, open_backend, spread, unfit
from bandscope.errors import InputError, ModelError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess

CPU = torch.device("cpu")
PREPROCESS = Preprocess(size=(24, 24), resize=None, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
BATCH = 4


class Small(torch.nn.Module):
    """With batch normalisation that has something to fold, and an output that is more than logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1, bias=False),
            torch.nn.BatchNorm2d(8),
            torch.nn.ReLU(),
            torch.nn.Conv2d(8, 8, 3, padding=1, groups=8),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
        )
        self.head = torch.nn.Linear(8, 7)
        norm = self.body[1]
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.body(batch)
        return 10 * self.head(features), features


def classifier():
    return load_classifier(Small(), preprocess=PREPROCESS)


def batch(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((BATCH, 3, 24, 24), dtype=np.float32))


@pytest.mark.parametrize(
    ("backend", "dtype"), [(backend, dtype) for backend in BACKENDS for dtype in PRECISIONS[backend]]
)
def test_the_same_logits_within_the_precision(backend, dtype):
    expected = Small().eval()(batch())[0].detach()
    forward = open_backend(classifier(), backend, BATCH, CPU, dtype)
    logits = forward(batch())
    assert logits.dtype == torch.float32
    assert logits.shape == (BATCH, 7)
    tolerance = 1e-5 if dtype == torch.float32 else 0.02 * float(expected.abs().max())
    torch.testing.assert_close(logits, expected, atol=tolerance, rtol=1e-5)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_an_engine_keeps_nothing_of_the_batch_before(backend):
    forward = open_backend(classifier(), backend, BATCH, CPU, torch.float32)
    first = forward(batch(0))
    kept = first.clone()
    second = forward(batch(1))
    assert torch.equal(first, kept)  # engines reuse their output's memory
    assert not torch.equal(first, second)
    assert torch.equal(forward(batch(0)), kept)


@pytest.mark.parametrize(("images", "shown"), [(21, 21), (16, 16), (21, 5), (1, 1)])
def test_openvino_puts_its_parts_together_again(images, shown):
    forward = open_backend(classifier(), "openvino", images, CPU, torch.float32)
    pixels = torch.randn(shown, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(forward(pixels), Small().eval()(pixels)[0].detach(), atol=1e-5, rtol=1e-5)


@given(st.integers(1, 2000), st.integers(1, 128))
def test_a_batch_spreads_over_the_threads(images, threads):
    streams, parts, size = spread(images, threads)
    assert threads % streams == 0
    assert parts % streams == 0
    assert images <= parts * size < images + parts
    assert size <= 2 * PART
    assert streams == 1 or size >= PART / 2


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_channels_last_batches_are_taken_as_they_are(backend):
    forward = open_backend(classifier(), backend, BATCH, CPU, torch.float32)
    images = batch().contiguous(memory_format=torch.channels_last)
    assert torch.equal(forward(images), forward(batch()))


def test_what_cannot_be_exported_is_one_error():
    class Moody(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if float(images.sum()) > 0:
                return images.mean((2, 3))
            return images.amax((2, 3))

    with pytest.raises(ModelError, match="the backend openvino cannot take"):
        open_backend(load_classifier(Moody(), preprocess=PREPROCESS), "openvino", 2, CPU, torch.float32)


def test_a_function_runs_as_it_is():
    function = load_classifier(
        lambda images: images.mean((2, 3)), preprocess=PREPROCESS, classes=[ClassLabel(c) for c in "abc"]
    )
    with pytest.raises(InputError, match="needs a PyTorch network"):
        open_backend(function, "openvino", 2, CPU, torch.float32)


@pytest.mark.parametrize(
    ("backend", "device", "dtype", "word"),
    [
        ("tensorrt", "cpu", torch.float32, "not known"),
        ("onnxruntime", "cpu", torch.bfloat16, "does not compute in bfloat16"),
        ("openvino", "cuda", torch.float32, "on the CPU only"),
    ],
)
def test_what_cannot_be_is_said_before_it_is_tried(backend, device, dtype, word):
    assert word in unfit(classifier(), backend, torch.device(device), dtype)


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("bandscope.classifiers.backends.find_spec", lambda _: None)
    assert "pip install 'bandscope[fast]'" in unfit(classifier(), "openvino", CPU, torch.float32)
