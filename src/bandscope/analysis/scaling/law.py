"""The scale law r50 ~ zoom^-beta: does the band follow the object (beta = 1) or stay in the image (beta = 0)?"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bandscope.analysis.curves import curves
from bandscope.analysis.groups import By, Group, groups_of
from bandscope.analysis.outcomes import images_of, probe_outcomes
from bandscope.analysis.scaling.image_law import image_laws, image_points
from bandscope.analysis.scaling.ridge import (
    REASONS,
    USABLE,
    ProbeCurves,
    Ridge,
    ZoomedImages,
    axis_of,
    probe_curves,
    ridge_of,
    too_few_used,
    zoomed_images,
)
from bandscope.analysis.scaling.slopes import IMAGE, NUMBERS, OBJECT, line, percentile_p, verdict
from bandscope.analysis.statistics import Bootstrap, percentile_interval
from bandscope.analysis.takeovers import image_columns
from bandscope.analysis.zoom import at_zoom, scale_values
from bandscope.errors import InputError, nearest

CURVES = ("probability", "accuracy")


def scale_surface(
    cube: xr.DataTree, by: By = None, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Accuracy and label probability over zoom x radius: the table `curves` of every zoom.

    All images count at all zooms, padded or not; `clean` and `relative` are those of each zoom.

    Args:
        cube: an audit over zooms.
        by: None | "class" | {model output index: group name} | "image".
        confidence: of every interval.
        resamples: of the bootstrap over images.
        seed: of the bootstrap.

    Returns:
        One row a (probe, group, zoom, condition), with the columns of `curves` and zoom (of an audit over object
        sizes: object_size, in pixels). by="image": one row a (probe, image, zoom, condition): probe, image, source,
        label, label_name, zoom, the condition's coordinates, probability (of the label).

    Raises:
        InputError: the cube has no scale axis.
    """
    axis, bootstrap = axis_of(cube), Bootstrap(confidence, resamples, seed)
    tables = []
    for value in scale_values(cube, axis):
        here = at_zoom(cube, value)
        table = _of_images(here) if by == "image" else curves(here, by, **vars(bootstrap))
        tables.append(table.assign(**{axis: value}))
    return _ordered(pd.concat(tables, ignore_index=True), axis)


