"""One audit as the summary, the figures and the page see it: its cube, and every analysis table, computed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd
import xarray as xr

from bandscope import analysis
from bandscope.analysis.zoom import at_usual_zoom, scale_axis
from bandscope.cube import status_ok
from bandscope.report.figures.tables import PROBE_TITLES
from bandscope.report.grouping import Asked, Grouping, grouping
from bandscope.report.lens import lens_command
from bandscope.report.plain import records
from bandscope.report.words import PLURALS

RADIAL = ("low_pass", "high_pass")
MOST_IMAGES = 2000  # of larger audits the tables with a row an image are left to `bandscope table`


@dataclass(frozen=True)
class Audit:
    """A store as a reader meets it.

    Attributes:
        name: what it is called.
        whole: the cube as it is.
        cube: the cube at its usual zoom.
        at: which zoom that is, such as "at zoom 1.41 "; empty at zoom 1.
        levels: rows of tables and figures: groups or classes. The first are those of figures and summaries.
    """

    name: str
    whole: xr.DataTree = field(repr=False)
    cube: xr.DataTree = field(repr=False)
    at: str
    levels: tuple[Grouping, ...]

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by name; those without a row are left out. All but the scales' speak of the usual zoom."""
        found = _tables(self.cube)
        if self.images <= MOST_IMAGES:
            found |= {"samples": self.samples, "takeovers": analysis.takeovers(self.cube)}
        for level in self.levels:
            found |= _grouped(self.cube, level)
        if self.zoomed:
            found |= _scales(self.whole, self.level)
        return {name: table for name, table in found.items() if len(table)}

    def table(self, name: str) -> pd.DataFrame:
        """The table of that name, without a row where there is none."""
        return self.tables.get(name, pd.DataFrame())

    @property
    def level(self) -> Grouping:
        """The rows of figures and of the summary."""
        return self.levels[0]

    @cached_property
    def samples(self) -> pd.DataFrame:
        """Onset and takeovers of every image."""
        return analysis.samples(self.cube)

    @property
    def zoomed(self) -> bool:
        """Whether there are several scales."""
        return scale_axis(self.whole) is not None

    @property
    def images(self) -> int:
        """How many images count."""
        return int(status_ok(self.cube).sum())

    @property
    def side(self) -> int:
        """The shorter side of the crop, in pixels: how many of them one cycle/image spans."""
        return int(min(self.cube.attrs["preprocess"]["size"]))

    @property
    def probes(self) -> list[str]:
        """The probes over frequency, in the order of the tables."""
        table = self.table("curves")
        return [str(name) for name in table["probe"].unique()] if len(table) else []

    def radial(self, kind: str) -> str | None:
        """The first probe of a kind ("low_pass", "high_pass"): ideal ones come before soft ones."""
        return next((probe for probe in self.probes if self.cube[probe].attrs["kind"] == kind), None)

    def row(self, table: str, **wanted: object) -> Mapping[str, Any] | None:
        """The first row of a table with these values, or None."""
        rows = self.table(table)
        for column, value in wanted.items():
            rows = rows[rows[column] == value] if len(rows) else rows
        return records(rows.head(1))[0] if len(rows) else None

    def to_json(self) -> dict[str, Any]:
        """What the page's scripts need to know beside the tables."""
        attributes = self.cube.attrs
        return {
            "name": self.name,
            "side": self.side,
            "classes": self.cube.sizes["class"],
            "mean": list(attributes["preprocess"]["mean"]),
            "convention": dict(attributes["convention"]),
            "probes": [_probe(probe, self.cube) for probe in self.probes],
            "levels": [{"noun": level.noun, "plural": PLURALS[level.noun]} for level in self.levels],
            "members": _members(self.level),
            "lens": lens_command(self.whole.attrs),
        }


def read_audit(name: str, cube: xr.DataTree, by: Asked = None) -> Audit:
    """An audit of this name; `by` as in `bandscope.report.grouping`."""
    one, at = at_usual_zoom(cube)
    chosen = grouping(cube, by)
    levels = (chosen,) if chosen.noun == "class" else (chosen, Grouping("class", "class"))
    return Audit(name, cube, one, at, levels)


def same_levels(audits: Sequence[Audit]) -> tuple[Audit, ...]:
    """The audits, all with the same rows: classes alone where they would differ."""
    nouns = {tuple(level.noun for level in audit.levels) for audit in audits}
    if len(nouns) == 1:
        return tuple(audits)
    return tuple(replace(audit, levels=(Grouping("class", "class"),)) for audit in audits)


def _tables(cube: xr.DataTree) -> dict[str, pd.DataFrame]:
    return {
        "clean": analysis.clean(cube),
        "curves": analysis.curves(cube),
        "bands": analysis.bands(cube),
        "reach": analysis.reach(cube),
        "conflicts": analysis.conflicts(cube),
        "usurpers": analysis.usurpers(cube),
    }


def _grouped(cube: xr.DataTree, level: Grouping) -> dict[str, pd.DataFrame]:
    bands = analysis.bands(cube, level.by)
    found = {
        "clean": analysis.clean(cube, level.by),
        "curves": analysis.curves(cube, level.by),
        "bands": bands,
        "conflicts": analysis.conflicts(cube, level.by),
        "usurpers": analysis.usurpers(cube, level.by),
        "band_accuracy": analysis.band_accuracy(bands) if len(bands) else pd.DataFrame(),
    }
    return {f"{name}_by_{level.noun}": table for name, table in found.items()}


def _scales(cube: xr.DataTree, level: Grouping) -> dict[str, pd.DataFrame]:
    return {
        "scale_surface": analysis.scale_surface(cube),
        "scale_points": analysis.scale_points(cube),
        "scale_law": analysis.scale_law(cube),
        f"scale_law_by_{level.noun}": analysis.scale_law(cube, level.by),
    }


def _members(level: Grouping) -> dict[str, list[int]]:
    """The classes of each group."""
    found: dict[str, list[int]] = {}
    for index, group in level.by.items() if isinstance(level.by, Mapping) else ():
        found.setdefault(str(group), []).append(int(index))
    return found


def _probe(name: str, cube: xr.DataTree) -> dict[str, Any]:
    about = cube[name].attrs
    title, _, detail = PROBE_TITLES.get(name, name).partition(" (")
    return {
        "name": name,
        "title": title,
        "detail": detail.rstrip(")"),
        "kind": about["kind"],
        "family": about["family"],
        "radial": about["kind"] in RADIAL,
    }
