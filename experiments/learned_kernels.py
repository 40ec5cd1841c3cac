"""Figures and tables of docs/results/learned-kernels.md: do trained kernels look like Gaussian derivatives?

python experiments/learned_kernels.py $DATA --out docs/results

DATA holds weights/mobilenetv1_100_tf_224.safetensors and imagenet-500/. Writes OUT/figures/*.png, prints the tables
as Markdown.
"""

import argparse
import copy
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.utils.hooks import RemovableHandle

import bandscope as bs
from bandscope.analysis.statistics import wilson
from bandscope.classifiers.torch_classifier import TorchClassifier
from bandscope.datasets import match_labels
from bandscope.nn.convert import convert_depthwise
from bandscope.nn.inspect import Inspection, inspect_model
from bandscope.nn.jetfit import jet_taps, scale_grid
from bandscope.nn.null import chance, dimensions
from bandscope.report.figures import style
from bandscope.report.figures.kernels import figure_kernel_layers, figure_kernels

SPEC = "timm:mobilenetv1_100?pad_type=same"
DPI = 150
CLEAR = 0.01  # kernels whose rounding to 8 bits is less of their energy than this
MATCH_ON = 100  # images whose features give each channel its mean and deviation back
DRAWS = 3
BATCH = 50

Images = tuple[torch.Tensor, torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    weights = options.data / "weights" / "mobilenetv1_100_tf_224.safetensors"
    classifier = bs.load_classifier(SPEC, weights=weights)
    if not isinstance(classifier, TorchClassifier):
        raise TypeError(type(classifier))
    found = inspect_model(classifier.module)
    folder = options.out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    save_small(figure_kernel_layers(found.layers), folder / "learned-kernels-layers.png")
    save_small(figure_kernels(found.kernels, found.taps), folder / "learned-kernels.png")
    make = (layer_rows, kind_rows, shift_rows, rounding_rows, last_rows)
    for rows in (chance_rows(), *(rows_of(found) for rows_of in make)):
        print(markdown(rows) + "\n")
    images = pictures(classifier, options.data / "imagenet-500")
    print(markdown(function_rows(classifier.module, images)))


def save_small(figure: Figure, path: Path) -> None:
    with style.drawing():
        figure.savefig(path, dpi=DPI, facecolor="white", metadata={"Software": "bandscope"})


def markdown(rows: list[dict[str, object]]) -> str:
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *[[str(value) for value in row.values()] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.0f}"


def chance_rows() -> list[dict[str, object]]:
    """Shares of random kernels, by size: mean, and the level that 1 in 20 exceeds."""
    rows = []
    for side in (3, 5, 7, 9):
        member, jet = chance((side, side))
        rows.append(
            {
                "kernel": f"{side} x {side}",
                "one member: mean": percent(member.mean),
                "1 in 20 above": percent(member.unusual),
                "jet at a given scale": percent(dimensions((side, side))),
                "jet at its best scale: mean": percent(jet.mean),
                "1 in 20 above ": percent(jet.unusual),
            }
        )
    return rows


def layer_rows(found: Inspection) -> list[dict[str, object]]:
    rows = []
    for row in found.layers.to_dict("records"):
        blur = row["nearest_g"] - row["passes"]
        rows.append(
            {
                "layer": row["layer"].removesuffix(".conv_dw"),
                "kernels": row["kernels"],
                "stride": row["stride"][0],
                "pass": percent(row["passes"]),
                "g": percent(blur),
                "dx, dy": percent(row["nearest_dx"] + row["nearest_dy"]),
                "dxx, dyy, dxy": percent(row["nearest_dxx"] + row["nearest_dyy"] + row["nearest_dxy"]),
                "σ (quartiles)": f"{row['sigma']:.2f} ({row['sigma_q25']:.2f}, {row['sigma_q75']:.2f})",
                "spread": f"{row['spread']:.2f}",
                "member": f"{percent(row['member_share'])} ({percent(row['member_shuffled'])})",
                "unusual": percent(row["member_unusual"]),
                "jet": f"{percent(row['jet_share'])} ({percent(row['jet_shuffled'])})",
                "jet unusual": percent(row["jet_unusual"]),
                "peak": f"{row['peak']:.2f}",
            }
        )
    return rows


def kind_rows(found: Inspection) -> list[dict[str, object]]:
    """What the kernels are nearest to, over all layers with and without a stride; the first and the last apart."""
    stride = found.layers.set_index("layer")["stride"]
    known = found.kernels[found.kernels["reason"] == ""]
    strided = known["layer"].map(stride) == "2 x 2"
    first, last = known["layer"] == "blocks.1.0.conv_dw", known["layer"] == "blocks.4.1.conv_dw"
    groups = {"stride 2, but blocks.1.0": strided & ~first, "stride 1, but blocks.4.1": ~strided & ~last}
    rows = []
    for text, chosen in groups.items():
        own = known[chosen]
        kinds = own["member"].where(~own["passes"], "pass")
        for kind in ("pass", "g", "dx", "dy", "dxx", "dyy", "dxy"):
            part = own[kinds == kind]
            if len(part):
                rows.append(
                    {
                        "layers": text,
                        "nearest": kind,
                        "kernels": len(part),
                        "%": f"{100 * len(part) / len(own):.1f}",
                        "member explains": percent(part["member_share"].mean()),
                        "jet explains": percent(part["jet_share"].mean()),
                        "σ": f"{part['sigma'].median():.2f}" if kind not in {"pass", "dxy"} else "",
                        "spread": f"{part['spread'].median():.2f}" if kind not in {"pass", "dxy"} else "",
                    }
                )
    return rows


def shift_rows(found: Inspection) -> list[dict[str, object]]:
    """Centre of mass of the kernels that are nearest to a blur, in pixels; what first derivatives add to it."""
    rows = []
    for row in found.layers.to_dict("records"):
        own = found.kernels[found.kernels["layer"] == row["layer"]].reset_index(drop=True)
        taps = found.taps[row["layer"]][(own["member"] == "g") & ~own["passes"]]
        place = np.arange(-1, 2)
        right, down = (taps.sum(axis) @ place / taps.sum((1, 2)) for axis in (1, 2))
        rows.append(
            {
                "layer": row["layer"].removesuffix(".conv_dw"),
                "stride": row["stride"][0],
                "blurs": len(taps),
                **{name: quartiles(shift) for name, shift in (("to the right", right), ("down", down))},
                "g": percent(own["member_share"][(own["member"] == "g") & ~own["passes"]].mean()),
                "g, dx, dy": percent(first_order_share(taps)),
            }
        )
    return rows


def first_order_share(taps: np.ndarray) -> float:
    """Energy that g, dx and dy together explain, each kernel at its best scale; mean."""
    jets = jet_taps(scale_grid((3, 3)), (3, 3))[:, :3].flatten(2)
    unit = nn.functional.normalize(torch.from_numpy(taps).flatten(1))
    shares = torch.einsum("nt,stm->nsm", unit, torch.linalg.qr(jets.mT).Q).square().sum(2)
    return float(shares.amax(1).mean())


def quartiles(values: np.ndarray) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f}, {high:.2f})"


