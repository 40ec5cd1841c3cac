"""Similarity: does an image's curve look like the curve of its own class, or like another's?

The correlation (Pearson, over radii) of each image's probability curve with the mean curve of its own group without
that image, against the mean curves of all other groups.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float, Int

from bandscope.analysis.groups import By, Group, group_codes, groups_of
from bandscope.analysis.outcomes import Images, Outcomes, images_of, radius_outcomes
from bandscope.analysis.statistics import Bootstrap, share, wilson
from bandscope.analysis.takeovers import group_columns, image_columns
from bandscope.errors import InputError

FLAT = 1e-6  # a curve that varies by less than this share of its largest value has no shape to compare
ROWS_AT_ONCE = 4096  # bounds memory: images x groups correlations
CONSTANT, ALONE, CONSTANT_MEAN, NO_OTHER = (
    "the image's curve is constant",
    "no other image in its group",
    "the mean curve of its group is constant",
    "no other group to compare with",
)


@dataclass(frozen=True)
class Nearness:
    """Correlations of each image's curve; NaN where undefined, `other` -1 where there is none.

    Attributes:
        own: with the mean of its own group without the image.
        best: with the nearest other group's mean.
        other: which group that is.
    """

    own: Float[np.ndarray, " images"]
    best: Float[np.ndarray, " images"]
    other: Int[np.ndarray, " images"]

    @property
    def defined(self) -> Bool[np.ndarray, " images"]:
        """Where own and best can be compared."""
        return np.asarray(~np.isnan(self.own) & ~np.isnan(self.best))

    @property
    def nearest_own(self) -> Bool[np.ndarray, " images"]:
        """Where the own group is the nearest (False where undefined)."""
        return np.asarray(self.own > self.best)


def similarity(cube: xr.DataTree, by: By = "class") -> pd.DataFrame:
    """For each image the correlation of its probability curve with its own group's and with the nearest other's.

    Args:
        cube: an audit's results.
        by: "class" | {model output index: group name}; images of no group are left out.

    Returns:
        One row an (image, probe): image, source, label, label_name, probe, group, class_index (by="class"); own
        (correlation with the mean curve of its group's other images), best_other (the largest with another group's
        mean curve), best_other_group, nearest_own (own > best_other; missing where either is), reason, why cells are
        missing.

    Raises:
        InputError: `by` is None or not possible.
    """
    images = images_of(cube)
    groups, code = _comparable(images, by)
    tables = [_table(outcomes, groups, code) for outcomes in radius_outcomes(images)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def similarity_summary(
    cube: xr.DataTree, by: By = "class", *, confidence: float = 0.95, permutations: int = 20, seed: int = 0
) -> pd.DataFrame:
    """The share of images whose curve is nearest to their own group's, overall and for each group.

    The chance level is the same share after the groups have been dealt to the images at random, group sizes kept,
    averaged over `permutations`: large groups have smoother means, so that it is not 1 / number of groups for each.

    Args:
        cube: an audit's results.
        by: "class" | {model output index: group name}; images of no group are left out.
        confidence: of Wilson's interval.
        permutations: random dealings that the chance level is averaged over.
        seed: of the dealings.

    Returns:
        One row a (probe, group), group "all" first: probe, group, class_index (by="class"), n (images that can be
        compared), nearest_own (share), ci_low, ci_high (Wilson), chance, own_median and best_other_median
        (correlations); reason, why cells are NaN.

    Raises:
        InputError: `by` is None or not possible, or a setting is out of range.
    """
    settings = Bootstrap(confidence, seed=seed)
    if permutations < 1:
        raise InputError(f"permutations = {permutations}: the chance level needs at least 1.")
    images = images_of(cube)
    groups, code = _comparable(images, by)
    tables = [_summary(outcomes, groups, code, settings, permutations) for outcomes in radius_outcomes(images)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def nearness(curves: Float[np.ndarray, "images radii"], code: Int[np.ndarray, " images"], groups: int) -> Nearness:
    """Compare each curve with the leave-one-out mean of its own group (`code`) and the means of all others."""
    curves = curves.astype(np.float64)
    count = np.bincount(code, minlength=groups)
    total = np.zeros((groups, curves.shape[1]))
    np.add.at(total, code, curves)
    shape, others = _shape(curves), _shape(share(total, count[:, None]))
    own = (shape * _shape(share(total[code] - curves, count[code][:, None] - 1))).sum(axis=1)
    best, other = np.empty(len(curves)), np.empty(len(curves), dtype=np.int64)
    for start in range(0, len(curves), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        best[part], other[part] = _nearest_other(shape[part], others, code[part])
    return Nearness(own, best, other)


def _nearest_other(
    shape: Float[np.ndarray, "images radii"],
    others: Float[np.ndarray, "groups radii"],
    code: Int[np.ndarray, " images"],
) -> tuple[Float[np.ndarray, " images"], Int[np.ndarray, " images"]]:
    rows = np.arange(len(code))
    correlation = np.nan_to_num(shape) @ np.nan_to_num(others).T
    correlation[:, np.isnan(others[:, 0])] = -np.inf
    correlation[rows, code] = -np.inf
    other = correlation.argmax(axis=1)
    best = correlation[rows, other]
    none = np.isneginf(best) | np.isnan(shape[:, 0])
    return np.where(none, np.nan, best), np.where(none, -1, other)


def _shape(curves: Float[np.ndarray, "rows radii"]) -> Float[np.ndarray, "rows radii"]:
    """Curves with mean 0 and length 1, whose products are correlations; NaN where constant."""
    constant = np.ptp(curves, axis=1) <= FLAT * np.abs(curves).max(axis=1)
    centred = curves - curves.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1))
    return np.asarray(centred / np.where(constant, np.nan, length)[:, None])


def _comparable(images: Images, by: By) -> tuple[list[Group], Int[np.ndarray, " used"]]:
    if by is None:
        raise InputError('by = None: similarity compares groups; it must be "class" or a mapping to group names.')
    groups = groups_of(images, by)
    return groups, group_codes(images, groups)


def _table(outcomes: Outcomes, groups: list[Group], code: Int[np.ndarray, " used"]) -> pd.DataFrame:
    inside = np.flatnonzero(code >= 0)
    curves = outcomes.probability()[inside]
    near = nearness(curves, code[inside], len(groups))
    return pd.DataFrame(
        {
            **image_columns(outcomes.images, inside),
            "probe": outcomes.name,
            **group_columns(groups, code[inside]),
            "own": near.own,
            "best_other": near.best,
            "best_other_group": group_columns(groups, near.other)["group"],
            "nearest_own": pd.Series(near.nearest_own, dtype="boolean").mask(~near.defined),
            "reason": _reasons(near, curves, code[inside]),
        }
    )


def _reasons(
    near: Nearness, curves: Float[np.ndarray, "images radii"], code: Int[np.ndarray, " images"]
) -> list[str]:
    constant, alone = np.isnan(_shape(curves)).any(axis=1), (np.bincount(code) == 1)[code]
    rules = [
        (constant, CONSTANT),
        (alone, ALONE),
        (np.isnan(near.own), CONSTANT_MEAN),
        (np.isnan(near.best), NO_OTHER),
    ]
    return [str(reason) for reason in np.select([c for c, _ in rules], [text for _, text in rules], default="")]


def _summary(
    outcomes: Outcomes, groups: list[Group], code: Int[np.ndarray, " used"], settings: Bootstrap, permutations: int
) -> pd.DataFrame:
    inside = code >= 0
    curves, code = outcomes.probability()[inside], code[inside]
    random = settings.random(np.unique(code))
    near = nearness(curves, code, len(groups))
    hits, n = _with_total(near.nearest_own, near.defined, code, len(groups))
    low, high = wilson(hits, n, settings.confidence)
    return pd.DataFrame(
        {
            "probe": outcomes.name,
            **_keys_with_total(groups),
            "n": n,
            "nearest_own": share(hits, n),
            "ci_low": low,
            "ci_high": high,
            "chance": _chance(curves, code, len(groups), random, permutations),
            "own_median": _medians(near.own, near.defined, code, len(groups)),
            "best_other_median": _medians(near.best, near.defined, code, len(groups)),
            "reason": np.where(n > 0, "", "no image can be compared").astype(object),
        }
    )


def _with_total(
    nearest: Bool[np.ndarray, " images"],
    defined: Bool[np.ndarray, " images"],
    code: Int[np.ndarray, " images"],
    groups: int,
) -> Int[np.ndarray, "2 rows"]:
    """(images nearest their own, images that can be compared), for all groups together and then for each."""
    each = np.stack([np.bincount(code[mask], minlength=groups) for mask in (nearest, defined)])
    return np.hstack([each.sum(axis=1, keepdims=True), each])


def _chance(
    curves: Float[np.ndarray, "images radii"],
    code: Int[np.ndarray, " images"],
    groups: int,
    random: np.random.Generator,
    permutations: int,
) -> Float[np.ndarray, " rows"]:
    """The share nearest their own when the groups are dealt at random, in the rows of `_with_total`."""
    totals = np.zeros((2, groups + 1), dtype=np.int64)
    for _ in range(permutations):
        dealt = random.permutation(code)
        near = nearness(curves, dealt, groups)
        totals += _with_total(near.nearest_own, near.defined, dealt, groups)
    return share(*totals)


def _medians(
    values: Float[np.ndarray, " images"],
    defined: Bool[np.ndarray, " images"],
    code: Int[np.ndarray, " images"],
    groups: int,
) -> Float[np.ndarray, " rows"]:
    series = pd.Series(values[defined])
    each = series.groupby(code[defined]).median().reindex(range(groups))
    return np.concatenate([[series.median()], each.to_numpy()])


def _keys_with_total(groups: list[Group]) -> dict[str, pd.Series]:
    keys = {"group": pd.Series(["all", *(group.name for group in groups)], dtype="str")}
    if groups and groups[0].class_index is not None:
        keys["class_index"] = pd.Series([None, *(group.class_index for group in groups)], dtype="Int64")
    return keys
