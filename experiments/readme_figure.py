"""The README's figure: the default audit's summary, small. `python experiments/readme_figure.py` writes it."""

from pathlib import Path

from pages import save_small

import bandscope as bs
from bandscope.report.figures import figure_summary

OUT = Path(__file__).parents[1] / "docs/figures/overview-planted.png"


def main() -> None:
    """Audit the embedded model on the embedded images, and draw it."""
    cube = bs.audit("planted", "planted")
    figure = figure_summary(
        bs.curves(cube),
        bs.curves(cube, by="class"),
        bs.bands(cube, by="class"),
        chance=1 / cube.sizes["class"],
        title="planted on planted",
    )
    save_small(figure, OUT)
    print(f"{OUT.name}: {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
