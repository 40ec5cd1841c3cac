"""Scales: the zooms, or the object sizes, at which every image is looked at."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from PIL import Image

from bandscope.datasets.boxes import check_inside
from bandscope.preprocess import Box, Preprocess, View

Axis = Literal["zoom", "object_size"]
UNITS: Mapping[str, str] = {"zoom": "factor", "object_size": "pixels"}


@dataclass(frozen=True)
class Scales:
    """The scale dimension of an audit, resolved for its images.

    axis: "zoom" (factors) or "object_size" (pixels of the crop: the square root of the box's area).
    values: strictly increasing.
    outside: what surrounds a zoom below 1, see `Preprocess.view`.
    boxes: (x0, y0, x1, y1) in source pixels of each image, NaN where it has none; None: all about their centre.
    boxes_from: spec and fingerprint of the boxes.
    """

    axis: Axis
    values: tuple[float, ...]
    outside: str = "real"
    boxes: Float[np.ndarray, "images 4"] | None = None
    boxes_from: Mapping[str, str] | None = None

    def is_plain(self, value: float | None) -> bool:
        """Whether a scale shows the ordinary crop."""
        return self.axis == "zoom" and value == 1 and self.boxes is None

    def identity(self) -> dict[str, Any]:
        """What must agree before results may share a store; the values may grow."""
        return {"axis": self.axis, "outside": self.outside, "boxes": self.boxes_from}

    def to_json(self) -> dict[str, Any]:
        """As the cube's attributes keep it."""
        return {**self.identity(), "values": list(self.values)}

    def box(self, position: int, size: tuple[int, int], path: str) -> Box | None:
        """The box of an image of `size` (width, height); None where it has none.

        Raises:
            DataError: it lies outside the image.
        """
        if self.boxes is None or np.isnan(self.boxes[position]).any():
            return None
        x0, y0, x1, y1 = map(float, check_inside(self.boxes[position], *size, path))
        return x0, y0, x1, y1

    def view(self, preprocess: Preprocess, image: Image.Image, box: Box | None, value: float) -> View:
        """An image at one scale; `achieved` is in the unit of the axis."""
        if box is None:
            return preprocess.view(image, value, outside=self.outside)
        usual = math.sqrt((box[2] - box[0]) * (box[3] - box[1])) * preprocess.scale(image.size)
        zoom = value if self.axis == "zoom" else value / usual
        view = preprocess.view(image, zoom, box=box, outside=self.outside)
        size = view.achieved * usual
        return View(view.pixels, view.achieved if self.axis == "zoom" else size, view.padded, size)


# What an audit without zoom says of its scales, and what stores say that were made before there was zoom.
NO_SCALES: Mapping[str, Any] = {"axis": "zoom", "outside": "real", "boxes": None, "values": None}
