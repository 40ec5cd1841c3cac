"""The same network through another engine: eager PyTorch, compiled, or an engine that is made for inference.

Compilers and inference engines fold batch normalisation into the convolutions, choose memory layouts and fuse what
stands between; on CPUs with AMX, OpenVINO computes in bfloat16 several times faster than eager float32.
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from bandscope.classifiers.base import Classifier
from bandscope.classifiers.torch_classifier import TorchClassifier, as_logits
from bandscope.errors import InputError, ModelError

Forward = Callable[[Float[torch.Tensor, "n c h w"]], Float[torch.Tensor, "n classes"]]

DEFAULT = "eager"
PACKAGES = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnxscript")}
PRECISIONS: Mapping[str, tuple[torch.dtype, ...]] = {
    "eager": (torch.float32, torch.bfloat16),
    "compiled": (torch.float32, torch.bfloat16),
    "openvino": (torch.float32, torch.bfloat16),
    "onnxruntime": (torch.float32,),
}
BACKENDS = tuple(PRECISIONS)
PART = 4  # images that a stream of OpenVINO takes at once, about (docs/performance.md)


def open_backend(
    classifier: Classifier, backend: str, batch_size: int, device: torch.device, dtype: torch.dtype
) -> Forward:
    """The forward pass of a classifier by a backend, with as many threads as PyTorch has now.

    Args:
        classifier: it is prepared for the device; the backend is built from it as it stands.
        backend: one of `BACKENDS`.
        batch_size: images of every batch; engines are built for that number alone.
        device: where the batches lie.
        dtype: in which the network computes; logits are float32.

    Raises:
        InputError: the backend is unknown, or does not compute in `dtype`.
        ModelError: it is not installed, does not run there, or cannot take this network.
    """
    if reason := unfit(classifier, backend, device, dtype):
        raise InputError(reason)
    if backend == DEFAULT:
        classifier.prepare(device, dtype)
        return classifier.logits
    classifier.prepare(device, dtype if backend == "compiled" else torch.float32)
    preprocess = classifier.preprocess
    shape = (batch_size, preprocess.channels, *preprocess.size)
    opener: Callable[[Any, tuple[int, ...], torch.dtype], Forward] = _OPENERS[backend]
    try:
        return opener(classifier, shape, dtype)
    except Exception as error:  # exporters and engines fail with anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise ModelError(f"the backend {backend} cannot take {classifier.spec}: {reason}") from error


def unfit(classifier: Classifier, backend: str, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why a backend cannot run a classifier so, as far as that is known without trying; None where it may."""
    if dtype not in PRECISIONS.get(backend, ()):
        return f"the backend {backend!r} is not known, or does not compute in {str(dtype).removeprefix('torch.')}."
    if backend == DEFAULT:
        return None
    if missing := [name for name in PACKAGES.get(backend, ()) if find_spec(name) is None]:
        return f"the backend {backend} needs {' and '.join(missing)}: pip install 'bandscope[fast]'"
    if backend in PACKAGES and device.type != "cpu":
        return f"the backend {backend} runs on the CPU only, not on {device.type}."
    if not isinstance(classifier, TorchClassifier) or isinstance(classifier.module, torch.jit.ScriptModule):
        return f"the backend {backend} needs a PyTorch network; {classifier.spec} runs as it is (eager)."
    return None


class _Logits(nn.Module):
    """A network whose output is nothing but its logits, as exporters want it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return as_logits(self.module(batch), len(batch))


def _open_compiled(classifier: TorchClassifier, shape: tuple[int, ...], dtype: torch.dtype) -> Forward:
    torch.compiler.reset()  # another precision of the same network may be compiled already
    compiled = torch.compile(_Logits(classifier.module), dynamic=False, options={"freezing": True})

    def forward(batch: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"]:
        reduced = dtype != torch.float32
        with torch.inference_mode(), torch.autocast(batch.device.type, torch.bfloat16, enabled=reduced):
            logits: torch.Tensor = compiled(batch.contiguous(memory_format=torch.channels_last))
        return logits.float()

    forward(torch.zeros(shape, device=classifier.device))  # compiled now, and not in the first block
    return forward


def _open_openvino(classifier: TorchClassifier, shape: tuple[int, ...], dtype: torch.dtype) -> Forward:
    """In parts, several at once: what a layer makes of few images is still in the cache for the next one."""
    import openvino

    images, *crop = shape
    threads = torch.get_num_threads()
    streams, parts, size = spread(images, threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program = torch.export.export(_Logits(classifier.module), (torch.zeros(size, *crop),))
        graph = openvino.convert_model(program)
    graph.reshape([size, *crop])
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,  # several processes would be pinned to the same cores
    }
    compiled = openvino.Core().compile_model(graph, "CPU", settings)
    requests = [compiled.create_infer_request() for _ in range(parts)]

    def forward(batch: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"]:
        whole = np.ascontiguousarray(_filled(batch.numpy(), parts * size)).reshape(parts, size, *crop)
        for request, part in zip(requests, whole, strict=True):
            request.start_async({0: openvino.Tensor(part, shared_memory=True)}, share_inputs=True)
        for request in requests:
            request.wait()
        logits = np.concatenate([request.get_output_tensor(0).data for request in requests])
        return torch.from_numpy(logits[: len(batch)])

    return forward


def _filled(images: Float[np.ndarray, "n c h w"], count: int) -> Float[np.ndarray, "count c h w"]:
    """With blank images up to that number."""
    missing = count - len(images)
    return np.concatenate([images, np.zeros_like(images[:1]).repeat(missing, axis=0)]) if missing else images


def spread(images: int, threads: int) -> tuple[int, int, int]:
    """How a batch is spread over threads: streams side by side, parts in all, images of a part (of the last, fewer).

    A stream takes part after part with its share of the threads.
    """
    streams = max(n for n in range(1, threads + 1) if threads % n == 0 and (n == 1 or n * PART <= images))
    parts = streams * max(1, round(images / (streams * PART)))
    return streams, parts, -(-images // parts)


def _open_onnxruntime(classifier: TorchClassifier, shape: tuple[int, ...], dtype: torch.dtype) -> Forward:
    from bandscope.classifiers.onnx_models import open_session

    with tempfile.TemporaryDirectory(prefix="bandscope-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        path = Path(folder) / "network.onnx"
        torch.onnx.export(_Logits(classifier.module), (torch.zeros(shape),), path, dynamo=True, verbose=False)
        session = open_session(path, torch.device("cpu"))
    source, target = session.get_inputs()[0].name, session.get_outputs()[0].name

    def forward(batch: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"]:
        return torch.from_numpy(session.run([target], {source: np.ascontiguousarray(batch.numpy())})[0])

    return forward


_OPENERS: Mapping[str, Callable[[Any, tuple[int, ...], torch.dtype], Forward]] = {
    "compiled": _open_compiled,
    "openvino": _open_openvino,
    "onnxruntime": _open_onnxruntime,
}
