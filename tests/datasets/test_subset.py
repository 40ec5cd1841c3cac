import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bandscope.datasets.base import ImageSource
from bandscope.datasets.subset import Subset, select
from bandscope.errors import InputError
from bandscope.labels import ClassLabel


class Numbered:
    """A source whose image i is i pixels wide."""

    spec = "numbered"

    def __init__(self, labels):
        self.labels = np.asarray(labels, np.int32)
        self.classes = tuple(ClassLabel(str(k)) for k in range(int(self.labels.max()) + 1))
        self.paths = [f"image {i}" for i in range(len(labels))]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, position):
        return Image.new("L", (position + 1, 1))

    def fingerprint(self):
        return f"numbered {self.labels.tolist()}"


labels = st.lists(st.integers(0, 4), min_size=1, max_size=60)
amount = st.none() | st.integers(1, 70)
seeds = st.integers(0, 2**40)


@given(labels, amount, amount, seeds)
def test_a_subset_is_a_view_in_order_with_the_promised_numbers(labels, limit, per_class, seed):
    source = Numbered(labels)
    chosen = select(source, limit=limit, per_class=per_class, seed=seed)
    if limit is None and per_class is None:
        assert chosen is source
        return
    assert isinstance(chosen, Subset)
    assert isinstance(chosen, ImageSource)
    positions = chosen.positions
    assert (np.diff(positions) > 0).all()
    available = np.minimum(np.bincount(labels), per_class or len(labels))
    assert len(chosen) == min(limit or len(labels), available.sum())
    if limit is None:
        np.testing.assert_array_equal(np.bincount(chosen.labels, minlength=len(available)), available)
    assert chosen.labels.tolist() == [labels[p] for p in positions]
    assert list(chosen.paths) == [f"image {p}" for p in positions]
    assert [chosen[i].width - 1 for i in range(len(chosen))] == positions.tolist()
    assert (chosen.classes, chosen.spec) == (source.classes, source.spec)


@given(labels, st.integers(1, 30), st.integers(1, 30), seeds, st.sampled_from(["limit", "per_class"]))
def test_larger_samples_hold_smaller_ones(labels, few, more, seed, what):
    small, large = (select(Numbered(labels), **{what: n}, seed=seed).positions for n in sorted((few, few + more)))
    assert set(small) <= set(large)


def test_every_image_is_as_likely_as_any_other():
    source = Numbered([0] * 30 + [1] * 10)
    times = np.zeros(40)
    for seed in range(2000):
        times[select(source, limit=10, seed=seed).positions] += 1
    assert abs(times / 2000 - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 2000)  # five standard errors
    times[:] = 0
    for seed in range(2000):
        times[select(source, per_class=5, limit=4, seed=seed).positions] += 1
    expected = np.repeat([0.4 * 5 / 30, 0.4 * 5 / 10], [30, 10])
    assert (abs(times / 2000 - expected) < 5 * np.sqrt(expected / 2000)).all()


def test_the_draw_is_the_documented_one():
    """Smallest of PCG64's raw numbers: the first row of two chooses within classes, the second over all."""
    labels = np.arange(100) % 7
    within, over_all = np.random.PCG64(3).random_raw(200).reshape(2, 100)
    expected = sorted(np.argsort(over_all)[:20])
    assert select(Numbered(labels), limit=20, seed=3).positions.tolist() == expected
    expected = sorted(i for k in range(7) for i in sorted(np.flatnonzero(labels == k), key=within.__getitem__)[:2])
    assert select(Numbered(labels), per_class=2, seed=3).positions.tolist() == expected


def test_fingerprint_knows_the_positions_and_the_source():
    source, other = Numbered([0, 1] * 20), Numbered([1, 0] * 20)
    prints = [select(s, limit=n, seed=seed).fingerprint() for s in (source, other) for n in (5, 6) for seed in (0, 1)]
    assert len(set(prints)) == len(prints)
    assert select(source, limit=5).fingerprint() == select(source, limit=5).fingerprint() != source.fingerprint()


@pytest.mark.parametrize(
    "wrong",
    [{"limit": 0}, {"limit": -3}, {"per_class": 0}, {"limit": 2.5}, {"limit": True}, {"limit": 3, "seed": -1}],
)
def test_wrong_numbers(wrong):
    with pytest.raises(InputError, match=list(wrong)[-1]):
        select(Numbered([0, 1]), **wrong)


def test_outside_is_outside():
    with pytest.raises(IndexError):
        select(Numbered([0, 1, 0]), limit=2)[2]
