"""Thresholds: conditions on B - A under which a pipeline shall stop, such as "relative@45 < -0.02"."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bandscope.analysis.bands import QUANTITIES
from bandscope.analysis.comparison.common import TOLERANCE, Common
from bandscope.analysis.comparison.compare import Comparison
from bandscope.analysis.comparison.differences import CLEAN
from bandscope.errors import InputError, nearest

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
AT_RADIUS = {  # by name the column of `differences`
    "accuracy": "difference",
    "relative": "relative_difference",
    "probability": "probability_difference",
}
NAMES = (*AT_RADIUS, CLEAN, *QUANTITIES)
SYNTAX = re.compile(
    r"(?:(?P<probe>[a-z_-]+)\s*\.\s*)?(?P<quantity>\w+)\s*(?:@\s*(?P<radius>\d+\.?\d*|\.\d+))?\s*"
    r"(?P<sign><=|>=|<|>)\s*(?P<limit>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)",
    re.ASCII | re.IGNORECASE,
)
EXAMPLES = '"relative@45 < -0.02", "high_pass.accuracy@20 < -0.05", "clean < -0.01" or "r50 > 2"'


@dataclass(frozen=True)
class Threshold:
    """A condition on B - A that must not hold.

    Attributes:
        text: as it was written.
        quantity: accuracy, relative, probability (at a radius), clean (accuracy), or a quantity of the band.
        probe: whose curve or band; "clean" for clean.
        radius: in cycles/image, of accuracy, relative and probability.
        sign: <, <=, > or >=.
        limit: in the unit of the quantity: shares, cycles/image, octaves.
    """

    text: str
    quantity: str
    probe: str
    radius: float | None
    sign: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether the condition is met, that is, the threshold is violated."""
        return OPERATORS[self.sign](round(value, 12), self.limit)  # 0.48 - 0.5 is not below -0.02


def parse_threshold(text: str) -> Threshold:
    """A threshold from "[PROBE.]QUANTITY[@RADIUS] OPERATOR NUMBER"; the probe is low_pass where none is named.

    Raises:
        InputError: anything else, with what is allowed.
    """
    found = SYNTAX.fullmatch(text.strip())
    if found is None:
        raise InputError(
            f"The condition {text!r} is not QUANTITY@RADIUS OPERATOR NUMBER with one of {', '.join(OPERATORS)}, such "
            f"as {EXAMPLES}."
        )
    quantity, probe, radius = found["quantity"], found["probe"], found["radius"]
    if quantity not in NAMES:
        raise InputError(
            f"The condition {text!r} is on {quantity!r}; there are {', '.join(NAMES)}.{nearest(quantity, NAMES)}"
        )
    if quantity in AT_RADIUS and radius is None:
        raise InputError(f"The condition {text!r} needs a radius in cycles/image, such as {quantity}@45.")
    if quantity not in AT_RADIUS and radius is not None:
        raise InputError(
            f"The condition {text!r} must be without @{radius}: {quantity} is no quantity of one radius."
        )
    if quantity == CLEAN and probe:
        raise InputError(f"The condition {text!r} must be without {probe}: clean accuracy is that of no probe.")
    name = CLEAN if quantity == CLEAN else (probe or "low_pass").replace("-", "_")
    return Threshold(text, quantity, name, float(radius) if radius else None, found["sign"], float(found["limit"]))


def check_thresholds(thresholds: Sequence[Threshold], common: Common) -> None:
    """Refuse thresholds on probes or radii that the cubes do not share, before anything is computed.

    Raises:
        InputError: naming the probes, or the nearest radii.
    """
    grids = {own[0].name: own[0].radius for own in common.probes() if "radius" in own[0].coordinates()}
    for threshold in thresholds:
        if threshold.probe == CLEAN:
            continue
        if threshold.probe not in grids:
            raise InputError(
                f"The condition {threshold.text!r} is on the probe {threshold.probe}; those with common radii are "
                f"{', '.join(grids) or 'none'}.{nearest(threshold.probe, grids)}"
            )
        radii = grids[threshold.probe]
        if threshold.radius is not None and not np.isclose(radii, threshold.radius, rtol=TOLERANCE).any():
            near = np.sort(radii[np.argsort(np.abs(radii - threshold.radius), kind="stable")[:2]])
            raise InputError(
                f"The condition {threshold.text!r} is on radius {threshold.radius:g}, which not all stores have for "
                f"{threshold.probe}; the nearest that they share are {' and '.join(f'{r:g}' for r in near)}."
            )


def check_against(thresholds: Sequence[Threshold], comparison: Comparison) -> pd.DataFrame:
    """Hold every other model against each threshold.

    Args:
        thresholds: from `parse_threshold`.
        comparison: of all images together (by=None).

    Returns:
        One row a (threshold, B): condition (its text), a, b, value (B - A), ci_low, ci_high; violated (the condition
        holds; missing where the value is undefined), reason, why it is undefined.
    """
    check_thresholds(thresholds, comparison.common)
    rows = [row for threshold in thresholds for row in _rows(threshold, comparison)]
    table = pd.DataFrame(rows, columns=["condition", "a", "b", "value", "ci_low", "ci_high", "violated", "reason"])
    return table.astype({"violated": "boolean"})


def _rows(threshold: Threshold, comparison: Comparison) -> Iterator[dict[str, Any]]:
    table, column, low, high = _found(threshold, comparison)
    for _, row in table.iterrows():
        value = float(row[column])
        undefined = bool(np.isnan(value))
        yield {
            "condition": threshold.text,
            "a": row["a"],
            "b": row["b"],
            "value": value,
            "ci_low": row[low],
            "ci_high": row[high],
            "violated": None if undefined else threshold.holds(value),
            "reason": row["reason"] if undefined else "",
        }


def _found(threshold: Threshold, comparison: Comparison) -> tuple[pd.DataFrame, str, str, str]:
    """The rows, a model each, and the columns of the value and its interval."""
    if threshold.quantity in QUANTITIES:
        bands = comparison.band_differences
        mine = (bands["probe"] == threshold.probe) & (bands["quantity"] == threshold.quantity)
        return bands[mine], "difference", "ci_low", "ci_high"
    table = comparison.differences
    mine = table["probe"] == threshold.probe
    if threshold.radius is not None:
        mine &= np.isclose(table["radius"], threshold.radius, rtol=TOLERANCE)
    column = AT_RADIUS.get(threshold.quantity, "difference")
    return table[mine], column, f"{column}_ci_low", f"{column}_ci_high"
