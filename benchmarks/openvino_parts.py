"""How many images OpenVINO should take at once: a whole batch, or parts of it side by side.

    python benchmarks/openvino_parts.py --threads 2

Networks are random, which takes as long. Candidates take turns; logits are compared with those of the whole batch.
"""

import argparse

import torch
from alternating import describe, milliseconds, take_turns

from bandscope.classifiers import Classifier, backends, load_classifier
from bandscope.engine.memory import keep_memory
from bandscope.engine.plan import DTYPES

NETWORKS = (
    "timm:mobilenetv1_100",
    "torchvision:squeezenet1_1",
    "timm:mobilenetv3_large_100",
    "timm:convnext_atto",
    "timm:vit_tiny_patch16_224",
    "timm:resnet18",
)
PARTS = (16, 8, 4, 2)


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    images = torch.randn(options.batch_size, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    print(f"{describe('cpu')}, batches of {options.batch_size} at 224², milliseconds an image\n")
    print(f"{'':28} {'':4} {'whole':>7}" + "".join(f"{f'{part} each':>9}" for part in PARTS) + "  same logits")
    for network in options.networks:
        classifier = load_classifier(f"{network}?pretrained=false", overrides={"input_size": 224})
        for precision, dtype in DTYPES.items():
            candidates = {part: opened(classifier, part, options.batch_size, dtype) for part in (None, *PARTS)}
            whole = candidates[None](images)
            same = all(torch.equal(forward(images), whole) for forward in candidates.values())
            turns = {str(part): lambda forward=forward: forward(images) for part, forward in candidates.items()}
            with keep_memory():
                times = take_turns(turns, options.rounds, "cpu")
            row = [milliseconds(times, str(part)) / options.batch_size for part in candidates]
            print(
                f"{network:28} {precision:4} {row[0]:>7.2f}" + "".join(f"{one:>9.2f}" for one in row[1:]), f" {same}"
            )


def opened(classifier: Classifier, part: int | None, batch_size: int, dtype: torch.dtype) -> backends.Forward:
    """The forward pass in parts of about so many images; None for one part in one stream."""
    backends.PART = part or batch_size + 1
    return backends.open_backend(classifier, "openvino", batch_size, torch.device("cpu"), dtype)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


if __name__ == "__main__":
    main()
