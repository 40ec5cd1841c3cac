"""`bandscope audit --adaptive`: what is printed, what is stored, what is refused."""

import io
import re

from rich.console import Console
from test_command_line import run

import bandscope as bs
from bandscope.cli.audit import _Bar

SMALL = ["--limit", "18", "--threads", "1", "--probes", "low-pass"]


def test_one_line_tells_of_the_pilot_and_the_same_command_adopts_its_radii(tmp_path):
    printed = run("audit", *SMALL, "--adaptive", "0.3", cwd=tmp_path)
    lines = [line for line in printed.splitlines() if line.startswith("Pilot")]
    radii = bs.open(tmp_path / "planted.zarr")["low_pass"]["radius"].values
    assert {1, 5, 9, 45, 46} <= {*radii}  # every fourth of 1, 2, ..., 46, and the last
    new, closest = len(radii) - 13, (radii[1:] - radii[:-1]).min()
    assert lines == [f"Pilot  18 images: {len(radii)} radii, {new} of them new, closest {closest:g} apart"]
    again = run("audit", *SMALL, "--adaptive", "0.3", cwd=tmp_path)
    assert f"Pilot  18 images: {len(radii)} radii, as in the store, closest {closest:g} apart" in again
    said = run("audit", *SMALL, "--adaptive", "0.1", "--radii", "2:40:19", cwd=tmp_path, ok=False)
    assert "another pilot (tolerance: 0.1 asked, 0.3 stored; start: 2 21 40 asked, 1 5 9" in said


def test_a_unit_and_given_radii_are_where_the_pilot_starts(tmp_path):
    options = ["--adaptive", "0.4", "--radii", "0.125,0.5", "--unit", "cycles/pixel", "--out", "a.zarr"]
    run("audit", *SMALL, *options, cwd=tmp_path)
    assert bs.open(tmp_path / "a.zarr").attrs["pilot"]["start"] == [8, 32]


def test_a_wrong_tolerance_is_refused_before_anything_is_loaded(tmp_path):
    said = run("audit", "no:model", "no:data", "--adaptive", "1.5", cwd=tmp_path, ok=False)
    assert said.startswith("Error: The tolerance 1.5 is not possible")


def test_the_bar_begins_anew_with_each_round_and_with_the_audit():
    bar = _Bar(Console(file=io.StringIO(), width=100))

    def shown():
        console = Console(file=io.StringIO(), width=100)
        console.print(bar.progress.make_tasks_table(bar.progress.tasks))
        return console.file.getvalue()

    for number in (1, 2):
        report = bar.round(number)
        report(0, 40, 10)
        report(20, 40, 10)
        assert re.match(rf"Pilot, round {number} .* 5/10 images ", shown())
    bar.chosen(10, [1, 2, 5], 1)
    bar.update(0, 100, 20)
    bar.update(20, 100, 20)
    assert re.match(r"Auditing .* 4/20 images ", shown())
