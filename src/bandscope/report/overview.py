"""The figures and tables that an audit leaves on disk."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from bandscope import analysis
from bandscope.analysis.zoom import at_usual_zoom, scale_axis
from bandscope.errors import InputError, StoreError
from bandscope.report.figures import (
    figure_band_accuracy,
    figure_curves,
    figure_heatmap,
    figure_scale_law,
    figure_scale_surface,
    figure_summary,
    save,
)
from bandscope.report.files import write_csv
from bandscope.report.grouping import Grouping

MOST_ROWS = 60


def write_overview(cube: xr.DataTree, groups: Grouping, folder: Path) -> Path:
    """Write every figure that the cube allows, and the tables behind them; returns the sheet to start with.

    Files: overview, curves, and for each low-pass and high-pass probe heatmap-PROBE and bands-PROBE, each as .png
    and .pdf; curves.csv, curves_by_{class,group}.csv, bands.csv, conflicts.csv. Of a cube over zooms these speak of
    the usual one, and there are scale-surface, scale-law, scale_surface.csv, scale_points.csv and scale_law.csv.
    """
    one, _ = at_usual_zoom(cube)
    overall, by_group = analysis.curves(one), analysis.curves(one, groups.by)
    bands, conflicts = analysis.bands(one, groups.by), analysis.conflicts(one, groups.by)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in {
            "curves": overall,
            f"curves_by_{groups.noun}": by_group,
            "bands": bands,
            "conflicts": conflicts,
        }.items():
            write_csv(folder / f"{name}.csv", table)
        first = _figures(one, overall, by_group, bands, folder)
        if scale_axis(cube):
            _write_scales(cube, groups, folder)
        return first
    except OSError as error:
        raise StoreError(f"The figures folder {folder} cannot be written: {error.strerror}.") from error


def _figures(
    cube: xr.DataTree, overall: pd.DataFrame, by_group: pd.DataFrame, bands: pd.DataFrame, folder: Path
) -> Path:
    name = f"{cube.attrs['model']['spec']} on {cube.attrs['data']['spec']}"
    chance = 1 / cube.sizes["class"]
    first = save(figure_curves(overall, chance=chance), folder / "curves")
    for probe in [p for p in cube.children if "radius" in cube[p].dims]:
        suffix, own = str(probe).replace("_", "-"), bands[bands["probe"] == probe]
        heatmap = partial(figure_heatmap, by_group, bands, probe=str(probe), max_rows=MOST_ROWS)
        _save_if_any(heatmap, folder / f"heatmap-{suffix}")
        _save_if_any(partial(figure_band_accuracy, own, analysis.band_accuracy(own)), folder / f"bands-{suffix}")
    sheet = partial(figure_summary, overall, by_group, bands, chance=chance, max_rows=MOST_ROWS, title=name)
    return _save_if_any(sheet, folder / "overview") or first[0]


def _write_scales(cube: xr.DataTree, groups: Grouping, folder: Path) -> None:
    """Tables and figures of the scale law."""
    surface, points, law = analysis.scale_surface(cube), analysis.scale_points(cube), analysis.scale_law(cube)
    laws = analysis.scale_law(cube, groups.by)
    for name, table in {"scale_surface": surface, "scale_points": points, "scale_law": laws}.items():
        write_csv(folder / f"{name}.csv", table)
    _save_if_any(partial(figure_scale_surface, surface, points, law), folder / "scale-surface")
    _save_if_any(partial(figure_scale_law, laws), folder / "scale-law")


def _save_if_any(draw: Callable[[], Any], path: Path) -> Path | None:
    """Draw where there is something to draw: an audit of few images has tables of NaN, and says so there."""
    try:
        return save(draw(), path)[0]
    except InputError:
        return None
