"""Figures and tables of docs/results/imagenet-500.md, from the stores of its two audits.

python experiments/imagenet_500.py mobilenetv1.zarr squeezenet1_1.zarr --out docs/results \
    --check dc-bilinear.zarr zhang2023-bicubic.zarr zhang2023-bilinear.zarr

Writes OUT/figures/*.png and prints the tables as Markdown.
"""

import argparse
import itertools
from collections.abc import Iterable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from pages import (
    Cubes,
    Row,
    association_rows,
    clean_row,
    conflict_rows,
    interval,
    markdown,
    nearest_and_own,
    number,
    proportion,
    reach_rows,
    save_small,
    similarity_rows,
    spoken,
    usurper_rows,
)

import bandscope as bs
from bandscope.analysis import similarity_summary
from bandscope.analysis.groups import By
from bandscope.cube import status_ok
from bandscope.data import imagenet_groups
from bandscope.report.figures import figure_band_accuracy, figure_curves, figure_heatmap, figure_summary
from bandscope.report.sample import sample_figure

# Table 1 of arXiv 2302.12477, "pretrained": top-1 (%) under a low-pass of this radius; 73.2 without one.
PAPER = {45: 53.1, 65: 63.1, 85: 69.4, 105: 72.8, 125: 73.2, 145: 73.2}
PAPER_CLEAN = 73.2
LOW_PASS_RADII = (5, 10, 15, 25, 35, 45, 65, 85, 105, 145)
HIGH_PASS_RADII = (1, 2, 3, 5, 10, 15, 20, 30, 45, 65, 85)
ENOUGH = 20  # images in a group that is drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs=2, type=Path, help="of two models on the same images")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--check", nargs="*", type=Path, default=[], help="the first model under other settings")
    parser.add_argument("--data", help="spec of the images, if no longer where the stores say")
    options = parser.parse_args()
    cubes = {model_name(cube): cube for cube in map(bs.open, options.stores)}
    by = drawn_groups(next(iter(cubes.values())))
    folder = options.out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures(cubes, by, options.data):
        save_small(figure, folder / f"{name}.png")
    checks = {settings(cube): cube for cube in (next(iter(cubes.values())), *map(bs.open, options.check))}
    for title, rows in tables(cubes, by, checks):
        print(f"#### {title}\n\n{markdown(rows)}\n")


def model_name(cube: xr.DataTree) -> str:
    return str(cube.attrs["model"]["spec"]).partition(":")[2].partition("?")[0]


def settings(cube: xr.DataTree) -> str:
    return f"{cube.attrs['convention']['preset']}, {cube.attrs['preprocess']['interpolation']}"


def drawn_groups(cube: xr.DataTree) -> dict[int, str]:
    """ImageNet's everyday groups that have enough images here."""
    groups = imagenet_groups()
    counts = pd.Series([groups[label] for label in cube.dataset["label"].values[status_ok(cube)]]).value_counts()
    return {index: name for index, name in groups.items() if counts.get(name, 0) >= ENOUGH}


# Figures


def figures(cubes: Cubes, by: By, data: str | None) -> Iterable[tuple[str, Figure]]:
    curves = {name: bs.curves(cube) for name, cube in cubes.items()}
    yield "curves", figure_curves(curves, chance=0.001)
    yield "curves-relative", figure_curves(curves, relative=True)
    for name, cube in cubes.items():
        grouped, bands = bs.curves(cube, by), bs.bands(cube, by)
        title, pixels = f"{name}, {status_ok(cube).sum()} images", min(cube.attrs["preprocess"]["size"])
        low = bands[bands["probe"] == "low_pass"]
        in_groups = f"{name}, {low['n'].sum()} images in {len(low)} groups"
        yield f"overview-{name}", figure_summary(curves[name], grouped, bands, chance=0.001, title=title)
        yield f"heatmap-{name}", figure_heatmap(grouped, bands, title=in_groups)
        yield f"bands-{name}", figure_band_accuracy(low, bs.band_accuracy(low), pixels=pixels, title=in_groups)
    cube = next(iter(cubes.values()))
    yield "sample", sample_figure(cube, surest_takeover(cube), source=data, by=imagenet_groups())


def surest_takeover(cube: xr.DataTree) -> int:
    """The image lost for good to the surest usurper, of those lost beyond the centre of the overall low-pass band."""
    centre = bs.bands(cube).query("probe == 'low_pass'")["r50"].item()
    lost = bs.takeovers(cube).query("probe == 'low_pass' and not regained")
    late = lost[lost["from_radius"] > centre]
    return int(late.loc[late["usurper_probability"].idxmax(), "image"])


