"""One sample of an audit as a figure: the image as it was filtered, over what the network says to it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from bandscope import analysis
from bandscope.analysis.sample import image_position, one_image
from bandscope.cube import status_ok
from bandscope.datasets import ImageSource
from bandscope.errors import InputError, nearest
from bandscope.probes import checked_radii
from bandscope.report.figures import figure_sample
from bandscope.report.grouping import By
from bandscope.report.thumbnails import FILTERS, filtered, reopened
from bandscope.spectral.grid import corner_radius

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THUMBNAILS = 7
MOST_RIVALS = 4  # more curves beside the label's hide each other
ENOUGH_RADII = 2  # a class on top at a single radius is a dot, not a curve
TINY = 0.1  # cycles/image: stands for radius 0 in a ratio


def sample_figure(
    cube: xr.DataTree,
    image: SupportsIndex | str,
    *,
    source: str | ImageSource | None = None,
    probe: str = "low_pass",
    radii: Sequence[float] | None = None,
    by: By = None,
) -> "Figure":
    """The image filtered at telling radii, over the probabilities of its label and of the classes that beat it.

    Behind lies the mean curve of the image's class, or of its group where the class has no other image.

    Args:
        cube: an audit's results.
        image: its position in the cube, or its `source` path.
        source: a spec or an `ImageSource` that holds the image, if no longer the place that the cube names.
        probe: a low-pass or high-pass probe of the cube.
        radii: of the filtered images, in cycles/image, rising; under a low-pass the last may be `math.inf`, the clean
            image. By default those of `telling_radii`.
        by: {model output index: group name}, for classes of one image.

    Raises:
        InputError: there is no such image or probe, the image has no results, or a radius is impossible.
        DataError: the image cannot be opened again.
    """
    _check_probe(cube, probe)
    sample = _sample(cube, image, probe)
    shown = telling_radii(sample) if radii is None else _checked(radii, sample.kind)
    crop = reopened(cube, image_position(cube, image), source)
    behind, name = _behind(cube, sample, probe, by)
    return figure_sample(
        np.stack([filtered(cube, probe, crop, radius) for radius in shown]),
        shown,
        sample.curves,
        sample.label,
        class_curve=behind,
        class_curve_name=name,
        takeovers=sample.takeovers,
        onset=sample.onset,
        probe=probe,
        title=f"{sample.source}, {cube.attrs['model']['spec']}",
    )


@dataclass(frozen=True)
class Sample:
    """What the tables say of one image under one probe.

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


def telling_radii(sample: Sample, count: int = THUMBNAILS) -> list[float]:
    """The onset, the middle of the two longest takeovers and the radius before each; the rest even by ratio.

    Under a low-pass the last is `math.inf`, the clean image.
    """
    clean = [math.inf] if sample.kind == "low_pass" else []
    candidates = sample.radius[(sample.radius > 0) & (sample.radius < sample.corner)]
    if not len(candidates):
        candidates = sample.radius
    chosen = [radius for radius in _turning_points(sample) if radius in candidates][: count - len(clean)]
    while len(chosen) < min(count - len(clean), len(candidates)):
        chosen.append(_farthest(candidates, [*chosen, sample.corner]))
    return [*sorted(chosen), *clean]


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


def _sample(cube: xr.DataTree, image: SupportsIndex | str, probe: str) -> Sample:
    one = one_image(cube, image)
    tables = (analysis.samples(one), analysis.takeovers(one), analysis.sample_curves(one, 0))
    samples, takeovers, curves = (table[table["probe"] == probe] for table in tables)
    about, names = samples.to_dict("records")[0], _unlike(curves)
    takeovers = takeovers.sort_values(["conditions", "from_radius"], ascending=[False, True])
    return Sample(
        source=str(about["source"]),
        index=int(about["label"]),
        label=names[int(about["label"])],
        kind=one[probe].attrs["kind"],
        radius=np.asarray(one[probe]["radius"].values, dtype=np.float64),
        corner=corner_radius(*cube.attrs["preprocess"]["size"]),
        curves=_drawn(curves, takeovers).assign(class_name=lambda table: table["class_index"].map(names)),
        takeovers=takeovers.assign(usurper=takeovers["usurper_index"].map(names)),
        onset=float(about["onset"]),
    )


def _unlike(curves: pd.DataFrame) -> dict[int, str]:
    """A name for each class, with its index where names repeat: ImageNet has two cranes."""
    each = curves.drop_duplicates("class_index")
    twice = each["class_name"].duplicated(keep=False)
    rows = zip(each["class_index"], each["class_name"], twice, strict=True)
    return {int(index): f"{name} [{index}]" if again else str(name) for index, name, again in rows}


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
