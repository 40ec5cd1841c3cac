"""One audit by several processes, as torchrun starts them."""

import subprocess
import sys
from pathlib import Path

from test_command_line import SMALL, run


def arrays_of(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("c/**/*") if p.is_file()}


def test_torchrun_ends_with_one_summary_and_the_store_of_one_process(tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "bandscope"]
    done = subprocess.run(
        [*launcher, "audit", *SMALL, "--out", "two.zarr"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Clean accuracy") >= 1
    assert done.stdout.count("Cube   two.zarr") == 1
    run("audit", *SMALL, "--out", "one.zarr", cwd=tmp_path)
    two, one = arrays_of(tmp_path / "two.zarr"), arrays_of(tmp_path / "one.zarr")
    assert len(one) > 10
    assert two == one