def last_rows(found: Inspection) -> list[dict[str, object]]:
    """The last layer: how many kernels are widest at the centre."""
    size = np.abs(found.taps["blocks.4.1.conv_dw"])
    dip = size[:, 1, 1] < size.mean((1, 2))
    one_sign = np.abs(found.taps["blocks.4.1.conv_dw"].sum((1, 2))) == size.sum((1, 2))
    wide = (found.kernels.query("layer == 'blocks.4.1.conv_dw'")["bound"] == "high").mean()
    return [{"blocks.4.1: centre below the mean tap": percent(dip.mean()), "of one sign": percent(one_sign.mean()),
             "at the widest scale": percent(wide)}]  # fmt: skip


def rounding_rows(found: Inspection) -> list[dict[str, object]]:
    """How much of the kernels' energy their rounding to 8 bits may be, and the shares of those that it spares."""
    rows = []
    for layer, taps in found.taps.items():
        levels = np.unique(taps.round(6))
        step = np.diff(levels)[np.diff(levels) > 1e-5].min()
        noise = taps[0].size * step**2 / 12 / (taps**2).sum((1, 2)).clip(1e-12)
        own = found.kernels[found.kernels["layer"] == layer].reset_index(drop=True)
        clear = own[noise < CLEAR]
        rows.append(
            {
                "layer": layer.removesuffix(".conv_dw"),
                "rounding, median % of energy": f"{100 * np.median(noise):.1f}",
                "kernels spared (%)": percent((noise < CLEAR).mean()),
                "member": f"{percent(own['member_share'].mean())} -> {percent(clear['member_share'].mean())}",
                "jet": f"{percent(own['jet_share'].mean())} -> {percent(clear['jet_share'].mean())}",
            }
        )
    return rows


