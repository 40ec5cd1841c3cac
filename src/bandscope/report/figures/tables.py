"""What the figures read out of analysis tables, and the errors when it is not there. No matplotlib here."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from bandscope.errors import InputError, nearest

XScale = Literal["linear", "log"]
Value = Literal["accuracy", "relative", "top5", "probability"]

# One row of panels each.
PROBE_ROWS = (
    ("low_pass", "high_pass"),
    ("low_pass_gaussian", "high_pass_gaussian"),
    ("low_pass_butterworth", "high_pass_butterworth"),
    ("band_pass", "band_stop"),
)
PROBE_TITLES = {
    "low_pass": "Low-pass (d ≤ r kept)",
    "high_pass": "High-pass (d > r kept)",
    "low_pass_gaussian": "Gaussian low-pass (half at r)",
    "high_pass_gaussian": "Gaussian high-pass (half at r)",
    "low_pass_butterworth": "Butterworth low-pass (half at r)",
    "high_pass_butterworth": "Butterworth high-pass (half at r)",
    "band_pass": "Band-pass (a bar a band)",
    "band_stop": "Band-stop (a bar a band)",
}
MARKS = ("r10", "r50", "r90")


def radius_name(probe: str) -> str:
    """What the x axis calls a probe's radius: "Low-pass radius r"."""
    return f"{PROBE_TITLES[probe].split(' (')[0]} radius r" if probe in PROBE_TITLES else f"{probe} radius r"


@dataclass(frozen=True)
class Quantity:
    """The columns that hold one quantity with its interval, and the name of its axis."""

    column: str
    low: str
    high: str
    label: str


QUANTITIES = {
    "accuracy": Quantity("accuracy", "ci_low", "ci_high", "Top-1 accuracy (%)"),
    "relative": Quantity("relative", "relative_ci_low", "relative_ci_high", "Top-1 accuracy (% of clean)"),
    "top5": Quantity("top5", "top5_ci_low", "top5_ci_high", "Top-5 accuracy (%)"),
    "probability": Quantity("probability", "probability_ci_low", "probability_ci_high", "Mean label probability (%)"),
}


def is_band(probe: str) -> bool:
    """Whether the probe's coordinates are (low, high) instead of a radius."""
    return probe.startswith("band")


