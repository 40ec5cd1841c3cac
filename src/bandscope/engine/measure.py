"""One block through the classifier: what it makes of every image under every condition."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray

from bandscope.classifiers.base import Classifier
from bandscope.cube.schema import ALL_PASS, TOP, VIEW_VARIABLES
from bandscope.engine.conditions import CLEAN, Arrays, Condition, Layout, Outcome
from bandscope.engine.decode import DecodedBlock
from bandscope.engine.filters import FilterBank
from bandscope.engine.parts import InParts, is_full
from bandscope.errors import BandscopeError, ModelError
from bandscope.preprocess import Preprocess, View

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Member:
    """A classifier that is measured, how many classes it tells apart, and its forward pass, ready on the device."""

    classifier: Classifier
    outputs: int
    forward: InParts


@dataclass(frozen=True)
class Meter:
    """What every block of a run is measured with.

    members: the classifiers; all of them see the same crops.
    banks: for each look (a scale, or None), the filters of the probes that are measured there.
    layout: of the cubes.
    looks: what `DecodedBlock.views` holds of each image, in that order.
    conditions: to measure, in the order of the layout.
    copies: those of them that another one answers, with that one.
    batch_size: images a forward pass; a short batch is filled up with blank crops.
    device: where filters and classifiers compute.
    tick: called with the number of images after each of their forward passes.
    """

    members: tuple[Member, ...]
    banks: Mapping[float | None, FilterBank]
    layout: Layout
    looks: tuple[float | None, ...]
    conditions: tuple[Condition, ...]
    copies: Mapping[Condition, Condition]
    batch_size: int
    device: torch.device
    tick: Callable[[int], None]

    @property
    def preprocess(self) -> Preprocess:
        """Of all members."""
        return self.members[0].classifier.preprocess


class Measured(NamedTuple):
    """What one classifier makes of a block.

    outcomes: under each condition.
    status: of its images.
    parts: how many parts its batches took, for want of memory.
    """

    outcomes: dict[Condition, Outcome]
    status: NDArray[Any]
    parts: int


def measure_block(
    meter: Meter, decoded: DecodedBlock, labels: Mapping[int, Int[np.ndarray, " images"]]
) -> dict[int, Measured]:
    """What some of the meter's members make of a block under each condition.

    Args:
        meter: how.
        decoded: the block's views.
        labels: for each member that is asked, by its place, the output that is right for each image of the block.
    """
    records = {place: Record(meter.conditions, len(decoded.views)) for place in labels}
    for start, stop in _spans(len(decoded.views), meter.batch_size):
        span = slice(start, stop)
        _measure_batch(meter, decoded.views[span], {p: one[span] for p, one in labels.items()}, records, span)
    return {place: _finished(meter, record, decoded, place) for place, record in records.items()}


def _finished(meter: Meter, record: "Record", decoded: DecodedBlock, place: int) -> Measured:
    outcomes = record.outcomes()
    status = _status(meter, outcomes, decoded.status)
    told = {condition: _with_views(meter, condition, values, decoded) for condition, values in outcomes.items()}
    return Measured(told, status, meter.members[place].forward.restart())


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
    labels: Mapping[int, Int[np.ndarray, " n"]],
    records: Mapping[int, Record],
    images: slice,
) -> None:
    """Record the outcomes of some of the block's images under every condition, for each member that is asked."""
    padded = {place: _padded(one, meter) for place, one in labels.items()}

    def measure(condition: Condition, batch: Float[torch.Tensor, "n c h w"], **more: torch.Tensor) -> None:
        for place, own in padded.items():
            member = meter.members[place]
            logits = _logits(member, batch)
            if (count := logits.shape[1]) != member.outputs:
                spec = member.classifier.spec
                raise ModelError(f"{spec} gives now {count} classes, not {member.outputs} as at first.")
            records[place].put(condition, images, outcome(logits, own) | more)
            meter.tick(len(views))

    for place, look in enumerate(meter.looks):
        pixels = _stack([several[place] if several else None for several in views], meter).to(meter.device)
        unfiltered = CLEAN if look is None else Condition(ALL_PASS, look)
        if unfiltered in meter.conditions and unfiltered not in meter.copies:
            measure(unfiltered, meter.preprocess.normalise(pixels))
        if look in meter.banks:
            for name, cutoff, batch, outside in meter.banks[look](pixels):
                measure(Condition(name, look, cutoff), batch, out_of_range=outside)
    for condition, source in meter.copies.items():
        for record in records.values():
            record.copy(source, condition, images)


def _padded(labels: Int[np.ndarray, " n"], meter: Meter) -> Int[torch.Tensor, " batch"]:
    padded = torch.zeros(meter.batch_size, dtype=torch.int64)
    padded[: len(labels)] = torch.from_numpy(labels.astype(np.int64))
    return padded.to(meter.device)


def _logits(member: Member, images: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n classes"]:
    spec = member.classifier.spec
    try:
        return member.forward(images)
    except BandscopeError:
        raise
    except Exception as error:  # a network may fail with anything
        if is_full(error):
            where = f"the memory of {images.device}, not even with one image a forward pass"
            raise ModelError(f"{spec} does not fit into {where}.") from error
        shape = " x ".join(map(str, images.shape))
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ModelError(f"{spec} fails on a batch of {shape}: {reason}") from error


def _stack(views: Sequence[View | None], meter: Meter) -> UInt8[torch.Tensor, "n h w c"]:
    preprocess = meter.preprocess
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
