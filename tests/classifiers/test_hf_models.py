"""Models of transformers, made from tiny random configurations; their image processors are the oracle."""

import json
import shutil
import sys
import time

import pytest
import torch
import transformers
from processed import noise, tensors
from safetensors.torch import load_file, save_file

from bandscope.classifiers import Classifier, hf_models, load_classifier, probe_outputs
from bandscope.errors import InputError, ModelError
from bandscope.labels import ClassLabel
from bandscope.preprocess import Preprocess

SQUARE = {"height": 32, "width": 32}
NAMES = {0: "tench, Tinca tinca", 1: "n01443537", 2: "car"}
VIT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 32}
NECK = [8] * 7
MODELS = {
    "vit": (transformers.ViTConfig(**VIT, patch_size=8), transformers.ViTImageProcessor(size=SQUARE)),
    "beit": (transformers.BeitConfig(**VIT, patch_size=8), transformers.BeitImageProcessor(size=SQUARE)),
    "resnet": (
        transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1]),
        transformers.ConvNextImageProcessor(size={"shortest_edge": 30}, crop_pct=0.875),
    ),
    "convnext": (
        transformers.ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1]),
        transformers.ConvNextImageProcessor(size={"shortest_edge": 384}),
    ),
    "mobilenet_v2": (
        transformers.MobileNetV2Config(image_size=32, depth_multiplier=0.35),
        transformers.MobileNetV2ImageProcessor(size={"shortest_edge": 37}, crop_size=SQUARE),
    ),
    "swin": (
        transformers.SwinConfig(image_size=32, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4),
        transformers.ViTImageProcessor(size=SQUARE),
    ),
    "efficientnet": (
        transformers.EfficientNetConfig(image_size=32, width_coefficient=0.1, depth_coefficient=0.1, hidden_dim=128),
        transformers.EfficientNetImageProcessor(size=SQUARE),
    ),
    "mobilevit": (
        transformers.MobileViTConfig(image_size=32, hidden_sizes=[8, 8, 8], neck_hidden_sizes=NECK),
        transformers.MobileViTImageProcessor(size={"shortest_edge": 36}, crop_size=SQUARE),
    ),
}


def saved(folder, kind="vit", processor=None, **changes):
    config, own = MODELS[kind]
    config = type(config)(**{**config.to_dict(), "id2label": NAMES, "num_labels": len(NAMES), **changes})
    torch.manual_seed(0)
    model = transformers.AutoModelForImageClassification.from_config(config).eval()
    with hf_models._quietly():
        model.save_pretrained(folder)
        (processor or own).save_pretrained(folder)
    return model


@pytest.mark.parametrize("kind", MODELS)
def test_images_and_logits_are_those_of_the_library(tmp_path, kind):
    """From a picture to logits: through our pipeline, and through processor and model as their authors would."""
    model = saved(tmp_path, kind)
    classifier = load_classifier(f"hf:{tmp_path}")
    assert isinstance(classifier, Classifier)
    assert classifier.spec == f"hf:{tmp_path}"
    assert classifier.classes == (ClassLabel(NAMES[0]), ClassLabel("n01443537", "n01443537"), ClassLabel("car"))
    assert probe_outputs(classifier) == 3
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    for size in ((91, 60), (45, 70)):
        theirs, ours = tensors(processor, classifier.preprocess, noise(*size))
        with torch.inference_mode():
            expected = model(theirs[None]).logits
        torch.testing.assert_close(classifier.logits(ours[None]), expected, rtol=1e-4, atol=1e-5)


def test_a_refused_processor_says_how_to_go_on(tmp_path):
    model = saved(tmp_path, processor=transformers.PerceiverImageProcessor())
    with pytest.raises(
        ModelError, match=r"PerceiverImageProcessor.*cannot be followed exactly: .*; give all of input_size"
    ):
        load_classifier(f"hf:{tmp_path}")
    by_hand = load_classifier(f"hf:{tmp_path}?input_size=32&resize=36&mean=0.5&std=0.25")
    assert by_hand.preprocess == Preprocess((32, 32), 36, (0.5,), (0.25,))
    given = Preprocess((32, 32), None, (0.5,) * 3, (0.5,) * 3)
    classifier = load_classifier(f"hf:{tmp_path}", preprocess=given)
    batch = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(classifier.logits(batch), model(batch).logits.detach())


def test_a_missing_or_damaged_processor(tmp_path):
    saved(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"image processor cannot be loaded.*; give all of input_size"):
        load_classifier(f"hf:{tmp_path}")
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="image processor cannot be loaded"):
        load_classifier(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    "wrong", [{"size": None}, {"image_mean": None}, {"resample": "bicubic"}, {"rescale_factor": 0}]
)
def test_settings_of_a_processor_that_make_no_sense(tmp_path, wrong):
    saved(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | wrong))
    with pytest.raises(ModelError, match=r"followed exactly: its settings make no sense: .*; give all of input_size"):
        load_classifier(f"hf:{tmp_path}")


