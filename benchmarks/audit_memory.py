"""Peak resident memory of `bandscope audit`, over the number of images and over the number of conditions.

    python benchmarks/audit_memory.py

Each row is the real command, figures and report included, in a process of its own with default settings, on JPEG
files of a photograph's size in class folders. `imports` is the peak of a process that imports the command, loads the
model and does nothing else; `audit` is what comes on top. The many images go through a tiny network on small crops;
they are links to a few hundred files, decoded one by one all the same. The peak is the kernel's (VmHWM, so Linux).
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bandscope.engine.photographs import Photographs

MODEL = "timm:mobilenetv1_100?pretrained=false&num_classes=10"
TINY = "python:tiny_network:make"
DISTINCT = 256  # files of pixels of their own
CLASSES = 10

TINY_CODE = """
import torch
from bandscope.preprocess import Preprocess

def make():
    torch.manual_seed(0)
    body = torch.nn.Conv2d(3, 8, 4, stride=4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    net = torch.nn.Sequential(*body, torch.nn.Linear(8, 10))
    net.preprocess = Preprocess((32, 32), 36, (0.5,) * 3, (0.25,) * 3)
    return net
"""
LOAD = """
import sys
from bandscope.cli import audit
from bandscope.classifiers import load_classifier
load_classifier(sys.argv[1])
"""


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "tiny_network.py").write_text(TINY_CODE)
        files = photographs(folder / "files", DISTINCT)
        print(
            f"{'model':<12} {'images':>7} {'conditions':>10} {'seconds':>8} {'peak MB':>8} {'imports':>8} "
            f"{'audit':>6}"
        )
        for images in options.images:
            row(folder, TINY, linked(folder / f"{images}", files, images), images, options.usual)
        few = linked(folder / "few", files, options.few)
        for conditions in options.conditions:
            row(folder, options.model, few, options.few, conditions)


def row(folder: Path, model: str, data: Path, images: int, conditions: int) -> None:
    """One line; the radii reach from the mean to just below the corner of the crop's spectrum."""
    corner = (32 if model == TINY else 224) / 2**0.5 - 0.5
    radii = ",".join(f"{radius:.6g}" for radius in np.linspace(0, corner, (conditions - 1) // 2))
    asked = [model, f"folder:{data}", "--match", "index", "--radii", radii, "--out", f"{data}.zarr", "--overwrite"]
    loading, _ = peak([sys.executable, "-c", LOAD, model], folder)
    peaked, seconds = peak([sys.executable, "-m", "bandscope", "audit", *asked], folder)
    name = "tiny" if model == TINY else model.partition(":")[2].partition("?")[0][:12]
    print(
        f"{name:<12} {images:>7,} {conditions:>10} {seconds:>8.0f} {peaked:>8.0f} {loading:>8.0f} "
        f"{peaked - loading:>6.0f}",
        flush=True,
    )


def peak(command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Peak resident memory (in units of 2**20 bytes) and seconds of a command that must succeed."""
    start, found = time.perf_counter(), 0
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        while process.poll() is None:
            found = resident(process.pid) or found
            time.sleep(0.02)
    if process.returncode:
        sys.exit((folder / "said.txt").read_text())
    return found / 2**10, time.perf_counter() - start


def resident(process: int) -> int:
    """The highest resident memory of a process so far, in kB; 0 once it has ended."""
    text = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+)", text)
    return int(found[1]) if found else 0


def photographs(folder: Path, count: int) -> list[Path]:
    """JPEG files of a photograph's size."""
    folder.mkdir()
    for i, file in enumerate(Photographs(count).files):
        (folder / f"{i}.jpg").write_bytes(file)
    return sorted(folder.iterdir())


def linked(folder: Path, files: Sequence[Path], count: int) -> Path:
    """So many images in class folders, as links to the files."""
    for i in range(count):
        target = folder / f"{i % CLASSES}"
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{i:06d}.jpg").hardlink_to(files[i % len(files)])
    return folder


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="*", default=[1000, 5000, 20000], help="with a tiny network")
    parser.add_argument("--usual", type=int, default=71, help="conditions with the tiny network")
    parser.add_argument("--conditions", type=int, nargs="*", default=[5, 71, 301], help="with --model")
    parser.add_argument("--few", type=int, default=64, help="images with --model")
    parser.add_argument("--model", default=MODEL)
    return parser.parse_args()


if __name__ == "__main__":
    main()
