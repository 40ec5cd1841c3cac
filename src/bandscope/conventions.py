"""How a radius is measured, where DC lies, and which pixels are filtered: the choices behind a number.

Two papers that sweep an "ideal low-pass filter" rarely mean the same filter. A `Convention` names each choice;
the presets reproduce what others did, so that numbers can be compared and the effect of convention alone measured.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, get_args

from bandscope.errors import InputError, nearest

Metric = Literal["disc", "square"]
Centre = Literal["dc", "half-pixel"]
Domain = Literal["normalised", "pixel"]


@dataclass(frozen=True)
class Convention:
    """Every choice that turns a radius into an image.

    Attributes:
        preset: the preset that this started from.
        metric: "disc" measures the Euclidean distance from the centre, "square" the larger coordinate.
        centre: "dc" measures from DC. "half-pixel" measures from (n - 1)/2 of the shifted spectrum, half a bin off
            DC where n is even; the real part of such a filter is the gain symmetrised over k and -k.
        domain: "normalised" filters the tensor that the network sees, "pixel" filters [0, 1] pixels before
            normalisation. Low-pass filters commute with normalisation, high-pass filters do not.
        keep_mean: gives every filter gain 1 at DC, so that a high-passed image keeps its mean colour.
        clip: clips filtered images to the valid pixel range (which adds frequencies).
    """

    preset: str = "bandscope"
    metric: Metric = "disc"
    centre: Centre = "dc"
    domain: Domain = "normalised"
    keep_mean: bool = False
    clip: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("metric", Metric), ("centre", Centre), ("domain", Domain)):
            value = getattr(self, name)
            if value not in get_args(allowed):
                raise InputError(f"{name}={value!r} is not a convention; allowed: {', '.join(get_args(allowed))}.")

    @classmethod
    def named(cls, preset: str, **changes: Any) -> Self:
        """The preset of that name, with single choices changed; `None` changes nothing."""
        if preset not in PRESETS:
            raise InputError(f"No convention {preset!r}; there are {', '.join(PRESETS)}.{nearest(preset, PRESETS)}")
        given = {name: value for name, value in changes.items() if value is not None}
        return cls(**asdict(replace(PRESETS[preset], **given)))

    def to_json(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


PRESETS = {
    "bandscope": Convention(),
    # The public code of arXiv 2302.12477: distance from the middle of the shifted array, real part taken.
    "zhang2023": Convention("zhang2023", centre="half-pixel"),
    # The public code of Gavrikov & Keuper, CVPR 2024: the bins -r ... r-1 of each axis (a square half a bin off DC),
    # on pixels, clipped. Their cutoff c is r = int(c * n // 2); their high-pass cutoff counts from the corner.
    "gavrikov2024": Convention("gavrikov2024", metric="square", centre="half-pixel", domain="pixel", clip=True),
}
