import sys

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from bandscope.classifiers import load_classifier, probe_outputs
from bandscope.errors import InputError, ModelError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess

SOURCE = """
import torch
from torch import nn
from bandscope.classifiers import load_classifier
from bandscope.preprocess import Preprocess

preprocess = Preprocess((16, 12), 18, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))

def network(outputs=5):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, outputs))

def with_preprocess(**options):
    net = network(**options)
    net.preprocess = preprocess
    net.classes = ["a", "b", "c", "d", "e"]
    return net

def with_json(**options):
    net = network(**options)
    net.preprocess = preprocess.to_json()
    return net

def with_config():
    net = network()
    net.default_cfg = {"input_size": (3, 32, 32), "crop_pct": 1.0, "mean": (0.5,) * 3, "std": (0.5,) * 3,
                       "interpolation": "bilinear", "label_names": list("abcde")}
    net.num_classes = 5
    return net

def function():
    def scores(images):
        return images.mean((2, 3))
    scores.preprocess = preprocess
    return scores

def classifier():
    return load_classifier(network(), preprocess=preprocess)

def broken():
    raise KeyError("lost")

def text():
    return "a network"

instance = with_preprocess()
number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module `mynet` in the current directory."""
    (tmp_path / "mynet.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield tmp_path
    sys.modules.pop("mynet", None)


@pytest.mark.parametrize(
    "spec", ["with_preprocess", "with_preprocess?outputs=5", "with_json", "instance", "classifier", "function"]
)
def test_factories_in_the_current_directory_are_loaded(module, spec):
    classifier = load_classifier(f"python:mynet:{spec}")
    assert classifier.preprocess == Preprocess((16, 12), 18, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    assert probe_outputs(classifier) == (3 if spec == "function" else 5)


def test_options_reach_the_factory(module):
    assert probe_outputs(load_classifier("python:mynet:with_json?outputs=7")) == 7


def test_names_and_provenance(module):
    classifier = load_classifier("python:mynet:with_preprocess?outputs=5")
    assert classifier.classes == tuple(ClassLabel(letter) for letter in "abcde")
    assert classifier.spec == "python:mynet:with_preprocess?outputs=5"
    assert classifier.provenance["options"] == {"outputs": 5}
    assert classifier.provenance["parameters"] == sum(p.numel() for p in classifier.module.parameters())


def test_a_timm_style_configuration_is_read_with_overrides(module):
    classifier = load_classifier("python:mynet:with_config", overrides={"input_size": 64, "std": 0.25})
    assert classifier.preprocess == Preprocess((64, 64), 64, (0.5,) * 3, (0.25,) * 3)
    assert classifier.classes == tuple(ClassLabel(letter) for letter in "abcde")


def test_overrides_alone_are_enough(module):
    spec = "python:mynet:network?input_size=16&crop_pct=1.0&mean=0.5,0.5,0.5&std=0.5"
    assert load_classifier(spec).preprocess == Preprocess((16, 16), 16, (0.5,) * 3, (0.5,) * 3)


def test_weights_are_loaded_into_the_factorys_network(module):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    save_file(net.state_dict(), module / "net.safetensors")
    classifier = load_classifier("python:mynet:with_json", weights=module / "net.safetensors")
    assert torch.equal(classifier.module[0].weight, net[0].weight)
    assert classifier.provenance["source"] == f"file {module / 'net.safetensors'}"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("python:mynet:networks", "no 'networks'.*Did you mean 'network'"),
        ("python:nomodule:make", "cannot be imported: No module named 'nomodule'"),
        ("python:mynet:broken", "fails to make a classifier: KeyError: 'lost'"),
        ("python:mynet:network?widht=3", "fails to make a classifier: TypeError"),
        ("python:mynet:text", "gives a str; allowed: a torch.nn.Module"),
        ("python:mynet:number", "names a int, not a function"),
        ("python:mynet:network", "mean, std, crop_pct or resize, input_size missing"),
        ("python:mynet:network?mean=0.5&std=0.5&crop_pct=1.0", "incomplete: input_size missing"),
    ],
)
def test_what_cannot_be_loaded_is_a_model_error(module, spec, message):
    with pytest.raises(ModelError, match=message):
        load_classifier(spec)


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        ("python:mynet", {}, "python:package.module:factory"),
        ("python:mynet:classifier", {"overrides": {"mean": 0.5}}, "finished Classifier"),
        ("python:mynet:function", {"weights": "net.pt"}, "a function: it cannot load weights"),
        ("python:mynet:with_json?mean=0.5&size=8&input_size=8", {}, "say the same thing"),
        ("python:mynet:with_json?weights=a.pt", {"weights": "b.pt"}, "two weights are given"),
    ],
)
def test_contradictions_are_input_errors(module, spec, arguments, message):
    with pytest.raises(InputError, match=message):
        load_classifier(spec, **arguments)


def test_a_timm_module_in_python_brings_its_own_settings():
    module = timm.create_model("test_efficientnet", pretrained=False)
    classifier = load_classifier(module)
    assert classifier.preprocess == load_classifier("timm:test_efficientnet?pretrained=false").preprocess
    assert classifier.classes[0] == ClassLabel("tench", "n01440764")


@pytest.mark.parametrize(("thing", "kind"), [(3, "int"), (nn.Identity, "type")])
def test_neither_module_nor_function_is_refused(thing, kind):
    with pytest.raises(ModelError, match=f"gives a {kind}; allowed"):
        load_classifier(thing)
