"""An audited image, opened again and filtered as it was, to be looked at."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, UInt8

from bandscope.analysis.zoom import AXES
from bandscope.conventions import Convention
from bandscope.datasets import ImageSource, load_source
from bandscope.datasets.boxes import load_boxes
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
    try:
        return load_source(cube.attrs["data"]["spec"])
    except (DataError, InputError) as error:
        raise DataError(f"The audited images cannot be opened again: {error}") from error


def shown_scale(cube: xr.DataTree) -> tuple[str, float] | None:
    """The axis and the value of the only zoom, or object size, of a cube; None where no zoom was asked for."""
    axis = next((axis for axis in AXES if axis in cube.coords and axis not in cube.dims), None)
    return None if axis is None else (axis, float(cube.coords[axis]))


def reopened(cubes: Sequence[xr.DataTree], position: int, images: ImageSource) -> list[UInt8[np.ndarray, "h w c"]]:
    """The crops that the network saw of the image at `position`: at each cube's zoom, else the ordinary one.

    Args:
        cubes: an audit's results, as they are or `at_zoom` of them.
        position: of the image in the cubes.
        images: hold it under its `source` path.

    Raises:
        DataError: they do not, or its box is gone; `ImageError`: it cannot be decoded.
    """
    path = str(cubes[0].dataset["source"].values[position])
    place_of = {other: place for place, other in enumerate(images.paths)}
    if path not in place_of:
        raise DataError(f"The image set {images.spec!r} holds no {path!r}: it is not the one that was audited.")
    image, preprocess = images[place_of[path]], Preprocess.from_json(cubes[0].attrs["preprocess"])
    if shown_scale(cubes[0]) is None:
        return [preprocess.crop(image) for _ in cubes]
    scales = _scales(cubes[0], place_of)
    box = scales.box(place_of[path], image.size, path)
    zooms = (shown[1] for cube in cubes if (shown := shown_scale(cube)))
    return [scales.view(preprocess, image, box, zoom).pixels for zoom in zooms]


def _scales(cube: xr.DataTree, place_of: Mapping[str, int]) -> Scales:
    """The scales of an audit, its boxes read again for the images at these places."""
    said = cube.attrs["zoom"]
    scales = Scales(said["axis"], tuple(said["values"]), said["outside"])
    if said["boxes"] is None:
        return scales
    boxes, sources = load_boxes(said["boxes"]["spec"], [*place_of]), map(str, cube.dataset["source"].values)
    audited = boxes.take(np.array([place_of[source] for source in sources if source in place_of]))
    whole = len(audited) == cube.attrs["data"]["images"]
    if whole and audited.fingerprint != said["boxes"]["fingerprint"]:
        raise DataError(f"The boxes in {boxes.spec!r} are not those that were audited.")
    return replace(scales, boxes=boxes.values)


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
    floats = about["kind"] == "high_pass" and not (convention.keep_mean or convention.clip)
    return np.clip(np.moveaxis(np.asarray(left), 0, -1) + (MID_GREY if floats else zero), 0, 1)


def _zero(cube: xr.DataTree, convention: Convention) -> Float[np.ndarray, " c"]:
    """The pixel value that is 0 where the filter acts. A filter commutes with the division by std, not with this."""
    mean = np.array(cube.attrs["preprocess"]["mean"])
    return mean if convention.domain == "normalised" else np.zeros_like(mean)
