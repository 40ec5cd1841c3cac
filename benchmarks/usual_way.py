"""An audit side by side with the usual way: the same images, network and radii, and the same predictions.

    python benchmarks/usual_way.py --data imagenet/val --model timm:mobilenetv1_100 --limit 64

The usual way is written as such scripts are: for each radius a DataLoader over the folder decodes, resizes and crops
every image again; a complex transform, fftshift, a mask, and back; float32 in PyTorch's own memory format.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from audit_vs_forward import photographs
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

import bandscope as bs
from bandscope.classifiers import Classifier, load_classifier
from bandscope.datasets import load_source, select
from bandscope.probes import default_radii

Predictions = dict[tuple[str, float], np.ndarray]


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.data or photographs(Path(scratch) / "photos", options.limit)
        classifier = load_classifier(options.model, weights=options.weights, overrides=overrides(options))
        radii = options.radii or default_radii(classifier.preprocess.size)[::3]
        print(f"{options.model}: {options.limit} images, low-pass and high-pass at {len(radii)} radii", end=", ")
        print(f"torch {torch.__version__}, {options.threads} threads\n")
        torch.set_num_threads(options.threads)
        start = time.perf_counter()
        expected = usual(options, folder, radii)
        usual_seconds = time.perf_counter() - start
        conditions = options.limit * len(expected)
        print(f"{'':24} {'s':>8} {'ms a condition':>15} {'times faster':>13} {'same predictions':>17}")
        print(f"{'the usual way':24} {usual_seconds:>8.1f} {1e3 * usual_seconds / conditions:>15.2f}")
        for name, settings in {
            "audit": {},
            "audit, auto": {"backend": "auto", "precision": "auto"},
            "audit, openvino fp32": {"backend": "openvino"},
            "audit, openvino bf16": {"backend": "openvino", "precision": "bf16"},
        }.items():
            start = time.perf_counter()
            cube = audited(options, folder, radii, settings)
            seconds = time.perf_counter() - start
            same = np.mean([predicted == expected[key] for key, predicted in predictions(cube).items()])
            plan = cube.attrs["plan"]
            how = f"{name} ({plan['backend']} {plan['precision']})" if "auto" in name else name
            print(
                f"{how:24} {seconds:>8.1f} {1e3 * seconds / conditions:>15.2f} {usual_seconds / seconds:>13.1f} "
                f"{same:>17.2%}",
                flush=True,
            )


@torch.no_grad()
def usual(options: argparse.Namespace, folder: Path | str, radii: list[float]) -> Predictions:
    """As scripts do it."""
    classifier = load_classifier(options.model, weights=options.weights, overrides=overrides(options))
    network = classifier.module.to(memory_format=torch.contiguous_format).eval()
    transform = usual_transform(classifier)
    chosen = select(load_source(f"folder:{folder}"), limit=options.limit)
    images = ImageFolder(str(folder), transform)
    places = {str(Path(path).relative_to(folder)): place for place, (path, _) in enumerate(images.samples)}
    subset = Subset(images, [places[path] for path in chosen.paths])
    height, width = classifier.preprocess.size
    y, x = np.ogrid[:height, :width]
    distance = np.hypot(y - height // 2, x - width // 2)
    found = {}
    for kind in ("low_pass", "high_pass"):
        for radius in radii:
            kept = distance <= radius if kind == "low_pass" else distance > radius
            mask = torch.from_numpy(kept)
            predicted = []
            for batch, _ in DataLoader(subset, batch_size=32, num_workers=options.workers):
                spectrum = torch.fft.fftshift(torch.fft.fft2(batch), dim=(-2, -1)) * mask
                filtered = torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1))).real
                predicted.append(network(filtered).argmax(1))
            found[kind, float(radius)] = torch.cat(predicted).numpy()
    return found


def usual_transform(classifier: Classifier) -> Compose:
    preprocess = classifier.preprocess
    return Compose(
        [
            Resize(preprocess.resize, InterpolationMode(preprocess.interpolation)),
            CenterCrop(preprocess.size),
            ToTensor(),
            Normalize(preprocess.mean, preprocess.std),
        ]
    )


def audited(options: argparse.Namespace, folder: Path | str, radii: list[float], settings: dict[str, str]):
    return bs.audit(
        options.model,
        f"folder:{folder}",
        weights=options.weights,
        overrides=overrides(options),
        probes=[bs.LowPass(radii), bs.HighPass(radii)],
        limit=options.limit,
        threads=options.threads,
        match="auto" if options.data else "index",
        **settings,
    )


def predictions(cube) -> Predictions:
    return {
        (kind, float(radius)): cube[kind].top5_class.sel(radius=radius).isel(rank=0).values
        for kind in ("low_pass", "high_pass")
        for radius in cube[kind].radius.values
    }


def overrides(options: argparse.Namespace) -> dict[str, float] | None:
    named = {"input_size": options.input_size, "crop_pct": options.crop_pct, "mean": options.mean, "std": options.std}
    return {name: value for name, value in named.items() if value is not None} or None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="timm:mobilenetv1_100?pretrained=false&num_classes=10")
    parser.add_argument("--weights")
    parser.add_argument("--data", help="a folder of class folders; generated photographs by default")
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--radii", type=float, nargs="+")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--workers", type=int, default=0, help="of the usual way's DataLoader")
    for name, kind in (("input-size", int), ("crop-pct", float), ("mean", float), ("std", float)):
        parser.add_argument(f"--{name}", type=kind)
    return parser.parse_args()


if __name__ == "__main__":
    main()
