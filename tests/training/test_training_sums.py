"""What a training computes: losses, steps, averages and formats, each by other means or by hand."""

import json

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from tiny_networks import PLANTED_NET, Squares, plain, quick, seeded, weights

import bandscope as bs


def test_losses_are_cross_entropies_smoothed_in_training_alone(tmp_path):
    """By NumPy: (1 - s) (-log p_y) + s mean_k (-log p_k); a tiny rate leaves the network as it was."""
    source, smoothing = Squares(16), 0.3
    net = seeded(plain, 4)
    run = quick(
        net,
        source,
        tmp_path / "out",
        val=Squares(12, seed=1),
        batch_size=16,
        lr=1e-12,
        augment="none",
        flip=0.0,
        label_smoothing=smoothing,
    )
    row = run.history.iloc[0]
    for data, weight, loss, accuracy in (
        (source, smoothing, row["train_loss"], row["train_accuracy"]),
        (Squares(12, seed=1), 0, row["val_loss"], row["val_accuracy"]),
    ):
        mean, std = (
            np.array(json.loads((run.out / "run.json").read_text())["preprocess"][k]) for k in ("mean", "std")
        )
        inputs = torch.from_numpy(((data.images / 255 - mean) / std).transpose(0, 3, 1, 2)).float()
        logp = log_softmax(net(inputs).detach().double().numpy(), axis=1)
        right = -logp[np.arange(len(data)), data.labels]
        assert loss == pytest.approx(np.mean((1 - weight) * right - weight * logp.mean(axis=1)), rel=1e-5)
        assert accuracy == (logp.argmax(axis=1) == data.labels).mean()


def test_soft_labels_are_the_shares_of_their_loss(tmp_path):
    """Mixup, smoothed: -sum_k ((1 - s) y_k + s / K) log p_k; right is the class of the larger share."""
    source, smoothing, seen = Squares(16), 0.3, []
    net = seeded(plain, 4)

    def mixup(images, labels, positions):
        soft = torch.nn.functional.one_hot(labels, 4).float()
        mixed = 0.7 * images + 0.3 * images.flip(0), 0.7 * soft + 0.3 * soft.flip(0)
        seen.append(mixed)
        return mixed

    settings = {"augment": "none", "flip": 0.0, "label_smoothing": smoothing, "batch_size": 16}
    row = quick(net, source, tmp_path / "out", lr=1e-12, transform=mixup, **settings).history.iloc[0]
    images, shares = (value.double().numpy() for value in seen[0])
    logp = log_softmax(net(torch.from_numpy(images).float()).detach().double().numpy(), axis=1)
    expected = -(((1 - smoothing) * shares + smoothing / 4) * logp).sum(axis=1).mean()
    assert row["train_loss"] == pytest.approx(expected, rel=1e-5)
    assert row["train_accuracy"] == (logp.argmax(axis=1) == shares.argmax(axis=1)).mean()


def test_mean_and_std_are_those_of_the_training_images(tmp_path):
    source = Squares(16)
    run = quick(plain(4), source, tmp_path / "out")
    stored = json.loads((run.out / "run.json").read_text())["preprocess"]
    scaled = source.images.reshape(-1, 3) / 255
    assert stored["mean"] == pytest.approx(scaled.mean(axis=0), abs=1e-4)
    assert stored["std"] == pytest.approx(scaled.std(axis=0), abs=1e-4)


