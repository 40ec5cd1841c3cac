"""Networks that fail in the middle: one sentence, finished blocks stay, and the mended network goes on from there."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from disturbed import SPEC, arrays_of, bandscope, check_finished, check_readable, markers, ordinary

import bandscope as bs
from bandscope.cube.verify import verify

CROP = bs.Preprocess(size=(32, 32), resize=32, mean=(0.5,) * 3, std=(0.25,) * 3)
PROBES = (bs.LowPass((2, 6)), bs.HighPass((4,)))
BATCHES_A_BLOCK = 4 * 4  # four batches of eight images, each clean and through three filters

Fault = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


SEEN = [0]  # batches of eight since the last audit began, by any copy of a network


class Net(torch.nn.Module):
    """Nine logits; `fault` may spoil those of the `at`-th batch, or from then on."""

    def __init__(self, fault: Fault | None = None, at: int = 0, *, for_good: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 5, 4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(392, 9)
        )
        self.fault, self.first, self.last = fault, at, 10**9 if for_good else at

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        logits = self.layers(batch)
        SEEN[0] += len(batch) == 8  # the first look at a network has one image
        return self.fault(batch, logits) if self.fault and self.first <= SEEN[0] <= self.last else logits


def audit(net: Net, out, **options) -> None:
    asked = {"preprocess": CROP, "match": "index", "probes": PROBES, "batch_size": 8, "threads": 1}
    SEEN[0] = 0
    bs.audit(net, SPEC, out=out, **asked | options)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The sound network's store."""
    path = tmp_path_factory.mktemp("sound") / "a.zarr"
    audit(Net(), path)
    return path


def fails(*_: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("mat1 and mat2 shapes cannot be multiplied\n(8x3 and 4x9)")


FAULTS: dict[str, tuple[Fault, str]] = {
    "raises": (fails, r"Net fails on a batch of 8 x 3 x 32 x 32: RuntimeError: mat1 .* multiplied \(8x3 and 4x9\)$"),
    "fewer classes": (lambda _, logits: logits[:, :4], r"gives now 4 classes, not 9 as at first"),
    "more classes": (lambda _, logits: torch.cat([logits, logits], 1), r"gives now 18 classes, not 9 as at first"),
    "no classes": (
        lambda _, logits: logits[:, 0],
        r"shape \(8, classes\); given: shape \(8,\)",
    ),
    "other images": (lambda _, logits: logits[:5], r"shape \(8, classes\); given: shape \(5, 9\)"),
    "a map": (lambda _, logits: logits[..., None, None], r"shape \(8, classes\); given: shape \(8, 9, 1, 1\)"),
    "no tensor": (lambda *_: None, r"must give a tensor of logits; given: NoneType"),
    "no memory": (
        lambda *_: torch.empty(2**60),
        r"Net does not fit into the memory of cpu, not even with one image",
    ),
}


WHEN = [(BATCHES_A_BLOCK * 2 + 7, False), (1, False), (5, True)]  # the third block; at once; after a batch, for good


@pytest.mark.parametrize(
    ("name", "at", "for_good"), ordinary([(name, *when) for when in WHEN for name in FAULTS], len(FAULTS))
)
def test_a_batch_that_fails(tmp_path, sound, name, at, for_good):
    (fault, says), store = FAULTS[name], tmp_path / "a.zarr"
    with pytest.raises(bs.ModelError, match=says) as caught:
        audit(Net(fault, at, for_good=for_good), store)
    assert "\n" not in str(caught.value)
    before = markers(store)
    assert sorted(before) == list(range((at - 1) // BATCHES_A_BLOCK))
    assert check_readable(store, sound) == 32 * len(before)
    audit(Net(), store)
    check_finished(store, sound)
    assert {block: markers(store)[block] for block in before} == before
    assert SEEN[0] == sum(4 if block < 5 else 1 for block in range(len(before), 6)) * 4


VALUES = (torch.nan, torch.inf, -torch.inf)
PLACES = ((17, "the clean image"), (20, "low_pass radius 6"), (18, "low_pass radius 2"))


@pytest.mark.parametrize(
    ("value", "at", "where"), ordinary([(value, *place) for place in PLACES for value in VALUES], 2)
)
def test_outputs_that_are_no_numbers(tmp_path, sound, value, at, where):
    """Two images are left out, by name of the condition; all others have the numbers that they would have had."""

    def spoil(_: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        spoiled = logits.clone()
        spoiled[[2, 5], 3] = value
        return spoiled

    store = tmp_path / "a.zarr"
    audit(Net(spoil, at), store)
    mine, right = arrays_of(store), arrays_of(sound)
    status = mine["//status"]
    assert [*np.flatnonzero(status != "ok")] == [34, 37]
    assert set(status) == {"ok", f"non-finite: the classifier's output for {where}"}
    for name, values in right.items():
        if values.shape[:1] == status.shape and name != "//status":
            np.testing.assert_array_equal(mine[name][status == "ok"], values[status == "ok"], name)
    assert verify(store) == []
    assert bandscope("table", "a.zarr", "curves", cwd=tmp_path)[0] == 0
    audit(Net(), store)  # what was measured stays
    assert SEEN[0] == 0
    (store / ".blocks" / "000001.json").unlink()
    audit(Net(), store)
    check_finished(store, sound)


def test_another_network_does_not_go_on(tmp_path):
    store, other = tmp_path / "a.zarr", Net()
    with pytest.raises(bs.ModelError):
        audit(Net(fails, BATCHES_A_BLOCK + 1), store)
    with torch.no_grad():
        other.layers[3].bias[0] += 1
    before = markers(store)
    with pytest.raises(bs.StoreError, match=r"model\.weights_sha256: .* asked, .* stored"):
        audit(other, store)
    assert markers(store) == before
