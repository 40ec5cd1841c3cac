"""Telling images: of all images the few whose curves say most, each with the number that ranks it."""

import operator
from typing import SupportsIndex

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from bandscope.analysis.outcomes import (
    KINDS,
    Images,
    Outcomes,
    clean_outcomes,
    images_of,
    named,
    nullable,
    radius_outcomes,
)
from bandscope.analysis.samples import onset
from bandscope.analysis.scaling.law import scale_points
from bandscope.analysis.takeovers import find_runs, image_columns, lost_again
from bandscope.analysis.zoom import scale_axis
from bandscope.errors import InputError, nearest

RANKED_BY = {"takeover": "mass", "late": "onset", "nonmonotone": "fall", "shifted": "octaves"}


def telling(cube: xr.DataTree, kind: str, count: SupportsIndex = 10, probe: str = "low_pass") -> pd.DataFrame:
    """The images that show something most, the first one the most; equals in the order of the cube.

    An image is looked at as frequencies come in: rising radii of a low-pass, falling radii of a high-pass.

    - "takeover", by `mass`: of an image's strongest takeover, the usurper's probability summed over its radii, each
      counted with its width in octaves (half way to its neighbours; radius 0 has none). A usurper that is not among
      the five best counts as 0.
    - "late", by `onset`: of the images that are right without a filter, those that need most frequencies to stay
      right (largest onset of a low-pass, smallest of a high-pass). Images without an onset are left out.
    - "nonmonotone", by `fall`: the largest fall of the label's probability from one radius to any later one.
    - "shifted", by `octaves`: the largest change of an image's r50 between two zooms, as log2 of their ratio:
      negative where r50 falls as the zoom rises. It needs a cube with zooms.

    Args:
        cube: an audit's results. All kinds but "shifted" speak of zoom 1; `at_zoom` chooses another.
        kind: "takeover" | "late" | "nonmonotone" | "shifted".
        count: how many images at most; those that show nothing are not listed.
        probe: a low-pass or high-pass probe of the cube.

    Returns:
        One row an image: image, source, label, label_name, probe, clean_right, then the number above and what it is
        of (radii in cycles/image): "takeover": from_radius, to_radius, regained, usurper_index, usurper,
        usurper_probability (as in `takeovers`). "late": probability (of the label at the onset), before_index, before
        (the class on top one radius earlier; missing where there is none). "nonmonotone": from_radius, to_radius,
        from_probability, to_probability, winner_index, winner (on top at `to_radius`). "shifted": from_zoom, to_zoom
        (rising; of a cube over object sizes from_object_size, to_object_size, in pixels), from_r50, to_r50.

    Raises:
        InputError: the kind, the count or the probe is not possible, or "shifted" without zooms.
    """
    if kind not in RANKED_BY:
        raise InputError(f"kind = {kind!r}: it must be one of {', '.join(RANKED_BY)}." + nearest(kind, RANKED_BY))
    if operator.index(count) < 1:
        raise InputError(f"count = {count}: it must be 1 or larger.")
    _check_probe(cube, probe)
    if kind == "shifted":
        table = _shifted(cube, _axis(cube), probe)
    else:
        images = images_of(cube)
        table = _TABLES[kind](next(o for o in radius_outcomes(images) if o.name == probe))
    return table.head(operator.index(count)).reset_index(drop=True)


def _axis(cube: xr.DataTree) -> str:
    if (axis := scale_axis(cube)) is None:
        raise InputError('kind = "shifted" compares zooms, and this cube has none.')
    return axis


def _check_probe(cube: xr.DataTree, probe: str) -> None:
    held = [str(name) for name, node in cube.children.items() if node.attrs.get("kind") in KINDS[:2]]
    if probe not in held:
        raise InputError(
            f"probe = {probe!r}: this cube's low-pass and high-pass probes are {', '.join(held) or 'none'}."
            + nearest(probe, held)
        )


def _table(
    images: Images, probe: str, row: Int[np.ndarray, " rows"], what: dict[str, np.ndarray | pd.Series]
) -> pd.DataFrame:
    clean_right = clean_outcomes(images).right()[row, 0]
    return pd.DataFrame({**image_columns(images, row), "probe": probe, "clean_right": clean_right, **what})


def _ranked(table: pd.DataFrame, number: str, *, falling: bool = True) -> pd.DataFrame:
    return table.sort_values(number, ascending=not falling, kind="stable")


def octaves(radius: Float[np.ndarray, " radii"]) -> Float[np.ndarray, " radii"]:
    """Width in octaves of the cell of each radius, half way by ratio to its neighbours; 0 at radius 0."""
    width, inside = np.zeros(len(radius)), radius > 0
    width[inside] = np.gradient(np.log2(radius[inside])) if inside.sum() > 1 else 1
    return width


