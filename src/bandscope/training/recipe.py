"""A training recipe: everything that decides what is learnt, in one value that reads like a paper's paragraph."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from bandscope.errors import InputError, nearest
from bandscope.literals import parse_literal
from bandscope.preprocess import INTERPOLATIONS
from bandscope.reprs import Facts, counted

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AUGMENTS = ("resized-crop", "pad-crop", "none")


@dataclass(frozen=True, repr=False)
class Recipe(Facts):
    """The recipe of [Zhang2023, section 4.1], and whatever is changed in it.

    Attributes:
        name: the recipe that this started from.
        epochs: passes over the training images.
        warmup_epochs: the first of them, in which the learning rate rises linearly; a cosine to 0 follows.
        batch_size: images an optimiser step, over all devices and accumulated gradients together.
        lr: highest learning rate, at a batch of `lr_batch` images.
        lr_batch: the batch that `lr` is meant for: another `batch_size` scales it linearly. None: never scaled.
        momentum: of SGD.
        weight_decay: of the weights of convolutions and linear layers; biases and batch norms have none.
        label_smoothing: share of the target that is spread evenly over all classes.
        bn_momentum: of the running statistics of batch norms, as PyTorch counts it (the paper's 0.9 is 0.1 here).
            None leaves the network's own.
        ema: decay of the moving average of weights that is validated and saved in their place; None: no average.
        size: side (or height and width) of the crop that the network sees; None: that of the images, all alike.
        crop_pct: in validation, the crop's side over the resized image's.
        interpolation: of every resize.
        mean: of pixels in [0, 1], a channel each; None: measured on the training images.
        std: of pixels in [0, 1], a channel each; None: measured on the training images.
        augment: "resized-crop" (a random part of the image, resized), "pad-crop" (a random shift over a black
            border) or "none".
        scale: range of a resized crop's share of the image's area.
        ratio: range of its width over its height.
        padding: pixels of the border of a pad-crop.
        flip: probability of a horizontal mirror image. None: 1/2, or 0 for data sets whose classes a mirror
            changes (digits, letters, signs, `planted`).
    """

    name: str = "zhang2023"
    epochs: int = 100
    warmup_epochs: float = 5.0
    batch_size: int = 512
    lr: float = 0.2
    lr_batch: int | None = 512
    momentum: float = 0.9
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    bn_momentum: float | None = 0.1
    ema: float | None = None
    size: int | tuple[int, int] | None = 224
    crop_pct: float = 0.875
    interpolation: str = "bilinear"
    mean: tuple[float, ...] | None = IMAGENET_MEAN
    std: tuple[float, ...] | None = IMAGENET_STD
    augment: str = "resized-crop"
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    padding: int = 4
    flip: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in CHECKS:
                _check(field.name, getattr(self, field.name))
        if self.warmup_epochs > self.epochs:
            raise InputError(f"recipe warmup_epochs={self.warmup_epochs} is more than epochs={self.epochs}.")
        if (self.mean is None) != (self.std is None):
            raise InputError("recipe mean and std belong together: give both, or neither.")

    def _told(self) -> dict[str, str]:
        height, width = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        size = "the images' own size" if self.size is None else f"crops of {height} x {width} pixels"
        return {
            "recipe": self.name,
            "length": counted(self.epochs, "epoch"),
            "batch": f"batches of {self.batch_size:,}",
            "rate": f"learning rate {self.lr:g}",
            "input": size,
            "augmentation": f"augment {self.augment}",
        }

    def _told_in_full(self) -> dict[str, str]:
        return {field.name: str(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def named(cls, name: str, /, **overrides: Any) -> "Recipe":
        """The recipe of that name, with single fields changed.

        Raises:
            InputError: the recipe or a field is unknown (with the nearest name), or a value is out of range.
        """
        if name not in RECIPES:
            raise InputError(f"No recipe {name!r}; there are {', '.join(RECIPES)}.{nearest(name, RECIPES)}")
        return RECIPES[name].changed(**overrides)

    def changed(self, **overrides: Any) -> "Recipe":
        """This recipe with single fields changed.

        Raises:
            InputError: a field is unknown (with the nearest name), or a value is out of range.
        """
        for name in overrides:
            if name not in FIELDS:
                raise InputError(
                    f"A recipe has no field {name!r}; there are {', '.join(FIELDS)}.{nearest(name, FIELDS)}"
                )
        settled: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in overrides.items()
        }
        if "augment" in settled and settled["augment"] is None:  # --set augment=none
            settled["augment"] = "none"
        return replace(self, **settled)

    @property
    def peak_lr(self) -> float:
        """The highest learning rate at this batch size, by the linear rule of Goyal et al. (2017, section 2.1)."""
        return self.lr if self.lr_batch is None else self.lr * self.batch_size / self.lr_batch

    def to_json(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


FIELDS = tuple(field.name for field in fields(Recipe) if field.name != "name")


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Overrides from the command line's "lr=0.1", "flip=none", "scale=0.25,1".

    Raises:
        InputError: one is not `field=value`, or given twice.
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = (part.strip() for part in setting.partition("="))
        if not (name and equals and text):
            raise InputError(f"--set {setting!r} is not of the form field=value, such as lr=0.1.")
        if name in overrides:
            raise InputError(f"--set {name} is given twice.")
        overrides[name] = parse_literal(text)
    return overrides


def _check(name: str, value: Any) -> None:
    allowed, fits = CHECKS[name]
    if isinstance(value, bool) or not fits(value):
        raise InputError(f"recipe {name}={value!r} is not possible; it must be {allowed}.")


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and value >= least


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _numbers(value: Any, counts: tuple[int, ...]) -> bool:
    return isinstance(value, tuple) and len(value) in counts and all(map(_number, value))


def _range(value: Any) -> bool:
    return _numbers(value, (2,)) and 0 < value[0] <= value[1]


def _size(value: Any) -> bool:
    sides = value if isinstance(value, tuple) else (value, value)
    return value is None or (len(sides) == 2 and all(_whole(side, 1) for side in sides))


CHECKS: Mapping[str, tuple[str, Any]] = {
    "epochs": ("a whole number above 0", lambda v: _whole(v, 1)),
    "warmup_epochs": ("a number from 0 on", lambda v: _number(v) and v >= 0),
    "batch_size": ("a whole number above 0", lambda v: _whole(v, 1)),
    "lr": ("a number above 0", lambda v: _number(v) and v > 0),
    "lr_batch": ("a whole number above 0, or None", lambda v: v is None or _whole(v, 1)),
    "momentum": ("a number from 0 to below 1", lambda v: _number(v) and 0 <= v < 1),
    "weight_decay": ("a number from 0 on", lambda v: _number(v) and v >= 0),
    "label_smoothing": ("a number from 0 to below 1", lambda v: _number(v) and 0 <= v < 1),
    "bn_momentum": ("a number from 0 to 1, or None", lambda v: v is None or _share(v)),
    "ema": ("a number above 0 and below 1, or None", lambda v: v is None or (_number(v) and 0 < v < 1)),
    "size": ("a side in pixels, (height, width), or None", _size),
    "crop_pct": ("a number above 0", lambda v: _number(v) and v > 0),
    "interpolation": (f"one of {', '.join(INTERPOLATIONS)}", lambda v: v in INTERPOLATIONS),
    "mean": ("1 or 3 numbers, or None", lambda v: v is None or _numbers(v, (1, 3))),
    "std": ("1 or 3 numbers above 0, or None", lambda v: v is None or (_numbers(v, (1, 3)) and min(v) > 0)),
    "augment": (f"one of {', '.join(AUGMENTS)}", lambda v: v in AUGMENTS),
    "scale": ("two numbers, 0 < low <= high <= 1", lambda v: _range(v) and v[1] <= 1),
    "ratio": ("two numbers, 0 < low <= high", _range),
    "padding": ("a whole number from 0 on", lambda v: _whole(v, 0)),
    "flip": ("a probability, or None", lambda v: v is None or _share(v)),
}

RECIPES: Mapping[str, Recipe] = {
    "zhang2023": Recipe(),
    # CIFAR, MNIST: the images' own size and statistics, shifted instead of resized
    "zhang2023-small": Recipe("zhang2023-small", size=None, crop_pct=1.0, mean=None, std=None, augment="pad-crop"),
}
