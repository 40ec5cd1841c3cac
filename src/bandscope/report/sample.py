"""One sample of an audit as a figure: the image as it was filtered, over what the network says to it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from bandscope import analysis
from bandscope.analysis.sample import image_position, one_image
from bandscope.analysis.scaling.law import scale_points
from bandscope.analysis.zoom import at_zoom, scale_axis, scale_values
from bandscope.cube import status_ok
from bandscope.cube.schema import ALL_PASS
from bandscope.datasets import ImageSource, load_source
from bandscope.errors import DataError, InputError, nearest
from bandscope.labels import distinct_names
from bandscope.probes import checked_radii
from bandscope.report.figures import figure_sample, figure_sample_zooms
from bandscope.report.figures.sample_zooms import MOST_ROWS, ZoomRow
from bandscope.report.grouping import By
from bandscope.report.thumbnails import FILTERS, audited_images, filtered, reopened, shown_scale
from bandscope.report.words import short_spec
from bandscope.spectral.grid import corner_radius

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THUMBNAILS, THUMBNAILS_A_ROW = 7, 5
MOST_RIVALS = 4  # more curves beside the label's hide each other
ENOUGH_RADII = 2  # a class on top at a single radius is a dot, not a curve
TINY = 0.1  # cycles/image: stands for radius 0 in a ratio

ZoomChoice = float | Literal["all"]


def sample_figure(
    cube: xr.DataTree,
    image: SupportsIndex | str,
    *,
    source: str | ImageSource | None = None,
    probe: str = "low_pass",
    radii: Sequence[float] | None = None,
    by: By = None,
    zoom: ZoomChoice = "all",
) -> "Figure":
    """The image filtered at telling radii, and the probabilities of its label and of the classes that beat it.

    Behind lies the mean curve of the image's class, or of its group where the class has no other image. A cube over
    zooms gives a row a zoom. Where the image cannot be opened again the figure shows the curves alone, and says why.

    Args:
        cube: an audit's results.
        image: its position in the cube, or its `source` path.
        source: a spec or an `ImageSource` that holds the image, if no longer the place that the cube names.
        probe: a low-pass or high-pass probe of the cube.
        radii: of the filtered images, in cycles/image, rising; under a low-pass the last may be `math.inf`, the
            unfiltered image. By default those of `telling_radii`.
        by: {model output index: group name}, for classes of one image.
        zoom: one zoom (or object size) of the cube, or "all": of more than six, six that are spread evenly.

    Raises:
        InputError: there is no such image, probe or zoom, the image has no results, or a radius is impossible.
        DataError: `source` cannot be opened.
    """
    return sample_sheet(cube, image, source=source, probe=probe, radii=radii, by=by, zoom=zoom).figure


@dataclass(frozen=True)
class Sample:
    """What the tables say of one image under one probe at one zoom.

    Attributes:
        source: the image's path.
        index: the right model output.
        label: its name in `curves`, where no two classes share a name.
        kind: "low_pass" or "high_pass".
        radius: all radii, rising.
        corner: the radius beyond which an image has nothing.
        curves: probabilities of the label and of the rivals to draw.
        takeovers: the longest first.
        onset: see `samples`.
        clean_right: whether the label is on top without a filter.
        clean_probability: the label's.
        zoom: "zoom 2" or "object size 64"; empty where the cube has no zooms.
        r50: the centre of the label's probability (`scale_points`); NaN where there is none, or no zooms.
        padded: share of the crop that is no pixel of the image.
    """

    source: str
    index: int
    label: str
    kind: str
    radius: Float[np.ndarray, " radii"]
    corner: float
    curves: pd.DataFrame
    takeovers: pd.DataFrame
    onset: float
    clean_right: bool = True
    clean_probability: float = math.nan
    zoom: str = ""
    r50: float = math.nan
    padded: float = 0.0


@dataclass(frozen=True)
class Sheet:
    """The figure of a sample, what it shows at each zoom, and why the images are missing (or an empty string)."""

    figure: "Figure"
    samples: tuple[Sample, ...]
    missing: str


def sample_sheet(
    cube: xr.DataTree,
    image: SupportsIndex | str,
    *,
    source: str | ImageSource | None = None,
    probe: str = "low_pass",
    radii: Sequence[float] | None = None,
    by: By = None,
    zoom: ZoomChoice = "all",
) -> Sheet:
    """What `sample_figure` draws, with the numbers in it."""
    _check_probe(cube, probe)
    position = image_position(cube, image)
    cubes = _at_zooms(cube, zoom)
    samples = _samples(cube, cubes, position, probe)
    count = THUMBNAILS if len(samples) == 1 else THUMBNAILS_A_ROW
    shown = telling_radii(samples, count) if radii is None else _checked(radii, samples[0].kind)
    strips, missing = _strips(cubes, position, probe, shown, source)
    behind, name = zip(*(_behind(at, samples[0], probe, by) for at in cubes), strict=True)
    rows = [_row(*of_zoom) for of_zoom in zip(samples, strips, behind, strict=True)]
    about = [
        samples[0].source,
        short_spec(str(cube.attrs["model"]["spec"])),
        samples[0].zoom if len(rows) == 1 else "",
    ]
    common: dict[str, Any] = {
        "class_curve_name": name[0],
        "probe": probe,
        "title": ", ".join(filter(None, about)),
        "note": missing,
    }
    return Sheet(_draw(rows, shown, samples[0].label, common), samples, missing)


def _row(sample: Sample, strip: Float[np.ndarray, "k h w c"] | None, behind: pd.DataFrame | None) -> ZoomRow:
    return ZoomRow(
        name=sample.zoom + (f"\n{sample.padded:.0%} padded" if sample.padded else ""),
        images=strip,
        curves=sample.curves,
        takeovers=sample.takeovers,
        onset=sample.onset,
        r50=sample.r50,
        class_curve=behind,
    )


def _draw(rows: Sequence[ZoomRow], radii: Sequence[float], label: str, common: Mapping[str, Any]) -> "Figure":
    if len(rows) > 1:
        return figure_sample_zooms(rows, radii, label, **common)
    (row,) = rows
    return figure_sample(
        row.images,
        radii,
        row.curves,
        label,
        class_curve=row.class_curve,
        takeovers=row.takeovers,
        onset=row.onset,
        **common,
    )


def _at_zooms(cube: xr.DataTree, zoom: ZoomChoice) -> list[xr.DataTree]:
    """The cube at each zoom to show; the cube itself where it has none."""
    if zoom != "all":
        return [at_zoom(cube, zoom)]
    if (axis := scale_axis(cube)) is None:
        return [cube]
    values = scale_values(cube, axis)
    places = np.unique(np.linspace(0, len(values) - 1, MOST_ROWS).round().astype(int))
    return [at_zoom(cube, float(value)) for value in values[places]]


def _strips(
    cubes: Sequence[xr.DataTree],
    position: int,
    probe: str,
    radii: Sequence[float],
    source: str | ImageSource | None,
) -> tuple[list[Float[np.ndarray, "k h w c"] | None], str]:
    """The filtered images at each zoom; without them, why."""
    given = None if source is None else load_source(source)  # a mistake in what was asked for is an error
    try:
        images = audited_images(cubes[0]) if given is None else given
        crops = reopened(cubes, position, images)
    except DataError as error:
        return [None] * len(cubes), f"The image cannot be shown. {error}"
    pairs = zip(cubes, crops, strict=True)
    return [np.stack([filtered(cube, probe, crop, radius) for radius in radii]) for cube, crop in pairs], ""


def telling_radii(samples: Sequence[Sample], count: int = THUMBNAILS) -> list[float]:
    """The onset, the middle of the two longest takeovers and the radius before each; the rest even by ratio.

    Several zooms turn at too many radii: half of those shown are such, first of the outermost zooms. Under a low-pass
    the last radius is `math.inf`, the clean image.
    """
    clean = [math.inf] if samples[0].kind == "low_pass" else []
    radius, corner = samples[0].radius, samples[0].corner
    candidates = radius[(radius > 0) & (radius < corner)]
    if not len(candidates):
        candidates = radius
    wanted = min(count - len(clean), len(candidates))
    most = wanted if len(samples) == 1 else wanted // 2
    chosen = [point for point in dict.fromkeys(_by_turns(samples)) if point in candidates][:most]
    while len(chosen) < wanted:
        chosen.append(_farthest(candidates, [*chosen, corner]))
    return [*sorted(chosen), *clean]


def _by_turns(samples: Sequence[Sample]) -> list[float]:
    """The first turning point of each zoom, then the second of each, and so on; the outermost zooms first."""
    points = [_turning_points(sample) for sample in [*samples[:1], *samples[:0:-1]]]
    return [point for turn in zip_longest(*points, fillvalue=math.nan) for point in turn]


def _turning_points(sample: Sample) -> list[float]:
    """Where the answer changes, the most telling first."""
    inwards = sample.radius if sample.kind == "low_pass" else sample.radius[::-1]
    points = []
    for row in sample.takeovers.head(2).itertuples():
        run = np.flatnonzero((inwards >= row.from_radius) & (inwards <= row.to_radius))
        points += [inwards[run[len(run) // 2]], inwards[run[0] - 1]]  # before a takeover the label was on top
    return list(dict.fromkeys(float(point) for point in [*points[:1], sample.onset, *points[1:]]))


def _farthest(candidates: Float[np.ndarray, " radii"], others: Sequence[float]) -> float:
    """The candidate with the largest ratio to the nearest of the others."""
    octaves = np.abs(np.log2(np.maximum(candidates[:, None], TINY) / np.maximum(others, TINY)))
    return float(candidates[octaves.min(axis=1).argmax()])


def _check_probe(cube: xr.DataTree, probe: str) -> None:
    allowed = [str(name) for name, node in cube.children.items() if node.attrs.get("kind") in FILTERS]
    if probe not in allowed:
        raise InputError(
            f"probe = {probe!r}: this cube can show a sample under {', '.join(allowed) or 'none of its probes'}."
            + nearest(probe, allowed)
        )


def _checked(radii: Sequence[float], kind: str) -> list[float]:
    """Radii that can be shown: the last may be infinite under a low-pass."""
    clean = [math.inf] if kind == "low_pass" and len(radii) and math.isinf(radii[-1]) else []
    finite = radii[: len(radii) - len(clean)]
    return [*(checked_radii(finite) if len(finite) or not clean else ()), *clean]


def _samples(cube: xr.DataTree, cubes: Sequence[xr.DataTree], position: int, probe: str) -> tuple[Sample, ...]:
    """One sample a zoom."""
    one, names = one_image(cube, position).load(), class_names(cube)
    if (axis := scale_axis(cube)) is None:
        return (_sample(one, probe, names),)
    points = scale_points(one, by="image", padded=True)  # the row says that it is
    r50 = points[points["probe"] == probe].set_index(axis)["r50"]
    padded = one[ALL_PASS]["padded"].isel(image=0)
    return tuple(
        replace(
            _sample(at_zoom(one, value), probe, names), r50=float(r50[value]), padded=float(padded.sel({axis: value}))
        )
        for value in (float(at.coords[axis]) for at in cubes)
    )


def _sample(one: xr.DataTree, probe: str, names: Mapping[int, str]) -> Sample:
    tables = (analysis.samples(one), analysis.takeovers(one), analysis.sample_curves(one, 0))
    samples, takeovers, curves = (table[table["probe"] == probe] for table in tables)
    about = samples.to_dict("records")[0]
    takeovers = takeovers.sort_values(["conditions", "from_radius"], ascending=[False, True])
    return Sample(
        source=str(about["source"]),
        index=int(about["label"]),
        label=names[int(about["label"])],
        kind=one[probe].attrs["kind"],
        radius=np.asarray(one[probe]["radius"].values, dtype=np.float64),
        corner=corner_radius(*one.attrs["preprocess"]["size"]),
        curves=_drawn(curves, takeovers).assign(class_name=lambda table: table["class_index"].map(names)),
        takeovers=takeovers.assign(usurper=takeovers["usurper_index"].map(names)),
        onset=float(about["onset"]),
        clean_right=bool(about["clean_right"]),
        clean_probability=float(one.dataset["clean_probability"].values[0]),
        zoom=f"{scale[0].replace('_', ' ')} {scale[1]:g}" if (scale := shown_scale(one)) else "",
    )


def class_names(cube: xr.DataTree) -> dict[int, str]:
    """A name for each class, with its index where names repeat: ImageNet has two cranes."""
    return dict(enumerate(distinct_names([str(name) for name in cube.dataset["class_name"].values])))


def _drawn(curves: pd.DataFrame, takeovers: pd.DataFrame) -> pd.DataFrame:
    """The label, the usurpers, then the classes that are on top at two radii or more, for as many as can be told."""
    label = int(curves["class_index"].iloc[0])
    best = curves.loc[curves.groupby("radius")["probability"].idxmax(), "class_index"].value_counts()
    others = [*takeovers["usurper_index"], *best.index[best >= ENOUGH_RADII]]
    rivals = [index for index in dict.fromkeys(others) if index != label][:MOST_RIVALS]
    rows: pd.DataFrame = curves.loc[curves["class_index"].isin([label, *rivals])]
    return rows


def _behind(cube: xr.DataTree, sample: Sample, probe: str, by: By) -> tuple[pd.DataFrame | None, str]:
    """The mean curve of the image's class, or of its group where the class has no other image; and its name."""
    labels, used = cube.dataset["label"].values, status_ok(cube)
    own, name = labels == sample.index, "its class"
    if (own & used).sum() < 2 and isinstance(by, Mapping) and sample.index in by:
        name = by[sample.index]
        own = np.isin(labels, [index for index, group in by.items() if group == name])
    rows = np.flatnonzero(own & used)
    if len(rows) < 2:
        return None, name
    members = {int(index): name for index in np.unique(labels[rows])}
    table = analysis.curves(cube.isel(image=rows), members)
    return table[table["probe"] == probe], name
