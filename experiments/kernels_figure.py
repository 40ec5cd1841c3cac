"""Draw the Gaussian kernels and what they do to frequencies, and print the tables of docs/kernels.md as Markdown.

python experiments/kernels_figure.py                                        # docs/figures/kernels.png
"""

import argparse
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bandscope.scalespace.kernels import derivative_taps, gaussian_taps, operator_taps, radius_for

OUT = Path(__file__).parent.parent / "docs/figures/kernels.png"
FAMILIES = {"discrete": "#1b6ca8", "sampled": "#d1495b", "integrated": "#3c8d53"}
OPERATORS = {
    "g": "g", "dx": "dx", "dy": "dy", "dxx": "dxx", "dxy": "dxy", "dyy": "dyy",
    "laplacian": "laplacian", "du, 30°": "du", "duu, 30°": "duu",
}  # fmt: skip
FREQUENCIES = np.linspace(0, 0.5, 251)  # cycles/pixel
TIGHT = 1e-15


def response(taps: torch.Tensor, frequencies: np.ndarray = FREQUENCIES) -> np.ndarray:
    """The complex gain of correlation with the taps."""
    n = np.arange(len(taps)) - len(taps) // 2
    return np.exp(2j * np.pi * np.multiply.outer(frequencies, n)) @ taps.numpy()


def effective_sigma(taps: torch.Tensor) -> float:
    n = torch.arange(len(taps)) - len(taps) // 2
    return math.sqrt((taps * n**2).sum())


def semigroup_error(sigma: float, family: str) -> float:
    """Largest difference between blurring twice and blurring once with sqrt(2) sigma."""
    taps = gaussian_taps(sigma, family=family, tail=TIGHT).numpy()
    twice = np.convolve(taps, taps)
    once = gaussian_taps(math.sqrt(2) * sigma, family=family, radius=len(twice) // 2)
    return float(np.abs(twice - once.numpy()).max())


def family_table() -> str:
    lines = ["| family | sigma | effective sigma | gain at 0.5 cycles/pixel | error of two blurs for one |"]
    lines += ["|" + "---|" * 5]
    for family in FAMILIES:
        for sigma in (0.4, 0.7, 1.0, 2.0):
            taps = gaussian_taps(sigma, family=family, tail=TIGHT)
            gain = response(taps, np.array([0.5]))[0].real
            error = semigroup_error(sigma, family)
            lines.append(f"| {family} | {sigma:g} | {effective_sigma(taps):.4f} | {gain:.1e} | {error:.0e} |")
    return "\n".join(lines)


def radius_table() -> str:
    tails = (1e-2, 1e-3, 1e-4, 1e-6)
    lines = ["| sigma | " + " | ".join(f"tail {tail:g}" for tail in tails) + " |", "|" + "---|" * (len(tails) + 1)]
    for sigma in (0.5, 1.0, 2.0, 4.0, 8.0):
        lines.append(f"| {sigma:g} | " + " | ".join(str(radius_for(sigma, tail=tail)) for tail in tails) + " |")
    return "\n".join(lines)


def draw() -> Figure:
    figure = plt.figure(figsize=(10, 5.2), layout="constrained")
    rows = figure.subfigures(2, 1, height_ratios=(1, 2.6))
    draw_operators(rows[0])
    blur, width, slope = rows[1].subplots(1, 3)
    draw_blurs(blur)
    draw_widths(width)
    draw_slopes(slope)
    for axes in (blur, width, slope):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(9)
    return figure


def draw_operators(figure: plt.FigureBase) -> None:
    figure.suptitle("discrete family, sigma = 2: what each operator is correlated with (x right, y down)", fontsize=9)
    for axes, (title, operator) in zip(figure.subplots(1, len(OPERATORS)), OPERATORS.items(), strict=True):
        angle = math.radians(30) if "°" in title else None
        taps = operator_taps(operator, 2.0, angle=angle, radius=8).numpy()
        limit = np.abs(taps).max()
        axes.imshow(taps, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set_title(title, fontsize=9)
        axes.set(xticks=[], yticks=[])


def draw_blurs(axes: Axes) -> None:
    for family, colour in FAMILIES.items():
        for sigma in (0.4, 1.0):
            gain = response(gaussian_taps(sigma, family=family, tail=TIGHT)).real
            axes.plot(FREQUENCIES, gain, color=colour, label=family if sigma == 1 else None)
    for sigma in (0.4, 1.0):
        label = "continuous" if sigma == 1 else None
        axes.plot(FREQUENCIES, np.exp(-2 * (np.pi * FREQUENCIES * sigma) ** 2), "k:", lw=1, label=label)
    cut = response(gaussian_taps(math.sqrt(2), family="sampled", radius=1)).real
    axes.plot(FREQUENCIES, cut, color="0.55", ls="--", label="sigma = 1.41, 3 taps")
    axes.axhline(0, color="0.8", lw=0.8, zorder=0)
    axes.text(0.33, 0.93, "sigma = 0.4", fontsize=8)
    axes.text(0.03, 0.5, "sigma = 1", fontsize=8)
    axes.set(title="gain of the blur", xlabel="cycles/pixel", xlim=(0, 0.5))
    axes.legend(frameon=False, fontsize=7, loc="lower left", bbox_to_anchor=(0, 0.02))


def draw_widths(axes: Axes) -> None:
    sigmas = np.linspace(0.05, 2, 118)
    for family, colour in FAMILIES.items():
        found = [effective_sigma(gaussian_taps(s, family=family, tail=TIGHT)) for s in sigmas]
        axes.plot(sigmas, found, color=colour, label=family)
    for taps, style in ((3, "--"), (5, "-."), (7, ":")):
        found = [effective_sigma(gaussian_taps(s, family="sampled", radius=taps // 2)) for s in sigmas]
        axes.plot(sigmas, found, color="0.55", ls=style, label=f"sampled, {taps} taps")
    axes.set(title="effective sigma (root of the variance)", xlabel="sigma, pixels", xlim=(0, 2), ylim=(0, 2.1))
    axes.legend(frameon=False, fontsize=7, loc="upper left")


def draw_slopes(axes: Axes) -> None:
    for order in (1, 2):
        for family, colour in FAMILIES.items():
            gain = response(derivative_taps(order, 0.7, family=family, tail=TIGHT))
            axes.plot(FREQUENCIES, np.abs(gain), color=colour, label=family if order == 1 else None)
        omega = 2 * np.pi * FREQUENCIES
        label = "continuous" if order == 1 else None
        axes.plot(FREQUENCIES, omega**order * np.exp(-((omega * 0.7) ** 2) / 2), "k:", lw=1, label=label)
    axes.set(
        title="size of the gain of derivatives, sigma = 0.7", xlabel="cycles/pixel", xlim=(0, 0.5), ylim=(0, None)
    )
    axes.text(0.04, 1.2, "second order", fontsize=8)
    axes.text(0.17, 0.42, "first order", fontsize=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    draw().savefig(options.out, dpi=130)
    print(family_table(), radius_table(), sep="\n\n")


if __name__ == "__main__":
    main()
