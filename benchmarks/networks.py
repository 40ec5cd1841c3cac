"""GSSDNet against MobileNetV1 on the same plan: forward, folded forward, training step.

    python benchmarks/networks.py --threads 2 --batch 16

Every number is a ratio within one run: candidates take turns, medians over rounds. Two floors stand beside them:

    memory     bytes that the network's steps read and write, at the speed of a plain copy of 64 MiB
    pointwise  the 1x1 convolutions alone, which both networks share and neither can do without

(On CPU with one thread and batches below 16, PyTorch computes 1x1 convolutions without oneDNN, several times slower:
measure with two threads or more, or with a batch of 16 or more.)
"""

import argparse
from collections.abc import Callable
from contextlib import nullcontext

import torch
from alternating import Times, describe, milliseconds, ratio, take_turns
from torch import nn

from bandscope.engine.memory import keep_memory
from bandscope.nn import GSSDNet, MobileNetV1, fold

FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
COPIED = 2**24  # float32 values in the copy that measures memory
Call = Callable[[], object]


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    with keep_memory() if options.keep_memory else nullcontext():
        measure(options)


def measure(options: argparse.Namespace) -> None:
    memory = "kept" if options.keep_memory else "the allocator's default"
    print(f"{describe(options.device)}, batch {options.batch} at {options.size}², width {options.width}")
    print(f"freed memory: {memory}")
    print(f"{options.rounds} rounds; medians of ratios to MobileNetV1 in the same state\n")
    for compiled in (False, True) if options.compile else (False,):
        for name in options.formats:
            print(f"{'compiled' if compiled else 'eager'}, {name}")
            header = f"{'':>22} {'ms':>8} {'/ mobilenet':>12} {'memory':>8} {'pointwise':>10}"
            print(header, flush=True)
            compare(FORMATS[name], compiled=compiled, options=options)
            print()


def compare(memory_format: torch.memory_format, *, compiled: bool, options: argparse.Namespace) -> None:
    images = torch.randn(options.batch, 3, options.size, options.size, device=options.device)
    images = images.contiguous(memory_format=memory_format)
    networks = {
        "mobilenet": MobileNetV1(width=options.width),
        "gssdnet": GSSDNet(width=options.width),
        "gssdnet exact": GSSDNet(width=options.width, preset="exact"),
    }
    plain = {k: n.to(options.device, memory_format=memory_format).eval() for k, n in networks.items()}
    folded = {f"{name}, folded": fold(network) for name, network in plain.items()}
    for group in (plain, folded):
        ready = prepared(group, compiled)
        calls: dict[str, Call] = {name: forward(network, images) for name, network in ready.items()}
        report(group, calls, images, options)
    ready = prepared(plain, compiled)
    steps: dict[str, Call] = {f"{name}, training": training(n, images) for name, n in ready.items()}
    times = take_turns(steps, options.rounds, options.device)
    for name in steps:
        print(line(name, times, "mobilenet, training"), flush=True)


def prepared(networks: dict[str, nn.Module], compiled: bool) -> dict[str, nn.Module]:
    """The networks, compiled if asked; code compiled before counts towards PyTorch's limit and is dropped first."""
    torch.compiler.reset()
    return {name: torch.compile(n, fullgraph=True) if compiled else n for name, n in networks.items()}


def report(
    networks: dict[str, nn.Module], calls: dict[str, Call], images: torch.Tensor, options: argparse.Namespace
) -> None:
    source = torch.randn(COPIED, device=options.device)
    target = torch.empty_like(source)
    floors = {"copy": lambda: target.copy_(source)}
    first = next(iter(networks))
    floors["pointwise"] = pointwise(networks[first], images)
    times = take_turns({**calls, **floors}, options.rounds, options.device)
    for name, network in networks.items():
        memory = moved(network, images) / (8 * COPIED) * milliseconds(times, "copy") / milliseconds(times, name)
        share = 1 / ratio(times, name, "pointwise")
        print(f"{line(name, times, first)} {memory:>7.0%} {share:>9.0%}", flush=True)


def line(name: str, times: Times, reference: str) -> str:
    return f"{name:>22} {milliseconds(times, name):>8.1f} {ratio(times, name, reference):>12.3f}"


def forward(network: nn.Module, images: torch.Tensor) -> Call:
    return torch.inference_mode()(lambda: network(images))


def training(network: nn.Module, images: torch.Tensor) -> Call:
    """Forward, loss and gradients, without the optimiser, whose cost is that of the parameters."""
    network.train()
    labels = torch.arange(len(images), device=images.device)
    parameters = list(network.parameters())
    return lambda: torch.autograd.grad(nn.functional.cross_entropy(network(images), labels), parameters)


@torch.inference_mode()
def moved(network: nn.Module, images: torch.Tensor) -> int:
    """Bytes that the leaf modules read and write, in eager execution."""
    total = 0

    def count(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        total += inputs[0].nbytes + output.nbytes

    leaves = [m for m in network.modules() if isinstance(m, nn.Conv2d) or not any(m.children())]
    handles = [m.register_forward_hook(count) for m in leaves if not type(m).__name__.endswith("Taps")]
    network(images)
    for handle in handles:
        handle.remove()
    return total


@torch.inference_mode()
def pointwise(network: nn.Module, images: torch.Tensor) -> Call:
    """The 1x1 convolutions of a network alone, one after the other, on inputs of their own."""
    pairs: list[tuple[nn.Module, torch.Tensor]] = []
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    handles = [
        m.register_forward_hook(lambda module, inputs, _: pairs.append((module, inputs[0].clone())))
        for m in convolutions
    ]
    network(images)
    for handle in handles:
        handle.remove()
    return torch.inference_mode()(lambda: [convolution(x) for convolution, x in pairs])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--formats", nargs="+", choices=tuple(FORMATS), default=["channels_last"])
    parser.add_argument("--keep-memory", action="store_true", help="as audits do: see bandscope.engine.memory")
    parser.add_argument("--compile", action="store_true", help="compiled networks too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
