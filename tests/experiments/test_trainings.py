"""The experiments with trained networks, on a plan that takes seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
PLAN = """
title = "planted"
train = "planted?split=train&per_class=4"
test = "planted?per_class=4"
networks = ["gssdnet_vanilla_050", "gssdnet_050", "gssdnet_050_o1"]
seeds = [0]
options = { small_images = true }
overrides = { epochs = 1, warmup_epochs = 0, batch_size = 18 }
[table1]
network = "gssdnet_vanilla_050"
radii = [45]
[audit]
networks = ["gssdnet_050", "gssdnet_vanilla_050"]
radii = [2, 4, 8, 16]
"""


def experiment(name: str, plan: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXPERIMENTS / f"{name}.py"), str(plan), "--data", "unused", "--out", str(out)]
    return subprocess.run([*command, "--threads", "1"], capture_output=True, text=True, check=False)


def test_a_plan_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.replace("seeds", "seed"))
    run = experiment("table2", plan, tmp_path)
    assert run.returncode != 0
    assert "plan.toml has seed; a plan has" in run.stderr


@pytest.mark.slow
def test_both_tables_and_the_audits_are_made_by_one_command_each(tmp_path: Path) -> None:
    plan = tmp_path / "tiny.toml"
    plan.write_text(PLAN)
    for name in ("table2", "table1", "audit_trained"):
        run = experiment(name, plan, tmp_path)
        assert run.returncode == 0, run.stderr
    rows = (tmp_path / "tiny" / "table2.md").read_text().splitlines()[4:7]
    assert [row.split()[1] for row in rows] == ["gssdnet_vanilla_050", "gssdnet_050", "gssdnet_050_o1"]
    low_passed = (tmp_path / "tiny" / "table1.md").read_text()
    assert "(45 at 224)" in low_passed
    assert "1 epochs, recipe zhang2023-small" in low_passed
    assert (tmp_path / "tiny" / "audit-similarity.md").is_file()
    assert "..." not in experiment("table2", plan, tmp_path).stdout  # nothing is trained twice
