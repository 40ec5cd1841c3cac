import json

import pytest
import timm
import torch
from programs import FREE, program
from torch import nn
from torch.export import Dim

import bandscope as bs
from bandscope.classifiers import Classifier, load_classifier, probe_outputs
from bandscope.classifiers.exported import save_exported
from bandscope.errors import InputError, ModelError
from bandscope.preprocess import Preprocess

CPU = torch.device("cpu")
SETTINGS = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 0.875}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.pt2"


@pytest.fixture
def saved(path, net, preprocess, classes):
    save_exported(path, program(net, dynamic=FREE), preprocess=preprocess, classes=classes)
    return path


@pytest.mark.parametrize("images", [1, 2, 5])
@pytest.mark.parametrize(
    ("example", "dynamic"),
    [
        (2, FREE),
        (1, None),
        (2, None),
        (8, None),
        (2, ({0: Dim("batch", min=2, max=3)},)),
        (2, ({0: Dim("batch", max=4)},)),
        (2, ({0: Dim("batch"), 2: Dim("h", min=8), 3: Dim("w", min=8)},)),
    ],
)
def test_free_and_fixed_batches_give_the_same_logits(path, net, preprocess, example, dynamic, images):
    save_exported(path, program(net, example, dynamic), preprocess=preprocess, classes=None)
    classifier = load_classifier(f"export:{path}")
    classifier.prepare(CPU, torch.float32)
    batch = torch.randn(images, 3, 16, 12)
    assert isinstance(classifier, Classifier)
    assert probe_outputs(classifier) == 5
    logits = classifier.logits(batch)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, net(batch).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convnext_atto", "deit_tiny_patch16_224"])
def test_networks_of_timm(path, name):
    """Convolutions, squeeze and excitation, LayerNorm, attention."""
    options = {
        "mobilenetv3_small_050": {},
        "convnext_atto": {"depths": (1, 1, 1, 1)},
        "deit_tiny_patch16_224": {"img_size": 32, "depth": 2},
    }[name]
    net = timm.create_model(name, num_classes=7, **options).eval()
    preprocess = Preprocess((32, 32), 36, (0.5,) * 3, (0.5,) * 3)
    save_exported(path, program(net, dynamic=FREE, size=(32, 32)), preprocess=preprocess, classes=None)
    batch = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(
        load_classifier(f"export:{path}").logits(batch), net(batch).detach(), rtol=1e-4, atol=1e-5
    )


def test_recorded_metadata_is_used_and_can_be_overridden(saved, preprocess, classes):
    classifier = load_classifier(f"export:{saved}")
    assert (classifier.preprocess, classifier.classes) == (preprocess, classes)
    assert load_classifier(f"export:{saved}?mean=0.5").preprocess.mean == (0.5,) * 3
    given = Preprocess((16, 12), None, (0.1,) * 3, (0.9,) * 3)
    other = load_classifier(f"export:{saved}", preprocess=given, classes=list("abcde"))
    assert (other.preprocess, [label.name for label in other.classes]) == (given, list("abcde"))


def test_the_file_is_pytorchs_own(saved, net, batch):
    """Anybody may load it without bandscope, and bandscope loads what others save."""
    extra = {"bandscope": ""}
    loaded = torch.export.load(saved, extra_files=extra)
    torch.testing.assert_close(loaded.module()(batch), net(batch))
    assert json.loads(extra["bandscope"])["preprocess"]["size"] == [16, 12]


def test_size_and_channels_come_from_a_program_without_metadata(path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(28 * 30, 4))
    torch.export.save(program(net, channels=1, size=(28, 30)), path)
    classifier = load_classifier(f"export:{path}", overrides={"mean": 0.5, "std": 0.5, "resize": None})
    assert classifier.preprocess == Preprocess((28, 30), None, (0.5,), (0.5,))
    assert probe_outputs(classifier) == 4
    with pytest.raises(ModelError, match=r"nothing is assumed: .*mean, std, crop_pct or resize missing; give all of"):
        load_classifier(f"export:{path}")


def test_programs_in_other_precisions_run(path, net, preprocess):
    double = program(net.double(), dtype=torch.float64)
    save_exported(path, double, preprocess=preprocess, classes=None)
    classifier, batch = load_classifier(f"export:{path}"), torch.randn(2, 3, 16, 12)
    assert classifier.logits(batch).dtype == torch.float32
    torch.testing.assert_close(classifier.logits(batch), net(batch.double()).float().detach())


