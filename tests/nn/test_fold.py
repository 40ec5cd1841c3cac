"""Folded networks give the logits of the networks they come from."""

import copy

import pytest
import torch
from torch import nn
from trained_networks import trained

from bandscope.errors import InputError
from bandscope.nn import GSSDNet, MobileNetV1, fold

NETWORKS = {
    "paper": lambda **options: GSSDNet(num_classes=7, **options),
    "paper, first order": lambda **options: GSSDNet(num_classes=7, order=1, **options),
    "exact": lambda **options: GSSDNet(num_classes=7, preset="exact", **options),
    "mobilenet": lambda **options: MobileNetV1(num_classes=7, **options),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    "options",
    [{"width": 1.0}, {"width": 0.3, "in_chans": 1, "small_images": True}, {"width": 0.25, "in_chans": 6}],
    ids=str,
)
def test_the_same_logits(name, options):
    network = trained(NETWORKS[name](**options))
    images = torch.randn(3, options.get("in_chans", 3), 47, 64)
    logits = network(images)
    assert logits.std() > 0.05
    torch.testing.assert_close(fold(network)(images), logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_function_in_float64(name):
    network = trained(NETWORKS[name](width=0.5)).double()
    images = torch.randn(2, 3, 64, 64).double()
    torch.testing.assert_close(fold(network)(images), network(images), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_after_real_training_steps(name):
    network = NETWORKS[name](width=0.25)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    images, labels = torch.randn(16, 3, 32, 32), torch.arange(16) % 7
    for _ in range(5):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()
    network.eval()
    torch.testing.assert_close(fold(network)(images), network(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_left_is_plain_and_the_original_stays(name):
    network = trained(NETWORKS[name](width=0.25)).train()
    before = copy.deepcopy(network.state_dict())
    folded = fold(network)
    assert network.training
    assert not folded.training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert type(folded) is type(network)
    assert folded.forward_features(torch.zeros(1, 3, 32, 32)).shape == (1, 256, 1, 1)
    assert {type(m) for m in folded.modules() if m.state_dict() and not [*m.children()]} <= {nn.Conv2d, nn.Linear}


def test_parts_and_strangers_that_hold_blocks():
    network = trained(GSSDNet(width=0.25))
    inside = nn.Sequential(network.stem, nn.ReLU(), network.stage1[0]).eval()
    images = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(fold(inside)(images), inside(images), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fold(network.stem[0])(images), network.stem[0](images), rtol=1e-4, atol=1e-5)


def test_dtype_and_memory_format_stay():
    network = trained(GSSDNet(width=0.25)).to(torch.bfloat16, memory_format=torch.channels_last)
    images = torch.randn(2, 3, 32, 32).to(torch.bfloat16, memory_format=torch.channels_last)
    features = fold(network).forward_features(images)
    assert features.dtype == torch.bfloat16
    assert features.is_contiguous(memory_format=torch.channels_last)


def test_nothing_to_fold():
    with pytest.raises(InputError, match="Linear holds no block"):
        fold(nn.Linear(2, 2))
    with pytest.raises(InputError, match="folded already"):
        fold(fold(trained(GSSDNet(width=0.25))))


def test_norms_without_statistics():
    network = GSSDNet(width=0.25)
    network.stem[0].bn1 = nn.BatchNorm2d(3, track_running_stats=False)
    with pytest.raises(InputError, match="running statistics"):
        fold(network)
