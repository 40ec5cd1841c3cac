"""Association: do classes that live on low, narrow bands have a higher accuracy?"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from bandscope.analysis.statistics import Bootstrap, percentile_interval, too_few
from bandscope.errors import InputError

BAND_QUANTITIES = ("r50", "width", "octaves")
MIN_GROUPS = 4  # of three groups even a perfect order has p = 1/3
TIE_TOLERANCE = 1e-12


def band_accuracy(
    bands: pd.DataFrame, *, confidence: float = 0.95, resamples: int = 1000, permutations: int = 9999, seed: int = 0
) -> pd.DataFrame:
    """Spearman's rank correlation of band centre and width with clean accuracy, over classes or groups.

    The p-value is that of a two-sided permutation test, (k + 1) / (permutations + 1), where k permutations of the
    accuracies correlate at least as strongly. The interval is the expanded percentile one of a bootstrap over groups.
    Both take each group's band and accuracy as they are: noise within groups weakens the correlation.

    Args:
        bands: what `bands(cube, by=...)` returns; rows without a band are left out.
        confidence: of the interval.
        resamples: of the bootstrap over groups.
        permutations: of the test.
        seed: of both.

    Returns:
        One row a (probe, quantity), quantity in r50, width, octaves: probe, quantity, n (groups used), rho, ci_low,
        ci_high, p; reason, why they are NaN.
    """
    bootstrap = Bootstrap(confidence, resamples, seed)
    if permutations < 1:
        raise InputError(f"permutations = {permutations}: the test needs at least 1.")
    missing = [name for name in ("probe", "accuracy", *BAND_QUANTITIES) if name not in bands]
    if missing:
        raise InputError(f"The table has no column {missing[0]!r}: give what bandscope.bands(cube, by=...) returns.")
    return pd.DataFrame(list(_rows(bands, bootstrap, permutations)))


def spearman(
    x: Float[np.ndarray, "*rows groups"], y: Float[np.ndarray, "*rows groups"]
) -> Float[np.ndarray, "*rows"]:
    """Rank correlation of each row of x with the same row of y, ties at mean rank; NaN where one is constant."""
    return np.asarray(np.clip((_rank_shape(x) * _rank_shape(y)).sum(axis=-1), -1, 1))


def _rows(bands: pd.DataFrame, bootstrap: Bootstrap, permutations: int) -> Iterator[dict[str, Any]]:
    for probe, table in bands.groupby("probe", sort=False):
        for quantity in BAND_QUANTITIES:
            x, y = table.dropna(subset=[quantity, "accuracy"])[[quantity, "accuracy"]].to_numpy(dtype=np.float64).T
            random = bootstrap.random(f"{probe}/{quantity}".encode())
            yield {
                "probe": probe,
                "quantity": quantity,
                "n": len(x),
                **_association(x, y, random, bootstrap, permutations),
            }


def _association(
    x: Float[np.ndarray, " groups"],
    y: Float[np.ndarray, " groups"],
    random: np.random.Generator,
    bootstrap: Bootstrap,
    permutations: int,
) -> dict[str, Any]:
    if reason := too_few(len(x), MIN_GROUPS, "group") or _constant(x, y):
        return dict.fromkeys(("rho", "ci_low", "ci_high", "p"), np.nan) | {"reason": reason}
    draws = random.integers(0, len(x), size=(bootstrap.resamples, len(x)))
    low, high = percentile_interval(spearman(x[draws], y[draws]), bootstrap.confidence, len(x))
    rho = float(spearman(x, y))
    p = _permutation_p(rho, _rank_shape(x), _rank_shape(y), random, permutations)
    return {"rho": rho, "ci_low": float(low), "ci_high": float(high), "p": p, "reason": ""}


def _constant(x: Float[np.ndarray, " groups"], y: Float[np.ndarray, " groups"]) -> str:
    if np.ptp(y) == 0:
        return "all accuracies are equal"
    return "all bands are equal" if np.ptp(x) == 0 else ""


def _permutation_p(
    rho: float,
    x: Float[np.ndarray, " groups"],
    y: Float[np.ndarray, " groups"],
    random: np.random.Generator,
    permutations: int,
) -> float:
    """Two-sided p of `rho` from rank shapes x and y.

    [Phipson and Smyth 2010, Permutation P-values Should Never Be Zero, Stat. Appl. Genet. Mol. Biol. 9]
    """
    chance = np.array([x @ random.permutation(y) for _ in range(permutations)])
    return float((np.sum(np.abs(chance) >= abs(rho) - TIE_TOLERANCE) + 1) / (permutations + 1))


def _rank_shape(values: Float[np.ndarray, "*rows groups"]) -> Float[np.ndarray, "*rows groups"]:
    """Ranks with mean 0 and length 1 in each row; NaN where constant."""
    ranks = pd.DataFrame(np.atleast_2d(values)).rank(axis=1).to_numpy().reshape(values.shape)
    centred = ranks - ranks.mean(axis=-1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    return np.asarray(centred / np.where(length > 0, length, np.nan))
