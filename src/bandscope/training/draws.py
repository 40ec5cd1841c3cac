"""Random numbers that depend on (seed, epoch, step) alone: not on devices, workers, or when a run was resumed.

All are PCG64's raw output, which NumPy promises never to change.
"""

import numpy as np
from jaxtyping import Float64, Int64

ORDER, AUGMENT, SPLIT, TORCH = range(4)  # streams that share no number


def permutation(count: int, *key: int) -> Int64[np.ndarray, " count"]:
    """0 ... count - 1 in the random order that the key names."""
    return np.argsort(_bits(*key).random_raw(count), kind="stable")


def uniforms(rows: int, columns: int, *key: int) -> Float64[np.ndarray, "rows columns"]:
    """Numbers in [0, 1), evenly distributed."""
    raw = np.asarray(_bits(*key).random_raw(rows * columns), dtype=np.uint64)
    return ((raw >> np.uint64(11)) * 2.0**-53).reshape(rows, columns)


def derived_seed(*key: int) -> int:
    """A seed for a generator of another library."""
    return int(_bits(*key).random_raw() >> 1)


def _bits(*key: int) -> np.random.PCG64:
    return np.random.PCG64(np.random.SeedSequence(key))
