"""A real network on real photographs: two ranks of torchrun make, bit for bit, the store of one process."""

import subprocess
import sys
from pathlib import Path

import pytest
from disturbed import differing, markers

from bandscope.cube.verify import verify

MODEL = "timm:mobilenetv1_100?pad_type=same"
AS_TRAINED = "--input-size 224 --crop-pct 0.875 --mean 0.5 --std 0.5"
WHAT = "--probes low-pass,high-pass --radii 8,40 --threads 1"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_ranks_make_the_store_of_one_process(real_data, tmp_path):
    weights = real_data / "weights" / "mobilenetv1_100_tf_224.safetensors"
    asked = ["audit", MODEL, f"folder:{real_data / 'imagenet-500'}", "--weights", weights]
    asked += [*AS_TRAINED.split(), *WHAT.split()]

    def run(launcher: list[str], out: Path) -> None:
        command = [*launcher, "-m", "bandscope", *map(str, asked), "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    run(TORCHRUN, tmp_path / "two.zarr")
    run([sys.executable], tmp_path / "one.zarr")
    two = markers(tmp_path / "two.zarr")
    assert len({process for process, _ in two.values()}) == 2
    assert len({two[block][0] for block in two if block % 2}) == 1
    assert verify(tmp_path / "two.zarr") == []
    assert differing(tmp_path / "two.zarr", tmp_path / "one.zarr") == []
