"""Curves and reach as cells of ordinary tables: what the charts show, for those who read rather than look."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bandscope.report.audit import Audit
from bandscope.report.figures.tables import PROBE_TITLES
from bandscope.report.html import values
from bandscope.report.plain import records
from bandscope.report.words import reaches

NOTHING = "–"


@dataclass(frozen=True)
class Cells:
    """A table of text, its first column the header of each row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def curve_cells(audits: Sequence[Audit]) -> list[Cells]:
    """Accuracy with its interval, in percent: a table a probe, a row a condition, a column a model."""
    probes = dict.fromkeys(probe for audit in audits for probe in audit.probes)
    return [_curve(probe, audits) for probe in probes]


def reach_cells(audits: Sequence[Audit]) -> Cells:
    """Where each share of clean accuracy is reached, in cycles/image."""
    found: dict[str, list[str]] = {}
    for place, audit in enumerate(audits):
        for row in records(audit.table("reach")):
            name = reaches(audit.cube[str(row["probe"])].attrs, float(row["level"]))
            line = found.setdefault(name, [NOTHING] * len(audits))
            line[place] = str(row["reason"]) or _reached(row["radius"], row["radius_ci_low"], row["radius_ci_high"])
    rows = [(name, *line) for name, line in found.items()]
    return Cells("Reach, cycles/image", ("of clean accuracy", *(audit.name for audit in audits)), tuple(rows))


def _curve(probe: str, audits: Sequence[Audit]) -> Cells:
    found: dict[tuple[float, ...], list[str]] = {}
    for place, audit in enumerate(audits):
        table = audit.table("curves")
        for row in records(table[table["probe"] == probe]) if len(table) else ():
            key = (row["low"], row["high"]) if probe.startswith("band") else (row["radius"],)
            line = found.setdefault(key, [NOTHING] * len(audits))
            ends = values.interval(row["ci_low"], row["ci_high"], scale=100)
            line[place] = f"{100 * row['accuracy']:.1f} ({ends})"
    rows = [("–".join(f"{edge:g}" for edge in key), *found[key]) for key in sorted(found)]
    columns = ("cycles/image", *(f"{audit.name}, %" for audit in audits))
    return Cells(PROBE_TITLES.get(probe, probe), columns, tuple(rows))


def _reached(radius: float, low: float, high: float) -> str:
    return NOTHING if math.isnan(radius) else f"{radius:.1f} ({values.interval(low, high)})"
