"""Does the input bound a training? Images a second of the input alone beside those of the network's steps.

    python benchmarks/training_input.py --threads 2 --batch 128
    python benchmarks/training_input.py --device cuda --batch 512 --precision bf16

Images lie decoded in memory, as `bandscope train` keeps them. Three parts of an epoch take turns:

    drawn      order, random numbers, and the batch gathered from memory: on the CPU, one thread
    prepared   the same, then moved to the device, cut, mirrored, normalised and filtered there
    step       forward, loss, gradients and SGD on a batch that is there already

The input bounds the network where `prepared / step` is above 1; on a GPU what is drawn overlaps with the step before.
Ratios are taken round by round, where all candidates take their turn, and their median and quartiles shown: a ratio
of medians would mix rounds in which the machine ran at different speeds. Two floors tell what is noise: a candidate
that does nothing (what timing costs, on a GPU with the wait for it), and a step beside the same step again, whose
ratio is 1 but for the machine.
"""

import argparse
from collections.abc import Callable

import numpy as np
import timm
import torch
from alternating import Times, describe, milliseconds, take_turns
from torch import nn

import bandscope.nn  # noqa: F401 - registers the networks
from bandscope.preprocess import Preprocess
from bandscope.probes import LowPass
from bandscope.training.augment import Augment
from bandscope.training.data import Batch, Part, Share, TrainingBatches
from bandscope.training.filters import TrainingFilter
from bandscope.training.groups import parameter_groups
from bandscope.training.pixels import InMemory

IMAGES, CLASSES = 8192, 100
NETWORKS = ("gssdnet_vanilla_050", "gssdnet_050", "gssdnet_vanilla_100", "gssdnet_100")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
INPUTS: dict[str, tuple[str, tuple[LowPass, ...]]] = {
    "shift, mirror": ("pad-crop", ()),
    "shift, mirror, low-pass": ("pad-crop", (LowPass([6]),)),
    "shift, mirror, random low-pass": ("pad-crop", (LowPass(range(2, 17)),)),
    "resized crop, mirror": ("resized-crop", ()),
}


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    print(f"{describe(options.device)}, batch {options.batch} at {options.size}², {options.precision}")
    print(f"medians of {options.rounds} rounds, images/s\n")
    inputs = {name: Input(*choice, options) for name, choice in INPUTS.items()}
    candidates: dict[str, Callable[[], object]] = {}
    for name, one in inputs.items():
        candidates |= {f"drawn: {name}": one.drawn, f"prepared: {name}": one.prepared}
    for name in options.networks:
        candidates[f"step: {name}"] = candidates[f"again: {name}"] = step(name, options)
    times = take_turns(candidates | {"floor": nothing}, options.rounds, options.device)
    print(f"{'floor (nothing)':>42} {milliseconds(times, 'floor'):>9.4f} ms a batch")
    for name in (name for name in candidates if not name.startswith("again")):
        print(f"{name:>42} {rate(times, name, options.batch):>12,.0f}", flush=True)
    print("\nprepared / step, in time: median (quartiles) over rounds")
    print(f"{'':>32}" + "".join(f"{name:>22}" for name in options.networks))
    for name in inputs:
        shares = [quartiles(times, f"prepared: {name}", f"step: {network}") for network in options.networks]
        print(f"{name:>32}" + "".join(f"{share:>22}" for share in shares))
    noise = [quartiles(times, f"again: {network}", f"step: {network}") for network in options.networks]
    print(f"{'floor (step / step)':>32}" + "".join(f"{share:>22}" for share in noise))


def rate(times: Times, name: str, images: int) -> float:
    return images / float(np.median(times[name]))


def quartiles(times: Times, name: str, reference: str) -> str:
    """Of one candidate's time over another's in the same round."""
    low, middle, high = np.quantile(np.divide(times[name], times[reference]), (0.25, 0.5, 0.75))
    return f"{middle:.3f} ({low:.3f}-{high:.3f})"


def nothing() -> None:
    """What timing costs by itself."""


class Input:
    """Batches of random images, one after the other, epoch after epoch."""

    def __init__(self, kind: str, probes: tuple[LowPass, ...], options: argparse.Namespace) -> None:
        size = (options.size, options.size)
        self._device, self._augment = options.device, Augment(kind, size, 0.5)
        self._filters = TrainingFilter(probes, Preprocess(size, options.size, (0.5,) * 3, (0.25,) * 3))
        pixels = torch.randint(256, (IMAGES, *size, 3), dtype=torch.uint8)
        part = Part(InMemory(pixels, self._augment), torch.randint(CLASSES, (IMAGES,)))
        self._epochs = 0
        self._batches = TrainingBatches(
            part,
            self._filters,
            batch_size=options.batch,
            share=Share(),
            seed=0,
            epoch=lambda: self._epochs,
            pin=options.device == "cuda",
        )
        self._running = iter(self._batches)

    def drawn(self) -> Batch:
        """The next batch, on the CPU."""
        while (batch := next(self._running, None)) is None:
            self._epochs += 1
            self._running = iter(self._batches)
        return batch

    def prepared(self) -> torch.Tensor:
        """The next batch as the network sees it."""
        batch = self.drawn()
        moved = Batch(*(value if value is None else value.to(self._device, non_blocking=True) for value in batch))
        pixels = self._augment.apply(moved.pixels, moved.boxes, moved.flips)
        images = self._filters(pixels, moved.conditions)
        return images.contiguous(memory_format=torch.channels_last)


def step(name: str, options: argparse.Namespace) -> Callable[[], object]:
    """One optimiser step."""
    device = torch.device(options.device)
    net = timm.create_model(name, num_classes=CLASSES, small_images=True).to(device).train()
    net.to(memory_format=torch.channels_last)
    run = torch.compile(net) if options.compile else net
    optimizer = torch.optim.SGD(parameter_groups(net, 1e-4), lr=1e-3, momentum=0.9)
    images = torch.randn(options.batch, 3, options.size, options.size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (options.batch,), device=device)
    dtype = DTYPES[options.precision]

    def once() -> None:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = nn.functional.cross_entropy(run(images), labels, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return once


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", default="fp32", choices=tuple(DTYPES))
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS[:2]))
    parser.add_argument("--compile", action="store_true", help="compiled networks")
    return parser.parse_args()


if __name__ == "__main__":
    main()
