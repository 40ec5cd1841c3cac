"""`onnx:FILE`: any network in the ONNX format, run by onnxruntime."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from bandscope.classifiers.base import ClassifierFacts
from bandscope.classifiers.file_models import Input, file_hash, find_file, fitted_preprocess, in_pieces
from bandscope.classifiers.metadata import KEY, read_metadata
from bandscope.classifiers.request import Request
from bandscope.errors import InputError, ModelError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess

try:
    import onnxruntime
except ImportError as error:
    raise ModelError("ONNX models need onnxruntime: pip install 'bandscope[onnx]'") from error

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


@dataclass(repr=False)
class OnnxClassifier(ClassifierFacts):
    """An ONNX graph: see `Classifier` for the fields."""

    path: Path
    spec: str
    preprocess: Preprocess
    classes: tuple[ClassLabel, ...] | None
    provenance: Mapping[str, Any]
    session: Any = field(repr=False)

    def prepare(self, device: torch.device, dtype: torch.dtype) -> None:
        """A session on `device` with as many threads as PyTorch has now.

        Raises:
            InputError: `dtype` is not float32: a graph has its own precision.
            ModelError: this onnxruntime cannot run on `device`.
        """
        if dtype != torch.float32:
            raise InputError("an ONNX graph has its own precision: use float32 and export the graph in another")
        self.session = open_session(self.path, device)

    def logits(self, batch: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"]:
        """Raw scores, float32; a graph of fixed batch size runs in pieces, the last one padded.

        Raises:
            ModelError: the output is not one row of scores an image.
        """
        graph = read_input(self.session, self.path)

        def run(images: torch.Tensor) -> torch.Tensor:
            values = images.numpy().astype(graph.dtype, copy=False)
            output = self.session.run([self.session.get_outputs()[0].name], {graph.name: values})[0]
            return torch.from_numpy(output)

        return in_pieces(run, batch.detach().cpu(), graph).to(batch.device)


def load_onnx(request: Request) -> OnnxClassifier:
    """Read a graph; preprocessing and classes come from its metadata property "bandscope" or the caller.

    Raises:
        ModelError: the file is missing or no image classifier, or nobody says how images are prepared.
        InputError: weights or options are given: a graph holds both.
    """
    path = find_file(request, "ONNX")
    session = open_session(path, torch.device("cpu"))
    recorded = read_metadata(session.get_modelmeta().custom_metadata_map.get(KEY), path)
    graph = read_input(session, path)
    return OnnxClassifier(
        path=path,
        spec=request.spec.text,
        preprocess=fitted_preprocess(request, recorded.preprocess, graph),
        classes=request.classes or recorded.classes,
        provenance=_provenance(path, session),
        session=session,
    )


def open_session(path: Path, device: torch.device) -> Any:
    """An onnxruntime session with deterministic kernels and PyTorch's number of threads.

    Raises:
        ModelError: the file cannot be read, or this onnxruntime has no kernels for `device`, or cannot start them.
    """
    wanted, settings = _provider(device)
    available = onnxruntime.get_available_providers()
    if wanted not in available:
        raise ModelError(f"this onnxruntime cannot run on {device.type}; it has {', '.join(available)}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[(wanted, settings)])
    except Exception as error:  # onnxruntime's errors have no common base
        raise ModelError(f"{path} cannot be run as an ONNX graph: {error}") from error
    if wanted not in session.get_providers():  # it lacks a library, and would go on without
        raise ModelError(f"this onnxruntime fails to start on {device.type}; its own messages say why")
    return session


def _provider(device: torch.device) -> tuple[str, dict[str, int]]:
    """The name in onnxruntime of a kind of device, and its settings: which one, and no TF32."""
    if device.type != "cuda":
        return {"cpu": "CPUExecutionProvider"}.get(device.type, ""), {}
    index = device.index if device.index is not None else torch.cuda.current_device()
    return "CUDAExecutionProvider", {"device_id": index, "use_tf32": 0}


def read_input(session: Any, path: Path) -> Input:
    """The graph's only input, which must be a batch of images in NCHW order.

    Raises:
        ModelError: saying what it is instead.
    """
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ModelError(f"{path} takes {len(inputs)} inputs, not one batch of images")
    only = inputs[0]
    if only.type not in TYPES or len(only.shape) != 4:
        raise ModelError(f"{path} takes {only.type} of shape {only.shape}, not floats of shape (n, c, h, w)")
    batch, channels, height, width = (side if isinstance(side, int) else None for side in only.shape)
    if channels not in (None, 1, 3):
        raise ModelError(f"{path} takes {channels} channels (input {only.shape}); allowed: 1 or 3, in NCHW order")
    return Input(only.name, TYPES[only.type], batch or 1, batch, channels, height, width)


def _provenance(path: Path, session: Any) -> dict[str, Any]:
    meta = session.get_modelmeta()
    return {
        "library": "onnxruntime",
        "versions": {"onnxruntime": onnxruntime.__version__},
        "source": f"file {path}",
        "producer": meta.producer_name,
        "weights_sha256": file_hash(path),
    }
