import json
import sys
from dataclasses import replace

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bandscope.classifiers import load_classifier, probe_outputs
from bandscope.classifiers.checkpoint import save_checkpoint
from bandscope.errors import InputError, ModelError
from bandscope.preprocess import Preprocess

MODEL = "timm:test_efficientnet?num_classes=5"


@pytest.fixture
def module():
    return timm.create_model("test_efficientnet", num_classes=5).eval()


@pytest.fixture
def saved(tmp_path, module, preprocess, classes):
    save_checkpoint(tmp_path / "net.safetensors", module, model=MODEL, preprocess=preprocess, classes=classes)
    return tmp_path / "net.safetensors"


def test_a_saved_checkpoint_loads_by_its_bare_path(saved, module, preprocess, classes, batch):
    classifier = load_classifier(str(saved))
    assert classifier.preprocess == preprocess
    assert classifier.classes == classes
    assert classifier.spec == str(saved)
    assert classifier.provenance["model"] == MODEL
    assert probe_outputs(classifier) == 5
    torch.testing.assert_close(classifier.logits(batch), module(batch).detach(), rtol=1e-4, atol=1e-5)


def test_the_caller_may_change_the_preprocessing(saved, classes):
    assert load_classifier(f"{saved}?mean=0.5").preprocess.mean == (0.5, 0.5, 0.5)
    other = Preprocess((32, 32), None, (0.5,) * 3, (0.5,) * 3)
    assert load_classifier(str(saved), preprocess=other, classes=classes[::-1]).classes == classes[::-1]
    assert load_classifier(str(saved), preprocess=other).preprocess == other


def test_the_metadata_is_the_documented_json(saved, preprocess, classes):
    with safe_open(saved, framework="pt") as file:
        recorded = json.loads(file.metadata()["bandscope"])
    assert recorded["model"] == MODEL
    assert Preprocess.from_json(recorded["preprocess"]) == preprocess
    assert recorded["classes"] == [[label.name, label.wnid] for label in classes]


def test_other_libraries_and_own_networks_can_be_named(tmp_path, preprocess):
    preprocess = Preprocess((64, 64), 64, preprocess.mean, preprocess.std)
    torchvision_net = load_classifier(
        "torchvision:squeezenet1_1?pretrained=false&num_classes=5", preprocess=preprocess
    )
    own = load_classifier("python:bandscope.classifiers.planted_net:PlantedNet", preprocess=preprocess)
    for model, classifier, outputs in (
        ("torchvision:squeezenet1_1?num_classes=5", torchvision_net, 5),
        ("python:bandscope.classifiers.planted_net:PlantedNet", own, 9),
    ):
        path = tmp_path / "net.safetensors"
        save_checkpoint(path, classifier.module, model=model, preprocess=preprocess, classes=None)
        loaded = load_classifier(str(path))
        assert probe_outputs(loaded) == outputs
        assert loaded.provenance["weights_sha256"] == classifier.provenance["weights_sha256"]


def test_shared_tensors_are_saved(tmp_path, module, preprocess):
    module.conv_head.weight = torch.nn.Parameter(module.conv_head.weight.flip(0))
    module.bn2.bias = module.bn2.weight
    save_checkpoint(tmp_path / "net.safetensors", module, model=MODEL, preprocess=preprocess, classes=None)
    assert load_classifier(str(tmp_path / "net.safetensors")).classes is None


def test_nothing_half_written_is_left(tmp_path, module, preprocess):
    with pytest.raises(ModelError, match="cannot be written"):
        save_checkpoint(tmp_path / "no" / "net.safetensors", module, model=MODEL, preprocess=preprocess, classes=None)
    save_checkpoint(tmp_path / "net.safetensors", module, model=MODEL, preprocess=preprocess, classes=None)
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.parametrize(
    ("path", "model", "message"),
    [
        ("net.pt", MODEL, "must end in .safetensors"),
        ("net.safetensors", "planted", "without weights"),
        ("net.safetensors", "onnx:net.onnx", "without weights"),
        ("net.safetensors", f"{MODEL}&weights=x.pt", "without weights"),
        ("net.safetensors", "tim:test_vit", "Did you mean 'timm'"),
    ],
)
def test_checkpoints_that_could_not_be_loaded_are_not_written(tmp_path, module, preprocess, path, model, message):
    with pytest.raises(InputError, match=message):
        save_checkpoint(tmp_path / path, module, model=model, preprocess=preprocess, classes=None)
    assert not list(tmp_path.iterdir())


