"""The ridge: r50 over zooms, and which zooms and images of an audit it can be known from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from bandscope.analysis.bands import LEVEL_TOLERANCE, MIN_RISE, band_quantities
from bandscope.analysis.groups import Group
from bandscope.analysis.outcomes import Images, Outcomes, images_of, radius_outcomes
from bandscope.analysis.statistics import MIN_IMAGES, Bootstrap, resampled_means, too_few
from bandscope.analysis.zoom import at_zoom, scale_axis, scale_values
from bandscope.cube.schema import ALL_PASS
from bandscope.errors import InputError

MIN_ZOOMS = 3  # any two points lie on a line
CORNERS = 0.7  # cycles/pixel: beyond it lie 0.03 % of a square's frequencies
USABLE, PADDED, WRONG, FLAT, OUTSIDE = range(5)
REASONS = np.array(["", "padded", "not right when clean", f"rise below {MIN_RISE}", "r50 outside the grid"], object)


@dataclass(frozen=True)
class ZoomedImages:
    """The zooms of an audit, and what is known of the images at each before any filter.

    Attributes:
        axis: "zoom" or "object_size".
        values: the zooms or sizes asked for.
        achieved: log of those achieved.
        padded: whether any of the crop is no real pixel.
        right: whether the prediction is the label, all frequencies kept.
        clean: probability of the label, all frequencies kept.
    """

    cube: xr.DataTree
    images: Images
    axis: str
    values: Float[np.ndarray, " zooms"]
    achieved: Float[np.ndarray, "used zooms"]
    padded: Bool[np.ndarray, "used zooms"]
    right: Bool[np.ndarray, "used zooms"]
    clean: Float[np.ndarray, "used zooms"]

    @property
    def noun(self) -> str:
        """What messages call the axis."""
        return self.axis.replace("_", " ")

    def named(self, zoom: SupportsIndex) -> str:
        """Such as "zoom 2" or "object size 64"."""
        return f"{self.noun} {self.values[zoom]:g}"

    def span(self, zooms: Bool[np.ndarray, "*rows zooms"]) -> dict[str, Any]:
        """Table columns: how many zooms are used, the lowest and the highest."""
        lowest = np.where(zooms, self.values, np.inf).min(axis=-1)
        highest = np.where(zooms, self.values, -np.inf).max(axis=-1)
        none = ~zooms.any(axis=-1)
        return {
            "zooms": zooms.sum(axis=-1),
            f"{self.axis}_low": np.where(none, np.nan, lowest)[()],
            f"{self.axis}_high": np.where(none, np.nan, highest)[()],
        }

    def reference(self, zooms: Bool[np.ndarray, "*rows zooms"]) -> Float[np.ndarray, "*rows"]:
        """Where a law's r50 is told: at zoom 1; of object sizes at the geometric mean of those used."""
        if self.axis == "zoom":
            return np.ones(zooms.shape[:-1])
        count = np.maximum(zooms.sum(axis=-1), 1)
        return np.asarray(np.exp(np.where(zooms, np.log(self.values), 0).sum(axis=-1) / count))

    def too_few(self, count: int) -> str:
        """Why so many usable zooms are too few for a law, or an empty string."""
        return too_few(count, MIN_ZOOMS, f"usable {self.noun}")


@dataclass(frozen=True)
class ProbeCurves:
    """One probe's curves at each zoom.

    Attributes:
        values: what groups' curves are the means of.
        r50: of each image's probability curve; NaN where `state` is not USABLE.
        state: for each image and zoom USABLE, or why not (an index into REASONS).
    """

    outcomes: Outcomes
    values: Float[np.ndarray, "used zooms radii"] | Bool[np.ndarray, "used zooms radii"]
    r50: Float[np.ndarray, "used zooms"]
    state: Int[np.ndarray, "used zooms"]


@dataclass(frozen=True)
class Ridge:
    """r50 over zooms of the mean curve of a group's images.

    Attributes:
        zooms: which zooms are used.
        rows: which images are used.
        left_out: why not, of each other image of the group.
        r50: NaN where `state` is not USABLE, or where there are too few images.
        resampled: the same of every bootstrap resample of the images.
        achieved: mean over the images of the log of the zoom achieved.
    """

    zooms: Bool[np.ndarray, " zooms"]
    rows: Int[np.ndarray, " rows"]
    left_out: Int[np.ndarray, " left_out"]
    r50: Float[np.ndarray, " zooms"]
    state: Int[np.ndarray, " zooms"]
    resampled: Float[np.ndarray, "resamples zooms"]
    achieved: Float[np.ndarray, " zooms"]


def axis_of(cube: xr.DataTree) -> str:
    """The scale dimension of a cube that has one.

    Raises:
        InputError: it has none.
    """
    if (axis := scale_axis(cube)) is None:
        raise InputError(
            "The cube has no scale axis: audit at several zooms, as in `bandscope audit MODEL DATA --zoom 1,1.41,2`"
            " or bs.audit(..., zoom=[1, 1.41, 2])."
        )
    return axis


def zoomed_images(cube: xr.DataTree) -> ZoomedImages:
    """The zooms of a cube that has several."""
    axis = axis_of(cube)
    values = scale_values(cube, axis)
    images, everything = images_of(at_zoom(cube, float(values[0]))), cube[ALL_PASS].dataset
    return ZoomedImages(
        cube,
        images,
        axis,
        values,
        achieved=np.log(images.kept(everything["achieved"]).astype(np.float64)),
        padded=images.kept(everything["padded"]) > 0,
        right=_right(images, everything),
        clean=images.kept(everything["probability"]).astype(np.float64),
    )


