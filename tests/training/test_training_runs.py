"""Whole trainings: what is learned, what is kept, and that a killed one ends as if it had not been killed."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tiny_networks import PLANTED_NET, Squares, assert_equal, noisy, plain, quick, seeded, weights

import bandscope as bs
from bandscope.datasets.planted import Planted
from bandscope.nn import MobileNetV1
from bandscope.training import models


class Killed(BaseException):
    """What ends a training without a chance to tidy up."""


def kill_at(step: int):
    def progress(report):
        if report.stage == "training" and report.done == step:
            raise Killed

    return progress


# --- resume ---------------------------------------------------------------------------------------------

STEPS = 4  # an epoch
LEARNING = {
    "epochs": 4,
    "warmup_epochs": 1,
    "deterministic": True,
    "ema": 0.8,
    "val": 0.25,
    "filters": [bs.LowPass([2, 3]), bs.HighPass([1])],
    "filter_share": 0.7,
}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_killed_training_ends_bit_identical(tmp_path, accumulate):
    """4 epochs at once, or 2 and a bit, killed, and the rest: weights, state, history."""
    settings = {**LEARNING, "accumulate": accumulate}
    data = Squares(44)
    whole = quick(seeded(noisy, 4), data, tmp_path / "whole", **settings)
    with pytest.raises(Killed):
        quick(seeded(noisy, 4), data, tmp_path / "killed", **settings, progress=kill_at(2 * STEPS + 3))
    assert len(pd.read_csv(tmp_path / "killed" / "history.csv")) == 2
    said = []
    other_start = noisy(4)  # whatever it starts from is replaced by the state
    resumed = quick(other_start, data, tmp_path / "killed", **settings, say=said.append)
    assert "Going on after epoch 2 of 4" in said
    assert_equal(weights(whole), weights(resumed))
    assert_equal(load_file(whole.best), load_file(resumed.best))
    timeless = [table.drop(columns=["seconds", "images_per_second"]) for table in (whole.history, resumed.history)]
    pd.testing.assert_frame_equal(*timeless)
    states = [torch.load(t.out / "state.ckpt", weights_only=True) for t in (whole, resumed)]
    assert_equal(states[0]["state_dict"], states[1]["state_dict"])
    momenta = [state["optimizer_states"][0]["state"] for state in states]
    for index in momenta[0]:
        torch.testing.assert_close(momenta[0][index], momenta[1][index], atol=0, rtol=0)


def test_a_finished_training_is_not_repeated(tmp_path):
    once = quick(plain(4), Squares(16), tmp_path / "out")
    said = []
    again = quick(plain(4), Squares(16), tmp_path / "out", say=said.append)
    assert any("finished already" in line for line in said)
    assert_equal(weights(once), weights(again))
    quick(plain(4), Squares(16), tmp_path / "out", overwrite=True, epochs=2)
    assert len(pd.read_csv(tmp_path / "out" / "history.csv")) == 2


def test_a_seed_decides_the_first_weights(tmp_path):
    one, again, other = (
        weights(quick("python:tiny_networks:plain", Squares(32), tmp_path / str(i), seed=seed, lr=1e-12))
        for i, seed in enumerate((5, 5, 6))
    )
    assert_equal(one, again)
    assert all((other[name] != value).all() for name, value in one.items())


class Dropping(torch.nn.Module):
    """What dropout does to ones."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.dropped = seeded(plain, 4), []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.dropped.append(torch.nn.functional.dropout(torch.ones(9), 0.5))
        return self.net(images)


@pytest.mark.parametrize(
    "settings",
    [
        {"augment": "pad-crop", "flip": 0.0},
        {"augment": "none", "flip": 0.5},
        {"augment": "none", "flip": 0.0, "filters": bs.LowPass([1, 2, 3])},
    ],
    ids=["shifts", "mirrors", "filters"],
)
def test_a_seed_decides_order_dropout_and_what_is_done_to_images(tmp_path, settings):
    """Each by itself: images are compared one by one, in whatever order they came."""
    seen = []
    for run, seed in enumerate((5, 5, 6)):
        net, shown = Dropping(), []

        def keep(images, labels, positions, shown=shown):
            shown.append((positions, images))
            return images, labels

        quick(net, Squares(32), tmp_path / str(run), seed=seed, transform=keep, **settings)
        order, images = (torch.cat(values) for values in zip(*shown, strict=True))
        seen.append((order, images[order.argsort()], torch.stack(net.dropped)))
    for one, again, other in zip(*seen, strict=True):
        assert torch.equal(one, again)
        assert not torch.equal(one, other)


def test_the_caller_s_random_numbers_and_switches_stay(tmp_path):
    net, before = plain(4), torch.random.get_rng_state()
    quick(net, Squares(16), tmp_path / "out", deterministic=True)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.is_grad_enabled()


# --- the audit of what was trained ----------------------------------------------------------------------


