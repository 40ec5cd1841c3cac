"""Compare: several models on the same images and conditions, all tables at once."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from bandscope.analysis.bands import bands
from bandscope.analysis.comparison.common import Common, Cubes, common_of
from bandscope.analysis.comparison.differences import band_differences, differences
from bandscope.analysis.comparison.wins import check_alpha, wins
from bandscope.analysis.curves import clean, curves
from bandscope.analysis.groups import By, groups_of
from bandscope.analysis.scaling.law import scale_law
from bandscope.analysis.statistics import Bootstrap
from bandscope.reprs import Facts, counted


@dataclass(frozen=True, repr=False)
class Comparison(Facts):
    """Models side by side on their common images, and each against the first, the baseline.

    Attributes:
        common: the images and conditions compared, and what a reader must know.
        bootstrap: how the intervals were made.
        alpha: the error of the tests, over all conditions of a probe.
        clean, curves, bands, scale_laws: those tables of every model, with its name in the column `model`;
            scale_laws is empty unless all models were audited over zooms.
        differences, band_differences, wins: those tables.
    """

    common: Common
    bootstrap: Bootstrap
    alpha: float
    clean: pd.DataFrame
    curves: pd.DataFrame
    bands: pd.DataFrame
    scale_laws: pd.DataFrame
    differences: pd.DataFrame
    band_differences: pd.DataFrame
    wins: pd.DataFrame

    def _told(self) -> dict[str, str]:
        models, held = ", ".join(self.common.names), (name for name, table in self.tables().items() if len(table))
        return {
            "models": models,
            "images": counted(len(self.common.images[0]), "common image"),
            "tables": f"tables {', '.join(held)}",
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by name."""
        names = ("clean", "curves", "bands", "scale_laws", "differences", "band_differences", "wins")
        return {name: getattr(self, name) for name in names}


def compare(
    cubes: Cubes,
    by: By = None,
    *,
    alpha: float = 0.05,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two or more audits on the images and conditions that they share.

    Args:
        cubes: audits by name, in a list, or what `common_images` found in them; the first is the baseline.
        by: None | "class" | {model output index of the baseline: group name}.
        alpha: the family-wise error of McNemar's tests over the conditions of a probe.
        confidence: of every interval.
        resamples: of the paired bootstrap over images.
        seed: of the bootstrap.

    Raises:
        InputError, StoreError: the cubes cannot be compared, see `common_images`.
    """
    check_alpha(alpha)
    common = common_of(cubes)
    groups = groups_of(common.images[0], by)
    settings: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    trees = [images.cube for images in common.images]
    found = differences(common, groups, **settings)
    return Comparison(
        common,
        Bootstrap(confidence, resamples, seed),
        alpha,
        clean=_beside(common, [clean(tree, groups, confidence=confidence) for tree in trees]),
        curves=_beside(common, [curves(tree, groups, **settings) for tree in trees]),
        bands=_beside(common, [bands(tree, groups, **settings) for tree in trees]),
        scale_laws=_beside(common, [scale_law(tree, groups, **settings) for tree in common.scaled]),
        differences=found,
        band_differences=band_differences(common, groups, **settings),
        wins=wins(found, alpha=alpha),
    )


def _beside(common: Common, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One table, with the model's name in front."""
    named = [table.assign(model=name) for name, table in zip(common.names, tables, strict=False)]
    table = pd.concat(named, ignore_index=True) if named else pd.DataFrame()
    return table[["model", *table.columns.drop("model")]] if len(table) else pd.DataFrame()
