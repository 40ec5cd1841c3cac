"""Wins: over which radii, and in which part of the band, one model is more accurate than another."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from bandscope.analysis.bands import LEVEL_TOLERANCE, MIN_RISE, band_quantities
from bandscope.analysis.comparison.differences import CLEAN
from bandscope.errors import InputError

PARTS = ("low", "middle", "high")
KEYS = ["probe", "a", "b", "group"]
COLUMNS = ("winner", "from_radius", "to_radius", "conditions", "difference", "at_radius", "part", "reason")


def wins(differences: pd.DataFrame, *, alpha: float = 0.05) -> pd.DataFrame:
    """The ranges of neighbouring conditions at each of which the same model is more accurate, p_adjusted < alpha.

    What part of the band a range lies in is said in thirds of [r10, r90] of the two models' mean curve, so that it
    does not matter which of them is A: "low" is below r10 + (r90 - r10) / 3, "high" is from r10 + 2 (r90 - r10) / 3
    up, "middle" lies between; what is beyond the band at either end belongs to the third at that end.

    Args:
        differences: what `differences(cubes)` returns.
        alpha: the family-wise error over the conditions of a probe.

    Returns:
        One row a range, none where no model wins: probe, a, b, group, class_index (by="class"); winner (a name);
        from_radius, to_radius (cycles/image; of band probes the lowest and the highest frequency), conditions (how
        many); difference (B - A) where it is largest, at_radius (of a band its middle); part, such as "low, middle";
        reason, why there is no part.

    Raises:
        InputError: `alpha` is not between 0 and 1.
    """
    check_alpha(alpha)
    filtered = differences[differences["probe"] != CLEAN]
    keys = [*KEYS, "class_index"] if "class_index" in differences else KEYS
    rows = [
        dict(zip(keys, key, strict=True)) | row
        for key, table in filtered.groupby(keys, sort=False)
        for row in _ranges(table, alpha)
    ]
    return pd.DataFrame(rows, columns=[*keys, *COLUMNS])


def check_alpha(alpha: float) -> None:
    """Refuse what is no error.

    Raises:
        InputError: `alpha` is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha = {alpha}: it must lie between 0 and 1, for example 0.05.")


def _ranges(table: pd.DataFrame, alpha: float) -> Iterator[dict[str, Any]]:
    """The ranges of one probe, pair and group."""
    low, high = _extent(table)
    difference = table["difference"].to_numpy()
    sign = np.where(table["p_adjusted"].to_numpy() < alpha, np.sign(difference), 0)
    if not sign.any():
        return
    part, reason = _parts(table)
    for start, stop in _runs(sign):
        best = start + int(np.abs(difference[start:stop]).argmax())
        yield {
            "winner": table["b" if sign[start] > 0 else "a"].iloc[0],
            "from_radius": low[start],
            "to_radius": high[stop - 1],
            "conditions": stop - start,
            "difference": difference[best],
            "at_radius": (low[best] + high[best]) / 2,
            "part": "" if reason else ", ".join(PARTS[k] for k in np.unique(part[start:stop])),
            "reason": reason,
        }


def _extent(table: pd.DataFrame) -> tuple[Float[np.ndarray, " conditions"], Float[np.ndarray, " conditions"]]:
    names = ("low", "high") if table["probe"].iloc[0].startswith("band") else ("radius", "radius")
    low, high = (table[name].to_numpy(dtype=np.float64) for name in names)
    return low, high


def _runs(sign: Float[np.ndarray, " conditions"]) -> list[tuple[int, int]]:
    """[start, stop) of every longest run of the same sign, where it is not 0."""
    edges = np.flatnonzero(np.diff(sign, prepend=0, append=0))
    return [(int(start), int(stop)) for start, stop in itertools.pairwise(edges) if sign[start]]


def _parts(table: pd.DataFrame) -> tuple[Int[np.ndarray, " conditions"], str]:
    """For each condition its third of the band, as a place in PARTS; or why there are none."""
    probe, none = str(table["probe"].iloc[0]), np.zeros(len(table), dtype=np.int64)
    if probe.startswith("band"):
        return none, "a band probe has no curve over radii"
    kind = "low_pass" if probe.startswith("low") else "high_pass"
    radius, (a, b) = table["radius"].to_numpy(), (table[name].to_numpy() for name in ("accuracy_a", "accuracy_b"))
    rise, r10, _, r90, width, _ = band_quantities((a + b) / 2, radius, kind)
    if rise < MIN_RISE - LEVEL_TOLERANCE:
        return none, f"the mean curve's rise {rise:.2g} is below {MIN_RISE}"
    return np.searchsorted([r10 + width / 3, r90 - width / 3], radius, side="right"), ""