# Tables


def tables(cubes: Cubes, by: By, checks: Cubes) -> Iterable[tuple[str, list[Row]]]:
    """Title and rows of each table, in the order of the page."""
    yield "Clean accuracy (%)", [clean_row(name, cube) for name, cube in cubes.items()]
    yield "Low-pass accuracy relative to clean", published_rows(cubes)
    yield "The first model minus the paper, under other settings", [check_row(*item) for item in checks.items()]
    yield "Low-pass accuracy (%)", curve_rows(cubes, "low_pass", LOW_PASS_RADII)
    yield "High-pass accuracy (%)", curve_rows(cubes, "high_pass", HIGH_PASS_RADII)
    yield "Radii where the two models' intervals are apart", apart_rows(cubes)
    yield "Reach (cycles/image)", reach_rows(cubes)
    for name, cube in cubes.items():
        yield f"Low-pass bands, {name}", band_rows(bs.bands(cube, by), "low_pass")
        yield f"High-pass bands, {name}", band_rows(bs.bands(cube, by), "high_pass")
    yield "Pairs of groups whose intervals of r50 are apart", [r for i in cubes.items() for r in pair_rows(*i, by)]
    yield "Band against accuracy", [row for item in cubes.items() for row in association_rows(*item, by)]
    yield "Conflicts", [row for item in cubes.items() for row in conflict_rows(*item, by)]
    yield "Samples under low-pass", [sample_row(*item) for item in cubes.items()]
    for name, cube in cubes.items():
        yield f"Longest takeovers, {name}", takeover_rows(cube)
    yield "Usurpers", [row for item in cubes.items() for row in usurper_rows(*item)]
    yield "Similarity, all groups", [row for item in cubes.items() for row in similarity_rows(*item, by)]
    for name, cube in cubes.items():
        yield f"Images nearest to each group, {name}", group_similarity_rows(cube, by)
    yield "Single classes", single_class_rows(next(iter(cubes.values())))


def published_rows(cubes: Cubes) -> list[Row]:
    found = {name: at_radii(cube, "low_pass") for name, cube in cubes.items()}
    return [
        {"radius": radius, "paper": f"{percent / PAPER_CLEAN:.3f}"}
        | {name: interval(rows[radius], "relative") for name, rows in found.items()}
        for radius, percent in PAPER.items()
    ]


def check_row(name: str, cube: xr.DataTree) -> Row:
    """Relative accuracy minus the published one, with its interval."""
    found, cells = at_radii(cube, "low_pass"), {}
    for radius, percent in PAPER.items():
        ends = (found[radius][f"relative_ci_{end}"] - percent / PAPER_CLEAN for end in ("low", "high"))
        gap = found[radius]["relative"] - percent / PAPER_CLEAN
        cells[f"r = {radius}"] = f"{gap:+.4f} [{', '.join(f'{end:+.3f}' for end in ends)}]"
    return {"convention, resize": name, **cells}


def curve_rows(cubes: Cubes, probe: str, radii: Sequence[int]) -> list[Row]:
    found = {name: at_radii(cube, probe) for name, cube in cubes.items()}
    return [
        {"radius": radius}
        | {name: interval(rows[radius], "accuracy", "ci", scale=100, digits=1) for name, rows in found.items()}
        | {
            f"{name}, of clean": interval(rows[radius], "relative", scale=100, digits=1)
            for name, rows in found.items()
        }
        for radius in radii
    ]


def apart_rows(cubes: Cubes) -> list[Row]:
    """Where one model is above the other by more than both intervals."""
    (first, ours), (second, theirs) = ((name, bs.curves(cube).set_index("probe")) for name, cube in cubes.items())
    rows: list[Row] = []
    for probe in ("low_pass", "high_pass"):
        for quantity, ends in (("accuracy", "ci"), ("relative", "relative_ci")):
            one, other, radius = ours.loc[probe], theirs.loc[probe], ours.loc[probe, "radius"].to_numpy()
            low, high = f"{ends}_low", f"{ends}_high"
            above, below = one[low] > other[high], one[high] < other[low]
            listed = {f"{first} is above": spans(above, radius), f"{second} is above": spans(below, radius)}
            rows.append({"probe": spoken(probe), "quantity": quantity, **listed})
    return rows


