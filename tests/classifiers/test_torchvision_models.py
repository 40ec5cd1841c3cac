from urllib.error import URLError

import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from bandscope.classifiers import Classifier, load_classifier, probe_outputs
from bandscope.classifiers.names import imagenet_1k
from bandscope.errors import InputError, ModelError
from bandscope.preprocess import Preprocess

NAME = "squeezenet1_1"
WEIGHTS = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1
PREPROCESS = Preprocess((32, 32), None, (0.5,) * 3, (0.5,) * 3)


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(0)
    module = torchvision.models.squeezenet1_1()
    save_file(module.state_dict(), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_weights_from_a_file_come_with_the_published_transforms_and_names(file):
    classifier = load_classifier(f"torchvision:{NAME}", weights=file)
    assert isinstance(classifier, Classifier)
    image = Image.effect_noise((300, 260), 80).convert("RGB")
    expected = WEIGHTS.transforms()(image)[None]
    batch = classifier.preprocess.normalise(torch.from_numpy(classifier.preprocess.crop(image))[None])
    assert torch.equal(batch, expected)
    torch.manual_seed(0)
    module = torchvision.models.squeezenet1_1().eval()
    torch.testing.assert_close(classifier.logits(batch), module(expected).detach(), rtol=1e-4, atol=1e-5)
    assert [label.name for label in classifier.classes] == WEIGHTS.meta["categories"]
    assert [label.wnid for label in classifier.classes] == [label.wnid for label in imagenet_1k()]
    assert classifier.provenance["source"] == f"file {file}"


@pytest.mark.parametrize("spec", [f"torchvision:{NAME}", f"torchvision:{NAME}?weights=IMAGENET1K_V1"])
def test_published_weights_are_asked_for_by_default_or_name(spec, monkeypatch, file):
    asked = []
    torch.manual_seed(0)
    state = torchvision.models.squeezenet1_1().state_dict()
    monkeypatch.setattr(
        torchvision.models._api, "load_state_dict_from_url", lambda url, **_: asked.append(url) or state
    )
    classifier = load_classifier(spec)
    assert asked == [WEIGHTS.url]
    assert classifier.provenance["source"] == f"pretrained {WEIGHTS} {WEIGHTS.url}"
    by_file = load_classifier(f"torchvision:{NAME}", weights=file)
    assert classifier.provenance["weights_sha256"] == by_file.provenance["weights_sha256"]


def test_a_failed_download_says_how_to_give_weights(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "urlopen", fail)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"cannot be had \(URLError.*--weights FILE"):
        load_classifier(f"torchvision:{NAME}")


def test_a_damaged_download_is_a_model_error(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / WEIGHTS.url.rpartition("/")[2]).write_bytes(b"")
    with pytest.raises(ModelError, match=r"cannot be had \(EOFError.*--weights FILE"):
        load_classifier(f"torchvision:{NAME}")


def test_another_number_of_outputs_needs_its_own_preprocessing():
    spec = f"torchvision:{NAME}?pretrained=false&num_classes=3"
    classifier = load_classifier(spec, preprocess=PREPROCESS)
    assert probe_outputs(classifier) == 3
    assert classifier.classes is None
    with pytest.raises(ModelError, match="does not record how its images are prepared"):
        load_classifier(spec)


def test_inception_from_a_file_is_built_as_published(tmp_path):
    classifier = load_classifier("torchvision:googlenet?pretrained=false&num_classes=3", preprocess=PREPROCESS)
    torch.save(classifier.module.state_dict(), tmp_path / "net.pth")
    again = load_classifier(
        "torchvision:googlenet?num_classes=3", weights=tmp_path / "net.pth", preprocess=PREPROCESS
    )
    assert again.module.transform_input, "torchvision sets it for the published weights"
    assert again.provenance["weights_sha256"] == classifier.provenance["weights_sha256"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torchvision:resnet5", "no classification model 'resnet5'.*Did you mean 'resnet50'"),
        ("torchvision:fasterrcnn_resnet50_fpn", "no classification model"),
        (f"torchvision:{NAME}?num_classes=3", "cannot be built with .*num_classes"),
        (f"torchvision:{NAME}?pretrained=false&widht=3", "cannot be built with .*widht"),
        (f"torchvision:{NAME}?weights=no.pth", "no.pth does not exist"),
        (f"torchvision:{NAME}?weights=imagenet1k_v1", "nor one of torchvision's: IMAGENET1K_V1, DEFAULT"),
        ("torchvision:vit_b_32?pretrained=false&image_size=33", "cannot be built with .* indivisible by patch size"),
        ("torchvision:resnet18?pretrained=false&num_classes=-1", "cannot be built with .* negative dimension"),
    ],
)
def test_what_torchvision_cannot_build_is_a_model_error(spec, message):
    with pytest.raises(ModelError, match=message):
        load_classifier(spec)


def test_contradictions_are_input_errors(file):
    with pytest.raises(InputError, match="exclude each other"):
        load_classifier(f"torchvision:{NAME}?pretrained=true", weights=file)
    with pytest.raises(InputError, match="must be true or false; given: 'no'"):
        load_classifier(f"torchvision:{NAME}?pretrained=no")


def test_weights_of_another_network_are_refused(file):
    with pytest.raises(ModelError, match=r"do not fit SqueezeNet: .*missing.*unexpected"):
        load_classifier("torchvision:squeezenet1_0", weights=renamed(file))


def renamed(file):
    """The same tensors under other names."""
    torch.save({f"x.{index}": torch.ones(1) for index in range(4)}, file.with_suffix(".pt"))
    return file.with_suffix(".pt")


def test_real_squeezenet_knows_real_images(real_data):
    classifier = load_classifier(
        f"torchvision:{NAME}", weights=real_data / "weights" / "squeezenet1_1_caffe_224.safetensors"
    )
    right = 0
    for folder in sorted((real_data / "imagenet-500").iterdir())[::50]:
        with Image.open(next(folder.iterdir())) as image:
            pixels = torch.from_numpy(classifier.preprocess.crop(image))[None]
        logits = classifier.logits(classifier.preprocess.normalise(pixels))
        right += classifier.classes[int(logits.argmax())].wnid == folder.name
    assert right >= 4, "clean accuracy on these images is about 0.60"
