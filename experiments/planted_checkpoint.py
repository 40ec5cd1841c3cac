"""Train the network of the embedded default and write it into the package.

    python experiments/planted_checkpoint.py                    # src/bandscope/data/planted.safetensors
    python experiments/planted_checkpoint.py --filtered --out filtered.safetensors

The shipped network is trained in the plain way: on the training split, at zooms from 1 to 4, with clean labels; it
never sees a filtered image. `--filtered` trains the comparison: half of its images are low-passed or high-passed
at a random radius, and one that has lost its stripes is labelled background. Two minutes on one core.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from bandscope.classifiers.checkpoint import save_checkpoint
from bandscope.classifiers.planted_net import PlantedNet
from bandscope.datasets.planted import BACKGROUND_CLASS, MAX_ZOOM, Planted
from bandscope.preprocess import Preprocess

SIDE = 64
PREPROCESS = Preprocess((SIDE, SIDE), SIDE, (0.5,) * 3, (0.25,) * 3, interpolation="lanczos")  # lanczos: flattest
PER_CLASS, STEPS, BATCH, RATE = 300, 900, 96, 6e-3
COARSEST = 2.5  # cycles/image: no training image is zoomed until fewer stripes than this cross the crop
OUT = Path(__file__).parent.parent / "src/bandscope/data/planted.safetensors"


@dataclass(frozen=True)
class Examples:
    """Crops (uint8, n h w 3), their labels, and the frequency of their stripes in cycles/image (0: none)."""

    crops: torch.Tensor
    labels: torch.Tensor
    frequencies: torch.Tensor

    def __getitem__(self, index: torch.Tensor) -> "Examples":
        return Examples(self.crops[index], self.labels[index], self.frequencies[index])


def prepare(source: Planted, seed: int) -> Examples:
    """Every image of the source twice: at zoom 1 and at a random zoom."""
    random = np.random.default_rng(seed)
    views = [view for position in range(len(source)) for view in two_views(source, position, random)]
    crops, labels, frequencies = zip(*views, strict=True)
    return Examples(torch.from_numpy(np.stack(crops)), torch.tensor(labels), torch.tensor(frequencies))


def two_views(source: Planted, position: int, random: np.random.Generator) -> Iterator[tuple[np.ndarray, int, float]]:
    image, stripes = source[position], source.stripes(position)
    carrier = stripes.carrier if stripes else 0.0
    farthest = np.clip(carrier / COARSEST, 1, MAX_ZOOM) if stripes else MAX_ZOOM
    for short_side in (SIDE, round(SIDE * farthest ** random.uniform())):
        crop = replace(PREPROCESS, resize=short_side).crop(image)
        yield crop, int(source.labels[position]), carrier * SIDE / short_side


def train(examples: Examples, *, seed: int, filtered: bool) -> PlantedNet:
    torch.manual_seed(seed)
    net = PlantedNet().train()
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    for step in range(1, STEPS + 1):
        batch = examples[torch.randint(len(examples.labels), (BATCH,))]
        inputs, labels = PREPROCESS.normalise(batch.crops), batch.labels
        if filtered:
            inputs, labels = filter_at_random(inputs, labels, batch.frequencies)
        loss = cross_entropy(net(inputs), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)
    return net.eval()


def filter_at_random(
    inputs: torch.Tensor, labels: torch.Tensor, frequencies: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Half of the images unchanged, a quarter low-passed, a quarter high-passed; lost stripes become background."""
    kind = torch.randint(4, labels.shape)
    radius = random_radii(frequencies)
    low = torch.where(kind == 0, radius, -1.0)
    high = torch.where(kind == 1, radius, torch.inf)
    lost = (frequencies <= low) | (frequencies > high)
    return keep_between(inputs, low, high), torch.where(lost, BACKGROUND_CLASS, labels)


def random_radii(frequencies: torch.Tensor) -> torch.Tensor:
    """Anywhere up to the corner of the spectrum, or, as often, near the frequency of the stripes."""
    anywhere = torch.exp(torch.rand_like(frequencies) * np.log(SIDE / np.sqrt(2)))
    near = frequencies.clamp(min=1) * torch.exp(0.5 * torch.randn_like(frequencies))
    return torch.where(torch.rand_like(frequencies) < 0.5, anywhere, near)


def keep_between(inputs: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    y, x = torch.fft.fftfreq(SIDE, 1 / SIDE)[:, None], torch.fft.rfftfreq(SIDE, 1 / SIDE)[None, :]
    distance = torch.hypot(y, x)
    gain = (distance > low[:, None, None, None]) & (distance <= high[:, None, None, None])
    return torch.fft.irfft2(torch.fft.rfft2(inputs) * gain, s=(SIDE, SIDE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--filtered", action="store_true", help="train the comparison on filtered images")
    options = parser.parse_args()
    torch.set_num_threads(1)
    examples = prepare(Planted("train", per_class=PER_CLASS, seed=options.seed), options.seed)
    net = train(examples, seed=options.seed, filtered=options.filtered)
    name = "python:bandscope.classifiers.planted_net:PlantedNet"
    save_checkpoint(options.out, net, model=name, preprocess=PREPROCESS, classes=Planted.classes)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
