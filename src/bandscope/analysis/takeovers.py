"""Takeovers: ranges of radii where a label that was on top has lost the top place, and to whom.

An image is looked at in the order in which frequencies come in: rising radii of a low-pass, falling radii of a
high-pass. A takeover is a maximal run of conditions where the label is not on top although it was before. So a curve
is monotone (see `samples`) exactly where it has no takeover.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float, Int

from bandscope.analysis.groups import By, Group, group_codes, groups_of
from bandscope.analysis.outcomes import Images, Outcomes, images_of, named, radius_outcomes
from bandscope.analysis.statistics import check_confidence, share, wilson


@dataclass(frozen=True)
class Runs:
    """All takeovers under one probe, ordered by image, then by radius.

    Attributes:
        row: the image, as a position among the images that count.
        first: the condition with the smallest radius.
        last: the condition with the largest radius.
        usurper: the class on top in most conditions of the run; of equals the one with more probability there.
        probability: its mean over the conditions of the run where it is among the five best.
    """

    row: Int[np.ndarray, " runs"]
    first: Int[np.ndarray, " runs"]
    last: Int[np.ndarray, " runs"]
    usurper: Int[np.ndarray, " runs"]
    probability: Float[np.ndarray, " runs"]

    @property
    def length(self) -> Int[np.ndarray, " runs"]:
        """Number of conditions."""
        return np.asarray(self.last - self.first + 1)


def takeovers(cube: xr.DataTree, by: By = None) -> pd.DataFrame:
    """Every takeover of every image: neighbouring radii at which another class is on top of its label.

    Args:
        cube: an audit's results.
        by: None | "class" | {model output index: group name}.

    Returns:
        One row a takeover: image, source, label, label_name, probe, group, class_index (by="class"); from_radius and
        to_radius (cycles/image, both within the takeover), conditions (how many radii that are), regained (whether
        the label is back on top as more frequencies come in); usurper_index, usurper (the class on top most often),
        usurper_probability (its mean over the radii of the takeover where it is among the five best).

    Raises:
        InputError: `by` is not possible.
    """
    images = images_of(cube)
    groups = groups_of(images, by)
    tables = [_table(outcomes, find_runs(outcomes), groups) for outcomes in radius_outcomes(images)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def usurpers(cube: xr.DataTree, by: By = None, *, confidence: float = 0.95) -> pd.DataFrame:
    """The classes that take over, for every group of true labels, most frequent first.

    Args:
        cube: an audit's results.
        by: None | "class" | {model output index: group name}.
        confidence: of Wilson's interval.

    Returns:
        One row a (probe, group, usurper): probe, group, class_index (by="class"), n; usurper_index, usurper, images
        (how many it takes over, at any radius), share = images / n, ci_low, ci_high (Wilson).

    Raises:
        InputError: `by` or `confidence` is not possible.
    """
    check_confidence(confidence)
    images = images_of(cube)
    groups = groups_of(images, by)
    tables = [_frequencies(outcomes, groups, confidence) for outcomes in radius_outcomes(images)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def lost_again(right: Bool[np.ndarray, "images radii"], kind: str) -> Bool[np.ndarray, "images radii"]:
    """Where the label is not on top although it was with fewer frequencies."""
    inwards = right if kind == "low_pass" else right[:, ::-1]
    lost = ~inwards & np.logical_or.accumulate(inwards, axis=1)
    return lost if kind == "low_pass" else lost[:, ::-1]


def find_runs(outcomes: Outcomes) -> Runs:
    """All takeovers under one probe."""
    lost = lost_again(outcomes.right(), outcomes.kind)
    row, column = np.nonzero(lost)
    starts = ~np.pad(lost, ((0, 0), (1, 0)))[row, column]  # the condition before is not lost
    run = np.cumsum(starts) - 1
    usurper = _modal_class(run, outcomes.ranked_class()[row, column], outcomes.ranked_probability()[row, column])
    ends = np.append(starts[1:], True)[: len(starts)]
    probability = _usurper_probability(outcomes, row, column, run, usurper)
    return Runs(row[starts], column[starts], column[ends], usurper, probability)


def _modal_class(
    run: Int[np.ndarray, " cells"], winner: Int[np.ndarray, " cells"], probability: Float[np.ndarray, " cells"]
) -> Int[np.ndarray, " runs"]:
    """The most frequent winner of each run; of equals the one with more probability, then the smaller index."""
    cells = pd.DataFrame({"run": run, "winner": winner, "probability": probability.astype(np.float64)})
    votes = cells.groupby(["run", "winner"])["probability"].agg(["size", "sum"]).reset_index()
    ordered = votes.sort_values(["run", "size", "sum", "winner"], ascending=[True, False, False, True])
    return ordered.drop_duplicates("run")["winner"].to_numpy()


def _usurper_probability(
    outcomes: Outcomes,
    row: Int[np.ndarray, " cells"],
    column: Int[np.ndarray, " cells"],
    run: Int[np.ndarray, " cells"],
    usurper: Int[np.ndarray, " runs"],
) -> Float[np.ndarray, " runs"]:
    total, seen = np.zeros(len(usurper)), np.zeros(len(usurper), dtype=np.int64)
    for rank in outcomes.ranks():
        here = outcomes.ranked_class(rank)[row, column] == usurper[run]
        values = outcomes.ranked_probability(rank)[row, column][here]
        total += np.bincount(run[here], weights=values, minlength=len(usurper))
        seen += np.bincount(run[here], minlength=len(usurper))
    return share(total, seen)


def _table(outcomes: Outcomes, runs: Runs, groups: list[Group]) -> pd.DataFrame:
    images, radius = outcomes.images, outcomes.radius
    code = group_codes(images, groups)[runs.row]
    regained = runs.last < len(radius) - 1 if outcomes.kind == "low_pass" else runs.first > 0
    table = pd.DataFrame(
        {
            **image_columns(images, runs.row),
            "probe": outcomes.name,
            **group_columns(groups, code),
            "from_radius": radius[runs.first],
            "to_radius": radius[runs.last],
            "conditions": runs.length,
            "regained": regained,
            "usurper_index": runs.usurper,
            "usurper": named(images, runs.usurper),
            "usurper_probability": runs.probability,
        }
    )
    inside: pd.DataFrame = table.loc[code >= 0]
    return inside


def image_columns(images: Images, row: Int[np.ndarray, " rows"]) -> dict[str, np.ndarray | pd.Series]:
    """The table columns that identify images."""
    label = images.label[row]
    return {
        "image": images.root("image")[row],
        "source": pd.Series(images.root("source")[row], dtype="str"),
        "label": label,
        "label_name": named(images, label),
    }


def group_columns(groups: list[Group], code: Int[np.ndarray, " rows"]) -> dict[str, pd.Series]:
    """The group of each image; `class_index` too where groups are classes."""
    columns = {"group": pd.Series([groups[c].name if c >= 0 else None for c in code], dtype="str")}
    if groups and groups[0].class_index is not None:
        columns["class_index"] = pd.Series([groups[c].class_index for c in code], dtype="int64")
    return columns


def _frequencies(outcomes: Outcomes, groups: list[Group], confidence: float) -> pd.DataFrame:
    """How many images of each group each class takes over."""
    images, runs = outcomes.images, find_runs(outcomes)
    taken = pd.DataFrame({"row": runs.row, "usurper": runs.usurper}).drop_duplicates()  # an image counts once
    taken["code"] = group_codes(images, groups)[taken["row"]]
    counts = taken[taken["code"] >= 0].groupby(["code", "usurper"]).size().reset_index(name="images")
    counts = counts.sort_values(["code", "images", "usurper"], ascending=[True, False, True])
    code, index, count = (counts[name].to_numpy(dtype=np.int64) for name in ("code", "usurper", "images"))
    n = np.array([len(group) for group in groups], dtype=np.int64)[code]
    low, high = wilson(count, n, confidence)
    keys = {"probe": outcomes.name, **group_columns(groups, code), "n": n}
    usurper = {"usurper_index": index, "usurper": named(images, index), "images": count}
    return pd.DataFrame(keys | usurper | {"share": share(count, n), "ci_low": low, "ci_high": high})
