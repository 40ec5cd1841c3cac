"""An audited image, opened again and filtered as it was, to be looked at."""

import math

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, UInt8

from bandscope.conventions import Convention
from bandscope.datasets import ImageSource, load_source
from bandscope.errors import DataError, InputError
from bandscope.preprocess import Preprocess
from bandscope.spectral.transform import high_pass, low_pass

FILTERS = {"low_pass": low_pass, "high_pass": high_pass}
MID_GREY = 0.5


def reopened(cube: xr.DataTree, position: int, source: str | ImageSource | None = None) -> UInt8[np.ndarray, "h w c"]:
    """The crop that the network saw of the cube's image at `position`.

    Args:
        cube: an audit's results.
        position: of the image in the cube.
        source: a spec or an `ImageSource` that holds the image under its `source` path; by default the cube's own.

    Raises:
        DataError: the image set cannot be opened, or does not hold the image; `ImageError`: it cannot be decoded.
    """
    path = str(cube.dataset["source"].values[position])
    images = _audited(cube.attrs["data"]["spec"]) if source is None else load_source(source)
    place = next((place for place, other in enumerate(images.paths) if other == path), None)
    if place is None:
        raise DataError(f"The image set {images.spec!r} holds no {path!r}: it is not the one that was audited.")
    return Preprocess.from_json(cube.attrs["preprocess"]).crop(images[place])


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


def _audited(spec: str) -> ImageSource:
    try:
        return load_source(spec)
    except (DataError, InputError) as error:
        raise DataError(
            f"The audited images cannot be opened again: {error} Say where they are with source=."
        ) from error
