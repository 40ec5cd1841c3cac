"""`DerivativeConv2d` against a learned depthwise convolution, a plain copy, and slicing and concatenating.

    python benchmarks/derivative_layers.py --threads 2

Every number is a ratio within one run: candidates take turns, medians over rounds. A copy reads and writes each value
once, as any operator must: it is the memory limit. "gigabytes a second" is what the copy reaches.
"""

import argparse
from collections.abc import Callable
from contextlib import nullcontext

import torch
from alternating import describe, milliseconds, ratio, take_turns
from torch import nn

from bandscope.engine.memory import keep_memory
from bandscope.nn import SECOND_ORDER, DerivativeConv2d, GaussianBlur2d

SHAPES = ((32, 112), (64, 112), (128, 56), (256, 28), (512, 14), (1024, 7))
FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


class Sliced(nn.Module):
    """The same function by slicing, filtering and concatenating."""

    def __init__(self, layer: DerivativeConv2d) -> None:
        super().__init__()
        self.touched = sum(name != "identity" for name in layer.operators)
        self.register_buffer("taps", layer.weight[: self.touched])

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        filtered = nn.functional.conv2d(x[:, : self.touched], self.taps, padding=1, groups=self.touched)
        return torch.cat((filtered, x[:, self.touched :]), 1)


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    memory = "kept" if options.keep_memory else "the allocator's default"
    print(f"{describe(options.device)}, batch {options.batch}, {options.rounds} rounds; freed memory: {memory}\n")
    with keep_memory() if options.keep_memory else nullcontext():
        measure(options)


def measure(options: argparse.Namespace) -> None:
    for compiled in (False, True) if options.compile else (False,):
        for name, memory_format in FORMATS.items():
            for backward in (False, True):
                passes = "forward + backward" if backward else "forward"
                print(f"{'compiled' if compiled else 'eager'}, {name}, {passes}")
                print(f"{'shape':>16} {'copy ms':>8} {'GB/s':>6} {'/ learned':>10} {'/ copy':>7} {'sliced':>7}")
                for channels, side in SHAPES:
                    row(channels, side, memory_format, compiled=compiled, backward=backward, options=options)
                print()
    crossover(options)


def row(
    channels: int,
    side: int,
    memory_format: torch.memory_format,
    *,
    compiled: bool,
    backward: bool,
    options: argparse.Namespace,
) -> None:
    images = torch.randn(options.batch, channels, side, side, device=options.device)
    images = images.contiguous(memory_format=memory_format).requires_grad_(backward)
    fixed = DerivativeConv2d(channels, SECOND_ORDER, share=0.5, radius=1)
    learned = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    modules = {"fixed": fixed, "learned": learned, "sliced": Sliced(fixed)}
    modules = {k: m.to(options.device, memory_format=memory_format) for k, m in modules.items()}
    if compiled:
        torch.compiler.reset()
        modules = {name: torch.compile(module, fullgraph=True) for name, module in modules.items()}
    calls = {name: step(module, images, backward) for name, module in modules.items()}
    calls["copy"] = copies(images, 2 if backward else 1)
    times = take_turns(calls, options.rounds, options.device)
    speed = 2 * images.nbytes * (2 if backward else 1) / milliseconds(times, "copy") / 1e6
    print(
        f"{f'{channels} x {side}²':>16} {milliseconds(times, 'copy'):>8.3f} {speed:>6.1f} "
        f"{ratio(times, 'fixed', 'learned'):>10.2f} {ratio(times, 'fixed', 'copy'):>7.2f} "
        f"{ratio(times, 'sliced', 'fixed'):>7.2f}",
        flush=True,
    )


def step(module: nn.Module, images: torch.Tensor, backward: bool) -> Callable[[], object]:
    """A forward pass, or one with gradients for the images and whatever is learned."""
    if not backward:
        return torch.inference_mode()(lambda: module(images))
    gradient = torch.ones_like(module(images))
    wanted = [images, *module.parameters()]
    return lambda: torch.autograd.grad(module(images), wanted, gradient)


def copies(images: torch.Tensor, count: int) -> Callable[[], object]:
    values = images.detach()
    return lambda: [values.clone() for _ in range(count)]


def crossover(options: argparse.Namespace) -> None:
    """Where two 1-D convolutions become faster than one 2-D one."""
    print(f"two passes / one, channels_last, forward\n{'side':>6} {'stride 1':>9} {'stride 2':>9}")
    images = torch.randn(options.batch, 128, 56, 56, device=options.device).contiguous(
        memory_format=torch.channels_last
    )
    for radius in (1, 2, 3, 4, 6, 8):
        ratios = []
        for stride in (1, 2):
            layers = {
                name: GaussianBlur2d(128, radius / 3, radius=radius, stride=stride, two_passes=two).to(options.device)
                for name, two in (("one", False), ("two", True))
            }
            calls = {name: step(layer, images, False) for name, layer in layers.items()}
            ratios.append(ratio(take_turns(calls, options.rounds, options.device), "two", "one"))
        print(f"{2 * radius + 1:>6} {ratios[0]:>9.2f} {ratios[1]:>9.2f}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--keep-memory", action="store_true", help="as audits do: see bandscope.engine.memory")
    parser.add_argument("--compile", action="store_true", help="compiled modules too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
