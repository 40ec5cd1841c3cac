"""One block through the classifier: what it makes of every image under every condition."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray

from bandscope.classifiers.base import Classifier
from bandscope.cube.schema import ALL_PASS, TOP, VIEW_VARIABLES
from bandscope.engine.conditions import CLEAN, Arrays, Condition, Layout, Outcome
from bandscope.engine.decode import DecodedBlock
from bandscope.engine.filters import FilterBank
from bandscope.errors import BandscopeError, ModelError
from bandscope.preprocess import View

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Meter:
    """What every block of a run is measured with.

    classifier: prepared on `device`.
    banks: for each look (a scale, or None), the filters of the probes that are measured there.
    layout: of the cube.
    looks: what `DecodedBlock.views` holds of each image, in that order.
    conditions: to measure, in the order of the layout.
    copies: those of them that another one answers, with that one.
    batch_size: images a forward pass; a short batch is filled up with blank crops.
    device: where filters and classifier compute.
    tick: called with the number of images after each of their forward passes.
    """

    classifier: Classifier
    banks: Mapping[float | None, FilterBank]
    layout: Layout
    looks: tuple[float | None, ...]
    conditions: tuple[Condition, ...]
    copies: Mapping[Condition, Condition]
    batch_size: int
    device: torch.device
    tick: Callable[[int], None]


def measure_block(
    meter: Meter, decoded: DecodedBlock, labels: Int[np.ndarray, " images"]
) -> tuple[dict[Condition, Outcome], NDArray[Any]]:
    """What the classifier makes of a block under each condition, and the `status` of its images.

    Args:
        meter: how.
        decoded: the block's views.
        labels: the model output that is right, for each image of the block.
    """
    record = Record(meter.conditions, len(decoded.views))
    for start, stop in _spans(len(decoded.views), meter.batch_size):
        _measure_batch(meter, decoded.views[start:stop], labels[start:stop], record, slice(start, stop))
    outcomes = record.outcomes()
    status = _status(meter, outcomes, decoded.status)
    return {
        condition: _with_views(meter, condition, values, decoded) for condition, values in outcomes.items()
    }, status


class Record:
    """What is measured of a block, in arrays that are made once.

    Nothing small may outlive a forward pass beside the large blocks that it frees: such leftovers would break up the
    memory that is kept for the next one (`keep_memory`), which would then grow with the number of conditions.
    """

    def __init__(self, conditions: Sequence[Condition], images: int) -> None:
        self._rows = {condition: row for row, condition in enumerate(conditions)}
        self._images = images
        self._arrays: Tensors = {}

    def put(self, condition: Condition, images: slice, values: Tensors) -> None:
        """Keep the values of a batch's images."""
        for name, value in values.items():
            if name not in self._arrays:
                shape = (len(self._rows), self._images, *value.shape[1:])
                self._arrays[name] = torch.zeros(shape, dtype=value.dtype, device=value.device)
            self._arrays[name][self._rows[condition], images] = value[: images.stop - images.start]

    def copy(self, source: Condition, target: Condition, images: slice) -> None:
        """The same values under another name."""
        for array in self._arrays.values():
            array[self._rows[target], images] = array[self._rows[source], images]

    def outcomes(self) -> dict[Condition, Outcome]:
        """Every condition's arrays: one wait for the device a block, not one a condition."""
        arrays = {name: array.cpu().numpy() for name, array in self._arrays.items()}
        return {c: {name: array[row] for name, array in arrays.items()} for c, row in self._rows.items()}


def blanked(arrays: Arrays, status: NDArray[Any]) -> Arrays:
    """Arrays in which an image whose status is not "ok" has no values, and the status itself."""
    bad = status != "ok"
    for array in arrays.values():
        array[bad] = -1 if array.dtype == np.int32 else np.nan
    return arrays | {"status": status}


def outcome(logits: Float[torch.Tensor, "n classes"], labels: Int[torch.Tensor, " n"]) -> Tensors:
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
    meter: Meter,
    views: Sequence[tuple[View, ...] | None],
    labels: Int[np.ndarray, " n"],
    record: Record,
    images: slice,
) -> None:
    """Record the outcomes of some of the block's images under every condition."""
    padded = torch.zeros(meter.batch_size, dtype=torch.int64)
    padded[: len(labels)] = torch.from_numpy(labels.astype(np.int64))
    padded = padded.to(meter.device)
    counts: set[int] = set()

    def measure(condition: Condition, batch: Float[torch.Tensor, "n c h w"], **more: torch.Tensor) -> None:
        logits = _logits(meter.classifier, batch)
        counts.add(logits.shape[1])
        if len(counts) > 1 or max(counts) <= labels.max():
            spec = meter.classifier.spec
            raise ModelError(f"{spec} gives now {logits.shape[1]} classes; they must always be as many.")
        record.put(condition, images, outcome(logits, padded) | more)
        meter.tick(len(views))

    for place, look in enumerate(meter.looks):
        pixels = _stack([several[place] if several else None for several in views], meter).to(meter.device)
        unfiltered = CLEAN if look is None else Condition(ALL_PASS, look)
        if unfiltered in meter.conditions and unfiltered not in meter.copies:
            measure(unfiltered, meter.classifier.preprocess.normalise(pixels))
        if look in meter.banks:
            for name, cutoff, batch, outside in meter.banks[look](pixels):
                measure(Condition(name, look, cutoff), batch, out_of_range=outside)
    for condition, source in meter.copies.items():
        record.copy(source, condition, images)


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


def _stack(views: Sequence[View | None], meter: Meter) -> UInt8[torch.Tensor, "n h w c"]:
    preprocess = meter.classifier.preprocess
    pixels = np.zeros((meter.batch_size, *preprocess.size, preprocess.channels), dtype=np.uint8)
    for row, view in zip(pixels, views, strict=False):
        if view is not None:
            row[:] = view.pixels
    return torch.from_numpy(pixels)


def _spans(count: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, count)) for start in range(0, count, size))


def _with_views(meter: Meter, condition: Condition, outcome: Outcome, decoded: DecodedBlock) -> Outcome:
    """An outcome under zoom alone, with what its views tell, such as the zoom achieved."""
    if condition.group != ALL_PASS:
        return outcome
    place, nothing = meter.looks.index(condition.scale), dict.fromkeys((v.name for v in VIEW_VARIABLES), np.nan)
    told = [vars(views[place]) if views else nothing for views in decoded.views]
    views = {name: np.array([one[name] for one in told], dtype=np.float32) for name in nothing}
    return {**outcome, **views, "out_of_range": np.zeros(len(told), dtype=np.float32)}


def _status(meter: Meter, outcomes: Mapping[Condition, Outcome], decoded: Sequence[str]) -> NDArray[Any]:
    """Why each image counts nowhere: it was not decoded, or the classifier's output was not finite; else "ok"."""
    reasons = list(decoded)
    for condition in meter.conditions:
        for image in np.flatnonzero(~outcomes[condition]["finite"]):
            if reasons[image] == "ok":
                reasons[image] = f"non-finite: the classifier's output for {meter.layout.describe(condition)}"
    return np.array(reasons, dtype=object)
