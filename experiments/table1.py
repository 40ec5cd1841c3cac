"""Table 1 of [Zhang2023]: what a low-pass costs, and what training on low-passed images brings back.

python experiments/table1.py experiments/configs/tiny-imagenet.toml --data $DATA --device cuda --precision bf16

The plan's `table1` names a network and the paper's radii at its 224 pixels, scaled to the side of the images. A
training on whole images (that of table2.py, if it is there) and one at each radius are both tested at each radius.
"""

from collections.abc import Mapping
from pathlib import Path

from pages import Row
from trainings import Cell, Machine, Plan, accuracy, audited, begin, difference, trained, what_was_run, written

import bandscope as bs

# Table 1, top-1 (%): pretrained, retrained
PAPER = {
    145: (73.2, 73.1),
    125: (73.2, 73.2),
    105: (72.8, 72.9),
    85: (69.4, 72.5),
    65: (63.1, 72.1),
    45: (53.1, 70.6),
}
PAPER_SIDE = 224


def main() -> None:
    plan, out, machine, _ = begin(__doc__)
    network, side = plan.table1["network"], min(plan.images("test")[0].size)
    radii = {radius: radius * side / PAPER_SIDE for radius in plan.table1["radii"]}
    whole, low = [], {}
    for seed in plan.seeds:
        whole.append(trained(plan, network, seed, out, machine))
        for radius in radii.values():
            low[radius, seed] = trained(plan, network, seed, out, machine, lowpass=radius)
    write(plan, out, machine, whole, low, radii)


def write(
    plan: Plan,
    out: Path,
    machine: Machine,
    whole: list[Cell],
    low: Mapping[tuple[float, int], Cell],
    radii: Mapping[int, float],
) -> None:
    probe = bs.LowPass(sorted(radii.values()))
    pretrained = [audited(plan, cell, machine, [probe], "low-pass") for cell in whole]
    rows: list[Row] = [{"radius": "none", "pretrained": accuracy(pretrained), **blank()}]
    for of_paper, radius in sorted(radii.items(), reverse=True):
        retrained = [
            audited(plan, low[radius, seed], machine, [bs.LowPass([radius])], "low-pass") for seed in plan.seeds
        ]
        paper_before, paper_after = PAPER.get(of_paper, ("", ""))
        rows.append(
            {
                "radius": f"{radius:.2f} ({of_paper} at {PAPER_SIDE})",
                "pretrained": accuracy(pretrained, radius),
                "retrained": accuracy(retrained, radius),
                "retrained - pretrained": difference(retrained, pretrained, radius),
                "paper: pretrained": paper_before,
                "paper: retrained": paper_after,
            }
        )
    cells = [*whole, *low.values()]
    title = f"{plan.title}, {plan.table1['network']}: top-1 (%) on low-passed test images"
    written(out, "table1", title, rows, what_was_run(plan, cells))


def blank() -> Row:
    return {"retrained": "", "retrained - pretrained": "", "paper: pretrained": 73.2, "paper: retrained": ""}


if __name__ == "__main__":
    main()
