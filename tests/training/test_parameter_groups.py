"""Weight decay where the paper puts it, against counts made without this code."""

import pytest
import timm
import timm.optim
from torch import nn
from torchvision.models import VisionTransformer

import bandscope.nn  # noqa: F401 - registers networks
from bandscope.nn import DerivativeConv2d
from bandscope.training.groups import parameter_groups


def counts(module: nn.Module) -> tuple[int, int]:
    """Decayed and other parameters."""
    groups = parameter_groups(module, 1e-4)
    sizes = {group["weight_decay"]: sum(p.numel() for p in group["params"]) for group in groups}
    return sizes.get(1e-4, 0), sizes.get(0.0, 0)


# Cin -> Cout of every block at width 1, from the paper's table; the touched rows have learned 3 x 3 depthwise kernels
BLOCKS = [(3, 32), (32, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), *[(512, 512)] * 5]
BLOCKS += [(512, 1024), (1024, 1024)]


def test_gssdnet_decays_its_pointwise_convolutions_and_classifier():
    decayed = sum(i * o for i, o in BLOCKS) + 1024 * 100
    norms = sum(2 * (i + o) for i, o in BLOCKS)
    assert counts(timm.create_model("gssdnet_100", num_classes=100)) == (decayed, norms + 100)
    assert decayed + norms + 100 == 3_264_074  # the paper's count of all


def test_mobilenet_decays_its_depthwise_convolutions_too():
    decayed = 27 * 32 + sum(i * o + 9 * i for i, o in BLOCKS[1:]) + 1024 * 100
    assert sum(counts(timm.create_model("gssdnet_vanilla_100", num_classes=100))) == 3_309_476
    assert counts(timm.create_model("gssdnet_vanilla_100", num_classes=100))[0] == decayed


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "mobilenetv3_small_100"])
def test_convolutional_networks_agree_with_timm(name):
    """There, timm's rule (all but vectors) means the same."""
    module = timm.create_model(name, num_classes=10)
    theirs = timm.optim.param_groups_weight_decay(module, 1e-4)
    sizes = {group["weight_decay"]: sum(p.numel() for p in group["params"]) for group in theirs}
    assert counts(module) == (sizes[1e-4], sizes[0.0])


def test_attention_is_linear_layers_and_embeddings_are_not():
    width, classes = 32, 5
    vit = VisionTransformer(32, 16, 1, 2, width, 64, num_classes=classes)
    block = 4 * width * width + 2 * width * 64  # query, key, value, output; two layers of the MLP
    assert counts(vit)[0] == 3 * 16 * 16 * width + block + width * classes


def test_what_does_not_learn_or_is_shared_counts_once_or_never():
    first = nn.Linear(4, 4)
    net = nn.Sequential(first, nn.Linear(4, 4), first, DerivativeConv2d(10, learn="sigma"))
    net[1].requires_grad_(False)
    assert counts(net) == (16, 4 + 1)
    assert [group["weight_decay"] for group in parameter_groups(nn.BatchNorm2d(3), 1e-4)] == [0.0]