def scale_points(
    cube: xr.DataTree,
    by: By = None,
    *,
    of: str = "probability",
    padded: bool = False,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """r50 at each zoom, of the images that `scale_law` uses: the points that its line is laid through.

    Args:
        cube: an audit over zooms.
        by: None | "class" | {model output index: group name} | "image".
        of: of groups, the mean curve that r50 is read off: "probability" of the label, or "accuracy".
        padded: use padded zooms too.
        confidence: of every interval.
        resamples: of the bootstrap over images.
        seed: of the bootstrap.

    Returns:
        One row a (probe, group, zoom): probe, group, class_index (by="class"), n (images used), zoom (or
        object_size), achieved (geometric mean over these images of what whole pixels made of it), r50
        (cycles/image), r50_ci_low, r50_ci_high (expanded percentiles of the bootstrap over images), reason (why r50
        is NaN). by="image": one row a (probe, image, zoom): probe, image, source, label, label_name, zoom, achieved,
        r50, reason; other zooms of the image do not matter here.

    Raises:
        InputError: the cube has no scale axis, or `of` is not possible.
    """
    bootstrap = Bootstrap(confidence, resamples, seed)
    probes, scales, groups = _read(cube, by, of, padded)
    if groups is None:
        return _concat([image_points(probe, scales) for probe in probes])
    return _concat([_points(*each, scales, confidence) for each in _ridges(probes, scales, groups, bootstrap)])


def scale_law(
    cube: xr.DataTree,
    by: By = None,
    *,
    of: str = "probability",
    padded: bool = False,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The exponent beta in r50 ~ zoom^-beta: least squares of log r50 on the log of the zoom achieved.

    r50 is the centre of the band (`bands`: isotonic fit, half of its rise) of a label-probability curve under each
    low-pass and high-pass probe. beta = 1: constant cycles/object, the band follows the object. beta = 0: constant
    cycles/image, it does not.

    *Which images.* A group uses the zooms at which fewer than half of its images are padded, at least three; and the
    images that at each of these are not padded, are right when clean, and have an r50 of their own inside the grid:
    the curve rises by 0.2 at least, and whatever it does beyond the radii (between its lowest value and chance on
    one side, up to clean on the other), its half lies among them, not below the smallest that is not 0. All others
    are counted in `left_out`.

    *What that selects.* The law is one of images that the network knows at all of these sizes: the easy ones. And an
    image whose r50 leaves the grid at the largest zoom is lost, while one that happens to be read a little higher
    there is kept: where many are left out for the grid, beta comes out too small. Finer radii, or fewer zooms, tell
    whether that matters.

    *How sure.* Groups: a bootstrap over images; in every resample the mean curves are fitted anew at all zooms, then
    the line. The interval is the expanded percentile interval, p is 1 - confidence of the one that just reaches the
    hypothesis (`percentile_p`). It knows how images scatter, not how coarse the radii are: where a step is a large
    part of r50, beta is off by more than its interval says. Single images: there is nothing to resample, so the
    interval and p are Student's, from the residuals about the line, with zooms - 2 degrees of freedom; they say how
    straight this image's line is. A residual counts as no smaller than the error of reading r50 off the grid, a step
    of radii / sqrt(12).

    Args:
        cube: an audit over zooms.
        by: None | "class" | {model output index: group name} | "image".
        of: of groups, the mean curve that r50 is read off: "probability" of the label, or "accuracy". Which images
            are used does not depend on it.
        padded: use padded zooms too.
        confidence: of every interval.
        resamples: of the bootstrap over images.
        seed: of the bootstrap.

    Returns:
        One row a (probe, group): probe, group, class_index (by="class"), n (images used), zooms (how many are used),
        zoom_low, zoom_high (of an audit over object sizes: object_size_low, object_size_high); beta, beta_ci_low,
        beta_ci_high; r50 (cycles/image, of the line at zoom r50_at), p_object (of beta = 1), p_image (of beta = 0);
        r50_at (1; of object sizes the geometric mean of those used); verdict, by what the interval holds: "object"
        (1 alone), "image" (0 alone), "undecided" (both), "between" (it lies between them), "beyond" (outside);
        left_out (how many images), left_out_because; reason (why beta is NaN). by="image": one row a (probe, image),
        with image, source, label, label_name in place of group and n, and without left_out.

    Raises:
        InputError: the cube has no scale axis, or `of` is not possible.
    """
    bootstrap = Bootstrap(confidence, resamples, seed)
    probes, scales, groups = _read(cube, by, of, padded)
    if groups is None:
        return _concat([image_laws(probe, scales, confidence) for probe in probes])
    ridges = _ridges(probes, scales, groups, bootstrap)
    return pd.DataFrame([_law(*each, scales, confidence) for each in ridges])


def _of_images(cube: xr.DataTree) -> pd.DataFrame:
    """The label's probability at every condition, of every image at one zoom."""
    images = images_of(cube)
    tables = []
    for outcomes in probe_outcomes(images):
        probability = outcomes.probability()
        n, conditions = probability.shape
        coordinates = {name: np.tile(values, n) for name, values in outcomes.coordinates().items()}
        who = image_columns(images, np.repeat(np.arange(n), conditions))
        tables.append(
            pd.DataFrame({"probe": outcomes.name, **who, **coordinates, "probability": probability.ravel()})
        )
    return _concat(tables)


def _ordered(table: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Rows by probe, group and scale, in the order in which they came; the scale before the frequencies."""
    keys = [key for key in ("probe", "group", "class_index", "image") if key in table]
    table = table.sort_values(keys, key=lambda column: pd.factorize(column)[0], kind="stable", ignore_index=True)
    first = next(place for place, name in enumerate(table) if name in ("radius", "low"))
    table.insert(first, axis, table.pop(axis))
    return table


def _read(
    cube: xr.DataTree, by: By, of: str, padded: bool
) -> tuple[Iterator[ProbeCurves], ZoomedImages, list[Group] | None]:
    """The probes, one at a time; the zooms; the groups, or None where each image stands for itself."""
    if of not in CURVES:
        raise InputError(f"of = {of!r}: it must be {' or '.join(CURVES)}." + nearest(of, CURVES))
    if by == "image" and of != "probability":
        raise InputError(f"of = {of!r}: a single image's curve is that of its label's probability.")
    scales = zoomed_images(cube)
    groups = None if by == "image" else groups_of(scales.images, by)
    return probe_curves(scales, padded=padded, accuracy=of == "accuracy"), scales, groups


def _ridges(
    probes: Iterator[ProbeCurves], scales: ZoomedImages, groups: list[Group], bootstrap: Bootstrap
) -> Iterator[tuple[str, Group, Ridge]]:
    for probe in probes:
        for group in groups:
            yield probe.outcomes.name, group, ridge_of(probe, scales, group, bootstrap)


def _points(probe: str, group: Group, ridge: Ridge, scales: ZoomedImages, confidence: float) -> pd.DataFrame:
    low, high = percentile_interval(ridge.resampled, confidence, max(2, len(ridge.rows)))
    few = too_few_used(ridge, group)
    return pd.DataFrame(
        {
            "probe": probe,
            **group.keys(),
            "n": len(ridge.rows),
            scales.axis: scales.values,
            "achieved": np.exp(ridge.achieved),
            "r50": ridge.r50,
            "r50_ci_low": low,
            "r50_ci_high": high,
            "reason": [REASONS[state] or few for state in ridge.state],
        }
    )


def _law(probe: str, group: Group, ridge: Ridge, scales: ZoomedImages, confidence: float) -> dict[str, Any]:
    reason = _no_law(group, ridge, scales)
    reference = float(scales.reference(ridge.zooms))
    numbers = dict.fromkeys(NUMBERS, np.nan) if reason else _numbers(ridge, reference, confidence)
    counts = Counter(ridge.left_out.tolist())
    return {
        "probe": probe,
        **group.keys(),
        "n": len(ridge.rows),
        **scales.span(ridge.zooms),
        **numbers,
        "r50_at": reference,
        "verdict": verdict(numbers["beta_ci_low"], numbers["beta_ci_high"]),
        "left_out": len(ridge.left_out),
        "left_out_because": ", ".join(f"{counts[state]} {REASONS[state]}" for state in sorted(counts)),
        "reason": reason,
    }


def _no_law(group: Group, ridge: Ridge, scales: ZoomedImages) -> str:
    if few := scales.too_few(int(ridge.zooms.sum())) or too_few_used(ridge, group):
        return few
    bad = np.flatnonzero(ridge.zooms & (ridge.state != USABLE))
    return f"{REASONS[ridge.state[bad[0]]]} at {scales.named(bad[0])}" if len(bad) else ""


def _numbers(ridge: Ridge, reference: float, confidence: float) -> dict[str, float]:
    n, zooms = len(ridge.rows), ridge.zooms
    x, y, resampled = ridge.achieved[zooms], np.log(ridge.r50[zooms]), np.log(ridge.resampled[:, zooms])
    everywhere = np.ones(len(x), dtype=bool)
    fit, beta = line(x, y, everywhere), -line(x, resampled, everywhere).slope
    low, high = percentile_interval(beta, confidence, n)
    return {
        "beta": -float(fit.slope),
        "beta_ci_low": float(low),
        "beta_ci_high": float(high),
        "r50": float(np.exp(fit.at(np.log(reference)))),
        "p_object": percentile_p(beta, OBJECT, n),
        "p_image": percentile_p(beta, IMAGE, n),
    }


def _concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
