"""What the page asks for, as HTML: one model, one thread that asks it, whoever moves a slider goes first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch

from bandscope.datasets import ImageSource
from bandscope.errors import ImageError
from bandscope.lens.chart import chart
from bandscope.lens.setting import Setting
from bandscope.lens.shelf import Shelf
from bandscope.lens.stage import answers, stage
from bandscope.lens.view import Lens, Look, Subject, curve_key
from bandscope.probes import default_radii
from bandscope.report.encoded import small_picture

PICKS = 8  # small pictures at a time
SMALL, SMALL_QUALITY = 128, 75  # pixels along the longer side; of WebP
MOST_VISITORS = 1000

Result = TypeVar("Result")


@dataclass(frozen=True)
class Shown:
    """The parts of the page that a look fills, as HTML."""

    stage: str
    answers: str
    chart: str


class Pick(NamedTuple):
    """A small picture to choose an image by; an empty one where the image cannot be read."""

    position: int
    path: str
    name: str
    picture: str


class Sight:
    """Images, a lens, and the thread in which it computes; any number of visitors may ask at once.

    Args:
        lens: with its classifier.
        shelf: the images.
        start: what a page opens with, if its address does not say otherwise.
        first: the key of the image to open with; empty: none.
        threads: of PyTorch; by default as many as it takes.
    """

    def __init__(self, lens: Lens, shelf: Shelf, start: Setting, first: str = "", threads: int | None = None) -> None:
        self.lens = lens
        self.shelf = shelf
        self.start = start
        self.first = first
        self.end = default_radii(lens.size)[-1]  # of sliders and axes: nothing changes beyond it
        # One thread for the classifier: requests wait for each other, and its OpenMP threads are made once.
        set_up = (torch.set_num_threads, (threads,)) if threads else (None, ())
        self._thread = ThreadPoolExecutor(1, "bandscope-lens", *set_up)
        self._wanted: OrderedDict[str, Hashable] = OrderedDict()

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(cancel_futures=True)

    def see(self, key: str, setting: Setting, visitor: str) -> Shown:
        """The look at an image; its curve where that is known already.

        Raises:
            BandscopeError: saying what is wrong with image or classifier.
        """
        subject = self.shelf.subject(key)
        self._want(visitor, (key, curve_key(setting)))
        look = self._asked(lambda: self.lens.look(subject, setting))
        return Shown(
            stage(look, subject, self.lens.names, self.lens.convention),
            answers(look, self.lens.names),
            self._chart(subject, look),
        )

    def trace(self, key: str, setting: Setting, visitor: str) -> str | None:
        """The chart with its curve; None where the visitor has gone on to another curve before it was measured."""
        subject = self.shelf.subject(key)
        if self.lens.curve(subject, setting) is None:
            steps: Iterator[object] = self.lens.measure_curve(subject, setting)
            ended = object()
            while self._asked(lambda: next(steps, ended)) is not ended:
                if self._wanted.get(visitor) != (key, curve_key(setting)):
                    return None
        return self._chart(subject, self._asked(lambda: self.lens.look(subject, setting)))

    def picks(self, page: int) -> tuple[list[Pick], int]:
        """Some of the image set's images as small pictures, and which page of them that is."""
        source = self.shelf.source
        if source is None:
            return [], 0
        page = min(max(page, 0), (len(source) - 1) // PICKS)
        positions = range(page * PICKS, min((page + 1) * PICKS, len(source)))
        return [self._pick(source, position) for position in positions], page

    def _pick(self, source: ImageSource, position: int) -> Pick:
        labels = self.shelf.labels
        name = "" if labels is None else self.lens.names[labels[position]]
        try:
            picture = small_picture(self.lens.classifier.preprocess.crop(source[position]), SMALL, SMALL_QUALITY)
        except ImageError:
            picture = ""
        return Pick(position, str(source.paths[position]), name, picture)

    def _chart(self, subject: Subject, look: Look) -> str:
        return chart(look, self.lens.curve(subject, look.setting), self.lens.names, self.end)

    def _asked(self, work: Callable[[], Result]) -> Result:
        return self._thread.submit(work).result()

    def _want(self, visitor: str, curve: Hashable) -> None:
        self._wanted[visitor] = curve
        self._wanted.move_to_end(visitor)
        while len(self._wanted) > MOST_VISITORS:
            self._wanted.popitem(last=False)
