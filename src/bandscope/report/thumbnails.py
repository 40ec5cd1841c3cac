"""An audited image, opened again and filtered as it was, to be looked at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, UInt8
from PIL import Image

from bandscope.analysis.zoom import AXES
from bandscope.conventions import Convention
from bandscope.datasets import ImageSource, load_source
from bandscope.datasets.boxes import load_boxes
from bandscope.datasets.spec import is_spec
from bandscope.engine.scales import Scales
from bandscope.errors import DataError, InputError
from bandscope.preprocess import Preprocess
from bandscope.spectral.transform import high_pass, low_pass

FILTERS = {"low_pass": low_pass, "high_pass": high_pass}
MID_GREY = 0.5


def audited_images(cube: xr.DataTree) -> ImageSource:
    """The images that a cube is of, from where it says that they are.

    Raises:
        DataError: they cannot be opened.
    """
    spec = str(cube.attrs["data"]["spec"])
    if not is_spec(spec):
        raise DataError(
            f"The audited images cannot be opened again: {spec!r} was given in Python; give it once more as `source`."
        )
    try:
        return load_source(spec)
    except (DataError, InputError) as error:
        raise DataError(f"The audited images cannot be opened again: {error}") from error


def shown_scale(cube: xr.DataTree) -> tuple[str, float] | None:
    """The axis and the value of the only zoom, or object size, of a cube; None where no zoom was asked for."""
    axis = next((axis for axis in AXES if axis in cube.coords and axis not in cube.dims), None)
    return None if axis is None else (axis, float(cube.coords[axis]))


@dataclass(frozen=True)
class Originals:
    """The images of an audit, opened again: paths and boxes are read once.

    Attributes:
        cube: the audit's results, as they are or `at_zoom` of them.
        images: hold its images under their `source` paths.
    """

    cube: xr.DataTree
    images: ImageSource

    @cached_property
    def places(self) -> dict[str, int]:
        """Positions in `images` by path."""
        return {path: place for place, path in enumerate(self.images.paths)}

    def image(self, position: int) -> Image.Image:
        """The image at a position of the cube.

        Raises:
            DataError: there is no such image any more.
            ImageError: it cannot be decoded.
        """
        return self.images[self._place(position)]

    def crops(self, cubes: Sequence[xr.DataTree], position: int) -> list[UInt8[np.ndarray, "h w c"]]:
        """The crops that the network saw of an image: at each cube's zoom, else the ordinary one.

        Args:
            cubes: the audit's, `at_zoom` of it.
            position: of the image in the cubes.

        Raises:
            DataError: the image, or its box, is gone.
            ImageError: it cannot be decoded.
        """
        image, preprocess = self.image(position), Preprocess.from_json(self.cube.attrs["preprocess"])
        if shown_scale(cubes[0]) is None:
            return [preprocess.crop(image) for _ in cubes]
        place = self._place(position)
        box = self._scales.box(place, image.size, self.path(position))
        zooms = (shown[1] for cube in cubes if (shown := shown_scale(cube)))
        return [self._scales.view(preprocess, image, box, zoom).pixels for zoom in zooms]

    def path(self, position: int) -> str:
        """The `source` path of an image."""
        return str(self.cube.dataset["source"].values[position])

    def _place(self, position: int) -> int:
        path = self.path(position)
        if path not in self.places:
            raise DataError(
                f"The image set {self.images.spec!r} holds no {path!r}: it is not the one that was audited."
            )
        return self.places[path]

    @cached_property
    def _scales(self) -> Scales:
        """The scales of the audit, its boxes read again for the images at these places."""
        said = self.cube.attrs["zoom"]
        scales = Scales(said["axis"], tuple(said["values"]), said["outside"])
        if said["boxes"] is None:
            return scales
        boxes, sources = (
            load_boxes(said["boxes"]["spec"], [*self.places]),
            map(str, self.cube.dataset["source"].values),
        )
        audited = boxes.take(np.array([self.places[source] for source in sources if source in self.places]))
        whole = len(audited) == self.cube.attrs["data"]["images"]
        if whole and audited.fingerprint != said["boxes"]["fingerprint"]:
            raise DataError(f"The boxes in {boxes.spec!r} are not those that were audited.")
        return replace(scales, boxes=boxes.values)


def reopened(cubes: Sequence[xr.DataTree], position: int, images: ImageSource) -> list[UInt8[np.ndarray, "h w c"]]:
    """The crops of a single image; see `Originals.crops`."""
    return Originals(cubes[0], images).crops(cubes, position)


def filtered(
    cube: xr.DataTree, probe: str, crop: UInt8[np.ndarray, "h w c"], radius: float
) -> Float[np.ndarray, "h w c"]:
    """A crop under one condition of a low-pass or high-pass probe, as pixels in [0, 1].

    The filter acts where and how the cube's convention says; then normalisation is undone, and what lies outside
    [0, 1] is clipped. What a high-pass leaves varies about 0 and is shown about mid grey, except where the convention
    keeps the mean, or clips: then it lies in [0, 1] already.

    Args:
        cube: an audit's results.
        probe: the cube's group, such as "low_pass_gaussian".
        crop: 8-bit pixels.
        radius: in cycles/image; `math.inf` is the crop itself.
    """
    if math.isinf(radius):
        return crop / 255
    about, convention = cube[probe].attrs, Convention(**cube.attrs["convention"])
    zero = _zero(cube, convention)
    planes = torch.from_numpy(crop / 255 - zero).permute(2, 0, 1)
    left = FILTERS[about["kind"]](planes, radius, family=about["family"], convention=convention)
    floats = floating(about["kind"], convention)
    return np.clip(np.moveaxis(np.asarray(left), 0, -1) + (MID_GREY if floats else zero), 0, 1)


def floating(kind: str, convention: Convention) -> bool:
    """Whether what a filter leaves varies about 0, and is shown about mid grey."""
    return kind in ("high_pass", "band_pass") and not (convention.keep_mean or convention.clip)


def _zero(cube: xr.DataTree, convention: Convention) -> Float[np.ndarray, " c"]:
    """The pixel value that is 0 where the filter acts. A filter commutes with the division by std, not with this."""
    mean = np.array(cube.attrs["preprocess"]["mean"])
    return mean if convention.domain == "normalised" else np.zeros_like(mean)
