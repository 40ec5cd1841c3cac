"""`bandscope train` as a user meets it."""

import contextlib
import io
import re
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from tiny_networks import PLANTED_NET

import bandscope as bs
from bandscope.cli import main as command_line
from bandscope.cli import train as training_command
from bandscope.cli.main import main

SMALL = ["--recipe", "zhang2023-small", "--device", "cpu", "--set", "size=24", "--set", "batch_size=18"]
QUICK = [*SMALL, "--set", "epochs=2", "--set", "warmup_epochs=1", "--no-tensorboard", "--val", "0.25"]
DATA = "planted?split=train&per_class=4"


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    """A hundred columns, whatever was set when the consoles were made."""
    for name in ("out", "err"):
        console = Console(stderr=name == "err", highlight=False, emoji=False, width=100)
        monkeypatch.setattr(command_line, name, console)
        monkeypatch.setattr(training_command, "console" if name == "out" else name, console)


def run(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    """(exit code, standard output, standard error with its white space made single)."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["train", *map(str, arguments)])
    return code, out.getvalue(), re.sub(r"\s+", " ", err.getvalue())


def test_a_training_says_what_it_does_and_where_the_weights_are(tmp_path):
    code, said, _ = run(PLANTED_NET, DATA, *QUICK, "--lowpass", "5", "--val", "planted?per_class=2", cwd=tmp_path)
    assert code == 0
    for words in (
        "Rate        lr 0.00703125 = 0.2 x 18/512, scaled with the batch",
        "Mirror      off",
        "Filter      low_pass radius 5",
        "Training    36 images, 0.1 MB in memory",
        "Epoch 2/2",
        "of the validation images right",
    ):
        assert words in said
    assert max(map(len, said.splitlines())) <= 100
    folder = tmp_path / "bandscope.classifiers.planted_net-PlantedNet-planted-trained"
    assert {file.name for file in folder.iterdir()} == {
        *("best.safetensors", "last.safetensors", "history.csv", "run.json", "state.ckpt")
    }
    assert len(pd.read_csv(folder / "history.csv")) == 2
    assert bs.load_classifier(str(folder / "best.safetensors")).preprocess.size == (24, 24)
    again = run(PLANTED_NET, DATA, *QUICK, "--lowpass", "5", "--val", "planted?per_class=2", cwd=tmp_path)
    assert "finished already" in again[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "epoch=3"], "Did you mean 'epochs'?"),
        (["--set", "epochs"], "not of the form field=value"),
        (["--set", "momentum=none"], "a number from 0 to below 1"),
        (["--lowpass", "x"], "cannot be a radius"),
        (["--lowpass", "auto"], "No radii were given"),
        (["--bandpass", "5-2"], "5 to 2 is not possible"),
        (["--family", "gaussian"], "give one, such as --lowpass 45"),
        (["--lowpass", "4", "--family", "box"], "No filter family"),
        (["--lowpass", "4", "--filter-share", "2"], "at most 1"),
        (["--val", "2"], "between 0 and 1"),
        (["--val", "nowhere"], "not a known image set"),
        (["--weights", "nowhere.pt"], "does not exist"),
        (["--pretrained", "--weights", "w.pt"], "exclude each other"),
        (["--out", "."], "folder of its own"),
    ],
)
def test_bad_options_are_one_sentence(tmp_path, options, words):
    code, _, said = run(PLANTED_NET, DATA, *QUICK, *options, cwd=tmp_path)
    assert code == 1
    assert said.startswith("Error: ")
    assert words in said
    assert not any(tmp_path.iterdir())


def test_a_long_error_keeps_to_the_width_of_the_terminal(tmp_path):
    err = io.StringIO()
    with contextlib.chdir(tmp_path), contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", PLANTED_NET, DATA, "--set", "learning=1"]) == 1
    lines = err.getvalue().splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 100


def test_an_interrupt_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("bandscope.training.module.TrainingModule.validation_step", interrupted)
    code, _, said = run(PLANTED_NET, DATA, *QUICK, cwd=tmp_path)
    assert code == 130
    assert "run the same command again" in said