class Keyword(nn.Module):
    """Input by keyword, logits first in a tuple, and a tensor made on the input's device."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, pixel_values):
        return self.net(pixel_values) + torch.arange(5, device=pixel_values.device), pixel_values.mean()


def test_inputs_by_keyword_and_outputs_in_a_tuple(path, net, preprocess, batch):
    exported = torch.export.export(Keyword(net), (), {"pixel_values": torch.randn(3, 3, 16, 12)})
    save_exported(path, exported, preprocess=preprocess, classes=None)
    expected = net(batch).detach() + torch.arange(5)
    torch.testing.assert_close(load_classifier(f"export:{path}").logits(batch), expected)


def test_provenance(saved, net):
    facts = json.loads(json.dumps(load_classifier(f"export:{saved}").provenance))
    assert facts["library"] == "torch.export"
    assert facts["source"] == f"file {saved}"
    assert facts["parameters"] == sum(parameter.numel() for parameter in net.parameters())
    copy = saved.with_name("copy.pt2")
    copy.write_bytes(saved.read_bytes())
    assert load_classifier(f"export:{copy}").provenance["weights_sha256"] == facts["weights_sha256"]
    exported = program(net, dynamic=FREE)
    for path in (saved, copy):
        save_exported(path, exported, preprocess=bs.Preprocess((16, 12), 18, (0.5,) * 3, (0.5,) * 3), classes=None)
    assert copy.read_bytes() == saved.read_bytes()
    with torch.no_grad():
        net[-1].bias += 1
    save_exported(
        copy, program(net, dynamic=FREE), preprocess=bs.Preprocess((16, 12), 18, (0.5,) * 3, (0.5,) * 3), classes=None
    )
    assert load_classifier(f"export:{copy}").provenance["weights_sha256"] != facts["weights_sha256"]


def test_moving_to_a_device_that_is_not_here(saved):
    classifier = load_classifier(f"export:{saved}")
    with pytest.raises(ModelError, match="cannot be moved to cuda"):
        classifier.prepare(torch.device("cuda:99"), torch.float32)  # nowhere are there so many


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_program_runs_on_another_device_and_comes_back(path, net, preprocess, batch):
    exported = torch.export.export(Keyword(net), (batch,), dynamic_shapes={"pixel_values": {0: Dim("batch")}})
    save_exported(path, exported, preprocess=preprocess, classes=None)
    classifier = load_classifier(f"export:{path}")
    expected = classifier.logits(batch)
    classifier.prepare(torch.device("cuda"), torch.float32)
    logits = classifier.logits(batch.cuda())
    assert logits.device.type == "cuda"
    torch.testing.assert_close(logits.cpu(), expected, rtol=1e-3, atol=1e-4)
    classifier.prepare(CPU, torch.float32)
    torch.testing.assert_close(classifier.logits(batch), expected)


def test_weights_options_and_other_precisions_are_input_errors(saved):
    with pytest.raises(InputError, match="holds its own weights"):
        load_classifier(f"export:{saved}", weights="net.pt")
    with pytest.raises(InputError, match="holds its own weights and network"):
        load_classifier(f"export:{saved}?num_classes=3")
    with pytest.raises(InputError, match="its own precision"):
        load_classifier(f"export:{saved}").prepare(CPU, torch.bfloat16)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 16, 12, 3), r"takes 16 channels .* in NCHW order"),
        ((2, 3, 16), r"not floats of shape \(n, c, h, w\)"),
        ((2, 3, 16, 16), "expects 3 x 16 x 16 .* gives 3 x 16 x 12"),
        ((2, 1, 16, 12), "expects 1 x 16 x 12 .* gives 3 x 16 x 12"),
    ],
)
def test_programs_that_are_no_such_classifier_are_refused(path, shape, message):
    torch.export.save(torch.export.export(nn.Flatten(), (torch.zeros(shape),)), path)
    with pytest.raises(ModelError, match=message):
        load_classifier(f"export:{path}", overrides=SETTINGS | {"input_size": (3, 16, 12)})


class Two(nn.Module):
    def forward(self, image, other):
        return (image + other).mean((2, 3))


class Number(nn.Module):
    def forward(self, number):
        return torch.zeros(2, number)


class Spatial(nn.Module):
    def forward(self, image):
        return image * 2


def test_other_inputs_and_outputs_are_refused(path):
    images = torch.zeros(2, 3, 16, 12)
    torch.export.save(torch.export.export(Two(), (images, images)), path)
    with pytest.raises(ModelError, match="takes 2 inputs"):
        load_classifier(f"export:{path}", overrides=SETTINGS)
    torch.export.save(torch.export.export(nn.Flatten(), (images.to(torch.uint8),)), path)
    with pytest.raises(ModelError, match=r"takes torch\.uint8 of shape"):
        load_classifier(f"export:{path}", overrides=SETTINGS)
    torch.export.save(torch.export.export(Number(), (5,)), path)
    with pytest.raises(ModelError, match="takes 5, not floats"):
        load_classifier(f"export:{path}", overrides=SETTINGS)
    torch.export.save(torch.export.export(Spatial(), (images,)), path)
    with pytest.raises(ModelError, match="one row of logits an image"):
        probe_outputs(load_classifier(f"export:{path}", overrides=SETTINGS))


def test_saving_leaves_nothing_half_written(tmp_path, net, preprocess):
    exported = program(net)
    with pytest.raises(InputError, match=r"must end in \.pt2"):
        save_exported(tmp_path / "net.pt", exported, preprocess=preprocess, classes=None)
    with pytest.raises(ModelError, match="cannot be written"):
        save_exported(tmp_path / "none" / "net.pt2", exported, preprocess=preprocess, classes=None)
    bs.save_exported(tmp_path / "net.pt2", exported, preprocess=preprocess, classes=None)
    assert [file.name for file in tmp_path.iterdir()] == ["net.pt2"]
