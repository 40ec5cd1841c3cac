"""Where a training starts: which network, which part of the data, which preprocessing, and what may go on."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tiny_networks import PLANTED_NET, Squares, noisy, plain, quick
from torch import nn

from bandscope.errors import InputError, ModelError, StoreError
from bandscope.training import Recipe
from bandscope.training.data import _check_training_part
from bandscope.training.recipe import parse_settings

TRAIN = "planted?split=train&per_class=4"


def test_a_network_that_was_evaluated_before_is_trained_all_the_same(tmp_path):
    """Batch norm must follow the images: in evaluation mode its running mean would stay where it was."""
    net = noisy(4).eval()
    quick(net, Squares(16), tmp_path / "out")
    assert not torch.equal(net[1].running_mean, torch.zeros(8))


def test_a_frozen_network_is_refused(tmp_path):
    net = plain(4).requires_grad_(False)
    with pytest.raises(InputError, match="no parameter that may change"):
        quick(net, Squares(16), tmp_path / "out")


@pytest.mark.parametrize("data", ["planted", "planted?per_class=4", "planted?split=test&per_class=4"])
def test_nobody_trains_on_the_held_out_part_of_planted(tmp_path, data):
    with pytest.raises(InputError, match="held-out part"):
        quick(PLANTED_NET, data, tmp_path / "out", size=32)


def test_nobody_trains_on_the_held_out_part_that_a_hub_set_chose_by_itself():
    source = Squares(4)
    source.spec = "hf:cats?split=test"
    with pytest.raises(InputError, match="split=train"):
        _check_training_part("hf:cats", source)
    source.spec = "hf:cats?split=train"
    _check_training_part("hf:cats?split=train", source)


def test_none_means_measured_whatever_the_weights_record(tmp_path):
    """`--set mean=none` and `size=none` over the preprocessing of weights; left alone, theirs stays."""
    source = Squares(16)
    spec = "python:bandscope.nn:GSSDNet?num_classes=4&width=0.5&small_images=true"
    quick(spec, source, tmp_path / "own", size=16, mean=(0.1,) * 3, std=(0.9,) * 3)
    own = str(tmp_path / "own" / "last.safetensors")
    given = {}
    for name, changed in (("kept", {}), ("both", {"mean": None, "size": None}), ("size", {"size": None})):
        run = quick(own, source, tmp_path / name, **changed)
        given[name] = json.loads((run.out / "run.json").read_text())["preprocess"]
    assert (given["kept"]["mean"], given["kept"]["size"]) == ([0.1] * 3, [16, 16])
    scaled = source.images.reshape(-1, 3) / 255
    for name, expected in (("mean", scaled.mean(axis=0)), ("std", scaled.std(axis=0))):
        np.testing.assert_allclose(given["both"][name], expected, atol=1e-4)
    assert given["both"]["size"] == [8, 8]
    assert (given["size"]["mean"], given["size"]["size"]) == ([0.1] * 3, [8, 8])


def test_augmentation_is_switched_off_as_the_documents_say():
    assert Recipe.named("zhang2023", **parse_settings(["augment=none"])).augment == "none"


def test_statistics_do_not_depend_on_memory(tmp_path):
    """More images than are measured, in memory and not."""
    kept = []
    for gb in (1, 0):
        run = quick(plain(4), Squares(1300), tmp_path / str(gb), memory_gb=gb, batch_size=650)
        kept.append(json.loads((run.out / "run.json").read_text())["preprocess"])
    assert kept[0] == kept[1]


def test_other_preprocessing_is_another_training(tmp_path):
    """What the recipe says by itself, and what is asked for, may differ in effect alone."""
    quick(PLANTED_NET, TRAIN, tmp_path / "own", size=32)
    spec = str(tmp_path / "own" / "last.safetensors")
    quick(spec, TRAIN, tmp_path / "out", recipe="zhang2023", epochs=2)
    with pytest.raises(StoreError, match="input"):
        quick(spec, TRAIN, tmp_path / "out", recipe="zhang2023", epochs=2, crop_pct=0.875)


def test_grey_images_measure_what_the_recipe_says_of_colours(tmp_path):
    run = quick(
        "python:tiny_networks:plain?num_classes=4",
        Squares(16, mode="L"),
        tmp_path / "out",
        recipe="zhang2023",
        size=8,
        crop_pct=1.0,
        augment="none",
    )
    stored = json.loads((run.out / "run.json").read_text())["preprocess"]
    grey = np.stack([np.asarray(Squares(16, mode="L")[i]) for i in range(16)]) / 255
    np.testing.assert_allclose([*stored["mean"], *stored["std"]], [grey.mean(), grey.std()], atol=1e-4)
    assert run.recipe.mean is None


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        (f"{PLANTED_NET}?weights=a.pt", {"weights": "b.pt"}, "two weights are given"),
        ("timm:gssdnet_050?pretrained=false", {"pretrained": True}, "pretrained=false"),
        (PLANTED_NET, {"pretrained": True}, "no published weights"),
        ("planted", {"pretrained": True}, "no published weights"),
    ],
)
def test_contradictions_are_refused(tmp_path, model, settings, words):
    with pytest.raises(InputError, match=re.escape(words)):
        quick(model, TRAIN, tmp_path / "out", size=32, **settings)


class Doomed(nn.Module):
    """Its last step has a finite loss and gradients that destroy the weights."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.net, self.steps, self.seen = plain(4), steps, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.net(images)
        if self.training:
            self.seen += 1
            if self.seen == self.steps and logits.requires_grad:
                logits.register_hook(lambda gradient: gradient * float("inf"))
        return logits


def test_destroyed_weights_are_no_finished_epoch(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ModelError, match="is not finite after step 3"):
        quick(Doomed(4), Squares(16), out, epochs=2)
    assert len(pd.read_csv(out / "history.csv")) == 1
    assert all(value.isfinite().all() for value in load_file(out / "last.safetensors").values())


def test_progress_comes_once_a_step_whatever_is_accumulated(tmp_path):
    told = []
    quick(plain(4), Squares(32), tmp_path / "out", accumulate=4, progress=told.append)
    steps = [report.done for report in told if report.stage == "training"]
    assert steps == [1, 2, 3, 4]
