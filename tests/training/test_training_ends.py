"""What a training leaves: after a kill at any write, on a full disk, beside another run, in the network given."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file
from tiny_networks import Squares, assert_equal, noisy, plain, quick, seeded

from bandscope.errors import ModelError, StoreError
from bandscope.files import DRAFT

DATA = Squares(32)
LEARNING = {"val": 0.25, "epochs": 2, "warmup_epochs": 1, "ema": 0.8, "deterministic": True}
LASTING = {"best.safetensors", "last.safetensors", "history.csv", "state.ckpt", "run.json"}


class Killed(BaseException):
    """What ends a training without a chance to tidy up."""


def timeless(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "history.csv").drop(columns=["seconds", "images_per_second"])


# --- kills ----------------------------------------------------------------------------------------------


@contextmanager
def writes(killed_at: int | None = None) -> Iterator[list[str]]:
    """The files that come into place, in order; at the given one, from 0, the process dies and tidies nothing up."""
    seen: list[str] = []
    move, remove = Path.replace, Path.unlink

    def replace(self: Path, target: Path) -> Path:
        if len(seen) == killed_at:
            raise Killed
        seen.append(Path(target).name)
        return move(self, target)

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if len(seen) != killed_at:
            remove(self, missing_ok=missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        patch.setattr(Path, "unlink", unlink)
        yield seen


def test_a_kill_at_any_write_changes_nothing(tmp_path):
    """Best, last, history and the network given: as without the kill; and nothing half-written is left."""
    net, whole = seeded(noisy, 4), tmp_path / "whole"
    with writes() as seen:
        quick(net, DATA, whole, **LEARNING)
    assert seen.count("state.ckpt") == 2
    for moment in range(seen.index("state.ckpt"), len(seen)):
        out = tmp_path / str(moment)
        with writes(killed_at=moment), pytest.raises(Killed):
            quick(seeded(noisy, 4), DATA, out, **LEARNING)
        again = seeded(noisy, 4)
        quick(again, DATA, out, **LEARNING)
        for name in ("best.safetensors", "last.safetensors"):
            assert_equal(load_file(whole / name), load_file(out / name))
        assert_equal(net.state_dict(), again.state_dict())
        pd.testing.assert_frame_equal(timeless(whole), timeless(out))
        assert {file.name for file in out.iterdir()} == LASTING


def test_an_epoch_that_was_killed_leaves_no_best_weights(tmp_path):
    """Repeated on a GPU it may end otherwise: here it is spoilt, so that the epoch before stays the best."""
    data, held_out = Squares(64), Squares(32, seed=1)
    spoilt = []

    def spoil(images, labels, positions):
        return images, (labels + 1) % 4 if spoilt else labels

    settings = {"val": held_out, "epochs": 3, "transform": spoil, "lr": 0.1}
    with writes() as seen:
        quick(seeded(plain, 4), data, tmp_path / "whole", **settings)
    states = [place for place, name in enumerate(seen) if name == "state.ckpt"]
    with writes(killed_at=states[1]), pytest.raises(Killed):
        quick(seeded(plain, 4), data, tmp_path / "out", **settings)
    first = load_file(tmp_path / "out" / "best.safetensors")
    spoilt.append(True)
    run = quick(seeded(plain, 4), data, tmp_path / "out", **settings)
    assert run.best_epoch == 1
    assert_equal(first, load_file(run.best))


def test_drafts_and_old_batches_are_swept_at_the_next_start(tmp_path):
    out = tmp_path / "out"
    calls = []

    def spoil(images, labels, positions):
        calls.append(positions)
        return images * (float("nan") if len(calls) == 6 else 1), labels

    with pytest.raises(ModelError, match="at step 5"):
        quick(seeded(noisy, 4), DATA, out, epochs=2, transform=spoil)
    assert (out / "bad-batch-step5-rank0.pt").exists()
    (out / f"{DRAFT}1234-history.csv").write_text("half")
    quick(seeded(noisy, 4), DATA, out, epochs=2, transform=spoil)
    assert {file.name for file in out.iterdir()} == LASTING


# --- disks ----------------------------------------------------------------------------------------------


@contextmanager
def largest_file(limit: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["run.json", "last.safetensors", "state.ckpt"])
def test_a_disk_that_refuses_is_one_sentence_and_the_same_command_goes_on(tmp_path, name):
    whole = quick(seeded(noisy, 4), DATA, tmp_path / "whole", **LEARNING)
    out = tmp_path / "out"
    limit = (whole.out / name).stat().st_size - 1
    with largest_file(limit), pytest.raises(StoreError, match="cannot be written: File too large"):
        quick(seeded(noisy, 4), DATA, out, **LEARNING)
    quick(seeded(noisy, 4), DATA, out, **LEARNING)
    assert_equal(load_file(whole.last), load_file(out / "last.safetensors"))
    assert {file.name for file in out.iterdir()} == LASTING


def test_a_full_disk_does_not_hide_why_the_training_stopped(tmp_path):
    def spoil(images, labels, positions):
        return images * float("nan"), labels

    words = r"loss is nan at step 0.*The batch is lost, since .*File too large"
    with pytest.raises(ModelError, match=words), largest_file(4000):
        quick(seeded(noisy, 4), Squares(64, side=16), tmp_path / "out", transform=spoil)


# --- two runs, and a network that was given -------------------------------------------------------------


def test_another_run_keeps_out(tmp_path):
    tried = []

    def second(images, labels, positions):
        with pytest.raises(StoreError, match=r"Another run is training in .*out: wait for it"):
            quick(seeded(noisy, 4), DATA, tmp_path / "out")
        tried.append(positions)
        return images, labels

    quick(seeded(noisy, 4), DATA, tmp_path / "out", transform=second)
    assert tried


@pytest.mark.parametrize("ema", [None, 0.8])
def test_the_network_given_ends_as_the_last_weights(tmp_path, ema):
    """Whether it was trained just now or long ago."""
    first, again = seeded(noisy, 4), noisy(4)
    run = quick(first, DATA, tmp_path / "out", **{**LEARNING, "ema": ema})
    quick(again, DATA, tmp_path / "out", **{**LEARNING, "ema": ema})
    for net in (first, again):
        assert_equal(load_file(run.last), net.state_dict())
        assert not net.training