def test_swapped_colours_stay_swapped_with_other_preprocessing(tmp_path):
    model = saved(tmp_path, "mobilevit")
    classifier = load_classifier(f"hf:{tmp_path}?crop_pct=1.0")
    batch = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(classifier.logits(batch), model(batch.flip(1)).logits.detach(), rtol=1e-4, atol=1e-5)
    assert classifier.provenance["options"] == {"colours": "BGR"}


def test_overrides_keep_the_crop_rounding(tmp_path):
    saved(tmp_path, "resnet")
    preprocess = load_classifier(f"hf:{tmp_path}", overrides={"input_size": 60}).preprocess
    assert (preprocess.size, preprocess.crop_rounding) == ((60, 60), "down")


def test_provenance_and_precision(tmp_path):
    model = saved(tmp_path)
    classifier = load_classifier(f"hf:{tmp_path}")
    facts = json.loads(json.dumps(classifier.provenance))
    assert facts["library"] == "transformers"
    assert facts["source"] == f"folder {tmp_path}"
    assert facts["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    shutil.copytree(tmp_path, tmp_path / "copy")
    assert load_classifier(f"hf:{tmp_path / 'copy'}").provenance["weights_sha256"] == facts["weights_sha256"]
    classifier.prepare(torch.device("cpu"), torch.bfloat16)
    batch = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(classifier.logits(batch), model(batch).logits.detach(), rtol=0.1, atol=0.05)


def test_half_precision_weights_compute_in_float32(tmp_path):
    saved(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    save_file({name: value.half() for name, value in state.items()}, tmp_path / "model.safetensors", {"format": "pt"})
    classifier = load_classifier(f"hf:{tmp_path}")
    assert {parameter.dtype for parameter in classifier.module.parameters()} == {torch.float32}


def test_random_weights_and_weights_of_a_file(tmp_path):
    model = saved(tmp_path / "net")
    batch = torch.randn(2, 3, 32, 32)
    random = load_classifier(f"hf:{tmp_path / 'net'}?pretrained=false")
    assert random.provenance["source"] == "random"
    assert not torch.allclose(random.logits(batch), model(batch).logits.detach())
    shutil.move(tmp_path / "net" / "model.safetensors", tmp_path / "own.safetensors")
    own = load_classifier(f"hf:{tmp_path / 'net'}?weights={tmp_path / 'own.safetensors'}")
    torch.testing.assert_close(own.logits(batch), model(batch).logits.detach())
    assert own.provenance["source"] == f"file {tmp_path / 'own.safetensors'}"
    save_file({"classifier.bias": torch.zeros(3)}, tmp_path / "part.safetensors")
    with pytest.raises(
        ModelError, match=r"the weights in .*part\.safetensors do not fit ViTFor.*: \d+ missing: .* more$"
    ):
        load_classifier(f"hf:{tmp_path / 'net'}", weights=tmp_path / "part.safetensors")
    with pytest.raises(InputError, match="exclude each other"):
        load_classifier(f"hf:{tmp_path / 'net'}?pretrained=true", weights=tmp_path / "own.safetensors")


def test_weights_of_another_network_are_refused(tmp_path):
    """A deeper network's fit a shallower one but for what is left over; transformers would load them."""
    saved(tmp_path)
    saved(tmp_path / "deep", num_hidden_layers=2)
    saved(tmp_path / "wide", id2label={index: f"class {index}" for index in range(7)}, num_labels=7)
    for other, message in (("deep", r"\d+ unexpected: vit"), ("wide", r"2 of another shape: classifier\.bias, .*")):
        with pytest.raises(ModelError, match=rf"do not fit ViTForImageClassification: {message}"):
            load_classifier(f"hf:{tmp_path}", weights=tmp_path / other / "model.safetensors")
    shutil.copy(tmp_path / "wide" / "model.safetensors", tmp_path)
    with pytest.raises(
        ModelError, match=r"its own weights do not fit ViTFor.*: 2 of another shape: classifier\.bias"
    ):
        load_classifier(f"hf:{tmp_path}")


def test_pickled_weights_are_never_loaded(tmp_path):
    saved(tmp_path)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no \.safetensors weights; others are not loaded"):
        load_classifier(f"hf:{tmp_path}")


def test_code_that_comes_with_a_model_is_never_run(tmp_path):
    saved(tmp_path)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Net: pass\nclass Config: pass\n")
    config = json.loads((tmp_path / "config.json").read_text())
    auto = {"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Net"}
    for changes in ({"auto_map": auto, "model_type": "evil"}, {"auto_map": auto}):
        (tmp_path / "config.json").write_text(json.dumps(config | changes))
        if "model_type" in changes:
            with pytest.raises(ModelError, match="no model that transformers can build"):
                load_classifier(f"hf:{tmp_path}")
        else:
            load_classifier(f"hf:{tmp_path}")  # the library's own class of that type, not the folder's
    assert not (tmp_path / "ran").exists()


def test_a_network_without_a_trained_head_is_refused(tmp_path):
    saved(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in state.items() if "classifier" not in name}
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ModelError,
        match=r"its own weights do not fit ViT.*: 2 missing, as it was not trained .*: classifier\.bias, ",
    ):
        load_classifier(f"hf:{tmp_path}")


def test_damaged_and_foreign_folders(tmp_path):
    with pytest.raises(ModelError, match="no model that transformers can build"):
        load_classifier(f"hf:{tmp_path}")
    saved(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be loaded as an image classifier"):
        load_classifier(f"hf:{tmp_path}")
    config = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    config.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="cannot be loaded as an image classifier"):
        load_classifier(f"hf:{tmp_path}")


def test_unnamed_outputs_have_no_classes(tmp_path):
    saved(tmp_path, id2label={0: "LABEL_0", 1: "LABEL_1"}, label2id={"LABEL_0": 0, "LABEL_1": 1})
    assert load_classifier(f"hf:{tmp_path}").classes is None
    named = load_classifier(f"hf:{tmp_path}", classes=["cat", "dog"])
    assert named.classes == (ClassLabel("cat"), ClassLabel("dog"))


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("hf:{}?revison=main", InputError, "unknown option 'revison'; allowed: .*Did you mean 'revision'"),
        ("hf:{}?input_siz=32", InputError, "unknown option 'input_siz'; .*Did you mean 'input_size'"),
        ("hf:{}?revision=main", InputError, "a folder has no revisions"),
        ("hf:{}?pretrained=perhaps", InputError, "must be true or false"),
        ("hf:{}/none", ModelError, "neither a folder that exists nor an id of the hub"),
        ("hf:./none", ModelError, "neither a folder that exists nor an id"),
        ("hf:a/b/c", ModelError, "neither a folder that exists nor an id"),
        ("hf:{}/config.json", ModelError, "neither a folder that exists nor an id"),
    ],
)
def test_wrong_specs(tmp_path, spec, error, message):
    saved(tmp_path)
    with pytest.raises(error, match=message):
        load_classifier(spec.format(tmp_path))


