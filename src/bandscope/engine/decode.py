"""Views decoded ahead of the classifier."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from PIL import Image

from bandscope.datasets.ahead import made_ahead
from bandscope.datasets.base import ImageSource
from bandscope.engine.scales import Scales
from bandscope.errors import DataError, ImageError
from bandscope.preprocess import Box, Preprocess, View

UNREADABLE = "cannot be read"  # what data sets say of a file or row that is not there, rather than of its content


@dataclass(frozen=True)
class Looks:
    """What a run shows of each image, all from one decoded file: the ordinary crop (None) and scales.

    Attributes:
        wanted: each once.
        scales: what the numbers among them mean.
    """

    preprocess: Preprocess
    wanted: tuple[float | None, ...]
    scales: Scales | None = None

    def __call__(self, source: ImageSource, position: int) -> tuple[View, ...]:
        """One view a look."""
        image = source[position]
        box = self.scales.box(position, image.size, source.paths[position]) if self.scales else None
        return tuple(self._view(image, box, look) for look in self.wanted)

    def _view(self, image: Image.Image, box: Box | None, look: float | None) -> View:
        if look is None or self.scales is None:
            return self.preprocess.view(image)
        return self.scales.view(self.preprocess, image, box, look)


@dataclass(frozen=True)
class DecodedBlock:
    """Views of one block's images; an image that could not be decoded is None, with its reason in `status`."""

    block: int
    positions: Sequence[int]
    views: tuple[tuple[View, ...] | None, ...]
    status: tuple[str, ...]


def decoded_blocks(
    source: ImageSource,
    looks: Looks,
    blocks: Iterable[tuple[int, Sequence[int]]],
    *,
    workers: int,
    strict: bool,
) -> Iterator[DecodedBlock]:
    """Decode each (block, positions) in order, one block ahead, so that memory holds two blocks at most.

    Raises:
        DataError: with `strict`, at the first image that cannot be decoded; otherwise where not one file of a block
            can be read, since that is a missing disk rather than bad images, and must not be recorded as truth.
    """
    named = (((block, positions), positions) for block, positions in blocks)
    decode = partial(_decode, source, looks)
    for (block, positions), results in made_ahead(decode, named, workers=workers, ahead=1):
        yield _collect(block, positions, results, source=source, strict=strict)


def _decode(source: ImageSource, looks: Looks, position: int) -> tuple[View, ...] | str:
    try:
        return looks(source, position)
    except ImageError as error:
        return f"corrupt: {error}"
    except MemoryError:
        return "corrupt: its resized pixels do not fit into memory"


def _collect(
    block: int,
    positions: Sequence[int],
    results: Sequence[tuple[View, ...] | str],
    *,
    source: ImageSource,
    strict: bool,
) -> DecodedBlock:
    bad = [(position, result) for position, result in zip(positions, results, strict=True) if isinstance(result, str)]
    if bad and strict:
        raise DataError(f"{source.paths[bad[0][0]]} in {source.spec} is {bad[0][1]} (--strict stops at the first).")
    if len(bad) == len(results) > 1 and all(UNREADABLE in reason for _, reason in bad):
        raise DataError(
            f"None of {len(bad)} images of {source.spec} in a row can be read; the first, "
            f"{source.paths[bad[0][0]]}, is {bad[0][1]}. Is the data still there?"
        )
    views = tuple(None if isinstance(result, str) else result for result in results)
    return DecodedBlock(block, positions, views, tuple(r if isinstance(r, str) else "ok" for r in results))
