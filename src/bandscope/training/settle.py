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
    grey = start.channels == 1 and start.preprocess is None
    return recipe.changed(mean=None, std=None) if grey and colours else recipe


def measures(recipe: Recipe, asked: Collection[str], start: Start) -> bool:
    """Whether mean and std are measured on the training images; those of weights are kept unless none is chosen."""
    chosen = {"mean", "std"} & _chosen(recipe, asked)
    return recipe.mean is None and (start.preprocess is None or bool(chosen))


def settled_preprocess(recipe: Recipe, asked: Collection[str], start: Start, source: ImageSource) -> Preprocess:
    """How images are prepared: as the weights were trained, or at random as the recipe says.

    Where mean and std are to be measured, they are 0 and 1 for now: see `measures` and `with_statistics`.

    Args:
        recipe: what of it the user changed goes before what the weights record.
        asked: fields that were given along with the recipe.
        start: the network.
        source: the training images.

    Raises:
        InputError: the images differ in size and nothing says how large the network's are.
    """
    mean, std = (0.0, 1.0) if recipe.mean is None or recipe.std is None else (recipe.mean, recipe.std)
    if start.preprocess is not None:
        chosen = _chosen(recipe, asked)
        settled = {**vars(recipe), "mean": mean, "std": std}
        if "size" in chosen:
            settled["size"] = _size(recipe, source)
        return override(start.preprocess, {OF_IMAGES[name]: settled[name] for name in chosen & OF_IMAGES.keys()})
    size = _size(recipe, source)
    resize, fit = timm_resize(size, recipe.crop_pct, "center")
    return Preprocess(
        size=size,
        resize=resize,
        mean=per_channel("mean", mean, start.channels),
        std=per_channel("std", std, start.channels),
        interpolation=recipe.interpolation,
        fit=fit,
    )


def with_statistics(preprocess: Preprocess, pixels: Pixels) -> Preprocess:
    """The preprocessing with mean and std measured on training images."""
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


def _chosen(recipe: Recipe, asked: Collection[str]) -> set[str]:
    """The fields that the user set: those asked for, and those that differ from the recipe of that name."""
    origin = RECIPES.get(recipe.name, recipe)
    names = {field.name for field in fields(Recipe)}
    return {*asked} | {name for name in names if getattr(recipe, name) != getattr(origin, name)}
