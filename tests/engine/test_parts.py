"""A batch that does not fit into memory is run in parts, and that is recorded."""

import fakes
import numpy as np
import pytest
import torch

import bandscope as bs
from bandscope.cli.main import main
from bandscope.cube.progress import read_marks
from bandscope.engine.parts import InParts
from bandscope.errors import ModelError

PROBES = (bs.LowPass([1, 3]), bs.HighPass([1, 3]))
CPU_ERROR = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried")


def limited(most: int, error: Exception, from_call: int = 0):
    """A fault: more than so many images at once do not fit, from some call on."""
    calls = []

    def fault(batch, logits):
        calls.append(len(batch))
        if len(calls) > from_call and len(batch) > most:
            raise error
        return logits

    return fault


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), CPU_ERROR])
@pytest.mark.parametrize("most", [1, 3, 8, 31])
def test_the_same_answers_in_smaller_batches(tmp_path, error, most):
    cube = bs.audit(fakes.FakeClassifier(limited(most, error)), fakes.FakeSource(40), probes=PROBES)
    whole = bs.audit(fakes.FakeClassifier(), fakes.FakeSource(40), probes=PROBES)
    np.testing.assert_array_equal(cube["low_pass"].top5_class, whole["low_pass"].top5_class)
    np.testing.assert_allclose(cube["high_pass"].margin, whole["high_pass"].margin, rtol=1e-4, atol=1e-4)


def test_the_marker_and_status_tell_which_blocks(tmp_path, capsys):
    store = tmp_path / "a.zarr"
    per_block = 1 + 4  # clean and four conditions
    fault = limited(10, CPU_ERROR, from_call=1 + per_block)  # after a look at its outputs and the first block
    bs.audit(fakes.FakeClassifier(fault), fakes.FakeSource(70), out=store, probes=PROBES)
    assert [mark.parts for mark in read_marks(store, range(3))] == [1, 4, 4]
    assert main(["status", str(store)]) == 0
    assert "2 blocks ran in parts: their batches did not fit into memory" in " ".join(capsys.readouterr().out.split())
    assert main(["verify", str(store)]) == 0


def test_not_even_one_image(tmp_path):
    fault = limited(0, CPU_ERROR, from_call=1)
    with pytest.raises(ModelError, match="does not fit into the memory of cpu, not even with one image"):
        bs.audit(fakes.FakeClassifier(fault), fakes.FakeSource(40), probes=PROBES)


def test_another_error_is_not_taken_for_a_full_memory():
    calls = []

    def broken(batch):
        calls.append(len(batch))
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        InParts(broken)(torch.zeros(4, 3, 2, 2))
    assert calls == [4]


def test_the_next_block_starts_whole_again():
    full = True

    def forward(batch):
        if full and len(batch) > 2:
            raise torch.OutOfMemoryError
        return batch.sum((1, 2, 3))[:, None]

    member, batch = InParts(forward), torch.randn(7, 3, 2, 2)
    torch.testing.assert_close(member(batch), batch.sum((1, 2, 3))[:, None])
    assert member.restart() == 4
    full = False
    member(batch)
    assert member.restart() == 1