def probe_curves(scales: ZoomedImages, *, padded: bool, accuracy: bool = False) -> Iterator[ProbeCurves]:
    """Each low-pass and high-pass probe, with what can be used of it; padded zooms only if they are welcome."""
    for outcomes in radius_outcomes(scales.images):
        group = scales.cube[outcomes.name].dataset
        probability = scales.images.kept(group["probability"]).astype(np.float64)
        r50, state = centres(probability, scales.clean, outcomes)
        state = np.where(scales.right, state, WRONG)
        state = state if padded else np.where(scales.padded, PADDED, state)
        values = _right(scales.images, group) if accuracy else probability
        yield ProbeCurves(outcomes, values, np.where(state == USABLE, r50, np.nan), state)


def _right(images: Images, group: xr.Dataset) -> Bool[np.ndarray, " used *conditions"]:
    prediction = images.kept(group["top5_class"].isel(rank=0))
    return np.asarray(prediction == images.label.reshape(-1, *[1] * (prediction.ndim - 1)))


def centres(
    curve: Float[np.ndarray, "*rows radii"], clean: Float[np.ndarray, "*rows"], outcomes: Outcomes
) -> tuple[Float[np.ndarray, "*rows"], Int[np.ndarray, "*rows"]]:
    """r50 of each curve, and USABLE, FLAT or OUTSIDE.

    A curve's half lies inside the grid for sure where its height is at least half way from its lowest end to clean,
    and its lowest end at most half way from chance to its height (or all is gone there, so that this *is* the end).
    """
    radius, kind = outcomes.radius, outcomes.kind
    rise, _, r50 = np.moveaxis(band_quantities(curve, radius, kind)[..., :3], -1, 0)
    low, high = curve[..., 0 if kind == "low_pass" else -1], curve.max(axis=-1)
    chance = np.minimum(low, 1 / len(outcomes.images.classes))
    cut_off = (high < (low + clean) / 2) | ((low > (chance + high) / 2) & (not _all_is_gone(outcomes)))
    outside = cut_off | (r50 < radius[radius > 0].min(initial=np.inf))
    return r50, np.where(rise < MIN_RISE - LEVEL_TOLERANCE, FLAT, np.where(outside, OUTSIDE, USABLE))


def _all_is_gone(outcomes: Outcomes) -> bool:
    """Whether a probe's strongest condition leaves nothing but the mean, or the corners of the spectrum."""
    if outcomes.kind == "low_pass":
        return bool(outcomes.radius[0] < 1)
    return bool(outcomes.coordinates()["frequency"][-1] >= CORNERS)


def ridge_of(probe: ProbeCurves, scales: ZoomedImages, group: Group, bootstrap: Bootstrap) -> Ridge:
    """A group's ridge: of the zooms at which most of its images are not padded, of the images usable at all these."""
    state = probe.state[group.rows]
    zooms = np.asarray((state != PADDED).sum(axis=0) * 2 > len(group))
    against = _first_reason(state, np.broadcast_to(zooms, state.shape))
    rows = group.rows[against == USABLE]
    r50, resampled = np.full(len(zooms), np.nan), np.full((bootstrap.resamples, len(zooms)), np.nan)
    own = np.where(zooms, USABLE, PADDED)
    if len(rows) >= MIN_IMAGES:
        values, clean = probe.values[rows][:, zooms], scales.clean[rows][:, zooms]
        r50[zooms], own[zooms] = centres(values.mean(axis=0), clean.mean(axis=0), probe.outcomes)
        resampled[:, zooms] = _resampled(values, probe.outcomes, group.random(bootstrap), bootstrap.resamples)
        r50[own != USABLE] = resampled[:, own != USABLE] = np.nan
    achieved = scales.achieved[rows].mean(axis=0) if len(rows) else np.full(len(zooms), np.nan)
    return Ridge(zooms, rows, against[against != USABLE], r50, own, resampled, achieved)


def _resampled(
    values: Float[np.ndarray, "rows zooms radii"] | Bool[np.ndarray, "rows zooms radii"],
    outcomes: Outcomes,
    random: np.random.Generator,
    resamples: int,
) -> Float[np.ndarray, "resamples zooms"]:
    """r50 at each zoom of resampled mean curves; an image drawn is drawn at all zooms."""
    means = resampled_means(values.reshape(len(values), -1), resamples, random).reshape(-1, *values.shape[1:])
    return band_quantities(means, outcomes.radius, outcomes.kind)[..., 2]


def _first_reason(
    state: Int[np.ndarray, "images zooms"], zooms: Bool[np.ndarray, "images zooms"]
) -> Int[np.ndarray, " images"]:
    """The first of the reasons against each image at any of its zooms, or USABLE; PADDED where it has no zoom."""
    found = np.where(zooms & (state != USABLE), state, len(REASONS)).min(axis=1)
    found = np.where(found == len(REASONS), USABLE, found)
    return np.where(zooms.any(axis=1), found, PADDED)


def too_few_used(ridge: Ridge, group: Group) -> str:
    """Why the images that can be used are too few, or an empty string."""
    used, all_of_them = len(ridge.rows), too_few(len(group), MIN_IMAGES)
    if all_of_them or used >= MIN_IMAGES:
        return all_of_them
    return f"{used} of {len(group)} images usable: at least {MIN_IMAGES} are needed"
