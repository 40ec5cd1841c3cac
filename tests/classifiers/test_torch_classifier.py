from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from bandscope.classifiers import Classifier, load_classifier, probe_outputs
from bandscope.classifiers.torch_classifier import answers, as_logits
from bandscope.errors import InputError, ModelError
from bandscope.preprocess import Preprocess

CPU = torch.device("cpu")


def test_a_module_is_a_classifier_with_the_modules_logits(net, preprocess, batch):
    classifier = load_classifier(net, preprocess=preprocess)
    classifier.prepare(CPU, torch.float32)
    assert isinstance(classifier, Classifier)
    logits = classifier.logits(batch)
    assert not logits.requires_grad
    torch.testing.assert_close(logits, net(batch).detach(), rtol=1e-5, atol=1e-6)


def test_training_mode_never_reaches_the_logits(net, preprocess, batch):
    expected = net(batch).detach()
    classifier = load_classifier(net.train(), preprocess=preprocess)
    torch.testing.assert_close(classifier.logits(batch), expected, rtol=1e-5, atol=1e-6)


def test_the_callers_module_stays_as_it_was(net, preprocess):
    net.train()
    load_classifier(net, preprocess=preprocess).prepare(CPU, torch.bfloat16)
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_bfloat16_gives_float32_logits_and_keeps_the_statistics(net, preprocess, batch):
    classifier = load_classifier(net, preprocess=preprocess)
    classifier.prepare(CPU, torch.bfloat16)
    logits = classifier.logits(batch)
    assert logits.dtype == torch.float32
    assert classifier.module[1].running_var.dtype == torch.float32
    exact = net(batch).detach()
    assert not torch.equal(logits, exact), "bfloat16 must be in use"
    torch.testing.assert_close(logits, exact, rtol=0.05, atol=0.05)


def test_other_precisions_are_refused(net, preprocess):
    with pytest.raises(InputError, match="float32 or bfloat16; given: float16"):
        load_classifier(net, preprocess=preprocess).prepare(CPU, torch.float16)


LOGITS = torch.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    "output", [LOGITS, LOGITS.double(), (LOGITS, "auxiliary"), [LOGITS], SimpleNamespace(logits=LOGITS)]
)
def test_logits_are_found_in_every_usual_output(output):
    assert torch.equal(as_logits(output, 2), LOGITS)
    assert as_logits(output, 2).dtype == torch.float32


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (torch.zeros(2, 3, 1, 1), r"\(2, 3, 1, 1\)"),
        (torch.zeros(6), r"shape \(6,\)"),
        (torch.zeros(3, 3), r"\(2, classes\); given: shape \(3, 3\)"),
        ("cat", "given: str"),
        ((), "given: tuple"),
        (None, "given: NoneType"),
    ],
)
def test_other_outputs_are_refused(output, message):
    with pytest.raises(ModelError, match=message):
        as_logits(output, 2)


def test_probe_counts_the_outputs(net, preprocess):
    assert probe_outputs(load_classifier(net, preprocess=preprocess)) == 5


def test_probe_names_the_channels_that_disagree(net):
    grey = Preprocess((16, 16), None, (0.5,), (0.5,))
    with pytest.raises(ModelError, match=r"expects 3 channel\(s\) but its preprocessing gives 1"):
        probe_outputs(load_classifier(net, preprocess=grey))


def test_probe_names_the_crop_that_does_not_fit(preprocess):
    fixed = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(10, 2))
    with pytest.raises(ModelError, match="fails on a crop of 3 x 16 x 12"):
        probe_outputs(load_classifier(fixed, preprocess=preprocess))


def test_probe_refuses_an_output_that_is_no_row_of_logits(preprocess):
    with pytest.raises(ModelError, match=r"given: shape \(1, 2, 14, 10\)"):
        probe_outputs(load_classifier(nn.Conv2d(3, 2, 3), preprocess=preprocess))


def test_probe_refuses_a_wrong_number_of_names(net, preprocess, classes):
    classifier = load_classifier(net, preprocess=preprocess, classes=classes[:4])
    with pytest.raises(ModelError, match="5 outputs but 4 class names"):
        probe_outputs(classifier)


def test_a_function_is_a_classifier(preprocess, batch, classes):
    def scores(images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)).double()

    classifier = load_classifier(scores, preprocess=preprocess, classes=classes[:3])
    classifier.prepare(CPU, torch.float32)
    assert isinstance(classifier, Classifier)
    assert classifier.spec.endswith("scores")
    assert probe_outputs(classifier) == 3
    torch.testing.assert_close(classifier.logits(batch), batch.mean((2, 3)))
    with pytest.raises(InputError, match="only float32"):
        classifier.prepare(CPU, torch.bfloat16)


def test_a_function_is_asked_on_the_device_it_is_prepared_for(preprocess):
    seen = []

    def scores(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.device.type)
        return torch.zeros(len(images), 3)

    classifier = load_classifier(scores, preprocess=preprocess)
    classifier.prepare(torch.device("meta"), torch.float32)
    assert probe_outputs(classifier) == 3
    assert seen == ["meta"]


def test_answers_tell_functions_apart(preprocess):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 12, 3), dtype=np.uint8)
    expected = preprocess.normalise(torch.from_numpy(pixels)).mean((2, 3)).double().numpy()
    told = answers(load_classifier(lambda images: images.mean((2, 3)), preprocess=preprocess))
    columns = np.stack([expected.min(1), expected.max(1), expected.mean(1), expected.std(1)], axis=1)
    np.testing.assert_allclose(told, columns, rtol=1e-6)
    assert answers(load_classifier(lambda images: 1.1 * images.mean((2, 3)), preprocess=preprocess)) != told


def test_no_answers_of_a_hashed_network_nor_of_a_random_function(net, preprocess):
    assert answers(load_classifier(net, preprocess=preprocess)) is None
    assert answers(load_classifier(lambda images: torch.randn(len(images), 3), preprocess=preprocess)) is None


def test_probe_wraps_what_a_function_raises(preprocess):
    classifier = load_classifier(lambda images: images @ torch.zeros(7, 7), preprocess=preprocess)
    with pytest.raises(ModelError, match="fails on a crop of 3 x 16 x 12"):
        probe_outputs(classifier)


def test_overrides_apply_over_a_given_preprocess(net, preprocess):
    classifier = load_classifier(net, preprocess=preprocess, overrides={"mean": 0.5})
    assert classifier.preprocess == replace(preprocess, mean=(0.5, 0.5, 0.5))
