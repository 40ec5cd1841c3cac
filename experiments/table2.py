"""Table 2 of [Zhang2023]: MobileNetV1 against GSSDNet of first and second order, trained alike, on any images.

python experiments/table2.py experiments/configs/cifar10.toml --data $DATA --device cuda --precision bf16 --compile

Every network of the plan is trained with every seed, in the plan's order, and tested once, after its last epoch.
Prints the accuracies beside the paper's, and the differences between networks on the same test images.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import xarray as xr
from pages import Row
from trainings import Cell, Machine, Plan, accuracy, audited, begin, difference, trained, what_was_run, written

# Table 2, top-1 (%), on MNIST, CIFAR-100 and ImageNet
PAPER = {
    "gssdnet_vanilla_100": (99.68, 76.1, 71.8),
    "gssdnet_100_o1": (99.69, 74.4, 68.5),
    "gssdnet_100": (99.72, 77.1, 71.2),
    "gssdnet_vanilla_075": (99.67, 75.1, 69.2),
    "gssdnet_075_o1": (99.68, 73.4, 65.5),
    "gssdnet_075": (99.69, 76.0, 68.4),
    "gssdnet_vanilla_050": (99.68, 72.4, 64.2),
    "gssdnet_050_o1": (99.64, 70.4, 60.4),
    "gssdnet_050": (99.71, 73.7, 63.0),
}
PAIRS = (
    ("gssdnet_{}", "gssdnet_{}_o1", "second order - first order"),
    ("gssdnet_{}", "gssdnet_vanilla_{}", "second order - MobileNetV1"),
    ("gssdnet_{}_o1", "gssdnet_vanilla_{}", "first order - MobileNetV1"),
    ("gssdnet_exact_{}", "gssdnet_{}", "exact - paper's kernels, second order"),
    ("gssdnet_exact_{}_o1", "gssdnet_{}_o1", "exact - paper's kernels, first order"),
)
Cubes = Mapping[str, Sequence[xr.DataTree]]  # of each network, one a seed


def main() -> None:
    plan, out, machine, _ = begin(__doc__)
    cells = {(network, seed): trained(plan, network, seed, out, machine) for seed, network in order(plan)}
    write(plan, out, machine, cells)


def order(plan: Plan) -> Iterable[tuple[int, str]]:
    """All networks with the first seed, then with the next."""
    return [(seed, network) for seed in plan.seeds for network in plan.networks]


def write(plan: Plan, out: Path, machine: Machine, cells: Mapping[tuple[str, int], Cell]) -> None:
    cubes = {name: [audited(plan, cells[name, seed], machine) for seed in plan.seeds] for name in plan.networks}
    rows = [row(network, cubes, cells[network, plan.seeds[0]]) for network in plan.networks]
    written(out, "table2", f"{plan.title}: top-1 (%)", rows, what_was_run(plan, cells.values()))
    between = list(difference_rows(cubes))
    if between:
        note = "Points of top-1 on the same test images, paired."
        written(out, "table2-differences", f"{plan.title}: differences", between, note)


def row(network: str, cubes: Cubes, cell: Cell) -> Row:
    mnist, cifar100, imagenet = PAPER.get(network, ("", "", ""))
    return {
        "network": network,
        "parameters": f"{cell.parameters:,}",
        "ours": accuracy(cubes[network]),
        "minutes a training": f"{cell.seconds / 60:.1f}",
        "paper: MNIST": mnist,
        "CIFAR-100": cifar100,
        "ImageNet": imagenet,
    }


def difference_rows(cubes: Cubes) -> Iterable[Row]:
    for width in ("100", "075", "050"):
        for ours, theirs, words in PAIRS:
            one, other = ours.format(width), theirs.format(width)
            if one in cubes and other in cubes:
                points = difference(cubes[one], cubes[other])
                yield {"width": f"{int(width) / 100:g}", "difference": words, "points": points}


if __name__ == "__main__":
    main()
