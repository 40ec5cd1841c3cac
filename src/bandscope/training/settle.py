"""From a recipe and the images to the preprocessing of the network and pixels ready to be drawn."""

from collections.abc import Collection
from dataclasses import fields, replace

import numpy as np

from bandscope.classifiers.overrides import override
from bandscope.datasets import ImageSource
from bandscope.errors import InputError
from bandscope.preprocess import Preprocess, per_channel, timm_resize
from bandscope.training.models import Start
from bandscope.training.pixels import Pixels, common_size
from bandscope.training.recipe import RECIPES, Recipe

MEASURED = 1000  # images that stand for all in mean and std, where not all are in memory
DIGITS = 4  # of measured means and standard deviations
OF_IMAGES = {
    "size": "input_size",
    "crop_pct": "crop_pct",
    "interpolation": "interpolation",
    "mean": "mean",
    "std": "std",
}


def for_channels(recipe: Recipe, asked: Collection[str], start: Start) -> Recipe:
    """The recipe, whose own mean and std of colour images are measured instead where the images are grey."""
    colours = recipe.mean is not None and len(recipe.mean) == 3 and not {"mean", "std"} & {*asked}
    return recipe.changed(mean=None, std=None) if start.channels == 1 and colours else recipe


def settled_preprocess(recipe: Recipe, asked: Collection[str], start: Start, source: ImageSource) -> Preprocess:
    """How images are prepared: as the weights were trained, or at random as the recipe says.

    Where mean and std are to be measured, they are 0 and 1 for now: see `with_statistics`.

    Args:
        recipe: what of it the user changed goes before what the weights record.
        asked: fields that were given along with the recipe.
        start: the network.
        source: the training images.

    Raises:
        InputError: the images differ in size and nothing says how large the network's are.
    """
    changed = {*asked} | {name for name in _names() if getattr(recipe, name) != getattr(_origin(recipe), name)}
    if start.preprocess is not None:
        wanted = {OF_IMAGES[name]: getattr(recipe, name) for name in changed & OF_IMAGES.keys()}
        return override(start.preprocess, {name: value for name, value in wanted.items() if value is not None})
    size = _size(recipe, source)
    resize, fit = timm_resize(size, recipe.crop_pct, "center")
    mean, std = (0.0, 1.0) if recipe.mean is None or recipe.std is None else (recipe.mean, recipe.std)
    return Preprocess(
        size=size,
        resize=resize,
        mean=per_channel("mean", mean, start.channels),
        std=per_channel("std", std, start.channels),
        interpolation=recipe.interpolation,
        fit=fit,
    )


def with_statistics(preprocess: Preprocess, recipe: Recipe, start: Start, pixels: Pixels) -> Preprocess:
    """The preprocessing with mean and std measured on training images, where the recipe leaves them open."""
    if recipe.mean is not None or start.preprocess is not None:
        return preprocess
    mean, std = measured(pixels, preprocess.channels)
    return replace(preprocess, mean=mean, std=std)


def measured(pixels: Pixels, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels in [0, 1], to four digits.

    Raises:
        InputError: all pixels of a channel are alike.
    """
    counts = np.zeros((channels, 256), dtype=np.int64)
    for image in pixels.sample(MEASURED):
        for channel in range(channels):
            counts[channel] += np.bincount(image[..., channel].ravel(), minlength=256)
    share, level = counts / counts.sum(axis=1, keepdims=True), np.arange(256) / 255
    mean = share @ level
    std = np.sqrt((share * (level - mean[:, None]) ** 2).sum(axis=1))
    if (std < 10**-DIGITS).any():
        raise InputError(
            "The training images are all of one colour, so their std cannot be measured; give mean and std."
        )
    return tuple(mean.round(DIGITS).tolist()), tuple(std.round(DIGITS).tolist())


def _size(recipe: Recipe, source: ImageSource) -> tuple[int, int]:
    if isinstance(recipe.size, int):
        return recipe.size, recipe.size
    size = recipe.size or common_size(source)
    if size is None:
        raise InputError(f"The images of {source.spec} differ in size: say what the network sees, such as size=64.")
    return size


def _origin(recipe: Recipe) -> Recipe:
    """The named recipe that this started from."""
    return RECIPES.get(recipe.name, recipe)


def _names() -> list[str]:
    return [field.name for field in fields(Recipe)]
