"""What a filtered image costs, by each way from the spectrum to the pixels (`bandscope.spectral.inverse`).

    python benchmarks/filters.py --threads 2

Milliseconds an image, medians of rounds in which the ways take turns. The usual way, for scale: a complex transform,
fftshift, mask, and back, for each radius.
"""

import argparse

import torch
from alternating import describe, milliseconds, take_turns

from bandscope.engine.memory import keep_memory
from bandscope.spectral.gains import low_pass_gain
from bandscope.spectral.inverse import Inverse, fastest

METHODS = ("whole", "columns", "products")


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    side, images = options.side, options.batch
    crops = torch.randn(images, 3, side, side, device=device)
    spectrum = torch.fft.rfft2(crops)
    print(f"{describe(options.device)}, {images} images of 3 x {side} x {side}; ms an image\n")
    print(f"{'radius':>6} {'whole':>7} {'columns':>8} {'products':>9} {'usual way':>10}   chosen")
    with torch.inference_mode(), keep_memory():
        for radius in options.radii:
            gain = low_pass_gain(side, side, radius)
            mask = torch.fft.fftshift(torch.from_numpy(gain_whole(gain, side)).to(device, torch.float32))
            ways = {method: Inverse(gain, side, device, method) for method in METHODS}
            candidates = {name: (lambda way=way: way(spectrum)) for name, way in ways.items()}
            candidates["usual"] = lambda mask=mask: usual(crops, mask)
            times = take_turns(candidates, options.rounds, options.device)
            cells = [milliseconds(times, name) / images for name in (*METHODS, "usual")]
            print(
                f"{radius:>6g} {cells[0]:>7.3f} {cells[1]:>8.3f} {cells[2]:>9.3f} {cells[3]:>10.3f}   "
                f"{fastest(gain, device)}",
                flush=True,
            )
        times = take_turns({"high-pass": lambda: crops - crops, "rfft2": lambda: torch.fft.rfft2(crops)}, 9)
        print(f"\nhigh-pass by subtraction {milliseconds(times, 'high-pass') / images:.3f}", end=", ")
        print(f"the forward transform {milliseconds(times, 'rfft2') / images:.3f} (once an image)")


def usual(crops: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """As scripts do it."""
    shifted = torch.fft.fftshift(torch.fft.fft2(crops), dim=(-2, -1)) * mask
    return torch.fft.ifft2(torch.fft.ifftshift(shifted, dim=(-2, -1))).real


def gain_whole(half, side):
    """The gain on the whole spectrum: its columns of negative frequency mirror those of the half spectrum."""
    rows, columns = (-torch.arange(side)) % side, (-torch.arange(side // 2 + 1, side)) % side
    whole = torch.from_numpy(half)
    return torch.cat([whole, whole[rows][:, columns]], dim=1).numpy()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--radii", type=float, nargs="+", default=[2, 5, 10, 20, 28, 40, 60, 80, 85, 110, 150])
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
