"""Several processes are one process with the summed batch, and a terminated one leaves a training to go on with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tiny_networks import assert_equal

from bandscope.cli.main import main
from bandscope.errors import InputError
from bandscope.training.data import Share

HERE = Path(__file__).parent
DATA = ["planted?split=train&per_class=5", "--val", "planted?per_class=3"]
SETTINGS = {
    **{"size": 24, "batch_size": 20, "epochs": 2, "warmup_epochs": 1, "lr_batch": "none", "lr": 0.05},
    **{"mean": "(0.5,0.5,0.5)", "std": "(0.2,0.2,0.2)"},
}
FILTERS = ["--lowpass", "2,4,8", "--filter-share", "0.5", "--recipe", "zhang2023-small"]


def command(model: str, out: Path, *more: object, **settings: object) -> list[str]:
    changed = [f"--set={name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    usual = ["--device", "cpu", "--no-tensorboard", "--out", out]
    return [str(each) for each in ("-m", "bandscope", "train", model, *DATA, *FILTERS, *usual, *changed, *more)]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=HERE, capture_output=True, text=True, timeout=300, check=False)


def assert_close(one: Path, other: Path, *, atol: float = 1e-6, rtol: float = 1e-5) -> None:
    kept, found = load_file(one / "last.safetensors"), load_file(other / "last.safetensors")
    assert kept.keys() == found.keys()
    for name, value in kept.items():
        torch.testing.assert_close(found[name], value, atol=atol, rtol=rtol)
    tables = [pd.read_csv(folder / "history.csv") for folder in (one, other)]
    timeless = [table.drop(columns=["seconds", "images_per_second"]) for table in tables]
    pd.testing.assert_frame_equal(*timeless, rtol=rtol)


def assert_same(one: Path, other: Path) -> None:
    for name in ("best.safetensors", "last.safetensors"):
        assert_equal(load_file(one / name), load_file(other / name))


def wait_for_epochs(process: subprocess.Popen, folder: Path, epochs: int) -> None:
    history = folder / "history.csv"
    while not (history.exists() and len(pd.read_csv(history)) >= epochs):
        assert process.poll() is None
        time.sleep(0.02)


def test_two_processes_are_one_with_the_summed_batch(tmp_path):
    """Order, augmentation, filters, gradients, validation: without batch norm there is no difference."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    pair = run(sys.executable, *launch, *command("python:tiny_networks:plain", tmp_path / "two"))
    assert pair.returncode == 0, pair.stderr[-2000:]
    assert pair.stdout.count("Weights ") == 1  # one of them speaks
    assert "Grad strides" not in pair.stderr  # what DDP says where gradients go astray
    assert main(command("python:tiny_networks:plain", tmp_path / "one")[2:]) == 0
    assert_close(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_devices_start_their_own_processes(tmp_path):
    """`--devices 2`, with accumulated gradients, against one process."""
    for name, more in (("one", ()), ("two", ("--devices", 2, "--accumulate", 2))):
        done = run(sys.executable, *command("python:tiny_networks:plain", tmp_path / name, *more))
        assert done.returncode == 0, done.stderr[-2000:]
    assert_close(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_two_processes_normalise_by_halves_and_average_and_go_on(tmp_path):
    """Batch norm and moving average, against one process that does the same; killed and gone on with, bit for bit."""
    settings = {"epochs": 30, "warmup_epochs": 2, "ema": 0.9}
    two = ("--devices", 2, "--deterministic")
    arguments = [sys.executable, *command("python:tiny_networks:normed", tmp_path / "killed", *two, **settings)]
    process = subprocess.Popen(arguments, cwd=HERE, start_new_session=True)
    wait_for_epochs(process, tmp_path / "killed", 2)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert len(pd.read_csv(tmp_path / "killed" / "history.csv")) < 30
    for name, model, more in (("killed", "normed", two), ("whole", "normed", two), ("one", "halved", ())):
        done = run(sys.executable, *command(f"python:tiny_networks:{model}", tmp_path / name, *more, **settings))
        assert done.returncode == 0, done.stderr[-2000:]
    assert_same(tmp_path / "whole", tmp_path / "killed")
    assert_close(tmp_path / "one", tmp_path / "whole", atol=1e-4, rtol=1e-3)  # after 60 steps


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_training_to_go_on_with(tmp_path, sent, code):
    more = ("--deterministic",)
    arguments = {"epochs": 30, "warmup_epochs": 2}
    process = subprocess.Popen(
        [sys.executable, *command("python:tiny_networks:noisy", tmp_path / "killed", *more, **arguments)], cwd=HERE
    )
    wait_for_epochs(process, tmp_path / "killed", 2)
    os.kill(process.pid, sent)
    assert process.wait(60) == code
    assert len(pd.read_csv(tmp_path / "killed" / "history.csv")) < 30
    for name in ("killed", "whole"):
        done = run(sys.executable, *command("python:tiny_networks:noisy", tmp_path / name, *more, **arguments))
        assert done.returncode == 0, done.stderr[-2000:]
    assert_same(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
def test_a_process_that_stops_stops_the_others_in_a_sentence(tmp_path):
    done = run(sys.executable, *command("python:tiny_networks:Poisoned", tmp_path / "out", "--devices", 2))
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert "The loss is nan at step 0: the training stops." in said
    assert "The processes of this training lost each other" in said
    assert "Traceback" not in said
    assert (tmp_path / "out" / "bad-batch-step0-rank1.pt").exists()


def test_a_batch_that_cannot_be_shared_is_refused():
    assert Share(0, 2, 3).micro_batch(24) == 4
    with pytest.raises(InputError, match="multiple of 6"):
        Share(0, 2, 3).micro_batch(20)