def test_weights_without_metadata_ask_for_the_network(tmp_path, module):
    save_file(module.state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(ModelError, match="timm:NAME with --weights"):
        load_classifier(str(tmp_path / "net.safetensors"))


def rewrite(path, **changes):
    """The same weights with other metadata."""
    with safe_open(path, framework="pt") as file:
        recorded = json.loads(file.metadata()["bandscope"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    save_file(state, path, metadata={"bandscope": json.dumps(recorded | changes)})


def test_a_weights_file_brings_its_preprocessing_and_names_to_a_named_network(
    saved, tmp_path, monkeypatch, preprocess, classes
):
    (tmp_path / "my_nets.py").write_text(
        "import timm\ndef small(): return timm.create_model('test_efficientnet', num_classes=5)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    rewrite(saved, model="python:my_nets:small")
    loaded = load_classifier("python:my_nets:small", weights=saved)
    assert (loaded.preprocess, loaded.classes) == (preprocess, classes)
    assert load_classifier(f"python:my_nets:small?weights={saved}", overrides={"mean": 0.25}).preprocess == replace(
        preprocess, mean=(0.25, 0.25, 0.25)
    )
    other = replace(preprocess, std=(1.0, 1.0, 1.0))
    assert load_classifier("python:my_nets:small", weights=saved, preprocess=other).preprocess == other


@pytest.mark.parametrize(
    "model",
    [
        "python:os:system?command=touch ran",
        "python:hostile:Net",
        "python:bandscope.classifiers.load:load_classifier?spec=x",
    ],
)
def test_a_file_cannot_name_foreign_code(saved, monkeypatch, tmp_path, model):
    (tmp_path / "hostile.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\nfrom torch.nn import Identity as Net\n"
    )
    monkeypatch.chdir(tmp_path)
    rewrite(saved, model=model)
    with pytest.raises(ModelError, match="code outside bandscope"):
        load_classifier(str(saved))
    assert not (tmp_path / "ran").exists()
    assert "hostile" not in sys.modules


def test_a_file_cannot_start_a_download(saved):
    rewrite(saved, model="timm:hf-hub:someone/net")
    with pytest.raises(ModelError, match="refused"):
        load_classifier(str(saved))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"model": "timm:test_efficientnet"},
            ModelError,
            r"classifier.weight \(file \[5, 256\], network \[1000, 256\]\)",
        ),
        ({"model": "timm:test_vit"}, ModelError, "unexpected: "),
        ({"model": "timm:test_efficientnett"}, ModelError, "Did you mean 'test_efficientnet'"),
        ({"model": "planted"}, InputError, "without weights"),
        ({"preprocess": {"size": [8, 8]}}, ModelError, "cannot be read: preprocess lacks resize, mean, std"),
        ({"classes": ["tench"]}, ModelError, "metadata in .* cannot be read"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(saved, changes, error, message):
    rewrite(saved, **changes)
    with pytest.raises(error, match=message):
        load_classifier(str(saved))


def test_missing_damaged_and_contradicted_checkpoints_are_refused(tmp_path, saved):
    with pytest.raises(ModelError, match="does not exist"):
        load_classifier(str(tmp_path / "none.safetensors"))
    with pytest.raises(InputError, match="holds its own weights"):
        load_classifier(str(saved), weights="other.pt")
    with pytest.raises(InputError, match="holds its own weights and network"):
        load_classifier(f"{saved}?num_classes=3")
    saved.write_bytes(saved.read_bytes()[:100])
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        load_classifier(str(saved))


def test_the_embedded_network_has_one_name_an_output():
    classifier = load_classifier("planted")
    assert classifier.spec == "planted"
    assert probe_outputs(classifier) == len(classifier.classes)
