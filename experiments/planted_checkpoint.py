"""Train the network of the embedded default and write it into the package.

    python experiments/planted_checkpoint.py                    # src/bandscope/data/planted.safetensors
    python experiments/planted_checkpoint.py --filtered --out filtered.safetensors

The shipped network is trained in the plain way: on the training split, at zooms from 1 to 4, with clean labels; it
never sees a filtered image. `--filtered` trains the comparison: half of its images are low-passed or high-passed
at a random radius, and one that has lost its stripes is labelled background.
"""

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bandscope.datasets.planted import BACKGROUND_CLASS, MAX_ZOOM, Planted
from bandscope.preprocess import Preprocess
from bandscope.training import Recipe, train

SIDE = 64
PREPROCESS = Preprocess((SIDE, SIDE), SIDE, (0.5,) * 3, (0.25,) * 3, interpolation="lanczos")  # lanczos: flattest
PER_CLASS, HELD_OUT = 300, 40
COARSEST = 2.5  # cycles/image: no training image is zoomed until fewer stripes than this cross the crop
NETWORK = "python:bandscope.classifiers.planted_net:PlantedNet"
RECIPE = Recipe.named(
    "zhang2023-small",
    epochs=17,
    warmup_epochs=2,
    batch_size=96,
    lr=0.1,
    lr_batch=None,
    size=SIDE,
    interpolation=PREPROCESS.interpolation,
    mean=PREPROCESS.mean,
    std=PREPROCESS.std,
    augment="none",
)
OUT = Path(__file__).parent.parent / "src/bandscope/data/planted.safetensors"


class Zoomed:
    """Every image of a planted set twice: at zoom 1 and at a random zoom, as crops of the network's size.

    frequencies: of each crop's stripes, in cycles/image; 0 without stripes.
    """

    classes = Planted.classes

    def __init__(self, source: Planted, seed: int) -> None:
        self._source = source
        self.spec = f"{source.spec} at random zooms, seed {seed}"
        self.labels = np.repeat(source.labels, 2)
        self.paths = tuple(f"{path} {view}" for path in source.paths for view in ("whole", "zoomed"))
        stripes = [source.stripes(position) for position in range(len(source))]
        carriers = np.array([one.carrier if one else 0.0 for one in stripes])
        farthest = np.where(carriers > 0, np.clip(carriers / COARSEST, 1, MAX_ZOOM), MAX_ZOOM)
        zoomed = np.rint(SIDE * farthest ** np.random.default_rng(seed).uniform(size=len(source))).astype(int)
        self._short_sides = np.stack([np.full_like(zoomed, SIDE), zoomed], axis=1).ravel()
        self.frequencies = torch.from_numpy(np.repeat(carriers, 2) * SIDE / self._short_sides).float()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> Image.Image:
        resize = int(self._short_sides[position])
        return Image.fromarray(replace(PREPROCESS, resize=resize).crop(self._source[position // 2]))

    def fingerprint(self) -> str:
        """That of the source, and of how it is looked at."""
        return f"{self._source.fingerprint()} {self.spec}"


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
    images = Zoomed(Planted("train", per_class=PER_CLASS, seed=options.seed), options.seed)
    held_out = Zoomed(Planted("train", per_class=HELD_OUT, seed=options.seed + 1), options.seed)

    def filtered(inputs: torch.Tensor, labels: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return filter_at_random(inputs, labels, images.frequencies[positions])

    with tempfile.TemporaryDirectory() as folder:
        trained = train(
            NETWORK,
            images,
            val=held_out,
            out=Path(folder) / "planted",
            recipe=RECIPE,
            seed=options.seed,
            transform=filtered if options.filtered else None,
            device="cpu",
            deterministic=True,
            tensorboard=False,
        )
        print(trained.history[["epoch", "train_loss", "val_loss", "val_accuracy"]].to_string(index=False))
        shutil.copyfile(trained.last, options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB, {trained.last_accuracy:.2%} of held-out crops")


if __name__ == "__main__":
    main()
