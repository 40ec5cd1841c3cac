"""Filters in training against the audit's own images of the same crop."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

import bandscope as bs
from bandscope.conventions import PRESETS, Convention
from bandscope.engine.filters import FilterBank
from bandscope.errors import InputError
from bandscope.preprocess import Preprocess
from bandscope.probes import resolve
from bandscope.spectral.vision import FrequencyFilter
from bandscope.training import draws
from bandscope.training.filters import CLEAN, COLUMNS, TrainingFilter

SIZE = (20, 26)
PREPROCESS = Preprocess(SIZE, None, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
PROBES = {
    "low-pass": bs.LowPass([0, 3, 7.5]),
    "high-pass": bs.HighPass([0, 3, 7.5]),
    "gaussian": bs.LowPass([2, 5], "gaussian"),
    "butterworth": bs.HighPass([2, 5], "butterworth"),
    "cycles a pixel": bs.LowPass([0.1, 0.3], unit="cycles/pixel"),
    "band-pass": bs.BandPass([(0, 2), (2, 6)]),
    "band-stop": bs.BandStop([(1, 4)]),
}
CONVENTIONS = {**PRESETS, "mean kept": Convention(keep_mean=True), "clipped": Convention(clip=True)}
PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3), dtype=np.uint8))


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("probe", PROBES)
def test_every_condition_shows_the_audit_s_image(probe, convention):
    chosen = CONVENTIONS[convention]
    training = TrainingFilter([PROBES[probe]], PREPROCESS, chosen)
    audit = FilterBank(resolve([PROBES[probe]], SIZE), chosen, PREPROCESS, torch.device("cpu"))
    audited = {cutoff: image for _, cutoff, image, _ in audit(PIXELS)}
    assert len(audited) == len(training.conditions)
    for index, cutoff in enumerate(resolve([PROBES[probe]], SIZE)[0].cutoffs):
        seen = training(PIXELS, torch.full((4,), index))
        torch.testing.assert_close(seen, audited[cutoff], atol=2e-5, rtol=0)


def test_each_image_of_a_batch_takes_its_own_filter():
    training = TrainingFilter([bs.LowPass([2, 6]), bs.HighPass([4])], PREPROCESS)
    seen = training(PIXELS, torch.tensor([2, CLEAN, 0, 1]))
    normalised = PREPROCESS.normalise(PIXELS)
    torch.testing.assert_close(seen[1], normalised[1], atol=0, rtol=0)
    for row, kind, radius in ((0, "high_pass", 4), (2, "low_pass", 2), (3, "low_pass", 6)):
        torch.testing.assert_close(seen[row], FrequencyFilter(kind, radius)(normalised[row]), atol=2e-5, rtol=0)


def test_no_filter_changes_nothing():
    training = TrainingFilter([], PREPROCESS)
    assert not training.fixed
    assert (training.draw(draws.uniforms(5, COLUMNS, 0)) == CLEAN).all()
    torch.testing.assert_close(
        training(PIXELS, torch.full((4,), CLEAN)), PREPROCESS.normalise(PIXELS), atol=0, rtol=0
    )


def test_conditions_are_equally_likely_and_the_share_is_kept():
    training = TrainingFilter([bs.LowPass(range(1, 10)), bs.HighPass([3])], PREPROCESS, share=0.6)
    drawn = training.draw(draws.uniforms(10_000, COLUMNS, 0))
    counts = np.bincount(drawn + 1, minlength=11)
    assert chisquare(counts, [4000, *[600] * 10]).pvalue > 1e-3


def test_a_fixed_filter_is_one_condition_for_all_images():
    assert TrainingFilter([bs.LowPass([4])], PREPROCESS).fixed
    assert not TrainingFilter([bs.LowPass([4])], PREPROCESS, share=0.5).fixed
    assert not TrainingFilter([bs.LowPass([4, 5])], PREPROCESS).fixed


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_a_share_out_of_range(share):
    with pytest.raises(InputError, match="above 0 and at most 1"):
        TrainingFilter([bs.LowPass([4])], PREPROCESS, share=share)
