"""Draw the planted set and what its network makes of it, and print the recovered bands as a Markdown table.

python experiments/planted_figure.py                                        # docs/figures/planted.png
python experiments/planted_figure.py --checkpoint filtered.safetensors --out filtered.png
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bandscope.analysis.bands import band_quantities
from bandscope.classifiers import Classifier, load_classifier
from bandscope.datasets.planted import BACKGROUND_CLASS, Planted
from bandscope.spectral.transform import high_pass, low_pass

RADII = np.arange(1, 47)
PROBES = {"low_pass": low_pass, "high_pass": high_pass}
OUT = Path(__file__).parent.parent / "docs/figures/planted.png"


def measure(classifier: Classifier, source: Planted) -> dict[str, np.ndarray]:
    """Predictions (image, radius) of each probe, and clean (image, 1)."""
    crops = np.stack([classifier.preprocess.crop(source[i]) for i in range(len(source))])
    inputs = classifier.preprocess.normalise(torch.from_numpy(crops))
    found = {name: [predict(classifier, probe(inputs, float(r))) for r in RADII] for name, probe in PROBES.items()}
    return {name: np.stack(p, axis=1) for name, p in (found | {"clean": [predict(classifier, inputs)]}).items()}


def predict(classifier: Classifier, inputs: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return torch.cat([classifier.logits(batch).argmax(1) for batch in inputs.split(60)]).numpy()


def class_curves(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Accuracy (class, radius) of the striped classes."""
    return np.stack([(predictions[labels == k] == k).mean(axis=0) for k in range(BACKGROUND_CLASS)])


def table(curves: Mapping[str, np.ndarray], source: Planted) -> str:
    lines = [
        "| class | planted, cycles/image | cycles/object | direction | low-pass r10 | r50 | r90 | high-pass r50 |"
    ]
    lines += ["|" + "---|" * 8]
    low, high = (band_quantities(curves[name], RADII.astype(float), name) for name in PROBES)
    for k, (a, b) in enumerate(source.bands):
        planted = f"{a:g} to {b:g} | {source.object_bands[k][0]:.1f} to {source.object_bands[k][1]:.1f}"
        found = " | ".join(f"{value:.1f}" for value in (*low[k, 1:4], high[k, 2]))
        lines.append(f"| {source.classes[k].name} | {planted} | {source.orientations[k]:g}° | {found} |")
    return "\n".join(lines)


def draw(source: Planted, curves: Mapping[str, np.ndarray]) -> Figure:
    figure = plt.figure(figsize=(9, 4.9), layout="constrained")
    rows = figure.subfigures(2, 1, height_ratios=(1, 3))
    for k, axes in enumerate(rows[0].subplots(1, len(source.classes))):
        axes.imshow(source[k])
        axes.set_title(source.classes[k].name, fontsize=8)
        axes.axis("off")
    titles = {"low_pass": "low-pass: only d ≤ r is left", "high_pass": "high-pass: only d > r is left"}
    for axes, (name, title) in zip(rows[1].subplots(1, 2, sharey=True), titles.items(), strict=True):
        draw_curves(axes, curves[name], source)
        axes.set(title=title, xlabel="radius r, cycles/image", xlim=(0, 34))
    rows[1].axes[0].set_ylabel("accuracy of each class\n(colour: its planted band)")
    return figure


def draw_curves(axes: Axes, curves: np.ndarray, source: Planted) -> None:
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.95, len(curves)))
    for curve, colour, (low, high) in zip(curves, colours, source.bands, strict=True):
        axes.axvspan(low, high, ymax=0.04, color=colour, lw=0)
        axes.axvspan(low, high, color=colour, alpha=0.12, lw=0)
        axes.plot(RADII, curve, color=colour, marker=".", ms=4, lw=1.4)
    axes.set_ylim(-0.08, 1.04)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="planted", help="a model spec; default: the embedded network")
    parser.add_argument("--seed", type=int, default=0, help="of the test images")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    classifier, source = load_classifier(options.checkpoint), Planted(seed=options.seed)
    classifier.prepare(torch.device("cpu"), torch.float32)
    found = measure(classifier, source)
    curves = {name: class_curves(found[name], source.labels) for name in PROBES}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    draw(source, curves).savefig(options.out, dpi=130)
    clean = (found["clean"][:, 0] == source.labels).mean()
    striped = source.labels != BACKGROUND_CLASS
    wrong = found["low_pass"][striped] != source.labels[striped, None]
    print(table(curves, source))
    share = (found["low_pass"][striped][wrong] == BACKGROUND_CLASS).mean()
    print(f"clean accuracy {clean:.3f}; of the errors under low-pass, {share:.3f} are 'background'")


if __name__ == "__main__":
    main()
