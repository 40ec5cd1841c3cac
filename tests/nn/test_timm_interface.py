"""What users of timm expect of any of its networks; `efficientnet`'s mobilenetv1_100 is the example."""

import pytest
import timm
import torch
from safetensors.torch import load, save
from torch import nn
from trained_networks import trained

import bandscope.nn
from bandscope.classifiers import load_classifier
from bandscope.classifiers.checkpoint import save_checkpoint
from bandscope.errors import InputError, ModelError

NAMES = [
    f"gssdnet{kind}_{width}{order}"
    for kind, orders in (("", ("", "_o1")), ("_exact", ("", "_o1")), ("_vanilla", ("",)))
    for width in ("100", "075", "050")
    for order in orders
]
SMALL = ["gssdnet_050", "gssdnet_vanilla_050"]  # gssdnet_exact_050 differs from gssdnet_050 in its taps alone


def test_names():
    assert sorted(timm.list_models("gssdnet*")) == sorted(NAMES)
    assert not timm.list_pretrained("gssdnet*")


@pytest.mark.parametrize("name", NAMES)
def test_default_configurations(name):
    config = timm.get_pretrained_cfg(name)
    network = timm.create_model(name)
    assert config.architecture == name
    assert network.pretrained_cfg["architecture"] == name
    assert network.default_cfg["input_size"] == (3, 224, 224)
    state = network.state_dict()
    assert f"{config.classifier}.weight" in state
    assert state[f"{config.first_conv}.weight"].shape[1] == 3
    assert network.get_classifier().out_features == config.num_classes == network.num_classes == 1000
    assert (
        network.num_features == network.head_hidden_size == {"1": 1024, "0": 768}.get(name.split("_")[-1][0], 0)
        or 512
    )


@pytest.mark.parametrize("name", SMALL)
def test_create_model_options(name):
    network = timm.create_model(name, num_classes=10, in_chans=1, drop_rate=0.3, global_pool="max").eval()
    assert network(torch.randn(2, 1, 64, 64)).shape == (2, 10)
    assert network.drop_rate == 0.3
    pooled = network.forward_features(torch.randn(2, 1, 64, 64)).amax((2, 3))
    assert network.forward_head(pooled[:, :, None, None], pre_logits=True).equal(pooled)
    with pytest.raises(TypeError, match="widht"):
        timm.create_model(name, widht=1.0)


@pytest.mark.parametrize("name", SMALL)
def test_parts_make_the_whole(name):
    network = trained(timm.create_model(name, num_classes=5))
    images = torch.randn(2, 3, 64, 64)
    features = network.forward_features(images)
    assert features.shape == (2, network.num_features, 2, 2)
    assert torch.equal(network.forward_head(features), network(images))
    assert torch.equal(network.forward_head(features, pre_logits=True), features.mean((2, 3)))


@pytest.mark.parametrize("name", SMALL)
def test_reset_classifier(name):
    network = timm.create_model(name, num_classes=5).eval()
    images = torch.randn(2, 3, 64, 64)
    network.reset_classifier(3)
    assert network(images).shape == (2, 3)
    assert network.num_classes == 3
    assert not network.get_classifier().training
    network.reset_classifier(0)
    assert network(images).shape == (2, network.num_features)
    network.reset_classifier(0, "")
    assert torch.equal(network(images), network.forward_features(images))
    assert timm.create_model(name, num_classes=0, global_pool="")(images).shape == (2, network.num_features, 2, 2)