def require(table: pd.DataFrame, columns: Sequence[str], where: str) -> None:
    """Refuse a table without these columns."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        held = ", ".join(map(str, table.columns)) or "no columns"
        raise InputError(f"{where}: the table lacks {', '.join(missing)}; it has {held}.")


def check_one_group(table: pd.DataFrame, where: str) -> None:
    """Refuse a table of several groups."""
    if (groups := table["group"].nunique()) > 1:
        raise InputError(
            f"{where}: the table has {groups} groups, allowed is one: choose it with table[table.group == NAME],"
            " or draw all with figure_heatmap."
        )


def check_choice(given: str, allowed: Sequence[str], what: str, where: str) -> None:
    """Refuse a word that is not one of `allowed`."""
    if given not in allowed:
        raise InputError(
            f"{where}: {what} is {given!r}; allowed are {', '.join(allowed)}." + nearest(str(given), allowed)
        )


def check_scale(xscale: str, where: str) -> None:
    """Refuse an x scale that is neither linear nor log."""
    check_choice(xscale, ("linear", "log"), "xscale", where)


def rows_of(table: pd.DataFrame, probe: str, where: str) -> pd.DataFrame:
    """The rows of one probe; at least one."""
    require(table, ("probe",), where)
    rows = table[table["probe"] == probe]
    if not len(rows):
        held = sorted(map(str, set(table["probe"])))
        raise InputError(
            f"{where}: no rows of probe {probe!r}; the table holds {', '.join(held) or 'no rows at all'}."
            + nearest(probe, held)
        )
    return rows


def shown_rows(table: pd.DataFrame, xscale: XScale, where: str) -> pd.DataFrame:
    """The rows that a scale can show, by radius: a log axis has no radius 0."""
    rows = table if xscale == "linear" else table[numbers(table, "radius") > 0]
    if not len(rows):
        raise InputError(f"{where}: a log axis shows radii above 0 only, and the table has none.")
    return rows.sort_values("radius", kind="stable")


def numbers(table: pd.DataFrame, name: str) -> Float[np.ndarray, " n"]:
    """A column as float64."""
    return np.asarray(table[name], dtype=np.float64)


def first_finite(table: pd.DataFrame, name: str) -> float:
    """The first finite number of a column; NaN without one, or without the column."""
    values = numbers(table, name) if name in table else np.empty(0)
    return float(next(iter(values[np.isfinite(values)]), np.nan))


def key_of(table: pd.DataFrame) -> str:
    """The column that tells groups apart: class names may repeat (ImageNet has two cranes), indices do not."""
    return "class_index" if "class_index" in table else "group"


def per_pixel(tables: Sequence[pd.DataFrame]) -> float | None:
    """Cycles/pixel in one cycle/image where all rows of all tables agree on it; else None."""
    pairs = (("radius", "frequency"), ("high", "high_frequency"))
    found = np.concatenate(
        [np.empty(0)]
        + [
            _ratio(numbers(table, frequency), numbers(table, radius))
            for table in tables
            for radius, frequency in pairs
            if radius in table and frequency in table
        ]
    )
    agree = len(found) > 0 and np.allclose(found, found[0], rtol=1e-6, atol=0)
    return float(found[0]) if agree else None


def _ratio(frequency: Float[np.ndarray, " n"], radius: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    good = np.isfinite(frequency) & (radius > 0)
    return np.asarray(frequency[good] / radius[good])


@dataclass(frozen=True)
class GroupMap:
    """What a heat map shows, from its top row down.

    keys: what tells the rows apart. images: n of each. bands: r10, r50, r90, NaN where there is no band.
    total: rows there would be without `max_rows`.
    """

    keys: list[Hashable]
    names: list[str]
    images: Float[np.ndarray, " rows"]
    radii: Float[np.ndarray, " radii"]
    values: Float[np.ndarray, "rows radii"]
    bands: Float[np.ndarray, "rows 3"]
    total: int
    per_pixel: float | None


def group_map(
    curves: pd.DataFrame,
    bands: pd.DataFrame | None,
    probe: str,
    column: str,
    *,
    xscale: XScale,
    where: str,
    max_rows: int | None = None,
    order: Sequence[Hashable] | None = None,
) -> GroupMap:
    """A curves table by class or group as a matrix, ordered by r50 (or as `order` says)."""
    if max_rows is not None and max_rows < 1:
        raise InputError(f"{where}: max_rows is {max_rows}; it must be at least 1.")
    require(curves, ("probe", "group", "n", "radius", column), where)
    rows = shown_rows(rows_of(curves, probe, where), xscale, where)
    key = key_of(rows)
    _check_matrix(rows, key, probe, column, where)
    own = _bands_by_key(bands, probe, key, where)
    keys = list(order) if order is not None else _by_centre(curves, probe, key, own)
    chosen = _thinned(keys, max_rows)
    about = rows.drop_duplicates(key).set_index(key, drop=False).reindex(chosen)
    wide = rows.pivot(index=key, columns="radius", values=column).reindex(chosen)
    return GroupMap(
        keys=chosen,
        names=[str(name) for name in about["group"]],
        images=numbers(about, "n"),
        radii=np.asarray(wide.columns, dtype=np.float64),
        values=wide.to_numpy(dtype=np.float64),
        bands=own.reindex(chosen).to_numpy(dtype=np.float64),
        total=len(keys),
        per_pixel=per_pixel([rows]),
    )


def _check_matrix(rows: pd.DataFrame, key: str, probe: str, column: str, where: str) -> None:
    twice = rows[rows.duplicated([key, "radius"])]
    if len(twice):
        group, radius = twice["group"].iloc[0], twice["radius"].iloc[0]
        raise InputError(f"{where}: group {group!r} has radius {radius:g} of probe {probe!r} more than once.")
    if not np.isfinite(numbers(rows, column)).any():
        raise InputError(f"{where}: nothing to draw: every {column} of probe {probe!r} is NaN.")


def _bands_by_key(bands: pd.DataFrame | None, probe: str, key: str, where: str) -> pd.DataFrame:
    """r10, r50, r90 by group; empty where there is no table or no such probe in it."""
    if bands is None:
        return pd.DataFrame(columns=list(MARKS), dtype=np.float64)
    require(bands, ("probe", key, *MARKS), f"{where}, bands")
    own = bands[bands["probe"] == probe].drop_duplicates(key)
    return own.set_index(key)[list(MARKS)]


def _by_centre(curves: pd.DataFrame, probe: str, key: str, bands: pd.DataFrame) -> list[Hashable]:
    keys = curves.loc[curves["probe"] == probe, key].unique()
    return list(bands["r50"].reindex(keys).sort_values(kind="stable", na_position="last").index)


def _thinned(keys: list[Hashable], most: int | None) -> list[Hashable]:
    if most is None or len(keys) <= most:
        return keys
    return [keys[round(place)] for place in np.linspace(0, len(keys) - 1, most)]
