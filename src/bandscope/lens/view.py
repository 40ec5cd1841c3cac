"""An image, a setting, a classifier: what it sees and what it says, in one forward pass. No page here.

Crops, filters and numbers are those of an audit: `Preprocess.view`, then the engine's own filter bank.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image

from bandscope.classifiers import Classifier, probe_outputs
from bandscope.conventions import Convention
from bandscope.engine.filters import FilterBank
from bandscope.errors import BandscopeError, ModelError
from bandscope.labels import ClassLabel, distinct_names
from bandscope.lens.setting import BANDED, NONE, RADIAL, Setting
from bandscope.preprocess import View
from bandscope.probes import ResolvedProbe, default_radii, octave_bands
from bandscope.report.thumbnails import MID_GREY, floating

TOP = 5
GIVEN = "given-"  # begins the key of an image that is in no image set
CHUNK = 8  # conditions of a curve in one forward pass; between two of them a slider gets its turn
MOST_BANKS, MOST_VIEWS, MOST_CURVES = 128, 16, 24

Held = TypeVar("Held")


@dataclass(frozen=True)
class Answer:
    """What the classifier says to one crop.

    Attributes:
        probabilities: of all classes.
        top: the best ones, the best first.
    """

    probabilities: Float[np.ndarray, " classes"]
    top: Int[np.ndarray, " top"]


@dataclass(frozen=True)
class Look:
    """An image under a setting.

    Attributes:
        setting: what was done to it.
        crop: before the filter.
        shown: after it, to be looked at (see `Lens.look`).
        answer: to the filtered crop.
        clean: to the ordinary crop: no filter, zoom 1.
        followed: the class whose probability is followed.
        out_of_range: share of filtered values beyond black and white.
    """

    setting: Setting
    crop: View
    shown: UInt8[np.ndarray, "h w c"]
    answer: Answer
    clean: Answer
    followed: int
    out_of_range: float


@dataclass(frozen=True)
class Curve:
    """What the classifier says to an image over the cut-offs of one kind of filter, at one zoom.

    Attributes:
        cutoffs: (low, high) in cycles/image; of a radial filter the radius is `high`.
        probabilities: of all classes under each.
        best: the class on top under each.
    """

    cutoffs: tuple[tuple[float, float], ...]
    probabilities: Float[np.ndarray, "cutoffs classes"]
    best: Int[np.ndarray, " cutoffs"]


@dataclass
class Subject:
    """An image that is looked at, and what has been found out about it.

    Attributes:
        key: names it among all.
        name: shown.
        image: at its own resolution.
        label: the output that is right; None where nobody knows.
        clean: the answer to its ordinary crop, once it was asked for.
    """

    key: str
    name: str
    image: Image.Image
    label: int | None = None
    clean: Answer | None = None
    views: "OrderedDict[float, View]" = field(default_factory=OrderedDict, repr=False)
    curves: "OrderedDict[Hashable, Curve]" = field(default_factory=OrderedDict, repr=False)

    def __post_init__(self) -> None:
        self.image.load()


class Lens:
    """One classifier, ready; it is asked by one thread at a time.

    Args:
        classifier: it is prepared for the device, in float32.
        convention: what a cut-off does, as in an audit.
        device: where filters and classifier compute.
    """

    def __init__(
        self, classifier: Classifier, convention: Convention | None = None, device: torch.device | None = None
    ) -> None:
        self.classifier = classifier
        self.convention = convention or Convention()
        self.device = device or torch.device("cpu")
        classifier.prepare(self.device, torch.float32)
        self.outputs = probe_outputs(classifier)
        self.classes = classifier.classes or tuple(ClassLabel(str(index)) for index in range(self.outputs))
        self.names = distinct_names([label.name for label in self.classes])
        self._banks: OrderedDict[ResolvedProbe, FilterBank | None] = OrderedDict()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the crop."""
        return self.classifier.preprocess.size

    def look(self, subject: Subject, setting: Setting) -> Look:
        """The filtered image and the answer to it: one forward pass, two for an image's first look.

        What is shown is what the network sees, with normalisation undone and cut to [0, 1]. Where a filter takes the
        mean away the rest is shown about mid grey, except where the convention keeps the mean, or clips.

        Raises:
            ImageError: the image has no crop at that zoom.
            ModelError: the classifier fails, or its output is not finite.
        """
        crop, clean = self.crop(subject, setting.zoom), self._clean(subject)
        shown, answer, outside = crop.pixels, clean, 0.0
        if (bank := self._bank(setting.probe(self.size))) is not None:
            with torch.inference_mode():
                ((_, _, seen, share),) = bank(self._pixels(crop))
            shown, answer, outside = self._visible(seen, setting.kind), self._answers(seen)[0], float(share)
        elif setting.zoom != 1:
            answer = self._unfiltered(crop)
        return Look(setting, crop, shown, answer, clean, self.followed(subject), outside)

    def followed(self, subject: Subject) -> int:
        """The right class, or where nobody knows it the one on top of the clean image."""
        return int(self._clean(subject).top[0]) if subject.label is None else subject.label

    def crop(self, subject: Subject, zoom: float) -> View:
        """The image's 8-bit crop at a zoom."""
        return _kept(subject.views, zoom, MOST_VIEWS, lambda: self.classifier.preprocess.view(subject.image, zoom))

    def curve(self, subject: Subject, setting: Setting) -> Curve | None:
        """The curve that a setting lies on, if it has been measured."""
        return subject.curves.get(curve_key(setting))

    def measure_curve(self, subject: Subject, setting: Setting) -> Iterator[Curve | None]:
        """Measure that curve: None after each forward pass of `CHUNK` conditions, at last the curve."""
        probe = curve_probe(setting, self.size)
        crop = self.crop(subject, setting.zoom)
        answers: dict[tuple[float, float], Answer] = {}
        with torch.inference_mode():
            bank = FilterBank((probe,), self.convention, self.classifier.preprocess, self.device)
            versions = [(cutoff, seen) for _, cutoff, seen, _ in bank(self._pixels(crop))]
        for start in range(0, len(versions), CHUNK):
            part = versions[start : start + CHUNK]
            found = self._answers(torch.cat([seen for _, seen in part]))
            answers |= {cutoff: answer for (cutoff, _), answer in zip(part, found, strict=True)}
            yield None
        ordered = [answers[cutoff] for cutoff in probe.cutoffs]
        curve = Curve(
            probe.cutoffs,
            np.stack([answer.probabilities for answer in ordered]),
            np.array([answer.top[0] for answer in ordered]),
        )
        yield _kept(subject.curves, curve_key(setting), MOST_CURVES, lambda: curve)

    def _clean(self, subject: Subject) -> Answer:
        if subject.clean is None:
            subject.clean = self._unfiltered(self.crop(subject, 1.0))
        return subject.clean

    def _unfiltered(self, crop: View) -> Answer:
        return self._answers(self.classifier.preprocess.normalise(self._pixels(crop)))[0]

    def _pixels(self, crop: View) -> UInt8[torch.Tensor, "1 h w c"]:
        return torch.from_numpy(crop.pixels)[None].to(self.device)

    def _answers(self, batch: Float[torch.Tensor, "n c h w"]) -> list[Answer]:
        try:
            logits = self.classifier.logits(batch)
        except BandscopeError:
            raise
        except Exception as error:  # a network may fail with anything
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise ModelError(f"{self.classifier.spec} fails on this image: {reason}") from error
        if not logits.isfinite().all():
            raise ModelError(f"{self.classifier.spec} gives no finite output for this image.")
        top = logits.topk(min(TOP, self.outputs), dim=1).indices.cpu().numpy()
        return [Answer(*row) for row in zip(logits.softmax(1).cpu().numpy(), top, strict=True)]

    def _bank(self, probe: ResolvedProbe | None) -> FilterBank | None:
        """The filter; None where it keeps every frequency, of which an audit too shows the unfiltered image."""
        return None if probe is None else _kept(self._banks, probe, MOST_BANKS, lambda: self._filter(probe))

    def _filter(self, probe: ResolvedProbe) -> FilterBank | None:
        if (probe.gain(0, self.convention) == 1).all():
            return None
        return FilterBank((probe,), self.convention, self.classifier.preprocess, self.device)

    def _visible(self, seen: Float[torch.Tensor, "1 c h w"], kind: str) -> UInt8[np.ndarray, "h w c"]:
        preprocess, convention = self.classifier.preprocess, self.convention
        mean, std = (np.array(values, dtype=np.float32) for values in (preprocess.mean, preprocess.std))
        floats = floating(kind, convention)
        left = np.moveaxis(seen[0].cpu().numpy(), 0, -1) * std
        if convention.domain == "pixel":  # the filter acted on pixels themselves, of which the mean was taken later
            shown = left + mean + (MID_GREY if floats else 0)
        else:
            shown = left + (MID_GREY if floats else mean)
        return np.asarray((shown.clip(0, 1) * 255).round().astype(np.uint8))


def curve_key(setting: Setting) -> Hashable:
    """What the curve depends on, of a setting."""
    kind = "low_pass" if setting.kind == NONE else setting.kind
    return kind, setting.family if setting.radial else "ideal", setting.zoom


def curve_probe(setting: Setting, size: tuple[int, int]) -> ResolvedProbe:
    """The conditions of the curve: an audit's default radii, or octaves for bands; without a filter of a low-pass."""
    if setting.banded:
        return BANDED[setting.kind](octave_bands(size)).at_size(size)
    kind, family = (setting.kind, setting.family) if setting.radial else ("low_pass", "ideal")
    return RADIAL[kind](default_radii(size), family).at_size(size)


def _kept(store: "OrderedDict[Any, Held]", key: Hashable, most: int, make: Callable[[], Held]) -> Held:
    """What the store holds under the key, made where it does not; the least recently used is forgotten."""
    if key not in store:
        store[key] = make()
        if len(store) > most:
            store.popitem(last=False)
    store.move_to_end(key)
    return store[key]
