"""`planted`: a procedural image set whose frequencies are known, because we put them there.

Eight classes are striped objects, each with stripes from its own band of frequencies and in its own
direction; the ninth class is the background alone. An image is

    mean colour + colour axis * (1/f background + contrast * window(x - centre) * sum_i w_i cos(2 pi k_i x + p_i))

with every |k_i| inside the class's band. Outside its band a striped image *is* a background image, so a
classifier that has lost the band has a right answer to fall back to. Classes differ in band and direction
and in nothing else: contrast, position, phase and colour come from the same distributions, and the energy
of the stripes is fixed by the contrast alone.
"""

import hashlib
import inspect
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from bandscope.datasets.base import SourceFacts
from bandscope.errors import InputError, nearest
from bandscope.labels import ClassLabel

Split = Literal["train", "test"]
Texture = Literal["object", "image"]

GENERATOR = 1  # part of the fingerprint: raise it whenever the pixels of any image change
SIZE = 256  # side of a source, pixels: four times a 64-pixel crop, so that zoom up to 4 has real pixels
MAX_ZOOM = 4
MAX_SEED = 2**32 - 1  # one word of numpy's SeedSequence, so that no two keys are alike

BANDS = ((3.0, 5.0), (5.0, 7.0), (7.0, 9.0), (9.0, 12.0), (12.0, 15.0), (15.0, 19.0), (19.0, 23.0), (23.0, 28.0))
ORIENTATIONS = tuple(22.5 * (3 * k % 8) for k in range(len(BANDS)))  # neighbours in band lie 67.5 degrees apart
CLASSES = (*(ClassLabel(f"stripes {low:.0f}-{high:.0f}") for low, high in BANDS), ClassLabel("background"))
BACKGROUND_CLASS = len(BANDS)

DIAMETER = 0.625  # of an object at half height, in image widths: cycles/object = DIAMETER * cycles/image
EDGE = 0.2  # width of an object's soft edge, in image widths
SHIFT = 0.0875  # farthest an object's centre lies from the image's: its edge just stays inside the frame
WEIGHTS = np.array([1.0, 0.5, 0.5])  # a carrier and two weaker waves beside it: stripes that bend a little
SPREAD = 0.75  # of the weaker waves about the carrier, cycles/image: less than the object's own 1 / DIAMETER
TILT = 5.0  # of any wave about the class's orientation, degrees
CONTRAST = (0.07, 0.14)  # of the stripes: RMS over the object, in units of the pixel range
BACKGROUND = 0.07  # RMS of the 1/f background, same units
MEAN_TINT, AXIS_TINT = 0.12, 0.4  # how colourful the mean and the axis of variation are


@dataclass(frozen=True)
class Stripes:
    """What is planted in one image; all frequencies in cycles/image at zoom 1.

    carrier: frequency of the strongest wave.
    waves: (x, y) frequency of each wave. phases: in radians. centre: (x, y) in image widths from the middle.
    contrast: RMS of the stripes over the object, in units of the pixel range.
    """

    carrier: float
    waves: Float[np.ndarray, "waves 2"]
    phases: Float[np.ndarray, " waves"]
    centre: Float[np.ndarray, " 2"]
    contrast: float


class Planted(SourceFacts):
    """The planted image set: 256 x 256 RGB images, each a pure function of (seed, split, position).

    Attributes:
        bands: for each striped class, (low, high) in cycles/image of the whole source (zoom 1).
        object_bands: the same in cycles/object.
        orientations: for each striped class, the direction across its stripes, in degrees from the x axis.

    Args:
        split: "train" and "test" draw from disjoint streams.
        per_class: images of each of the nine classes; the classes take turns.
        seed: of the whole set.
        texture: "object": the stripes belong to the object and grow with it under zoom (band ~ 1/zoom).
            "image": the control set for one zoom: the stripes are drawn so fine that *at that zoom* they
            have their planted cycles/image again, however large the object has become (band ~ zoom^0).
        zoom: the zoom at which a control set will be looked at, 1 to 4.

    Raises:
        InputError: a setting is out of its range.
    """

    bands = BANDS
    object_bands = tuple((low * DIAMETER, high * DIAMETER) for low, high in BANDS)
    orientations = ORIENTATIONS
    classes = CLASSES

    def __init__(
        self,
        split: Split = "test",
        *,
        per_class: int = 40,
        seed: int = 0,
        texture: Texture = "object",
        zoom: float = 1.0,
    ) -> None:
        _check(split, per_class, seed, texture, zoom)
        self.split, self.per_class, self.seed = split, per_class, seed
        self.texture, self.zoom = texture, float(zoom)
        self.spec = _spec(split=split, per_class=per_class, seed=seed, texture=texture, zoom=self.zoom)
        self.labels: Int[np.ndarray, " images"] = np.tile(np.arange(len(CLASSES)), per_class)
        self.paths = tuple(f"{CLASSES[k].name}/{i // len(CLASSES):04d}" for i, k in enumerate(self.labels))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> Image.Image:
        """The image at `position`, 256 x 256 RGB."""
        random = self._random(position, "background")
        mean, axis = _colours(random)
        light = BACKGROUND * one_over_f(random)
        if (stripes := self.stripes(position)) is not None:
            light += paint(stripes, self.zoom)
        return Image.merge("RGB", [_to_8_bit(m + a * light) for m, a in zip(mean, axis, strict=True)])

    def stripes(self, position: int) -> Stripes | None:
        """The truth about the image at `position`: its stripes, or None for background alone."""
        label = int(self.labels[position])
        if label == BACKGROUND_CLASS:
            return None
        return _draw_stripes(self._random(position, "stripes"), BANDS[label], ORIENTATIONS[label])

    def fingerprint(self) -> str:
        """A hash of everything that decides the pixels, their order and their labels."""
        settings = [GENERATOR, self.split, self.per_class, self.seed, self.texture, self.zoom]
        return hashlib.sha256(json.dumps(settings).encode()).hexdigest()

    def _random(self, position: int, part: Literal["background", "stripes"]) -> np.random.Generator:
        position = range(len(self))[position]  # from either end, as in a list
        key = [self.seed, get_args(Split).index(self.split), position, int(part == "stripes")]
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def paint(stripes: Stripes, zoom: float = 1.0) -> Float[np.ndarray, "256 256"]:
    """The stripes alone, in units of the pixel range, their frequencies multiplied by `zoom`.

    The sum of squares is contrast^2 * sum(window^2), whatever the waves and their phases.
    """
    across = np.arange(SIZE) / SIZE - 0.5
    kx, ky = 2j * np.pi * zoom * stripes.waves.T[:, :, None]
    along_x, along_y = np.exp(kx * across), np.exp(ky * across + 1j * stripes.phases[:, None])
    waves = np.einsum("w,wy,wx->yx", WEIGHTS, along_y, along_x).real
    window = _window(across - stripes.centre[0], across - stripes.centre[1])
    texture: Float[np.ndarray, "256 256"] = window * waves
    texture *= stripes.contrast * np.sqrt(np.sum(window**2) / np.sum(texture**2))
    return texture