@pytest.mark.parametrize("radius", [None, 6])
def test_validation_accuracy_is_what_the_audit_finds_by_path(tmp_path, radius):
    filters = [] if radius is None else bs.LowPass([radius])
    run = quick(
        PLANTED_NET,
        "planted?split=train&per_class=8",
        tmp_path / "out",
        val="planted?per_class=4",
        size=32,
        epochs=3,
        batch_size=24,
        lr=0.1,
        filters=filters,
    )
    for path, accuracy in ((run.best, run.best_accuracy), (run.last, run.last_accuracy)):
        cube = bs.audit(
            str(path), "planted?per_class=4", probes=[bs.LowPass([radius or 30])], device="cpu", threads=1
        )
        label = cube["label"].values
        prediction = (
            cube["low_pass"]["top5_class"].values[:, 0, 0] if radius else cube["clean_top5_class"].values[:, 0]
        )
        assert (prediction == label).mean() == pytest.approx(accuracy)
    assert [label.name for label in bs.load_classifier(str(run.best)).classes] == [c.name for c in Planted.classes]


def test_best_is_the_best_epoch_and_last_the_last(tmp_path):
    run = quick(
        PLANTED_NET,
        "planted?split=train&per_class=4",
        tmp_path / "out",
        val="planted?per_class=2",
        size=32,
        epochs=4,
        batch_size=12,
        lr=0.5,
    )
    accuracies = run.history["val_accuracy"].tolist()
    assert run.best_accuracy == max(accuracies) == accuracies[run.best_epoch - 1]
    assert run.last_accuracy == accuracies[-1]
    same = all(torch.equal(value, load_file(run.best)[name]) for name, value in load_file(run.last).items())
    assert same == (run.best_epoch == 4)


def test_grey_images_make_grey_networks(tmp_path):
    run = quick("python:tiny_networks:plain", Squares(16, mode="L"), tmp_path / "out")
    assert weights(run)["0.weight"].shape[1] == 1
    stored = json.loads((run.out / "run.json").read_text())
    assert stored["model"]["spec"] == "python:tiny_networks:plain?num_classes=4&in_chans=1"
    assert len(stored["preprocess"]["mean"]) == 1


def test_weights_are_trained_on(tmp_path):
    """A second training of a checkpoint starts where the first ended, with its preprocessing."""
    data = "planted?split=train&per_class=4"
    first = quick(PLANTED_NET, data, tmp_path / "first", size=32, batch_size=12, mean=(0.4,) * 3, std=(0.3,) * 3)
    second = quick(str(first.last), data, tmp_path / "second", batch_size=12, lr=1e-12)
    for name, value in weights(first).items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(weights(second)[name], value, atol=1e-6, rtol=0)
    known, again = (bs.load_classifier(str(run.last)).preprocess for run in (first, second))
    assert known == again
    third = quick(PLANTED_NET, data, tmp_path / "third", batch_size=12, weights=first.last, lr=1e-12)
    assert bs.load_classifier(str(third.last)).preprocess == known
    torch.testing.assert_close(
        weights(third)["classify.weight"], weights(first)["classify.weight"], atol=1e-6, rtol=0
    )


def test_published_weights_get_a_fresh_classifier_for_other_classes(tmp_path, monkeypatch):
    """A stand-in for the download: a network that claims to be published, with its 1000 outputs."""
    published = MobileNetV1(width=0.5, small_images=True)
    known = bs.load_classifier(published, preprocess=bs.Preprocess((32, 32), 36, (0.4,) * 3, (0.3,) * 3))
    claims = {**known.provenance, "source": "pretrained"}
    monkeypatch.setattr(models, "load_classifier", lambda text: replace(known, provenance=claims))
    run = quick(
        "timm:gssdnet_vanilla_050?small_images=true",
        "planted?split=train&per_class=2",
        tmp_path / "out",
        pretrained=True,
        lr=1e-12,
    )
    kept = weights(run)
    torch.testing.assert_close(
        kept["stage1.0.pointwise.weight"], published.stage1[0].pointwise.weight, atol=1e-6, rtol=0
    )
    assert kept["classifier.weight"].shape == (9, 512)
    assert bs.load_classifier(str(run.last)).preprocess == known.preprocess


def test_images_that_do_not_fit_into_memory_train_the_same_network(tmp_path):
    kept, decoded = (
        quick(seeded(plain, 4), Squares(32), tmp_path / str(gb), epochs=2, memory_gb=gb) for gb in (1, 0)
    )
    assert_equal(weights(kept), weights(decoded))


def test_logs_for_tensorboard_hold_the_history(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = quick(plain(4), Squares(32), tmp_path / "out", epochs=2, val=0.25, tensorboard=True)
    events = EventAccumulator(str(run.out / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("val_accuracy")]
    assert logged == pytest.approx(run.history["val_accuracy"].tolist())
    pd.testing.assert_frame_equal(pd.read_csv(run.out / "history.csv"), run.history)


# --- learning -------------------------------------------------------------------------------------------


def test_64_images_are_learned_by_heart(tmp_path):
    source = Squares(64, classes=8, side=16)
    source.labels = np.random.default_rng(0).permutation(source.labels)  # nothing to understand
    run = quick(
        "python:bandscope.nn:GSSDNet?width=0.5&small_images=true&drop_rate=0",
        source,
        tmp_path / "out",
        epochs=45,
        warmup_epochs=5,
        batch_size=32,
        lr=0.05,
        augment="none",
        flip=0.0,
    )
    net = bs.load_classifier(str(run.last))
    inputs = net.preprocess.normalise(torch.from_numpy(source.images))
    assert (net.logits(inputs).argmax(dim=1).numpy() == source.labels).all()
