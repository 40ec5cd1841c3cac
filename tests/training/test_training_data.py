"""Which images a process sees, in which order, cut how: by seed, epoch and step, however they are shared."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from tiny_networks import Squares

import bandscope as bs
from bandscope.preprocess import Preprocess
from bandscope.training import draws
from bandscope.training.augment import Augment
from bandscope.training.data import Part, Share, TrainingBatches, ValidationBatches, open_parts, split
from bandscope.training.filters import TrainingFilter
from bandscope.training.pixels import Decoded, InMemory, common_size, needed_bytes, open_pixels

PREPROCESS = Preprocess((8, 8), 8, (0.5,) * 3, (0.25,) * 3)
FILTER = TrainingFilter([bs.LowPass([1, 2, 3])], PREPROCESS, share=0.5)
RESIZED = Augment("resized-crop", (8, 8), 0.5)


def part(source, augment=None, budget=2**30) -> Part:
    pixels = open_pixels(source, PREPROCESS, augment, workers=2, budget=budget, progress=lambda done, total: None)
    return Part(pixels, torch.from_numpy(source.labels.astype(np.int64)))


def batches(of: Part, share=None, *, batch_size=12, seed=0, epoch=0):
    return list(
        TrainingBatches(of, FILTER, batch_size=batch_size, share=share or Share(), seed=seed, epoch=lambda: epoch)
    )


def joined(parts, name: str) -> np.ndarray:
    return np.concatenate([getattr(batch, name).numpy() for batch in parts])


@settings(max_examples=10)
@given(seed=st.integers(0, 99), epoch=st.integers(0, 50))
def test_an_epoch_shows_every_image_at_most_once_in_another_order(seed, epoch):
    seen = joined(batches(part(Squares(40)), seed=seed, epoch=epoch), "positions")
    assert len(seen) == len(set(seen.tolist())) == 36  # 40 images fill three batches of 12
    again = joined(batches(part(Squares(40)), seed=seed, epoch=epoch), "positions")
    np.testing.assert_array_equal(seen, again)
    assert (seen != joined(batches(part(Squares(40)), seed=seed, epoch=epoch + 1), "positions")).any()
    assert (seen != joined(batches(part(Squares(40)), seed=seed + 1, epoch=epoch), "positions")).any()


@pytest.mark.parametrize(("processes", "accumulate"), [(2, 1), (1, 3), (2, 2), (4, 3)])
def test_shares_of_a_step_are_together_that_step(processes, accumulate):
    """Positions, boxes, mirrors and filters: those of one process without accumulation."""
    of = part(Squares(40, side=12), RESIZED)
    whole = batches(of)
    shares = [batches(of, Share(rank, processes, accumulate)) for rank in range(processes)]
    for step, batch in enumerate(whole):
        turns = range(step * accumulate, (step + 1) * accumulate)
        mine = [share[turn] for turn in turns for share in shares]
        for name in ("positions", "labels", "boxes", "flips", "conditions", "pixels"):
            np.testing.assert_array_equal(joined(mine, name), getattr(batch, name))


def test_images_and_labels_stay_together():
    source = Squares(40)
    for batch in batches(part(source)):
        np.testing.assert_array_equal(batch.pixels, source.images[batch.positions])
        np.testing.assert_array_equal(batch.labels, source.labels[batch.positions])


def test_threads_cut_and_resize_as_the_device_does():
    """Pillow rounds once between its passes, the device does not: one grey level."""
    source = Squares(40, side=13)
    kept, decoded = part(source, RESIZED), part(source, RESIZED, budget=0)
    assert isinstance(kept.pixels, InMemory)
    assert isinstance(decoded.pixels, Decoded)
    for one, other in zip(batches(kept), batches(decoded), strict=True):
        made = RESIZED.apply(one.pixels, one.boxes, one.flips).int()
        assert (made - other.pixels.int()).abs().max() <= 1
        assert other.boxes is None
        np.testing.assert_array_equal(one.labels, other.labels)


@pytest.mark.parametrize("kind", ["pad-crop", "none"])
def test_crops_of_the_network_s_size_are_cut_on_the_device_either_way(kind):
    augment, source = Augment(kind, (8, 8), 0.5), Squares(40, side=11)
    for one, other in zip(batches(part(source, augment)), batches(part(source, augment, budget=0)), strict=True):
        for name in ("pixels", "boxes", "flips"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_what_fits_is_decoded_once():
    class Counted(Squares):
        asked = 0

        def __getitem__(self, position):
            type(self).asked += 1
            return super().__getitem__(position)

    source = Counted(24)
    of = Part(Decoded(source, PREPROCESS, None, 2, 10 * 8 * 8 * 3), torch.from_numpy(source.labels.astype(np.int64)))
    batches(of)
    assert Counted.asked == 24
    assert of.pixels.kept == 10 * 8 * 8 * 3
    batches(of, epoch=1)
    assert Counted.asked == 24 + 14


def test_memory_is_computed_before_and_kept_to():
    source = Squares(24)
    needed = needed_bytes(24, (8, 8), 3)
    assert needed == part(source).pixels.images.nbytes
    assert isinstance(part(source, budget=needed).pixels, InMemory)
    assert isinstance(part(source, budget=needed - 1).pixels, Decoded)


def test_images_that_turn_out_to_differ_are_decoded_as_needed():
    class Odd(Squares):
        def __getitem__(self, position):
            image = super().__getitem__(position)
            return image.resize((20, 9)) if position == 50 else image

    source = Odd(400)
    assert common_size(source) == (8, 8)  # a sample of 32 does not meet the odd one
    of = part(source, RESIZED)
    assert isinstance(of.pixels, Decoded)
    assert joined(batches(of), "pixels").shape == (396, 8, 8, 3)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_validation_images_are_seen_once(processes):
    of = part(Squares(40))
    shares = [ValidationBatches(of, FILTER, batch_size=7, share=Share(rank, processes)) for rank in range(processes)]
    assert sorted(np.concatenate([joined(share, "positions") for share in shares])) == list(range(40))
    assert all(batch.conditions is None for share in shares for batch in share)  # several filters: images as they are
    fixed = replace(FILTER, probes=[bs.LowPass([2])], share=1.0)
    assert all((b.conditions == 0).all() for b in ValidationBatches(of, fixed, batch_size=7, share=Share()))


def test_a_share_of_every_class_is_held_out():
    source = Squares(90, classes=9)
    training, held_out = split(source, 0.2, seed=3)
    assert np.bincount(held_out.labels).tolist() == [2] * 9
    assert sorted([*training.positions, *held_out.positions]) == list(range(90))
    assert (split(source, 0.2, seed=3)[1].positions == held_out.positions).all()
    assert (split(source, 0.2, seed=4)[1].positions != held_out.positions).any()


def test_parts_of_planted():
    training, held_out = open_parts("planted?split=train&per_class=2", "planted?per_class=1", 0)
    assert (len(training), len(held_out)) == (18, 9)
    assert open_parts("planted?split=train&per_class=2", None, 0)[1] is None


def test_draws_are_uniform_and_streams_differ():
    numbers = draws.uniforms(400, 25, 0, 1, 2)
    assert kstest(numbers.ravel(), "uniform").pvalue > 1e-3
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert abs(np.corrcoef(numbers.ravel(), draws.uniforms(400, 25, 0, 1, 3).ravel())[0, 1]) < 0.05
    assert sorted(draws.permutation(50, 7)) == list(range(50))
