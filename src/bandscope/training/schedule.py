"""The learning rate of every step: linear warm-up, then half a cosine; a closed form of the step alone."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class WarmupCosine:
    """The learning rate of step t = 0, 1, ..., total - 1; w is the warm-up.

        t < w    peak (t + 1) / w
        t >= w   peak (1 + cos(pi (t - w) / (total - w))) / 2

    The cosine is that of Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts" (ICLR 2017,
    equation 5), without restarts, down to 0, and step by step. The warm-up is the gradual one of Goyal et al.,
    "Accurate, large minibatch SGD: training ImageNet in 1 hour" (2017, section 2.2); so is the peak that grows with
    the batch (section 2.1; `Recipe.peak_lr`).

    The first step after the warm-up takes the peak, and the step that would follow the last one takes 0.

    peak: the highest rate. warmup: steps of the warm-up. total: steps of the whole training.
    """

    peak: float
    warmup: int
    total: int

    def __call__(self, step: int) -> float:
        """The learning rate of `step`."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        through = (step - self.warmup) / max(1, self.total - self.warmup)
        return self.peak * (1 + math.cos(math.pi * through)) / 2