@pytest.mark.parametrize("name", SMALL)
def test_features_only(name):
    network = timm.create_model(name, features_only=True).eval()
    assert network.feature_info.reduction() == [2, 4, 8, 16, 32]
    assert network.feature_info.channels() == [32, 64, 128, 256, 512]
    outputs = network(torch.randn(1, 3, 64, 64))
    assert [o.shape for o in outputs] == [
        (1, c, 64 // r, 64 // r) for c, r in zip((32, 64, 128, 256, 512), (2, 4, 8, 16, 32), strict=True)
    ]
    some = timm.create_model(name, features_only=True, out_indices=(1, -1))
    assert some.feature_info.channels() == [64, 512]
    small = timm.create_model(name, features_only=True, small_images=True)
    assert small.feature_info.reduction() == [1, 1, 2, 4, 8]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("wrapper", ["list", "hook", "getter"])
def test_feature_extractors_agree(name, wrapper):
    options = {"feature_cls": wrapper, "out_indices": (0, 2, 4)}
    network = trained(timm.create_model(name))
    extractor = timm.create_model(name, features_only=True, **options).eval()
    missing, _ = getattr(extractor, "model", getattr(extractor, "body", extractor)).load_state_dict(
        network.state_dict(), strict=False
    )
    assert not [key for key in missing if not key.startswith("classifier")]
    images = torch.randn(1, 3, 64, 64)
    outputs = extractor(images)
    outputs = list(outputs.values()) if isinstance(outputs, dict) else outputs
    expected = network.forward_intermediates(images, [0, 2, 4], intermediates_only=True)
    assert len(outputs) == 3
    assert all(torch.equal(a, b) for a, b in zip(outputs, expected, strict=True))


@pytest.mark.usefixtures("untyped")  # symbolic tracing passes no tensors
@pytest.mark.parametrize("name", SMALL)
def test_symbolic_tracing(name):
    network, images = trained(timm.create_model(name)), torch.randn(2, 3, 64, 64)
    extractor = timm.models.FeatureGraphNet(network, out_indices=(0, 3))
    expected = network.forward_intermediates(images, [0, 3], intermediates_only=True)
    assert all(torch.equal(a, b) for a, b in zip(extractor(images), expected, strict=True))


@pytest.mark.parametrize("name", SMALL)
def test_intermediates(name):
    network = trained(timm.create_model(name, num_classes=5))
    images = torch.randn(1, 3, 64, 64)
    last, stages = network.forward_intermediates(images)
    assert torch.equal(last, network.forward_features(images))
    assert [s.shape[1] for s in stages] == [32, 64, 128, 256, 512]
    assert torch.equal(network.forward_intermediates(images, 1, intermediates_only=True)[0], last)
    early, (only,) = network.forward_intermediates(images, [1], stop_early=True)
    assert torch.equal(early, only)
    with pytest.raises(InputError, match="5 stages"):
        network.forward_intermediates(images, [5])
    with pytest.raises(InputError, match="NCHW"):
        network.forward_intermediates(images, output_fmt="NLC")
    assert network.prune_intermediate_layers([1]) == [1]
    assert torch.equal(network.forward_intermediates(images, [1], intermediates_only=True)[0], only)
    assert sum(p.numel() for p in network.stage2.parameters()) == 0


@pytest.mark.parametrize("name", SMALL)
def test_checkpointed_training_has_the_same_gradients(name):
    network = trained(timm.create_model(name, num_classes=5, drop_rate=0.0)).train()
    images, gradients = torch.randn(4, 3, 64, 64), []
    for checkpointing in (False, True):
        network.set_grad_checkpointing(checkpointing)
        network.zero_grad()
        network(images).square().sum().backward()
        gradients.append([p.grad.clone() for p in network.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(checkpointed, plain)


@pytest.mark.parametrize("name", SMALL)
def test_parameter_groups_cover_everything_in_order(name):
    network = timm.create_model(name)
    groups = timm.models.group_parameters(network, network.group_matcher())
    named = [name for group in groups.values() for name in group]
    assert sorted(named) == sorted(n for n, _ in network.named_parameters())
    assert len(groups) > 12


@pytest.mark.parametrize(
    ("source", "target"), [("gssdnet_050", "gssdnet_exact_050"), ("gssdnet_050_o1", "gssdnet_050")]
)
def test_weights_load_strictly_into_other_presets(source, target):
    state = load(save(trained(timm.create_model(source, num_classes=3)).state_dict()))
    network = timm.create_model(target, num_classes=3)
    network.load_state_dict(state, strict=True)
    assert not any("taps" in key for key in state)
    again = timm.create_model(source, num_classes=3).eval()
    again.load_state_dict(state, strict=True)
    images = torch.randn(1, 3, 64, 64)
    expected = trained(timm.create_model(source, num_classes=3))
    expected.load_state_dict(state)
    assert torch.equal(again(images), expected(images))
    assert not torch.equal(network.eval()(images), expected(images))


def test_placement():
    network = timm.create_model("gssdnet_050", device="meta", dtype=torch.float16)
    values = [*network.parameters(), *network.buffers()]
    assert {v.device.type for v in values} == {"meta"}
    assert {v.dtype for v in values if v.is_floating_point()} == {torch.float16}
    with torch.device("meta"):
        network = timm.create_model("gssdnet_exact_050")
    network.to_empty(device="cpu")
    exact = bandscope.nn.GSSDNet(width=0.5, preset="exact")
    for mine, other in zip(network.modules(), exact.modules(), strict=True):
        if isinstance(mine, bandscope.nn.DerivativeConv2d):
            assert torch.equal(mine.weight, other.weight)


def test_initialisers_that_walk_over_convolutions_leave_the_taps():
    network = bandscope.nn.GSSDNet(width=0.25)
    before = [m.weight for m in network.modules() if isinstance(m, bandscope.nn.DerivativeConv2d)]
    network.apply(lambda m: nn.init.zeros_(m.weight) if isinstance(m, nn.Conv2d) else None)
    after = [m.weight for m in network.modules() if isinstance(m, bandscope.nn.DerivativeConv2d)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not network.stem[0].pointwise.weight.any()


def test_specs_know_the_networks(tmp_path):
    classifier = load_classifier("timm:gssdnet_050?pretrained=false&num_classes=3")
    assert classifier.preprocess.size == (224, 224)
    path = tmp_path / "small.safetensors"
    network = trained(timm.create_model("gssdnet_050", num_classes=3))
    save_checkpoint(
        path, network, model="timm:gssdnet_050?num_classes=3", preprocess=classifier.preprocess, classes=None
    )
    images = torch.randn(1, 3, 224, 224)
    torch.testing.assert_close(torch.as_tensor(load_classifier(str(path)).logits(images)), network(images))
    with pytest.raises(ModelError, match="Did you mean 'gssdnet_"):
        load_classifier("timm:gssdnet_60?pretrained=false")
    with pytest.raises(ModelError, match="no pretrained weights for 'gssdnet_100'"):
        load_classifier("timm:gssdnet_100")
