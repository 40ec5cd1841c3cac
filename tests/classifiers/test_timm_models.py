import json

import huggingface_hub.constants
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import ImageNetInfo, create_transform, resolve_data_config

from bandscope.classifiers import Classifier, load_classifier, probe_outputs
from bandscope.classifiers.names import imagenet_1k, timm_classes
from bandscope.errors import InputError, ModelError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess

NAMES = ["test_vit", "test_byobnet", "test_efficientnet"]


@pytest.mark.parametrize("name", NAMES)
def test_the_network_and_its_preprocessing_are_timms(name):
    torch.manual_seed(0)
    classifier = load_classifier(f"timm:{name}?pretrained=false")
    torch.manual_seed(0)
    module = timm.create_model(name).eval()
    assert isinstance(classifier, Classifier)
    image = Image.effect_noise((200, 180), 80).convert("RGB")
    expected = create_transform(**resolve_data_config({}, model=module), is_training=False)(image)[None]
    batch = classifier.preprocess.normalise(torch.from_numpy(classifier.preprocess.crop(image))[None])
    assert torch.equal(batch, expected)
    torch.testing.assert_close(classifier.logits(batch), module(expected).detach(), rtol=1e-4, atol=1e-5)


def test_provenance_is_json_and_complete():
    classifier = load_classifier("timm:test_vit?pretrained=false&img_size=96")
    facts = json.loads(json.dumps(classifier.provenance))
    assert facts["library"] == "timm"
    assert facts["versions"] == {"timm": timm.__version__, "torch": torch.__version__.partition("+")[0]}
    assert facts["source"] == "random"
    assert facts["options"] == {"img_size": 96}
    assert facts["parameters"] == sum(p.numel() for p in classifier.module.parameters())
    assert len(facts["weights_sha256"]) == 64


def test_options_that_change_the_input_change_the_preprocessing():
    classifier = load_classifier("timm:test_vit?pretrained=false&img_size=96&in_chans=1&num_classes=7")
    assert (classifier.preprocess.size, classifier.preprocess.channels) == ((96, 96), 1)
    assert probe_outputs(classifier) == 7
    assert classifier.classes is None


def test_a_wrong_channel_count_is_named():
    overrides = {"input_size": (1, 160, 160), "mean": 0.5, "std": 0.5}
    classifier = load_classifier("timm:test_efficientnet?pretrained=false", overrides=overrides)
    with pytest.raises(ModelError, match=r"expects 3 channel\(s\) but its preprocessing gives 1"):
        probe_outputs(classifier)


def test_preprocessing_comes_from_the_spec_the_overrides_or_the_caller():
    written = load_classifier("timm:test_vit?pretrained=false&mean=0.4&crop_pct=1.0", overrides={"std": 0.3})
    assert written.preprocess == Preprocess((160, 160), 160, (0.4,) * 3, (0.3,) * 3, "bicubic")
    given = Preprocess((160, 160), None, (0.1,) * 3, (0.9,) * 3)
    assert load_classifier("timm:test_vit?pretrained=false", preprocess=given).preprocess == given


def test_weights_from_a_file_are_loaded_and_nothing_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    module = timm.create_model("test_efficientnet", num_classes=4)
    save_file(module.state_dict(), tmp_path / "net.safetensors")
    torch.save({"state_dict": module.state_dict()}, tmp_path / "net.pth")
    spec = "timm:test_efficientnet?num_classes=4"
    by_argument = load_classifier(spec, weights=tmp_path / "net.safetensors")
    by_spec = load_classifier(f"{spec}&weights={tmp_path / 'net.pth'}")
    by_override = load_classifier(spec, overrides={"weights": tmp_path / "net.pth"})
    hashes = {c.provenance["weights_sha256"] for c in (by_argument, by_spec, by_override)}
    assert len(hashes) == 1
    assert torch.equal(by_spec.module.classifier.weight, module.classifier.weight)
    assert by_argument.provenance["source"] == f"file {tmp_path / 'net.safetensors'}"


def test_a_failed_download_says_how_to_give_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"cannot be had .*--weights FILE or timm:test_vit\?weights=FILE"):
        load_classifier(f"timm:test_vit?cache_dir={tmp_path}")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("timm:test_vitt", "no model 'test_vitt'.*Did you mean 'test_vit'"),
        ("timm:test_vit.wrong", "no pretrained weights for 'test_vit.wrong'; it has test_vit.r160_in1k"),
        ("timm:test_vit?num_classes=10", "have 1000 outputs, so num_classes=10 would leave them random"),
        ("timm:test_vit?pretrained=false&widht=3", "cannot be built with .*widht"),
        ("timm:test_vit?pretrained=false&img_size=big", "cannot be built with"),
        ("timm:efficientnet_b0_gn", "no pretrained weights for 'efficientnet_b0_gn'"),
        ("timm:test_vit?weights=no.safetensors", "no.safetensors does not exist"),
    ],
)
def test_what_timm_cannot_build_is_a_model_error(spec, message):
    with pytest.raises(ModelError, match=message):
        load_classifier(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("timm:test_vit?pretrained=true&weights=a.pt", "exclude each other"),
        ("timm:test_vit?pretrained=false&checkpoint_path=a.pt", "weights=FILE instead of checkpoint_path"),
        ("timm:test_vit?pretrained=false&mean=0.1,0.2", "mean must have one value a channel"),
    ],
)
def test_contradictions_are_input_errors(spec, message):
    with pytest.raises(InputError, match=message):
        load_classifier(spec)


def test_imagenet_names_agree_with_timm_and_are_unique():
    labels, info = imagenet_1k(), ImageNetInfo()
    assert [label.wnid for label in labels] == info.label_names()
    lemmas = [info.label_name_to_description(label.wnid) for label in labels]
    # torchvision's names are the first lemma, but for two that would stand twice
    assert [n.name for n, lemma in zip(labels, lemmas, strict=True) if n.name != lemma.split(",")[0]] == [
        "crane bird",
        "maillot tank suit",
    ]
    assert len({label.name for label in labels}) == 1000
    assert load_classifier("timm:test_vit?pretrained=false").classes == labels


def test_other_names_come_from_the_configuration_or_the_count():
    config = {"label_names": ["n01440764", "cat"], "label_descriptions": {"n01440764": "tench"}}
    assert timm_classes(2, config) == (ClassLabel("tench", "n01440764"), ClassLabel("cat"))
    assert timm_classes(2, {"label_names": ["a", "b"]}) == (ClassLabel("a"), ClassLabel("b"))
    assert timm_classes(7, {}) is None
    big = timm_classes(21841, {})
    assert (len(big), big[0].wnid) == (21841, ImageNetInfo("imagenet-22k").label_names()[0])


def test_real_mobilenet_knows_real_images(real_data):
    classifier = load_classifier(
        "timm:mobilenetv1_100?pad_type=same",
        weights=real_data / "weights" / "mobilenetv1_100_tf_224.safetensors",
        overrides={"mean": 0.5, "std": 0.5},
    )
    assert probe_outputs(classifier) == 1000
    right = [predicted(classifier, folder) == folder.name for folder in sample(real_data)]
    assert sum(right) >= 8, "clean accuracy on these images is about 0.89"


def sample(real_data):
    return sorted((real_data / "imagenet-500").iterdir())[::50]


def predicted(classifier, folder) -> str:
    """The WordNet id of the class that the folder's image is taken for."""
    with Image.open(next(folder.iterdir())) as image:
        pixels = torch.from_numpy(classifier.preprocess.crop(image))[None]
    return classifier.classes[int(classifier.logits(classifier.preprocess.normalise(pixels)).argmax())].wnid
