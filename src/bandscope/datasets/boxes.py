"""Where the object lies in each image: boxes from a file, matched to the images by name."""

import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float, Int

from bandscope.datasets.box_files import FileBox, read_boxes
from bandscope.datasets.names import listed
from bandscope.datasets.outputs import only
from bandscope.errors import DataError

TOLERANCE = 1.0  # pixels: tools count from 0 or from 1, and round


@dataclass(frozen=True)
class Boxes:
    """One box an image.

    values: (x0, y0, x1, y1) in source pixels, half-open; a row of NaN where an image has none.
    spec: what the user wrote.
    """

    values: Float[np.ndarray, "images 4"]
    spec: str

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> int:
        """How many images have no box."""
        return int(np.isnan(self.values[:, 0]).sum())

    @property
    def fingerprint(self) -> str:
        """A hash of the values, in their order."""
        return hashlib.sha256(self.values.astype("<f8").tobytes()).hexdigest()

    def take(self, positions: Int[np.ndarray, " kept"]) -> "Boxes":
        """The boxes of the images at `positions`, as in a sample of the source."""
        return replace(self, values=self.values[positions])


def load_boxes(path: str | os.PathLike[str], sources: Sequence[str]) -> Boxes:
    """The box of each image, from a CSV, COCO's JSON, or Pascal VOC's XML (one file, or a folder of them).

    - CSV: one column `source`, `image`, `path`, `filename` or `file_name`; and x0,y0,x1,y1 or xmin,ymin,xmax,ymax
      (then `width,height`, if there, are the image's), or x,y,width,height (the box's). Numbers are taken as they
      are: distances from the left and upper edge of the image, x1 and y1 where the box ends.
    - COCO: bbox is x,y,width,height, taken as they are. Boxes with `iscrowd` are passed over.
    - Pascal VOC: pixels are counted from 1 and both ends belong to the box: x0 = xmin - 1, x1 = xmax. Without a
      `filename` the image is called as its XML file.

    An image is found by its relative path (the file may name a longer path that ends in it), else by its file name,
    else by its file name without extension. Of several boxes of an image the largest by area is taken; of equals,
    the first. A box that leaves its image by up to a pixel is clipped.

    Args:
        path: the file or folder.
        sources: for each image its path relative to the data set, as in `ImageSource.paths`.

    Raises:
        DataError: the file is missing, empty or cannot be parsed; a box has no area, is not finite, or lies outside
            its image (where the file tells the image's size); or a name fits no image, or several (both listed).
    """
    values = np.full((len(sources), 4), np.nan)
    largest, positions = np.full(len(sources), -1.0), _Positions(sources)
    for box in read_boxes(Path(path).expanduser()):
        x0, y0, x1, y1 = corners = _checked(box).tolist()
        area, position = (x1 - x0) * (y1 - y0), positions.find(box.name)
        if position is not None and area > largest[position]:
            values[position], largest[position] = corners, area
    positions.check(str(path))
    if (largest < 0).all():
        raise DataError(f"There are no boxes in {str(path)!r}.")
    return Boxes(values, str(path))


def check_inside(box: Float[np.ndarray, " 4"], width: float, height: float, source: str) -> Float[np.ndarray, " 4"]:
    """The box, clipped to an image of `width` x `height` pixels.

    Raises:
        DataError: it lies more than a pixel outside; `source` says of what.
    """
    clipped = np.clip(box, 0, (width, height, width, height))
    if not (np.abs(clipped - box) <= TOLERANCE).all() or not (clipped[2:] > clipped[:2]).all():  # NaN neither
        image = f"its image of {width:g} x {height:g} pixels" if math.isfinite(width) else "its image"
        raise DataError(f"The box {_shown(box)} of {source} lies outside {image}.")
    return np.asarray(clipped)


def _checked(box: FileBox) -> Float[np.ndarray, " 4"]:
    corners = np.array(box.corners)
    if not np.isfinite(corners).all():
        raise DataError(f"The box {_shown(corners)} of {box.where} is not finite.")
    if (corners[2:] <= corners[:2]).any():
        raise DataError(f"The box {_shown(corners)} of {box.where} has no area: x1 > x0 and y1 > y0 are needed.")
    return check_inside(corners, *(box.size or (math.inf, math.inf)), box.where)


def _shown(box: Iterable[float]) -> str:
    return "({})".format(", ".join(f"{edge:g}" for edge in box))


class _Positions:
    """Which image of the data set a name means; names that cannot be told are kept for one message."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = sources
        self._of_path = {path: position for position, path in enumerate(sources)}
        self._found: dict[str, Sequence[int]] = {}

    def find(self, name: str) -> int | None:
        """The position of the one image that `name` means, or None."""
        if name not in self._found:
            self._found[name] = self._candidates(name)
        return only(self._found[name])

    def check(self, path: str) -> None:
        """Raise a DataError that lists the names that mean no image, or several."""
        if unknown := [name for name, found in self._found.items() if not found]:
            raise DataError(
                f"{path!r} has boxes of {len(unknown)} images that the data do not have: {listed(unknown)}; "
                f"the data have, for example, {listed(self._sources[:2])}."
            )
        if ambiguous := {name: found for name, found in self._found.items() if len(found) > 1}:
            lines = [f"{name!r} ({listed([self._sources[i] for i in f], 3)})" for name, f in ambiguous.items()]
            raise DataError(
                f"{path!r} names {len(ambiguous)} images that may each be several of the data's: "
                f"{'; '.join(lines[:5])}{' ...' if len(lines) > 5 else ''}. Give their paths in the data set."
            )

    def _candidates(self, name: str) -> Sequence[int]:
        path = PurePosixPath(name.replace("\\", "/"))
        ends = (name, *("/".join(path.parts[start:]) for start in range(len(path.parts))))
        if (exact := next((self._of_path[end] for end in ends if end in self._of_path), None)) is not None:
            return (exact,)
        return self._of_name.get(path.name) or self._of_stem.get(path.name) or self._of_stem.get(path.stem) or ()

    @cached_property
    def _of_name(self) -> Mapping[str, Sequence[int]]:
        return _places(PurePosixPath(path).name for path in self._sources)

    @cached_property
    def _of_stem(self) -> Mapping[str, Sequence[int]]:
        return _places(PurePosixPath(path).stem for path in self._sources)


def _places(names: Iterable[str]) -> Mapping[str, Sequence[int]]:
    places: dict[str, list[int]] = defaultdict(list)
    for position, name in enumerate(names):
        places[name].append(position)
    return dict(places)
