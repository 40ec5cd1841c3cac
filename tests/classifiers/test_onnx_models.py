import json
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from bandscope.classifiers import Classifier, load_classifier, probe_outputs
from bandscope.errors import InputError, ModelError
from bandscope.preprocess import Preprocess

CPU = torch.device("cpu")
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
SETTINGS = {"mean": 0.5, "std": 0.5, "crop_pct": 0.875, "input_size": (3, 16, 12)}


def graph(path, shape=("n", 3, 16, 12), kind=TensorProto.FLOAT, metadata=None, inputs=1):
    """Mean over the pixels, then a linear layer of 5 outputs; returns its matrix."""
    channels = shape[1] if isinstance(shape[1], int) else 3
    inner = kind if kind in FLOATS else TensorProto.FLOAT
    matrix = np.random.default_rng(0).normal(size=(channels, 5)).astype(helper.tensor_dtype_to_np_dtype(inner))
    taken = [helper.make_tensor_value_info(f"image{index}", kind, shape) for index in range(inputs)]
    given = helper.make_tensor_value_info("logits", inner, (shape[0], 5))
    nodes = [
        helper.make_node("Cast", ["image0"], ["cast"], to=inner),
        helper.make_node("ReduceMean", ["cast"], ["mean"], axes=list(range(2, len(shape)))),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["logits"]),
    ]
    net = helper.make_graph(nodes, "net", taken, [given], [numpy_helper.from_array(matrix, "matrix")])
    model = helper.make_model(net, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if metadata:
        helper.set_model_props(model, {"bandscope": json.dumps(metadata)})
    onnx.save(model, path)
    return matrix


@pytest.mark.parametrize(
    "shape", [("n", 3, 16, 12), (1, 3, 16, 12), (2, 3, 16, 12), (8, 3, 16, 12), ("n", "c", "h", "w")]
)
@pytest.mark.parametrize("images", [1, 2, 5])
def test_free_and_fixed_batches_give_the_same_logits(tmp_path, shape, images):
    matrix = graph(tmp_path / "net.onnx", shape)
    classifier = load_classifier(f"onnx:{tmp_path / 'net.onnx'}", overrides=SETTINGS)
    classifier.prepare(CPU, torch.float32)
    batch = torch.randn(images, 3, 16, 12)
    logits = classifier.logits(batch)
    assert isinstance(classifier, Classifier)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, batch.mean((2, 3)) @ torch.from_numpy(matrix), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_graphs_in_other_precisions_run(tmp_path, kind):
    matrix = graph(tmp_path / "net.onnx", kind=kind)
    classifier = load_classifier(f"onnx:{tmp_path / 'net.onnx'}", overrides=SETTINGS)
    batch = torch.randn(2, 3, 16, 12)
    expected = batch.mean((2, 3)) @ torch.from_numpy(matrix).float()
    torch.testing.assert_close(classifier.logits(batch), expected, rtol=0.02, atol=0.01)
    assert classifier.logits(batch).dtype == torch.float32


def test_size_and_channels_come_from_the_graph(tmp_path):
    graph(tmp_path / "net.onnx", (None, 1, 28, 30))
    overrides = {"mean": 0.5, "std": 0.5, "resize": None}
    classifier = load_classifier(f"onnx:{tmp_path / 'net.onnx'}", overrides=overrides)
    assert classifier.preprocess == Preprocess((28, 30), None, (0.5,), (0.5,))
    assert probe_outputs(classifier) == 5


def test_recorded_metadata_is_used_and_can_be_overridden(tmp_path, preprocess, classes):
    metadata = {"preprocess": preprocess.to_json(), "classes": [[c.name, c.wnid] for c in classes]}
    graph(tmp_path / "net.onnx", metadata=metadata)
    classifier = load_classifier(f"onnx:{tmp_path / 'net.onnx'}")
    assert classifier.preprocess == preprocess
    assert classifier.classes == classes
    assert load_classifier(f"onnx:{tmp_path / 'net.onnx'}?mean=0.5").preprocess.mean == (0.5,) * 3
    json.dumps(classifier.provenance)


@pytest.mark.slow
def test_a_network_exported_by_pytorch_equals_the_original(tmp_path, net, preprocess, batch):
    program = torch.onnx.export(net, (batch,), dynamo=True, verbose=False)
    program.save(tmp_path / "net.onnx", external_data=True)
    assert (tmp_path / "net.onnx.data").exists()
    classifier = load_classifier(f"onnx:{tmp_path / 'net.onnx'}", preprocess=preprocess)
    torch.testing.assert_close(classifier.logits(batch), net(batch).detach(), rtol=1e-4, atol=1e-5)


def test_weights_beside_the_graph_are_used_and_hashed(tmp_path, preprocess, batch):
    path, data = tmp_path / "net.onnx", tmp_path / "net.onnx.data"
    matrix = graph(path)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location=data.name, size_threshold=0)
    classifier = load_classifier(f"onnx:{path}", preprocess=preprocess)
    expected = batch.mean((2, 3)) @ torch.from_numpy(matrix)
    torch.testing.assert_close(classifier.logits(batch), expected, rtol=1e-4, atol=1e-5)
    data.write_bytes((2 * matrix).tobytes())
    doubled = load_classifier(f"onnx:{path}", preprocess=preprocess)
    torch.testing.assert_close(doubled.logits(batch), 2 * expected, rtol=1e-4, atol=1e-5)
    assert doubled.provenance["weights_sha256"] != classifier.provenance["weights_sha256"]