def test_one_step_is_sgd_with_momentum_and_decay_on_weights(tmp_path):
    """Two steps by hand, on the same batch of all images."""
    source, decay, momentum = Squares(16), 0.1, 0.5
    net, twin = seeded(plain, 4), seeded(plain, 4)
    run = quick(
        net,
        source,
        tmp_path / "out",
        batch_size=16,
        epochs=2,
        lr=0.2,
        weight_decay=decay,
        momentum=momentum,
        augment="none",
        flip=0.0,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        label_smoothing=0.0,
    )
    inputs = torch.from_numpy((source.images / 255 - 0.5) / 0.25).permute(0, 3, 1, 2).float()
    velocity = {}
    for lr in (0.2, 0.1):  # cosine over two steps: 1, 1/2
        loss = torch.nn.functional.cross_entropy(twin(inputs), torch.from_numpy(source.labels).long())
        twin.zero_grad()
        loss.backward()
        with torch.no_grad():
            for name, p in twin.named_parameters():
                step = p.grad + (decay * p if name.endswith("weight") else 0)
                velocity[name] = momentum * velocity[name] + step if name in velocity else step.clone()
                p.sub_(lr * velocity[name])
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(weights(run)[name], value, atol=1e-6, rtol=1e-5)


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path):
    one, four = (
        quick(seeded(plain, 4), Squares(32), tmp_path / str(n), batch_size=16, epochs=2, accumulate=n) for n in (1, 4)
    )
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(four)[name], value, atol=1e-6, rtol=1e-5)


def test_the_moving_average_is_the_recursion(tmp_path):
    """w_1, then d a + (1 - d) w_t, by the weights that a training without it goes through."""
    decay, steps = 0.7, []
    net = seeded(plain, 4)

    def keep(images, labels, positions):
        steps.append({name: value.clone() for name, value in net.state_dict().items()})
        return images, labels

    run = quick(net, Squares(24), tmp_path / "out", ema=decay, transform=keep)
    state = torch.load(run.out / "state.ckpt", weights_only=True)["state_dict"]  # what the network itself came to
    through = [*steps[1:], {name: state[f"network.{name}"] for name in steps[0]}]
    for name, saved in weights(run).items():
        average = through[0][name]
        for state in through[1:]:
            average = decay * average + (1 - decay) * state[name]
        torch.testing.assert_close(saved, average, atol=1e-6, rtol=1e-5)


class Watched(torch.nn.Module):
    """What a network computes in."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.inputs, self.outputs = seeded(plain, 4), [], []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.inputs.append(images)
        self.outputs.append(self.net(images))
        return self.outputs[-1]


def test_bf16_computes_in_bf16_and_keeps_weights_in_fp32(tmp_path):
    """Near the weights of fp32, and not equal: eight bits of mantissa in eight small steps."""
    runs = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        net = Watched()
        settings = {"precision": precision, "batch_size": 32, "epochs": 8, "lr": 0.01}
        runs[precision] = weights(quick(net, Squares(32), tmp_path / precision, **settings))
        assert {output.dtype for output in net.outputs[1:]} == {dtype}  # the first counts the classes
    start = seeded(plain, 4).state_dict()
    for name, value in runs["fp32"].items():
        other = runs["bf16"][name]
        assert other.dtype == torch.float32
        moved, apart = ((value - v).norm() for v in (start[name.removeprefix("net.")], other))
        assert 0 < apart < moved / 10


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_have_the_memory_format_asked_for(tmp_path, channels_last):
    """A training in either is the same up to the order of sums."""
    net = Watched()
    trained = weights(quick(net, Squares(16), tmp_path / "out", channels_last=channels_last))
    images = net.inputs[-1]
    assert images.is_contiguous(memory_format=torch.channels_last) == channels_last
    assert images.is_contiguous() != channels_last
    default = weights(quick(Watched(), Squares(16), tmp_path / "default"))
    for name, value in default.items():
        torch.testing.assert_close(trained[name], value, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_a_compiled_network_is_the_network(tmp_path):
    """Loss, history and weights up to rounding, under names that load without compiling."""
    runs = [
        quick(
            PLANTED_NET,
            "planted?split=train&per_class=4",
            tmp_path / str(compiled),
            size=32,
            batch_size=12,
            epochs=2,
            val=0.25,
            compile=compiled,
        )
        for compiled in (False, True)
    ]
    for name, value in weights(runs[0]).items():
        torch.testing.assert_close(weights(runs[1])[name], value, atol=1e-4, rtol=1e-3)
    losses = [run.history[["train_loss", "val_loss"]].to_numpy() for run in runs]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert bs.load_classifier(str(runs[1].last)).preprocess.size == (32, 32)
