"""The figures and tables that an audit leaves on disk."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bandscope.errors import InputError, StoreError
from bandscope.files import write_csv
from bandscope.report.audit import Audit
from bandscope.report.figures import (
    figure_band_accuracy,
    figure_curves,
    figure_heatmap,
    figure_scale_law,
    figure_scale_surface,
    figure_summary,
    save,
)
from bandscope.report.words import short_spec

MOST_ROWS = 60
SCALES = ("scale_surface", "scale_points", "scale_law")


def write_overview(audit: Audit, folder: Path) -> Path:
    """Write every figure that the audit allows, and the tables behind them; returns the sheet to start with.

    Files: overview, curves, and for each low-pass and high-pass probe heatmap-PROBE and bands-PROBE, each as .png
    and .pdf; curves.csv, curves_by_{class,group}.csv, bands.csv, conflicts.csv. Of a cube over zooms these speak of
    the usual one, and there are scale-surface, scale-law, scale_surface.csv, scale_points.csv and scale_law.csv.
    """
    by = f"_by_{audit.level.noun}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, name in {
            "curves": "curves",
            f"curves{by}": f"curves{by}",
            "bands": f"bands{by}",
            "conflicts": f"conflicts{by}",
        }.items():
            write_csv(folder / f"{file}.csv", audit.table(name))
        first = _figures(audit, folder)
        if audit.zoomed:
            _write_scales(audit, folder)
        return first
    except OSError as error:
        raise StoreError(f"The figures folder {folder} cannot be written: {error.strerror}.") from error


def _figures(audit: Audit, folder: Path) -> Path:
    cube, by = audit.cube, f"_by_{audit.level.noun}"
    overall, by_group, bands = (audit.table(name) for name in ("curves", f"curves{by}", f"bands{by}"))
    associations = audit.table(f"band_accuracy{by}")
    name = " on ".join(short_spec(str(cube.attrs[what]["spec"])) for what in ("model", "data"))
    chance = 1 / cube.sizes["class"]
    first = save(figure_curves(overall, chance=chance), folder / "curves")
    for probe in [str(p) for p in cube.children if "radius" in cube[p].dims]:
        suffix = probe.replace("_", "-")
        heatmap = partial(figure_heatmap, by_group, bands, probe=probe, max_rows=MOST_ROWS)
        _save_if_any(heatmap, folder / f"heatmap-{suffix}")
        own = [table[table["probe"] == probe] if len(table) else table for table in (bands, associations)]
        _save_if_any(partial(figure_band_accuracy, *own), folder / f"bands-{suffix}")
    sheet = partial(figure_summary, overall, by_group, bands, chance=chance, max_rows=MOST_ROWS, title=name)
    return _save_if_any(sheet, folder / "overview") or first[0]


def _write_scales(audit: Audit, folder: Path) -> None:
    """Tables and figures of the scale law."""
    surface, points, law = tables = [audit.table(name) for name in SCALES]
    for name, table in zip(SCALES, tables, strict=True):
        write_csv(folder / f"{name}.csv", table)
    _save_if_any(partial(figure_scale_surface, surface, points, law), folder / "scale-surface")
    laws = audit.table(f"scale_law_by_{audit.level.noun}")
    _save_if_any(partial(figure_scale_law, laws), folder / "scale-law")


def _save_if_any(draw: Callable[[], Any], path: Path) -> Path | None:
    """Draw where there is something to draw: an audit of few images has tables of NaN, and says so there."""
    try:
        return save(draw(), path)[0]
    except InputError:
        return None