def _takeover(outcomes: Outcomes) -> pd.DataFrame:
    runs, radius = find_runs(outcomes), outcomes.radius
    mass = _mass(outcomes, np.repeat(np.arange(len(runs.row)), runs.length), runs.usurper)
    table = _table(
        outcomes.images,
        outcomes.name,
        runs.row,
        {
            "mass": mass,
            "from_radius": radius[runs.first],
            "to_radius": radius[runs.last],
            "regained": runs.last < len(radius) - 1 if outcomes.kind == "low_pass" else runs.first > 0,
            "usurper_index": runs.usurper,
            "usurper": named(outcomes.images, runs.usurper),
            "usurper_probability": runs.probability,
        },
    )
    return _ranked(table, "mass").drop_duplicates("image")


def _mass(
    outcomes: Outcomes, run: Int[np.ndarray, " cells"], usurper: Int[np.ndarray, " runs"]
) -> Float[np.ndarray, " runs"]:
    """Of each takeover, the usurper's probability summed over octaves; `run` numbers the cells that are lost."""
    row, column = np.nonzero(lost_again(outcomes.right(), outcomes.kind))
    width, mass = octaves(outcomes.radius), np.zeros(len(usurper))
    for rank in outcomes.ranks():
        here = outcomes.ranked_class(rank)[row, column] == usurper[run]
        weight = (outcomes.ranked_probability(rank)[row, column] * width[column])[here]
        mass += np.bincount(run[here], weights=weight, minlength=len(usurper))
    return mass


def _late(outcomes: Outcomes) -> pd.DataFrame:
    at = onset(outcomes.right(), outcomes.radius, outcomes.kind)
    row = np.flatnonzero(clean_outcomes(outcomes.images).right()[:, 0] & np.isfinite(at))
    column = np.searchsorted(outcomes.radius, at[row])
    earlier = column - 1 if outcomes.kind == "low_pass" else column + 1
    inside = (earlier >= 0) & (earlier < len(outcomes.radius))
    before = np.where(inside, outcomes.ranked_class()[row, np.where(inside, earlier, 0)], -1)
    table = _table(
        outcomes.images,
        outcomes.name,
        row,
        {
            "onset": at[row],
            "probability": outcomes.probability()[row, column],
            "before_index": nullable(before),
            "before": named(outcomes.images, before),
        },
    )
    return _ranked(table, "onset", falling=outcomes.kind == "low_pass")


def _nonmonotone(outcomes: Outcomes) -> pd.DataFrame:
    probability = outcomes.probability().astype(np.float64)
    fall, peak, low = largest_fall(probability, outcomes.kind)
    row = np.flatnonzero(fall > 0)
    peak, low = peak[row], low[row]
    winner = outcomes.ranked_class()[row, low]
    table = _table(
        outcomes.images,
        outcomes.name,
        row,
        {
            "fall": fall[row],
            "from_radius": outcomes.radius[peak],
            "to_radius": outcomes.radius[low],
            "from_probability": probability[row, peak],
            "to_probability": probability[row, low],
            "winner_index": winner,
            "winner": named(outcomes.images, winner),
        },
    )
    return _ranked(table, "fall")


def largest_fall(
    probability: Float[np.ndarray, "images radii"], kind: str
) -> tuple[Float[np.ndarray, " images"], Int[np.ndarray, " images"], Int[np.ndarray, " images"]]:
    """How far each curve falls at most as frequencies come in, and the positions of the top and foot of that fall."""
    if kind == "high_pass":
        fall, top, foot = largest_fall(probability[:, ::-1], "low_pass")
        return fall, probability.shape[1] - 1 - top, probability.shape[1] - 1 - foot
    below = np.maximum.accumulate(probability, axis=1) - probability
    foot = below.argmax(axis=1)
    earlier = np.arange(probability.shape[1]) <= foot[:, None]
    top = np.where(earlier, probability, -np.inf).argmax(axis=1)
    return below.max(axis=1), top, foot


_TABLES = {"takeover": _takeover, "late": _late, "nonmonotone": _nonmonotone}


def _shifted(cube: xr.DataTree, axis: str, probe: str) -> pd.DataFrame:
    """The two zooms of each image between which r50 changes most."""
    points = scale_points(cube, by="image")
    points = points[(points["probe"] == probe) & (points["r50"] > 0)]
    wide = points.pivot(index="image", columns=axis, values="r50").reindex(columns=np.asarray(cube.coords[axis]))
    wide = wide.dropna(thresh=2)
    r50, zooms, place = np.log2(wide.to_numpy()), wide.columns.to_numpy(), np.arange(len(wide))
    ends = np.stack([np.nanargmin(r50, axis=1), np.nanargmax(r50, axis=1)])
    first, last = ends.min(axis=0), ends.max(axis=0)
    ordinary = images_of(xr.DataTree(cube.to_dataset().drop_dims(axis)))  # the crop that no zoom has touched
    table = _table(
        ordinary,
        probe,
        np.searchsorted(ordinary.root("image"), wide.index.to_numpy()),
        {
            "octaves": r50[place, last] - r50[place, first],
            f"from_{axis}": zooms[first],
            f"to_{axis}": zooms[last],
            "from_r50": np.exp2(r50[place, first]),
            "to_r50": np.exp2(r50[place, last]),
        },
    )
    return table[table["octaves"] != 0].sort_values("octaves", key=np.abs, ascending=False, kind="stable")