def at_radii(cube: xr.DataTree, probe: str) -> dict[int, dict[str, Any]]:
    """Rows of the overall curve, by radius."""
    table = bs.curves(cube)
    return {round(row["radius"]): row for row in table[table["probe"] == probe].to_dict("records")}


def band_rows(bands: pd.DataFrame, probe: str) -> list[Row]:
    rows = bands[bands["probe"] == probe].sort_values("r50")
    return [
        {
            "group": row["group"],
            "n": row["n"],
            "accuracy (%)": interval(row, "accuracy", scale=100, digits=0),
            "r10": number(row["r10"], 1),
            "r50": interval(row, "r50", digits=1) or row["reason"],
            "r90": number(row["r90"], 1),
            "width": interval(row, "width", digits=1),
            "octaves": interval(row, "octaves", digits=2),
        }
        for row in rows.to_dict("records")
    ]


def pair_rows(name: str, cube: xr.DataTree, by: By) -> list[Row]:
    """Pairs of groups, the one that comes first in radius first."""
    rows: list[Row] = []
    for probe, table in bs.bands(cube, by).dropna(subset="r50").groupby("probe", sort=False):
        pairs = [
            f"{one.group} < {other.group}"
            for one, other in itertools.permutations(table.itertuples(), 2)
            if one.r50_ci_high < other.r50_ci_low
        ]
        count = len(table) * (len(table) - 1) // 2
        about = {"model": name, "probe": spoken(str(probe)), "pairs": count, "apart": len(pairs)}
        rows.append({**about, "which": "; ".join(pairs)})
    return rows


def sample_row(name: str, cube: xr.DataTree) -> Row:
    """What becomes of the label as low-passed images get sharper: four cases that share all images."""
    table = bs.samples(cube).query("probe == 'low_pass'")
    taken, ends_on_top = table["takeovers"] > 0, table["onset"].notna()
    cases = {
        "stays, once on top (%)": ~taken & ends_on_top,
        "lost and regained (%)": taken & ends_on_top,
        "lost for good (%)": taken & ~ends_on_top,
        "never on top (%)": ~taken & ~ends_on_top,
    }
    return {"model": name} | {case: proportion(images.sum(), len(table)) for case, images in cases.items()}


def takeover_rows(cube: xr.DataTree, count: int = 8) -> list[Row]:
    table = bs.takeovers(cube).query("probe == 'low_pass'").nlargest(count, "conditions")
    return [
        {
            "label": row["label_name"],
            "usurper": row["usurper"],
            "radii": f"{row['from_radius']:g} to {row['to_radius']:g}",
            "usurper's mean probability (%)": number(100 * row["usurper_probability"], 0),
            "label regained": "yes" if row["regained"] else "no",
        }
        for row in table.to_dict("records")
    ]


def group_similarity_rows(cube: xr.DataTree, by: By) -> list[Row]:
    """How many low-pass curves are nearest to each group's mean: its own images', by chance, and all images'."""
    table = similarity_summary(cube, by).query("probe == 'low_pass' and group != 'all'")
    everyone, _ = nearest_and_own(bs.similarity(cube, by), "low_pass")
    return [
        {
            "group": row["group"],
            "n": row["n"],
            "its own images (%)": interval(row, "nearest_own", "ci", scale=100, digits=0),
            "groups dealt at random (%)": number(100 * row["chance"], 0),
            "all images (%)": number(100 * everyone.get(row["group"], 0), 0),
        }
        for row in table.to_dict("records")
    ]


def single_class_rows(cube: xr.DataTree, count: int = 3) -> list[Row]:
    table = bs.bands(cube, "class").query("probe == 'low_pass'")
    rows = table.iloc[np.linspace(0, len(table) - 1, count).astype(int)].to_dict("records")
    return [{"class": r["group"], "n": r["n"], "r50": str(r["r50"]), "reason": r["reason"]} for r in rows]


# Words


def spans(there: Iterable[bool], radius: np.ndarray) -> str:
    """The radii where something holds, neighbours on the grid joined."""
    runs = [
        [r for _, r in run]
        for holds, run in itertools.groupby(zip(there, radius, strict=True), itemgetter(0))
        if holds
    ]
    return ", ".join(f"{run[0]:g} to {run[-1]:g}" if len(run) > 1 else f"{run[0]:g}" for run in runs) or "none"


if __name__ == "__main__":
    main()