def pictures(classifier: TorchClassifier, folder: Path) -> Images:
    """Normalised crops and their labels."""
    source = bs.load_source(f"folder:{folder}")
    labels = match_labels(source.classes, classifier.classes, 1000, labels_csv=None, by="auto")[source.labels]
    crops = (torch.from_numpy(classifier.preprocess.crop(source[i]))[None] for i in range(len(source)))
    batch = torch.cat([classifier.preprocess.normalise(crop) for crop in crops])
    return batch.contiguous(memory_format=torch.channels_last), torch.from_numpy(np.asarray(labels))


def function_rows(module: nn.Module, images: Images) -> list[dict[str, object]]:
    """Top-1 after the kernels have been replaced by parts of themselves, without any training."""
    rows = [{"kernels": "as trained", "energy kept": "100", "top-1": top1(module, images), "top-1, matched": ""}]
    for text, mode in (("nearest member (project)", "project"), ("jet (learn-mix, as it starts)", "learn-mix")):
        rows.append(function_row(text, module, convert_depthwise(module, mode).model, images))
    for count, draw in itertools.product((6, 8), range(DRAWS)):
        other = rebuilt(module, random_projection(count, draw))
        rows.append(function_row(f"{count} random dimensions, draw {draw + 1}", module, other, images))
    return rows


def function_row(text: str, old: nn.Module, new: nn.Module, images: Images) -> dict[str, object]:
    kept, plain = energy_kept(old, new), top1(new, images)
    return {
        "kernels": text,
        "energy kept": percent(kept),
        "top-1": plain,
        "top-1, matched": top1(matched(new, old, images[0][:: len(images[0]) // MATCH_ON]), images),
    }


def depthwise(module: nn.Module) -> list[str]:
    return [n for n, m in module.named_modules() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1]


def energy_kept(old: nn.Module, new: nn.Module) -> float:
    """Mean over kernels, as in the tables."""
    energies = [
        [module.get_submodule(name).weight.detach().square().sum((1, 2, 3)) for name in depthwise(old)]
        for module in (new, old)
    ]
    after, before = map(torch.cat, energies)
    return float((after / before)[before > 0].mean())


def rebuilt(module: nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    """A copy whose depthwise kernels, as rows of numbers, are changed."""
    new = copy.deepcopy(module)
    with torch.no_grad():
        for name in depthwise(new):
            weight = new.get_submodule(name).weight
            weight.copy_(change(weight.flatten(1)).reshape(weight.shape))
    return new


def matched(new: nn.Module, old: nn.Module, pixels: torch.Tensor) -> nn.Module:
    """The mean and deviation of each channel behind each depthwise layer set back to what they were, in its BN."""
    new, names = copy.deepcopy(new), depthwise(old)
    for name, (mean, deviation) in channel_statistics(old, names, pixels).items():
        now, spread = channel_statistics(new, [name], pixels)[name]
        norm = new.get_submodule(f"{name.rpartition('.')[0]}.bn1")
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        factor = deviation / spread.clamp_min(1e-12)
        with torch.no_grad():
            norm.bias += gain * (mean - factor * now - norm.running_mean)
            norm.weight *= factor
            norm.running_mean.zero_()
    return new


def channel_statistics(
    module: nn.Module, names: list[str], pixels: torch.Tensor
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Mean and deviation of each channel of some layers' outputs."""
    seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def note(name: str) -> RemovableHandle:
        return module.get_submodule(name).register_forward_hook(
            lambda _, __, out: seen.update({name: (out.mean((0, 2, 3)), out.std((0, 2, 3)))})
        )

    hooks = [note(name) for name in names]
    with torch.no_grad():
        module(pixels)
    for hook in hooks:
        hook.remove()
    return seen


def top1(module: nn.Module, images: Images) -> str:
    pixels, labels = images
    with torch.inference_mode():
        found = torch.cat([module(part).argmax(1) for part in pixels.split(BATCH)])
    right = int((found == labels).sum())
    low, high = wilson(right, len(labels))
    return f"{100 * right / len(labels):.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def random_projection(dimensions: int, draw: int) -> Callable[[torch.Tensor], torch.Tensor]:
    basis = torch.linalg.qr(torch.from_numpy(np.random.default_rng(draw).normal(size=(9, dimensions))).float()).Q
    return lambda kernels: kernels @ basis @ basis.T


if __name__ == "__main__":
    main()
