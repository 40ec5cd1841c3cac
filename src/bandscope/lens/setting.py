"""What the lens is set to, one value for a whole page; and the address that opens a page so."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from bandscope.errors import InputError, nearest
from bandscope.probes import BandPass, BandStop, HighPass, LowPass, ResolvedProbe, checked_scales, number
from bandscope.spectral.gains import FAMILIES

RADIAL: Mapping[str, type[LowPass | HighPass]] = {"low_pass": LowPass, "high_pass": HighPass}
BANDED: Mapping[str, type[BandPass | BandStop]] = {"band_pass": BandPass, "band_stop": BandStop}
NONE = "none"
KINDS = (NONE, *RADIAL, *BANDED)
LEAST_ZOOM, MOST_ZOOM = 0.25, 4.0
PARAMETERS = ("image", *RADIAL, *BANDED, "filter", "family", "zoom")


@dataclass(frozen=True)
class Setting:
    """One filter at one zoom, as an audit would measure it.

    Attributes:
        kind: one of `KINDS`.
        low: cycles/image: where a band begins; unused by the others.
        high: cycles/image: the radius, or where a band ends; unused by "none".
        family: of a low-pass or high-pass.
        zoom: see `Preprocess.view`.
    """

    kind: str = NONE
    low: float = 0.0
    high: float = 0.0
    family: str = "ideal"
    zoom: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"No filter {self.kind!r}; there are {', '.join(KINDS)}.{nearest(self.kind, KINDS)}")
        if self.family not in FAMILIES:
            raise InputError(f"No filter family {self.family!r}; there are {', '.join(FAMILIES)}.")
        checked_scales((self.zoom,), "zoom")
        if not LEAST_ZOOM <= self.zoom <= MOST_ZOOM:
            raise InputError(
                f"Zoom {self.zoom:g} is not possible; the lens zooms from {LEAST_ZOOM} to {MOST_ZOOM:g}."
            )
        self.probe((1, 1))

    @property
    def radial(self) -> bool:
        """Whether the filter has a radius."""
        return self.kind in RADIAL

    @property
    def banded(self) -> bool:
        """Whether the filter has a band."""
        return self.kind in BANDED

    def probe(self, size: tuple[int, int]) -> ResolvedProbe | None:
        """The filter as an audit's probe of one condition, for a crop of `size`; None without a filter."""
        if self.radial:
            return RADIAL[self.kind]((self.high,), self.family).at_size(size)
        return BANDED[self.kind](((self.low, self.high),)).at_size(size) if self.banded else None

    def within(self, end: float) -> "Setting":
        """The same, its cut-off at most `end`, beyond which nothing changes.

        Raises:
            InputError: a band begins there.
        """
        if self.banded and self.low >= end:
            raise InputError(f"The band {self.low:g} to {self.high:g} holds nothing: images end at {end:g}.")
        return replace(self, high=min(self.high, end))

    def parameters(self) -> dict[str, str]:
        """The address's part behind the question mark, by name; what is as usual goes unsaid."""
        said: dict[str, str] = {"filter": NONE} if self.kind == NONE else {}
        if self.radial:
            said[self.kind] = f"{self.high:g}"
        if self.banded:
            said[self.kind] = f"{self.low:g}-{self.high:g}"
        if self.radial and self.family != "ideal":
            said["family"] = self.family
        return said | ({"zoom": f"{self.zoom:g}"} if self.zoom != 1 else {})


def read_parameters(given: Mapping[str, Any], usual: Setting) -> tuple[str | None, Setting]:
    """The image and the setting that an address asks for; without any filter or zoom, the usual ones.

    Args:
        given: such as {"image": "3", "low_pass": "45", "zoom": "2"}; names that begin with two underscores are the
            web framework's own.
        usual: in place of what is not said.

    Raises:
        InputError: saying what is not possible.
    """
    own = {name: str(value) for name, value in given.items() if not name.startswith("__")}
    for name in own:
        if name not in PARAMETERS:
            raise InputError(
                f"The address asks for {name!r}; it may ask for {', '.join(PARAMETERS)}.{nearest(name, PARAMETERS)}"
            )
    if own.get("filter", NONE) != NONE:
        raise InputError(
            f"The address asks for filter={own['filter']}; it may be {NONE}, or low_pass=RADIUS and so on."
        )
    if len(filters := [name for name in (*RADIAL, *BANDED, "filter") if name in own]) > 1:
        raise InputError(f"The address asks for {filters[0]} and for {filters[1]}; the lens shows one filter.")
    zoom = number(own.get("zoom", usual.zoom), "zoom")
    if not filters:
        kept = (usual.kind, usual.low, usual.high, usual.family)
        return own.get("image"), Setting(*kept[:3], own.get("family", usual.family), zoom)
    kind = NONE if filters[0] == "filter" else filters[0]
    low, high = _cutoff(kind, own[filters[0]])
    return own.get("image"), Setting(kind, low, high, own.get("family", "ideal"), zoom)


def _cutoff(kind: str, text: str) -> tuple[float, float]:
    if kind == NONE:
        return 0.0, 0.0
    if kind in RADIAL:
        return 0.0, number(text, "radius")
    low, dash, high = text.partition("-")
    if not dash:
        raise InputError(f"{kind}={text!r} is not a band such as 8-16.")
    return number(low, "band edge"), number(high, "band edge")


def query(image: str | None, setting: Setting) -> str:
    """What `read_parameters` reads back, as it stands in an address."""
    asked = ({} if image is None else {"image": image}) | setting.parameters()
    return urlencode(asked, errors="surrogateescape")  # a path may hold bytes that are no text
