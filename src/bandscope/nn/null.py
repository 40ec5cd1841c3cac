"""What chance explains: the same fits on kernels without any shape.

Six jet members span 6 of the 9 dimensions of 3 x 3 kernels, so that any fixed scale explains 6/9 of a random kernel
on average, and the best of all scales more. A share means something only beside that.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bandscope.nn.jetfit import fit_jet, members

KERNELS = 4000
SEED = 0
UNUSUAL = 0.95  # a share is unusual where it is above that part of random ones
SHUFFLED = 1000  # at least so many shuffled kernels a layer


@dataclass(frozen=True)
class Chance:
    """Shares that a search of the same kind finds in random kernels.

    mean, deviation: of one kernel's share. unusual: the share that 1 in 20 random kernels exceeds.
    """

    mean: float
    deviation: float
    unusual: float

    def interval(self, kernels: int) -> tuple[float, float]:
        """Where the mean share of so many random kernels lies, 19 times in 20."""
        half = 1.96 * self.deviation / max(kernels, 1) ** 0.5
        return max(0.0, self.mean - half), min(1.0, self.mean + half)


@lru_cache(maxsize=64)
def chance(size: tuple[int, int]) -> tuple[Chance, Chance]:
    """Of the nearest single member, and of the whole jet: on kernels of independent normal numbers."""
    fit = fit_jet(torch.from_numpy(np.random.default_rng(SEED).normal(size=(KERNELS, *size))))
    return _chance(fit.member_share), _chance(fit.jet_share)


def _chance(shares: Float[Tensor, " n"]) -> Chance:
    return Chance(float(shares.mean()), float(shares.std()), float(shares.quantile(UNUSUAL)))


def dimensions(size: tuple[int, int]) -> float:
    """Share that the jet at one given scale explains of random kernels on average: 6/9 for 3 x 3."""
    return len(members(size)) / (size[0] * size[1])


def shuffled(kernels: Float[Tensor, "n tall wide"]) -> tuple[float, float]:
    """Mean shares of the nearest member and of the jet after each kernel's own taps have changed places at random.

    Shuffling keeps a kernel's sum and its large and small taps; only where they lie is lost.
    """
    flat = kernels.flatten(1).repeat(-(-SHUFFLED // len(kernels)), 1).numpy()
    # NumPy's stream: with torch's, networks initialised from the same seed would be sorted, not shuffled
    mixed = np.random.default_rng(SEED).permuted(flat, axis=1)
    fit = fit_jet(torch.from_numpy(mixed).reshape(-1, *kernels.shape[1:]))
    return float(fit.member_share.nanmean()), float(fit.jet_share.nanmean())