@pytest.fixture
def no_network(monkeypatch):
    """As behind a cable that is cut."""

    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.mark.usefixtures("no_network")
def test_an_unreachable_hub_is_one_sentence_at_once():
    began = time.monotonic()
    with pytest.raises(
        ModelError, match=r"no folder nobody/nothing, .*hub cannot be reached, and its cache does not"
    ):
        load_classifier("hf:nobody/nothing")
    assert time.monotonic() - began < 5


def test_a_download_that_breaks_off_is_one_sentence(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("peer closed connection\nand more")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: None)
    monkeypatch.setattr("huggingface_hub.snapshot_download", broken)
    with pytest.raises(ModelError, match=r"cannot be had: .*hub fails: peer closed connection$"):
        load_classifier("hf:somebody/net")


@pytest.mark.usefixtures("no_network")
def test_a_cached_model_needs_no_hub(tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--somebody--net"
    model = saved(cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(sys.modules["huggingface_hub._snapshot_download"].constants, "HF_HUB_CACHE", str(tmp_path))
    classifier = load_classifier("hf:somebody/net")
    assert classifier.provenance["source"] == f"hub somebody/net at {commit}"
    batch = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(classifier.logits(batch), model(batch).logits.detach())
    again = load_classifier(f"hf:somebody/net?revision={commit}")
    assert again.provenance["weights_sha256"] == classifier.provenance["weights_sha256"]


def test_only_what_is_needed_is_asked_of_the_hub(tmp_path, monkeypatch):
    """No pickles, no code; the revision as it is written, even where it reads as a number."""
    saved(tmp_path)
    asked = {}
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: None)
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda name, **k: asked.update(k, name=name) or str(tmp_path)
    )
    load_classifier("hf:somebody/net?revision=12e4567")
    assert (asked["name"], asked["revision"]) == ("somebody/net", "12e4567")
    assert all(pattern.endswith((".json", ".safetensors", ".safetensors*")) for pattern in asked["allow_patterns"])


def test_the_librarys_settings_are_left_as_they_were(tmp_path):
    saved(tmp_path)
    log = transformers.utils.logging
    before = log.get_verbosity(), log.is_progress_bar_enabled()
    load_classifier(f"hf:{tmp_path}")
    assert (log.get_verbosity(), log.is_progress_bar_enabled()) == before


def test_a_missing_transformers_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "bandscope.classifiers.hf_models", raising=False)
    with pytest.raises(ModelError, match=r"pip install 'bandscope\[hf\]'"):
        load_classifier(f"hf:{tmp_path}")
