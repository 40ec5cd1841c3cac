"""Figures and tables of docs/results/scale.md, from the stores of two models audited at several zooms.

python experiments/scale_500.py mobilenetv1-zoom.zarr squeezenet1_1-zoom.zarr --out docs/results

Writes OUT/figures/scale-*.png and prints the tables as Markdown. The second model is the baseline of the comparison.
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from imagenet_500 import drawn_groups, model_name
from matplotlib.figure import Figure
from pages import Cubes, Row, interval, markdown, number, save_small, spoken
from scipy.stats import quantile_test

import bandscope as bs
from bandscope.analysis.comparison.compare import Comparison
from bandscope.cube import status_ok
from bandscope.data import imagenet_groups
from bandscope.report.figures import figure_comparison, figure_scale_law, figure_scale_surface
from bandscope.report.sample import sample_figure

LISTED = 5  # images of a kind
LOW, MIDDLE, HIGH = (0.71, 1.0, 1.41), (1.0, 1.41, 2.0), (1.41, 2.0, 2.83)  # three zooms each
By = Mapping[int, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs=2, type=Path, help="of two models on the same images and zooms")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--data", help="spec of the images, if no longer where the stores say")
    options = parser.parse_args()
    cubes = {model_name(cube): cube for cube in map(bs.open, options.stores)}
    by = drawn_groups(next(iter(cubes.values())))
    comparison = bs.compare(dict(reversed(cubes.items())))
    folder = options.out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures(cubes, by, comparison, options.data):
        save_small(figure, folder / f"scale-{name}.png")
    for title, rows in tables(cubes, by, comparison, options.data):
        print(f"#### {title}\n\n{markdown(rows)}\n")


# Figures


def figures(cubes: Cubes, by: By, comparison: Comparison, data: str | None) -> Iterable[tuple[str, Figure]]:
    for name, cube in cubes.items():
        title = f"{name}, {status_ok(cube).sum()} images"
        surface, points, law = bs.scale_surface(cube), bs.scale_points(cube), bs.scale_law(cube)
        yield f"surface-{name}", figure_scale_surface(surface, points, law, title=title)
    pairs = comparison.curves.groupby("model", sort=False)
    curves = {str(name): table for name, table in pairs}
    yield "comparison", figure_comparison(curves, comparison.differences, chance=0.001)
    name, cube = next(iter(cubes.items()))  # the other one has too few usable images in most groups
    yield f"law-{name}", figure_scale_law(bs.scale_law(cube, by), title=f"{name}, {status_ok(cube).sum()} images")
    shifted = bs.telling(cube, "shifted", count=200)
    follows = shifted[shifted["image"].isin(right_at_every_zoom(cube))].iloc[0]
    yield "sample-shifted", sample_figure(cube, int(follows["image"]), source=data, by=imagenet_groups())
    fought = bs.telling(cube, "nonmonotone", count=1).iloc[0]
    yield "sample-conflict", sample_figure(bs.at_zoom(cube), int(fought["image"]), source=data, by=imagenet_groups())


def right_at_every_zoom(cube: xr.DataTree) -> np.ndarray:
    everything = cube["all_pass"]
    right = everything["top5_class"].values[..., 0] == cube["label"].values[:, None]
    return cube["image"].values[right.all(axis=1)]


# Tables


def tables(cubes: Cubes, by: By, comparison: Comparison, data: str | None) -> Iterable[tuple[str, list[Row]]]:
    """Title and rows of each table, in the order of the page."""
    yield "Accuracy without a filter, by zoom (%)", [clean_row(*item) for item in cubes.items()]
    yield "Padded share of the crop, by zoom (%)", [padded_row(next(iter(cubes.values())))]
    yield "Zoom at which the files' own pixels are shown", [native_row(next(iter(cubes.values())), data)]
    for title, padded in (("r50 by zoom", False), ("r50 by zoom, padded zooms too", True)):
        yield title, [row for item in cubes.items() for row in point_rows(*item, padded=padded)]
    yield "The scale law", [law_row(name, row, "") for name, c in cubes.items() for row in rows_of(bs.scale_law(c))]
    yield "The scale law, read otherwise", [row for item in cubes.items() for row in otherwise_rows(*item)]
    yield "Single images", [row for item in cubes.items() for row in image_rows(*item)]
    for name, cube in cubes.items():
        yield f"Groups, {name}", group_rows(name, bs.scale_law(cube, by))
    yield "Groups' conflicts", [row for item in cubes.items() for row in conflict_rows(*item, by)]
    for name, cube in cubes.items():
        yield f"The clearest conflicts, {name}", image_conflict_rows(cube)
    yield "Low-pass accuracy at zoom 1 (%)", difference_rows(comparison)
    yield "Where one model wins", win_rows(comparison)
    yield "Bands at zoom 1 (cycles/image)", band_rows(comparison)


def clean_row(name: str, cube: xr.DataTree) -> Row:
    cells = {f"zoom {z:g}": clean_at(cube, z) for z in cube["zoom"].values}
    return {"model": name, **cells}


def clean_at(cube: xr.DataTree, zoom: float) -> str:
    return interval(rows_of(bs.clean(bs.at_zoom(cube, zoom)))[0], "accuracy", "ci", scale=100, digits=1)


def padded_row(cube: xr.DataTree) -> Row:
    padded = cube["all_pass"]["padded"].values
    return {f"zoom {z:g}": f"{100 * padded[:, i].mean():.1f}" for i, z in enumerate(cube["zoom"].values)}


def native_row(cube: xr.DataTree, data: str | None) -> Row:
    """Beyond this zoom an image is interpolated: no finer detail comes in."""
    source = bs.load_source(data or cube.attrs["data"]["spec"])
    preprocess = bs.Preprocess.from_json(cube.attrs["preprocess"])
    zooms = [1 / preprocess.scale(source[i].size) for i in range(len(source))]
    low, middle, high = np.quantile(zooms, [0.25, 0.5, 0.75])
    return {
        "images": len(zooms),
        "quartile": f"{low:.2f}",
        "median": f"{middle:.2f}",
        "third quartile": f"{high:.2f}",
    }


def point_rows(name: str, cube: xr.DataTree, *, padded: bool) -> list[Row]:
    points = bs.scale_points(cube, padded=padded)
    return [
        {"model": name, "probe": spoken(str(probe)), "images": int(table["n"].iloc[0])}
        | {f"zoom {row['zoom']:g}": interval(row, "r50", digits=1) or row["reason"] for row in rows_of(table)}
        for probe, table in points.groupby("probe", sort=False)
    ]


def law_row(name: str, row: Mapping[str, object], read: str) -> Row:
    about = {"model": name, "probe": spoken(str(row["probe"]))} | ({"read": read} if read else {})
    return about | {
        "images": row["n"],
        "zooms": f"{row['zoom_low']:g} to {row['zoom_high']:g}",
        "β": interval(row, "beta", digits=2) or row["reason"],
        "r50 at zoom 1": number(row["r50"], 1),
        "p (β = 1)": p_value(row["p_object"]),
        "p (β = 0)": p_value(row["p_image"]),
        "verdict": row["verdict"],
        "left out": row["left_out_because"],
    }


def otherwise_rows(name: str, cube: xr.DataTree) -> list[Row]:
    """The same law from accuracy, with the padded zoom, and over fewer zooms."""
    read = {
        "accuracy": bs.scale_law(cube, of="accuracy"),
        "all zooms, padded too": bs.scale_law(cube, padded=True),
        "low zooms, padded too": bs.scale_law(cube.sel(zoom=list(LOW)), padded=True),
        "middle zooms": bs.scale_law(cube.sel(zoom=list(MIDDLE))),
        "high zooms": bs.scale_law(cube.sel(zoom=list(HIGH))),
    }
    return [law_row(name, row, how) for how, table in read.items() for row in rows_of(table)]


def image_rows(name: str, cube: xr.DataTree) -> list[Row]:
    """The median beta of single images with its distribution-free interval, and the verdicts."""
    rows: list[Row] = []
    for probe, table in bs.scale_law(cube, "image").dropna(subset="beta").groupby("probe", sort=False):
        beta = table["beta"].to_numpy()
        low, high = quantile_test(beta, q=0, p=0.5).confidence_interval(0.95)
        counts = table["verdict"].value_counts()
        verdicts = {kind: int(counts.get(kind, 0)) for kind in ("object", "image", "between", "beyond", "undecided")}
        rows.append(
            {
                "model": name,
                "probe": spoken(str(probe)),
                "images": len(table),
                "median β": f"{np.median(beta):.2f} [{low:.2f}, {high:.2f}]",
                "β > 0 (%)": f"{100 * (beta > 0).mean():.0f}",
                "β > 1 (%)": f"{100 * (beta > 1).mean():.0f}",
                **verdicts,
            }
        )
    return rows


def group_rows(name: str, law: pd.DataFrame) -> list[Row]:
    low = {row["group"]: row for row in rows_of(law[law["probe"] == "low_pass"].sort_values("beta"))}
    high = {row["group"]: row for row in rows_of(law[law["probe"] == "high_pass"])}
    return [
        {
            "group": group,
            "images (low-pass)": row["n"],
            "β, low-pass": interval(row, "beta", digits=2) or row["reason"],
            "verdict": row["verdict"],
            "images (high-pass)": high[group]["n"],
            "β, high-pass": interval(high[group], "beta", digits=2) or high[group]["reason"],
        }
        for group, row in low.items()
    ]


def conflict_rows(name: str, cube: xr.DataTree, by: By) -> list[Row]:
    """At every zoom: the groups whose fall has an interval without 0, or the largest fall."""
    rows: list[Row] = []
    for zoom in cube["zoom"].values:
        table = bs.conflicts(bs.at_zoom(cube, zoom), by).query("probe == 'low_pass'")
        found = table[table["conflict"]] if table["conflict"].any() else table.nlargest(1, "fall")
        rows += [
            {
                "model": name,
                "zoom": f"{zoom:g}",
                "group": row["group"],
                "images": row["n"],
                "peak at": number(row["peak_radius"], 0),
                "fall": interval(row, "fall"),
                "interval excludes 0": "yes" if row["conflict"] else "no",
            }
            for row in rows_of(found)
        ]
    return rows


def image_conflict_rows(cube: xr.DataTree) -> list[Row]:
    return [
        {
            "image": str(row["source"]).rpartition("/")[2],
            "label": row["label_name"],
            "its probability": f"{row['from_probability']:.2f} at {row['from_radius']:g}, "
            f"{row['to_probability']:.2f} at {row['to_radius']:g}",
            "on top then": row["winner"],
            "right when clean": "yes" if row["clean_right"] else "no",
        }
        for row in rows_of(bs.telling(cube, "nonmonotone", count=LISTED))
    ]


def difference_rows(comparison: Comparison) -> list[Row]:
    table = comparison.differences.query("probe in ('clean', 'low_pass')")
    return [
        {
            "radius": "clean" if row["probe"] == "clean" else f"{row['radius']:g}",
            str(row["a"]): number(100 * row["accuracy_a"], 1),
            str(row["b"]): number(100 * row["accuracy_b"], 1),
            "difference": interval(row, "difference", scale=100, digits=1),
            "p (Holm)": p_value(row["p_adjusted"]),
            "relative": interval(row, "relative_difference", scale=100, digits=1),
        }
        for row in rows_of(table)
    ]


def win_rows(comparison: Comparison) -> list[Row]:
    return [
        {
            "probe": spoken(row["probe"]),
            "winner": row["winner"],
            "from": number(row["from_radius"], 1),
            "to": number(row["to_radius"], 1),
            "largest difference (points)": number(100 * row["difference"], 1),
            "at": number(row["at_radius"], 1),
            "part of the band": row["part"] or row["reason"],
        }
        for row in rows_of(comparison.wins)
    ]


def band_rows(comparison: Comparison) -> list[Row]:
    table = comparison.band_differences.query("quantity in ('r10', 'r50', 'r90', 'width')")
    return [
        {
            "probe": spoken(str(row["probe"])),
            "quantity": row["quantity"],
            str(row["a"]): number(row["value_a"], 1),
            str(row["b"]): number(row["value_b"], 1),
            "difference": interval(row, "difference", "ci", digits=1) or row["reason"],
        }
        for row in rows_of(table)
    ]


def rows_of(table: pd.DataFrame) -> list[dict[str, object]]:
    return table.to_dict("records")


def p_value(p: object) -> str:
    value = float(str(p))
    return "" if np.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


if __name__ == "__main__":
    main()