def one_over_f(random: np.random.Generator) -> Float[np.ndarray, "256 256"]:
    """A field of unit variance and no mean: every amplitude is exactly 1/f, only the phases are random."""
    spectrum = np.fft.rfft2(random.random((SIZE, SIZE)))
    amplitude, deviation = _falling_amplitudes()
    field = np.fft.irfft2(spectrum * (amplitude / np.abs(spectrum)), s=(SIZE, SIZE))
    return field / deviation


@lru_cache(maxsize=1)
def _falling_amplitudes() -> tuple[Float[np.ndarray, "256 129"], float]:
    """1/f on the half spectrum (0 at DC), and the standard deviation of an image with these amplitudes."""
    y, x = np.fft.fftfreq(SIZE, 1 / SIZE)[:, None], np.fft.rfftfreq(SIZE, 1 / SIZE)[None, :]
    distance = np.hypot(x, y)
    distance[0, 0] = np.inf
    power = distance**-2.0
    both_halves = 2 * power.sum() - power[:, [0, -1]].sum()  # the outer columns have no mirror image
    return 1 / distance, float(np.sqrt(both_halves)) / SIZE**2


def _window(x: Float[np.ndarray, " w"], y: Float[np.ndarray, " h"]) -> Float[np.ndarray, "h w"]:
    """An object's soft disc: 1 inside, a raised cosine across the edge, 1/2 at DIAMETER / 2."""
    distance = np.sqrt(x**2 + y[:, None] ** 2)
    through = ((distance - DIAMETER / 2) / EDGE).clip(-0.5, 0.5)
    height: Float[np.ndarray, "h w"] = 0.5 - 0.5 * np.sin(np.pi * through)
    return height


def _draw_stripes(random: np.random.Generator, band: tuple[float, float], orientation: float) -> Stripes:
    low, high = band
    carrier = random.uniform(low, high)
    beside = random.uniform(max(low, carrier - SPREAD), min(high, carrier + SPREAD), 2)
    angles = np.deg2rad(orientation + random.uniform(-TILT, TILT, 3))
    turn, reach = random.uniform(0, 2 * np.pi), SHIFT * np.sqrt(random.uniform())
    return Stripes(
        carrier=carrier,
        waves=np.array([[carrier], *beside[:, None]]) * np.stack([np.cos(angles), np.sin(angles)], axis=1),
        phases=random.uniform(0, 2 * np.pi, 3),
        centre=reach * np.array([np.cos(turn), np.sin(turn)]),
        contrast=CONTRAST[0] * (CONTRAST[1] / CONTRAST[0]) ** random.uniform(),
    )


def _colours(random: np.random.Generator) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """The mean colour, and the axis along which background and stripes alike vary (its mean is 1)."""
    mean, axis = random.uniform(-1, 1, (2, 3))
    return 0.5 + MEAN_TINT * (mean - mean.mean()), 1 + AXIS_TINT * (axis - axis.mean())


def _to_8_bit(plane: Float[np.ndarray, "h w"]) -> Image.Image:
    return Image.fromarray((255 * plane + 0.5).clip(0, 255).astype(np.uint8))


def _spec(**settings: Any) -> str:
    """The name of the set, and whatever differs from the default settings."""
    usual = {name: parameter.default for name, parameter in inspect.signature(Planted).parameters.items()}
    options = "&".join(f"{name}={value}" for name, value in settings.items() if value != usual[name])
    return f"planted?{options}" if options else "planted"


def _check(split: str, per_class: int, seed: int, texture: str, zoom: float) -> None:
    _check_choice("split", split, get_args(Split))
    _check_choice("texture", texture, get_args(Texture))
    if per_class < 1:
        raise InputError(f"planted: per_class is {per_class}; it must be at least 1.")
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"planted: seed is {seed}; it must lie in 0 to {MAX_SEED}.")
    if not 1 <= zoom <= MAX_ZOOM:
        raise InputError(f"planted: zoom is {zoom}; it must lie in 1 to {MAX_ZOOM}, where sources have real pixels.")
    if texture == "object" and zoom != 1:
        raise InputError(f"planted: zoom is {zoom}, but only texture='image' is drawn for a zoom; leave it at 1.")


def _check_choice(name: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        choices = " or ".join(repr(one) for one in allowed)
        raise InputError(f"planted: {name} is {given!r}; it must be {choices}.{nearest(given, allowed)}")