def test_threads_are_pytorchs(tmp_path):
    graph(tmp_path / "net.onnx")
    classifier = load_classifier(f"onnx:{tmp_path / 'net.onnx'}", overrides=SETTINGS)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        classifier.prepare(CPU, torch.float32)
        assert classifier.session.get_session_options().intra_op_num_threads == 2
    finally:
        torch.set_num_threads(before)


def test_nothing_is_assumed_about_the_preprocessing(tmp_path):
    graph(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match=r"nothing is assumed: .*mean, std, crop_pct or resize missing; give all of"):
        load_classifier(f"onnx:{tmp_path / 'net.onnx'}")


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (("n", 16, 12, 3), {}, "takes 16 channels .* in NCHW order"),
        (("n", 3, 16), {}, r"not floats of shape \(n, c, h, w\)"),
        (("n", 3, 16, 12), {"kind": TensorProto.UINT8}, "not floats of shape"),
        (("n", 3, 16, 12), {"inputs": 2}, "takes 2 inputs"),
        (("n", 3, 16, 16), {}, "expects 3 x 16 x 16 .* gives 3 x 16 x 12"),
        (("n", 1, 16, 12), {}, "expects 1 x 16 x 12 .* gives 3 x 16 x 12"),
        (("n", 3, 16, 12), {"metadata": {"preprocess": {}}}, "metadata in .* cannot be read"),
    ],
)
def test_graphs_that_are_no_such_classifier_are_refused(tmp_path, shape, options, message):
    graph(tmp_path / "net.onnx", shape, **options)
    overrides = SETTINGS | {"mean": (0.5, 0.5, 0.5)}
    with pytest.raises(ModelError, match=message):
        load_classifier(f"onnx:{tmp_path / 'net.onnx'}", overrides=overrides)


def test_missing_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        load_classifier("onnx:none.onnx")
    (tmp_path / "net.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="cannot be run as an ONNX graph"):
        load_classifier(f"onnx:{tmp_path / 'net.onnx'}")


def test_weights_options_and_other_precisions_are_input_errors(tmp_path):
    graph(tmp_path / "net.onnx")
    spec = f"onnx:{tmp_path / 'net.onnx'}"
    with pytest.raises(InputError, match="holds its own weights"):
        load_classifier(spec, weights="net.pt", overrides=SETTINGS)
    with pytest.raises(InputError, match="holds its own weights and network"):
        load_classifier(f"{spec}?num_classes=3", overrides=SETTINGS)
    with pytest.raises(InputError, match="its own precision"):
        load_classifier(spec, overrides=SETTINGS).prepare(CPU, torch.bfloat16)


def test_a_missing_device_is_a_model_error(tmp_path):
    graph(tmp_path / "net.onnx")
    classifier = load_classifier(f"onnx:{tmp_path / 'net.onnx'}", overrides=SETTINGS)
    with pytest.raises(ModelError, match=r"cannot run on meta; it has .*CPUExecutionProvider"):
        classifier.prepare(torch.device("meta"), torch.float32)


def test_the_device_is_the_one_that_was_asked_for(tmp_path, monkeypatch):
    """As on a machine with CUDA: each process of several has its own device, and none computes in TF32."""
    graph(tmp_path / "net.onnx")
    classifier = load_classifier(f"onnx:{tmp_path / 'net.onnx'}", overrides=SETTINGS)
    asked, started = [], ["CUDAExecutionProvider", "CPUExecutionProvider"]

    class Session:
        def __init__(self, path, options, providers):
            asked.extend(providers)

        def get_providers(self):
            return started

    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 3)
    for device in ("cuda:1", "cuda"):
        classifier.prepare(torch.device(device), torch.float32)
    assert asked == [("CUDAExecutionProvider", {"device_id": index, "use_tf32": 0}) for index in (1, 3)]
    del started[0]
    with pytest.raises(ModelError, match="fails to start on cuda"):
        classifier.prepare(torch.device("cuda"), torch.float32)


def test_a_missing_onnxruntime_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "bandscope.classifiers.onnx_models", raising=False)
    with pytest.raises(ModelError, match=r"pip install 'bandscope\[onnx\]'"):
        load_classifier(f"onnx:{tmp_path / 'net.onnx'}")
