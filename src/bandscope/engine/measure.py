"""One block through the classifier: every condition of every image, as the arrays that the cube keeps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray

from bandscope.classifiers.base import Classifier
from bandscope.cube.schema import CLEAN_VARIABLES, CONDITION_VARIABLES, TOP, Variable
from bandscope.engine.decode import DecodedBlock
from bandscope.engine.filters import FilterBank
from bandscope.errors import BandscopeError, ModelError
from bandscope.probes import ResolvedProbe

Arrays = dict[str, NDArray[Any]]
Outcome = dict[str, torch.Tensor]


def measure_block(
    classifier: Classifier,
    bank: FilterBank,
    probes: Sequence[ResolvedProbe],
    decoded: DecodedBlock,
    labels: Int[np.ndarray, " images"],
    batch_size: int,
    device: torch.device,
    tick: Callable[[int], None],
) -> Arrays:
    """Every measured array of the block, as `Store.write` takes them.

    Args:
        classifier: prepared on `device`.
        bank: the probes' filters for the classifier's crop.
        probes: in the order of the cube's groups.
        decoded: the block's crops.
        labels: the model output that is right, for each image of the block.
        batch_size: images a forward pass; a short batch is filled up with blank crops.
        device: where filters and classifier compute.
        tick: called with the number of images after each of their forward passes.
    """
    parts = [
        _measure_batch(classifier, bank, decoded.crops[start:stop], labels[start:stop], batch_size, device, tick)
        for start, stop in _spans(len(decoded.crops), batch_size)
    ]
    outcomes = {key: _concatenate([part[key] for part in parts]) for key in parts[0]}
    arrays = _assemble(outcomes, probes)
    return _masked(arrays, outcomes, probes, decoded.status)


def outcome(logits: Float[torch.Tensor, "n classes"], labels: Int[torch.Tensor, " n"]) -> Outcome:
    """Probability and margin of the label, and the top classes with their probabilities."""
    probabilities = logits.softmax(1)
    own = logits.gather(1, labels[:, None]).squeeze(1)
    best_other = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    top = logits.topk(min(TOP, logits.shape[1]), dim=1).indices
    return {
        "probability": probabilities.gather(1, labels[:, None]).squeeze(1),
        "margin": own - best_other,
        "top5_class": top.to(torch.int32),
        "top5_probability": probabilities.gather(1, top),
        "finite": logits.isfinite().all(1),
    }


@torch.inference_mode()
def _measure_batch(
    classifier: Classifier,
    bank: FilterBank,
    crops: Sequence[UInt8[np.ndarray, "h w c"] | None],
    labels: Int[np.ndarray, " n"],
    batch_size: int,
    device: torch.device,
    tick: Callable[[int], None],
) -> dict[tuple[str, int], Outcome]:
    """Outcomes by (probe, index); the unchanged images are ("clean", 0)."""
    pixels = _stack(crops, classifier, batch_size).to(device)
    padded = torch.zeros(batch_size, dtype=torch.int64)
    padded[: len(labels)] = torch.from_numpy(labels.astype(np.int64))
    padded = padded.to(device)

    counts: set[int] = set()

    def measured(images: Float[torch.Tensor, "n c h w"]) -> Outcome:
        logits = _logits(classifier, images)
        counts.add(logits.shape[1])
        if len(counts) > 1 or max(counts) <= labels.max():
            raise ModelError(f"{classifier.spec} gives now {logits.shape[1]} classes; they must always be as many.")
        tick(len(crops))
        return {name: values[: len(crops)] for name, values in outcome(logits, padded).items()}

    results = {("clean", 0): measured(classifier.preprocess.normalise(pixels))}
    for name, index, images, outside in bank(pixels):
        results[name, index] = measured(images) | {"out_of_range": outside[: len(crops)]}
    # One wait for the device a batch, not one a condition.
    return {key: {name: values.cpu() for name, values in result.items()} for key, result in results.items()}


def _logits(classifier: Classifier, images: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"]:
    try:
        return classifier.logits(images)
    except BandscopeError:
        raise
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{classifier.spec} does not fit into the memory of {images.device} with {len(images)} images a forward "
            "pass; start again with --overwrite and a smaller --batch-size."
        ) from error
    except Exception as error:  # a network may fail with anything
        shape = " x ".join(map(str, images.shape))
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ModelError(f"{classifier.spec} fails on a batch of {shape}: {reason}") from error


def _stack(
    crops: Sequence[UInt8[np.ndarray, "h w c"] | None], classifier: Classifier, batch_size: int
) -> UInt8[torch.Tensor, "n h w c"]:
    preprocess = classifier.preprocess
    pixels = np.zeros((batch_size, *preprocess.size, preprocess.channels), dtype=np.uint8)
    for row, crop in zip(pixels, crops, strict=False):
        if crop is not None:
            row[:] = crop
    return torch.from_numpy(pixels)


def _spans(count: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, count)) for start in range(0, count, size))


def _concatenate(outcomes: Sequence[Outcome]) -> Outcome:
    return {name: torch.cat([one[name] for one in outcomes]) for name in outcomes[0]}


def _assemble(outcomes: Mapping[tuple[str, int], Outcome], probes: Sequence[ResolvedProbe]) -> Arrays:
    arrays = {v.name: outcomes["clean", 0][v.name.removeprefix("clean_")].numpy() for v in CLEAN_VARIABLES}
    for probe in probes:
        conditions = [outcomes[probe.name, index] for index in range(len(probe.cutoffs))]
        for v in CONDITION_VARIABLES:
            arrays[f"{probe.name}/{v.name}"] = torch.stack([c[v.name] for c in conditions], dim=1).numpy()
    return arrays


def _masked(
    arrays: Arrays,
    outcomes: Mapping[tuple[str, int], Outcome],
    probes: Sequence[ResolvedProbe],
    status: Sequence[str],
) -> Arrays:
    """Blank every image that was not decoded or gave a non-finite output, and say why."""
    reasons = list(status)
    for probe, index in [("clean", 0), *((p.name, i) for p in probes for i in range(len(p.cutoffs)))]:
        for image in np.flatnonzero(~outcomes[probe, index]["finite"].numpy()):
            if reasons[image] == "ok":
                reasons[image] = f"non-finite: the classifier's output for {_describe(probe, index, probes)}"
    bad = np.array([reason != "ok" for reason in reasons])
    for name, array in arrays.items():
        array[bad] = _fill(name)
    arrays["status"] = np.array(reasons, dtype=object)
    return arrays


def _describe(name: str, index: int, probes: Sequence[ResolvedProbe]) -> str:
    return next((probe.describe(index) for probe in probes if probe.name == name), "the clean image")


def _fill(path: str) -> float | int:
    variables: dict[str, Variable] = {v.name: v for v in (*CLEAN_VARIABLES, *CONDITION_VARIABLES)}
    fill = variables[path.rsplit("/", maxsplit=1)[-1]].fill
    return -1 if fill == -1 else float("nan")
