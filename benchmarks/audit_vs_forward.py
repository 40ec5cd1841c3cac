"""The whole audit against its floor: the pure forward passes of the same batches, in the same process.

    python benchmarks/audit_vs_forward.py --data folder:imagenet/val --limit 64

The audit decodes, filters, classifies, takes statistics and stores; the floor runs the classifier alone on batches
that are already in memory, in the same number, shape and memory format, and keeps freed memory as the audit does
(with --plain-memory it leaves it to the allocator, as a loop written by hand would). The two alternate, so that a
machine whose speed drifts slows both; the ratio is taken pair by pair.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import torch

import bandscope as bs
from bandscope.classifiers import Classifier, load_classifier
from bandscope.classifiers.backends import BACKENDS, Forward, open_backend
from bandscope.datasets import load_source, select
from bandscope.engine.memory import keep_memory
from bandscope.engine.photographs import Photographs
from bandscope.engine.plan import DTYPES, Request, resolve_plan
from bandscope.probes import default_radii


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        data = options.data or f"folder:{photographs(Path(scratch) / 'photos', options.limit)}"
        classifier = load_classifier(options.model)
        source = select(load_source(data), limit=options.limit)
        request = Request(options.batch_size, options.threads, None, options.precision, options.backend)
        plan = resolve_plan(request, len(source), classifier)
        torch.set_num_threads(plan.threads)
        floor = open_backend(classifier, plan.backend, plan.batch_size, torch.device(plan.device), plan.dtype)
        radii = default_radii(classifier.preprocess.size)
        batches = -(-len(source) // plan.batch_size) * (1 + 2 * len(radii))
        print(
            f"{options.model}: {len(source)} images, 2 x {len(radii)} radii, {batches} batches of {plan.batch_size}"
        )
        print(f"torch {torch.__version__}, {plan.threads} threads, {plan.backend} {plan.precision}, {plan.device}\n")
        print(f"{'round':>5} {'forward s':>10} {'audit s':>10} {'ratio':>7}")
        ratios = []
        for number in range(options.rounds):
            before = forward(floor, classifier, plan.batch_size, plan.device, batches // 2, options.plain_memory)
            audit = audited(classifier, data, radii, options, Path(scratch) / f"{number}.zarr")
            rest = batches - batches // 2
            after = forward(floor, classifier, plan.batch_size, plan.device, rest, options.plain_memory)
            ratios.append(audit / (before + after))
            print(f"{number:>5} {before + after:>10.2f} {audit:>10.2f} {ratios[-1]:>7.3f}", flush=True)
        print(f"\nmedian ratio {statistics.median(ratios):.3f}")


def audited(
    classifier: Classifier, data: str, radii: tuple[float, ...], options: argparse.Namespace, out: Path
) -> float:
    start = time.perf_counter()
    bs.audit(
        classifier,
        data,
        out=out,
        probes=(bs.LowPass(radii), bs.HighPass(radii)),
        limit=options.limit,
        batch_size=options.batch_size,
        threads=options.threads,
        precision=options.precision,
        backend=options.backend,
        labels=None,
        match="index",
    )
    return time.perf_counter() - start


def forward(
    floor: Forward, classifier: Classifier, batch_size: int, device: str, count: int, plain_memory: bool
) -> float:
    """Seconds for that many batches of noise (in memory, normalised), after one to warm up."""
    batch = torch.randn(batch_size, classifier.preprocess.channels, *classifier.preprocess.size, device=device)
    if floor == classifier.logits:  # else the engine has a layout of its own
        batch = batch.contiguous(memory_format=torch.channels_last)
    with nullcontext() if plain_memory else keep_memory():
        floor(batch).sum().item()  # .item() waits for the device
        start = time.perf_counter()
        for _ in range(count):
            logits = floor(batch)
        logits.sum().item()
        return time.perf_counter() - start


def photographs(folder: Path, count: int) -> Path:
    """JPEG files of a photograph's size, in a class folder for each of ten outputs."""
    for i, file in enumerate(Photographs(count).files):
        target = folder / f"{i % 10}"
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{i}.jpg").write_bytes(file)
    return folder


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="timm:mobilenetv1_100?pretrained=false&num_classes=10")
    parser.add_argument("--data", help="any data spec whose classes fit the model; generated photographs by default")
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--backend", default="eager", choices=BACKENDS)
    parser.add_argument("--precision", default="fp32", choices=DTYPES)
    parser.add_argument(
        "--plain-memory", action="store_true", help="the forward passes leave memory to the allocator"
    )
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
