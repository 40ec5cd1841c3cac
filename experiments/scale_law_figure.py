"""Draw the surface and the law of an audit over zooms, and print the table of docs/scale-law.md as Markdown.

bandscope audit planted --zoom 0.71,1,1.41,2,2.83 --radii 1:46:1 --out planted-zoom.zarr
python experiments/scale_law_figure.py planted-zoom.zarr                    # docs/figures/scale-{surface,law}.png
"""

import argparse
from pathlib import Path

import pandas as pd

import bandscope as bs
from bandscope.report.figures import figure_scale_law, figure_scale_surface, save

OUT = Path(__file__).parent.parent / "docs/figures"


def as_markdown(law: pd.DataFrame) -> str:
    lines = ["| group | probe | images used | β | r50 at zoom 1 | verdict | left out |", "|" + "---|" * 7]
    for row in law.sort_values("group", key=lambda names: pd.factorize(names)[0], kind="stable").itertuples():
        beta = f"{row.beta:.2f} [{row.beta_ci_low:.2f}, {row.beta_ci_high:.2f}]" if not row.reason else "-"
        r50, said = (f"{row.r50:.1f}", row.verdict) if not row.reason else ("-", f"undefined: {row.reason}")
        probe = row.probe.replace("_", "-")
        lines.append(f"| {row.group} | {probe} | {row.n} | {beta} | {r50} | {said} | {row.left_out_because or '-'} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", help="a store of `bandscope audit --zoom`")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the figures")
    options = parser.parse_args()
    cube = bs.open(options.store)
    overall, by_class = bs.scale_law(cube), bs.scale_law(cube, by="class")
    name = f"{cube.attrs['model']['spec']} on {cube.attrs['data']['spec']}"
    surface = figure_scale_surface(bs.scale_surface(cube), bs.scale_points(cube), overall, title=name)
    save(surface, options.out / "scale-surface", ["png"])
    save(figure_scale_law(by_class, title=name), options.out / "scale-law", ["png"])
    print(as_markdown(pd.concat([overall, by_class])))


if __name__ == "__main__":
    main()
