"""One sample: how sure the network is of its label, and of every class that beats it, over radius."""

import operator
from typing import SupportsIndex

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from bandscope.analysis.outcomes import Outcomes, images_of, named, radius_outcomes
from bandscope.cube import status_ok
from bandscope.errors import InputError, nearest


def sample_curves(cube: xr.DataTree, image: SupportsIndex | str) -> pd.DataFrame:
    """Probabilities over radius of an image's label and of every class that is on top at any radius.

    Args:
        cube: an audit's results.
        image: its position in the cube, or its `source` path.

    Returns:
        One row a (probe, class, radius), the label first, the others as they come on top with rising radius: probe,
        radius (cycles/image), frequency (cycles/pixel), class_name, class_index, probability. The label's is always
        known; that of another class is NaN where it is not among the stored five best.

    Raises:
        InputError: there is no such image, or it has no results.
    """
    images = images_of(one_image(cube, image))
    tables = [table for outcomes in radius_outcomes(images) for table in _tables(outcomes)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def one_image(cube: xr.DataTree, image: SupportsIndex | str) -> xr.DataTree:
    """The cube of one image that counts; reads nothing of the others.

    Raises:
        InputError: there is no such image, or it has no results.
    """
    position = image_position(cube, image)
    if not status_ok(cube)[position]:
        source, status = (str(cube.dataset[name].values[position]) for name in ("source", "status"))
        raise InputError(f"Image {position} ({source}) has no results: {status or 'it is not computed yet'}.")
    return cube.isel(image=[position])


def image_position(cube: xr.DataTree, image: SupportsIndex | str) -> int:
    """Where an image stands in the cube, by its position or its `source` path.

    Raises:
        InputError: there is no such image.
    """
    if isinstance(image, str):
        return _position_of(image, cube.dataset["source"].values)
    position, count = operator.index(image), cube.sizes["image"]
    if not 0 <= position < count:
        raise InputError(f"image = {position}: it must be 0 to {count - 1}, or the source path of an image.")
    return position


def _position_of(path: str, sources: np.ndarray) -> int:
    found = np.flatnonzero(sources == path)
    if not len(found):
        raise InputError(
            f"image = {path!r}: no image of the cube has this source; they look like {str(sources[0])!r}."
            + nearest(path, map(str, sources))
        )
    return int(found[0])


def _tables(outcomes: Outcomes) -> list[pd.DataFrame]:
    """One table a class, of the only image."""
    label, winners = int(outcomes.images.label[0]), outcomes.ranked_class()[0].tolist()
    coordinates = outcomes.coordinates()
    return [
        pd.DataFrame(
            {
                "probe": outcomes.name,
                **coordinates,
                "class_name": named(outcomes.images, np.full(len(winners), index)),
                "class_index": index,
                "probability": outcomes.probability()[0] if index == label else _stored(outcomes, index),
            }
        )
        for index in dict.fromkeys([label, *winners])
    ]


def _stored(outcomes: Outcomes, index: int) -> Float[np.ndarray, " radii"]:
    """A class's probability where it is among the five best, else NaN."""
    found = np.full(len(outcomes.radius), np.nan, dtype=np.float32)
    for rank in outcomes.ranks():
        here = outcomes.ranked_class(rank)[0] == index
        found[here] = outcomes.ranked_probability(rank)[0][here]
    return found
