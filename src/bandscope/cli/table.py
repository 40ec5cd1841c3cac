"""`bandscope table`: one analysis table to the terminal or to CSV."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bandscope import analysis, cube
from bandscope.cli.checks import uncomputed
from bandscope.cube.place import place_of
from bandscope.errors import InputError
from bandscope.files import check_file, write_csv
from bandscope.report.grouping import By, grouping
from bandscope.report.stores import check_images, check_whole

Groups = By | Literal["image"]
Make = Callable[[Any, Groups], pd.DataFrame]

TABLES: dict[str, Make] = {
    "curves": analysis.curves,
    "bands": analysis.bands,
    "reach": analysis.reach,
    "conflicts": analysis.conflicts,
    "samples": lambda tree, _: analysis.samples(tree),
    "takeovers": analysis.takeovers,
    "usurpers": analysis.usurpers,
    "similarity": lambda tree, by: analysis.similarity(tree, by or "class"),
    "band-accuracy": lambda tree, by: analysis.band_accuracy(analysis.bands(tree, by or "class")),
    "scale-surface": analysis.scale_surface,
    "scale-points": analysis.scale_points,
    "scale-law": analysis.scale_law,
}
PER_IMAGE = ("samples",)
OVER_ZOOMS = ("scale-surface", "scale-points", "scale-law")
OVER_BANDS = ("curves", "scale-surface")  # what there is for band probes alone


def run(
    where: str, name: str, *, by: str | None, zoom: float | None, csv: Path | None, rows: int, console: Console
) -> None:
    """Compute the table; write it whole to `csv`, or print its first rows."""
    if by and name in PER_IMAGE:
        raise InputError(f"The table {name!r} has one row an image and takes no --by.")
    if by == "image" and name not in OVER_ZOOMS:
        raise InputError(f"--by image is for {', '.join(OVER_ZOOMS)}; `samples` and `takeovers` have rows of images.")
    if zoom is not None and name in OVER_ZOOMS:
        raise InputError(f"The table {name!r} is about all zooms and takes no --zoom.")
    if csv is not None:
        check_file(csv, "--csv")
    store = place_of(where)
    with cube.open(store) as tree:
        check_whole(store)
        check_images(tree, store)
        if missing := uncomputed(tree):
            note = f"{missing} of {tree.sizes['image']} images are not computed yet: run the audit again."
            console.print(Text(note, "yellow"))
        if name not in OVER_BANDS and not any("radius" in group.dims for group in tree.children.values()):
            raise InputError(
                f"The table {name!r} needs a low-pass or high-pass probe; {store} has {[*tree.children]}."
            )
        groups: Groups = "image" if by == "image" else grouping(tree, by).by if by else None
        table = TABLES[name](tree if zoom is None else analysis.at_zoom(tree, zoom), groups)
    if csv is None:
        _show(table, rows, console)
        return
    write_csv(csv, table, "--csv")
    console.print(f"{len(table)} rows -> {csv}", markup=False)


def _show(table: pd.DataFrame, rows: int, console: Console) -> None:
    """As many columns as fit, the most telling first; a footer says what is left out."""
    shown = Table(header_style="bold", box=None, pad_edge=False)
    fitting = _fitting(table, console.width)
    for column in fitting:
        numeric = pd.api.types.is_numeric_dtype(table[column])
        shown.add_column(column, justify="right" if numeric else "left", no_wrap=True, overflow="ellipsis")
    for row in table[fitting].head(rows).itertuples(index=False):
        shown.add_row(*(Text(_text(value)) for value in row))
    console.print(shown)
    left = [c for c in table.columns if c not in fitting]
    notes = [f"{len(table) - rows} more rows"] * (len(table) > rows) + [f"columns {', '.join(left)}"] * bool(left)
    if notes:
        console.print(Text(f"Not shown: {'; '.join(notes)}. --csv FILE writes everything.", "dim"))


def _fitting(table: pd.DataFrame, width: int) -> list[str]:
    """The table's columns in order, as long as their widest cells fit into the width; empty ones go first."""
    kept: list[str] = []
    used = 0
    for column in table.columns[~table.isna().all()] if len(table) else table.columns:
        cells = [len(_text(value)) for value in table[column].head(200)]
        used += min(max([len(column), *cells]), 40) + 2
        if used > width and kept:
            continue
        kept.append(column)
    return kept


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"  # noqa: PLR0124  (NaN)
    return "" if value is None or value is pd.NA else str(value)
