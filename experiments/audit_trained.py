"""Which frequencies do classes live on, and does a GSSDNet use other bands than its twin? Table 2's networks audited.

python experiments/audit_trained.py experiments/configs/cifar10.toml --data $DATA --figures docs/results/figures

Trains what is not there yet, audits the networks of the plan's `audit` (first seed) on the test images at its radii,
and prints the tables of docs/results/classes.md: reach, bands of classes, bands against accuracy, conflicts,
similarity, every network against the first. With `--figures DIR` draws the paper's figures 2, 3 and 4 with intervals.
"""

from collections.abc import Iterable

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
    number,
    reach_rows,
    save_small,
    similarity_rows,
    spoken,
    usurper_rows,
)
from trainings import audited, begin, trained, what_was_run, written

import bandscope as bs
from bandscope.report.figures import figure_band_accuracy, figure_comparison, figure_heatmap

LOW_PASS, HIGH_PASS = "low_pass", "high_pass"
EXAMPLES = 3  # images drawn of those whose label is lost for good


def main() -> None:
    plan, out, machine, figures_in = begin(__doc__)
    networks, radii = plan.audit["networks"], plan.audit["radii"]
    cells = [trained(plan, network, plan.seeds[0], out, machine) for network in networks]
    probes = [bs.LowPass(radii), bs.HighPass([0, *radii])]
    cubes = {cell.network: audited(plan, cell, machine, probes, "sweep") for cell in cells}
    for title, rows in tables(cubes):
        slug = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
        written(out, f"audit-{slug}", f"{plan.title}: {title}", rows, "")
    print(what_was_run(plan, cells))
    if figures_in is not None:
        figures_in.mkdir(parents=True, exist_ok=True)
        for name, figure in figures(cubes, plan.title):
            save_small(figure, figures_in / f"classes-{out.name}-{name}.png")


def tables(cubes: Cubes) -> Iterable[tuple[str, list[Row]]]:
    """Title and rows, in the order of the page."""
    items = list(cubes.items())
    yield "clean accuracy (%)", [clean_row(*item) for item in items]
    yield "reach (cycles per image)", reach_rows(cubes)
    for probe in (LOW_PASS, HIGH_PASS):
        yield f"bands of classes under {spoken(probe)}", class_rows(cubes, probe)
        yield f"classes whose r50 are apart under {spoken(probe)}", [apart_row(*item, probe) for item in items]
    yield "band against accuracy", [row for item in items for row in association_rows(*item, "class")]
    yield "conflicts", [row for item in items for row in conflict_rows(*item, "class")]
    yield "usurpers", [row for item in items for row in usurper_rows(*item)]
    yield "similarity", [row for item in items for row in similarity_rows(*item, "class")]
    yield "bands minus the first network's", difference_rows(bs.band_differences(cubes))
    yield "classes whose bands differ from the first network's", class_difference_rows(cubes)


def bands_of_classes(cube: xr.DataTree, probe: str) -> pd.DataFrame:
    bands = bs.bands(cube, "class")
    return bands[bands["probe"] == probe]


def class_rows(cubes: Cubes, probe: str) -> list[Row]:
    """r50 of every class in every network, the classes in the first one's order."""
    found = {name: bands_of_classes(cube, probe).set_index("group") for name, cube in cubes.items()}
    first = next(iter(found.values())).sort_values("r50")
    return [
        {"class": group, "images": row["n"], "accuracy (%)": interval(row, "accuracy", scale=100, digits=1)}
        | {
            f"r50, {name}": interval(bands.loc[group].to_dict(), "r50", digits=2) or bands.loc[group, "reason"]
            for name, bands in found.items()
        }
        for group, row in ((group, first.loc[group].to_dict()) for group in first.index)
    ]


def apart_row(name: str, cube: xr.DataTree, probe: str) -> Row:
    """Pairs of classes by whether their intervals of r50 overlap."""
    bands = bands_of_classes(cube, probe).dropna(subset="r50").sort_values("r50")
    low, high = bands["r50_ci_low"].to_numpy(), bands["r50_ci_high"].to_numpy()
    apart = sum((high[i] < low[i + 1 :]).sum() for i in range(len(bands)))
    ends = [f"{row['group']} {number(row['r50'], 2)}" for row in bands.to_dict("records")] or ["no class has a band"]
    pairs = len(bands) * (len(bands) - 1) // 2
    return {"network": name, "pairs": pairs, "apart": int(apart), "lowest": ends[0], "highest": ends[-1]}


def difference_rows(table: pd.DataFrame) -> list[Row]:
    rows = table[table["quantity"].isin(["r10", "r50", "r90", "width"])]
    return [
        {
            "network": row["b"],
            "probe": spoken(row["probe"]),
            "quantity": row["quantity"],
            "first network": number(row["value_a"], 2),
            "this one": number(row["value_b"], 2),
            "difference": interval(row, "difference", "ci", digits=2) or row["reason"],
        }
        for row in rows.to_dict("records")
    ]


def class_difference_rows(cubes: Cubes) -> list[Row]:
    """How many classes' r50 differ by more than their paired intervals."""
    table = bs.band_differences(cubes, "class").query("quantity == 'r50'").dropna(subset="difference")
    return [
        {
            "network": name,
            "probe": spoken(probe),
            "classes": len(rows),
            "higher": ", ".join(rows.loc[rows["ci_low"] > 0, "group"]) or "none",
            "lower": ", ".join(rows.loc[rows["ci_high"] < 0, "group"]) or "none",
        }
        for (name, probe), rows in table.groupby(["b", "probe"], sort=False)
    ]


def figures(cubes: Cubes, title: str) -> Iterable[tuple[str, Figure]]:
    compared = bs.compare(cubes)
    curves = {str(name): table for name, table in compared.curves.groupby("model", sort=False)}
    yield "comparison", figure_comparison(curves, compared.differences, chance=0.1, title=title)
    for name, cube in cubes.items():
        by_class, bands, named = bs.curves(cube, "class"), bs.bands(cube, "class"), f"{title}, {name}"
        low, pixels = bands[bands["probe"] == LOW_PASS], min(cube.attrs["preprocess"]["size"])
        yield f"heatmap-{name}", figure_heatmap(by_class, bands, title=named)
        yield f"bands-{name}", figure_band_accuracy(low, bs.band_accuracy(low), pixels=pixels, title=named)
    name, cube = next(iter(cubes.items()))
    lost = bs.takeovers(cube).query("probe == @LOW_PASS and not regained").nlargest(EXAMPLES, "usurper_probability")
    for i, image in enumerate(lost["image"]):
        yield f"sample-{i + 1}", bs.sample_figure(cube, int(image))


if __name__ == "__main__":
    main()
