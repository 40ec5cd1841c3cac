"""What pages of results are made of: rows of tables, intervals as text, figures as small files."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

import bandscope as bs
from bandscope.analysis import similarity_summary
from bandscope.analysis.groups import By
from bandscope.analysis.statistics import wilson
from bandscope.report.figures import style

DPI = 150
MOST_BYTES = 250_000

Cubes = Mapping[str, xr.DataTree]
Row = dict[str, object]


def save_small(figure: Figure, path: Path) -> None:
    """A PNG; of 256 colours where it would be too large, which only photographs are."""
    buffer = io.BytesIO()
    with style.drawing():
        figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    with Image.open(buffer) as drawn:
        image = drawn.convert("RGB")
    small = image if len(buffer.getvalue()) < MOST_BYTES else image.quantize(256, kmeans=3)
    small.save(path, optimize=True)


def clean_row(name: str, cube: xr.DataTree) -> Row:
    row = bs.clean(cube).to_dict("records")[0]
    return {
        "model": name,
        "images": row["n"],
        "top-1": interval(row, "accuracy", "ci", scale=100, digits=1),
        "top-5": interval(row, "top5", "top5_ci", scale=100, digits=1),
    }


def reach_rows(cubes: Cubes) -> list[Row]:
    found = {name: bs.reach(cube).to_dict("records") for name, cube in cubes.items()}
    return [
        {"probe": spoken(rows[0]["probe"]), "share of clean": f"{rows[0]['level']:.0%}"}
        | {name: interval(row, "radius", digits=1) or row["reason"] for name, row in zip(found, rows, strict=True)}
        for rows in zip(*found.values(), strict=True)
    ]


def association_rows(name: str, cube: xr.DataTree, by: By) -> list[Row]:
    return [
        {
            "model": name,
            "probe": spoken(row["probe"]),
            "quantity": row["quantity"],
            "groups": row["n"],
            "Spearman's ρ": interval(row, "rho", "ci", digits=2),
            "p": number(row["p"], 3),
        }
        for row in bs.band_accuracy(bs.bands(cube, by)).to_dict("records")
    ]


def conflict_rows(name: str, cube: xr.DataTree, by: By) -> list[Row]:
    """The groups whose fall has an interval without 0; where there are none, the three largest falls."""
    table = bs.conflicts(cube, by)
    found = table[table["conflict"]] if table["conflict"].any() else table.nlargest(3, "fall")
    return [
        {
            "model": name,
            "probe": spoken(row["probe"]),
            "group": row["group"],
            "n": row["n"],
            "peak at": number(row["peak_radius"], 0),
            "fall": interval(row, "fall"),
            "interval excludes 0": "yes" if row["conflict"] else "no",
        }
        for row in found.to_dict("records")
    ]


def usurper_rows(name: str, cube: xr.DataTree, count: int = 4) -> list[Row]:
    table = bs.usurpers(cube).query("probe == 'low_pass'").head(count)
    return [
        {
            "model": name,
            "usurper": row["usurper"],
            "images": row["images"],
            "share (%)": interval(row, "share", "ci", scale=100, digits=1),
        }
        for row in table.to_dict("records")
    ]


def similarity_rows(name: str, cube: xr.DataTree, by: By) -> list[Row]:
    """All images together, under each probe."""
    table = bs.similarity(cube, by)
    return [
        {
            "model": name,
            "probe": spoken(row["probe"]),
            "images": row["n"],
            "median correlation, own group": number(row["own_median"], 2),
            "nearest other group": number(row["best_other_median"], 2),
            "nearest own (%)": interval(row, "nearest_own", "ci", scale=100, digits=1),
            "groups dealt at random (%)": number(100 * row["chance"], 1),
            "if independent of the own (%)": number(100 * expected_nearest(table, row["probe"]), 1),
        }
        for row in similarity_summary(cube, by).query("group == 'all'").to_dict("records")
    ]


def expected_nearest(similarity: pd.DataFrame, probe: str) -> float:
    """The share nearest their own group if the nearest group had nothing to do with the own one."""
    nearest, own = nearest_and_own(similarity, probe)
    return float((nearest * own).sum())


def nearest_and_own(similarity: pd.DataFrame, probe: str) -> tuple[pd.Series, pd.Series]:
    """The shares of all images that each group's mean is nearest to, and that belong to each group."""
    table = similarity[similarity["probe"] == probe].dropna(subset="nearest_own")
    nearest = table["best_other_group"].mask(table["nearest_own"].astype(bool), table["group"])
    return nearest.value_counts(normalize=True), table["group"].value_counts(normalize=True)


def spoken(probe: str) -> str:
    return probe.replace("_", "-")


def number(value: float, digits: int) -> str:
    return "" if np.isnan(value) else f"{value:.{digits}f}"


def interval(row: Mapping[str, Any], name: str, prefix: str = "", *, scale: float = 1, digits: int = 3) -> str:
    """`value [low, high]`, or nothing where it is NaN."""
    prefix = prefix or f"{name}_ci"
    value, low, high = (number(scale * row[key], digits) for key in (name, f"{prefix}_low", f"{prefix}_high"))
    return f"{value} [{low}, {high}]" if value else ""


def proportion(count: int, total: int) -> str:
    low, high = wilson(count, total)
    return f"{100 * count / total:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def markdown(rows: Sequence[Row]) -> str:
    if not rows:
        return "None."
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([str(row[name]) for name in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
