"""A comparison in words and cells: the same sections in the terminal and as Markdown."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bandscope.analysis.comparison.common import Common
from bandscope.analysis.comparison.compare import Comparison
from bandscope.analysis.comparison.differences import CLEAN
from bandscope.report.plain import records
from bandscope.report.words import FOLLOWS, PLURALS

MOST_GROUPS = 20
SHOWN_QUANTITIES = ("r50", "width")
NOTHING = "–"

Row = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """What is reported together.

    Attributes:
        comparison: of all images together.
        groups: the same by class or group, where asked for.
        noun: of the groups, "class" or "group".
        verdicts: of `check_against`, where there are thresholds.
    """

    comparison: Comparison
    groups: Comparison | None = None
    noun: str = "group"
    verdicts: pd.DataFrame = field(default_factory=pd.DataFrame)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table that has a column, by name."""
        found = self.comparison.tables()
        if self.groups:
            found |= {f"{name}_by_{self.noun}": table for name, table in self.groups.tables().items()}
        return {name: table for name, table in (found | {"thresholds": self.verdicts}).items() if len(table.columns)}


@dataclass(frozen=True)
class Section:
    """A titled table of cells; the first `words` columns are text, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: int = 1
    notes: tuple[str, ...] = ()


def terminal(report: Report) -> RenderableType:
    """The sections as tables; 100 columns are enough unless names are long, which are then folded."""
    parts: list[RenderableType] = []
    for section in sections(report):
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
        for place, column in enumerate(section.columns):
            table.add_column(column, justify="left" if place < section.words else "right", overflow="fold")
        for row in section.rows:
            table.add_row(*map(Text, row))
        parts += [Text(), Text(section.title, "bold"), *([table] if section.rows else [])]
        parts += [Text(note, "yellow") for note in section.notes]
    return Group(*parts, Text(), Text(method(report.comparison), "dim"))


def markdown(report: Report) -> str:
    """The sections as a page, with the differences at every condition."""
    baseline, *others = map(_escaped, report.comparison.common.names)
    lines = [f"# {', '.join(others)} against {baseline}", "", _escaped(method(report.comparison)), ""]
    for section in [*sections(report), *_every_condition(report.comparison)]:
        lines += [f"## {_escaped(section.title)}", ""]
        if section.rows:
            marks = ["---" if place < section.words else "---:" for place in range(len(section.columns))]
            table = [section.columns, *section.rows]
            cells = [[_escaped(cell) for cell in row] for row in table]
            lines += [_line(row) for row in (cells[0], marks, *cells[1:])] + [""]
        lines += [f"- {_escaped(note)}" for note in section.notes] + [""] * bool(section.notes)
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Text in which Markdown and HTML see no mark-up."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(text.split()))


# ---- sections


def sections(report: Report) -> Iterator[Section]:
    """Every section that the terminal and the page share."""
    comparison = report.comparison
    yield _models(comparison.common)
    yield _clean(comparison)
    if len(comparison.bands):
        yield _bands(comparison)
    if len(comparison.scale_laws):
        yield _scale_laws(comparison.scale_laws)
    yield _wins(comparison)
    if report.groups:
        yield _group_wins(report.groups, report.noun)
    if len(report.verdicts):
        yield _verdicts(report.verdicts)


def method(comparison: Comparison) -> str:
    """How the differences, their intervals and their p-values were made."""
    settings = comparison.bootstrap
    return (
        f"Differences are each model minus {comparison.common.names[0]}, on the same images, in percentage points or "
        f"in the unit named. In brackets: {100 * settings.confidence:g} % intervals, of differences by the paired "
        f"bootstrap ({settings.resamples} resamples, seed {settings.seed}). p: McNemar's exact test, adjusted by "
        "Holm's method over all conditions of a probe."
    )


def _models(common: Common) -> Section:
    rows = [(name, *_origin(images.cube.attrs)) for name, images in zip(common.names, common.images, strict=True)]
    at = "".join(f" at {axis.replace('_', ' ')} {value:g}" for axis, value in common.zoom().items())
    title = f"{len(common.images[0])} common images{at}, {_conditions(common)}"
    return Section(title, ("", "model", "weights", "data", "precision"), rows, words=5, notes=common.notes)


def _origin(attributes: Mapping[Any, Any]) -> tuple[str, ...]:
    model, data, plan = (attributes.get(key, {}) for key in ("model", "data", "plan"))
    weights = str(model.get("weights_sha256") or "")[:8]
    cells = (model.get("spec"), weights, data.get("spec"), plan.get("precision"))
    return tuple(str(cell or NOTHING) for cell in cells)


def _conditions(common: Common) -> str:
    """Such as: low-pass at 12 radii from 1 to 45 cycles/image, band-pass at 7 bands."""
    parts = []
    for first, *_ in common.probes():
        held = first.coordinates()
        if "radius" in held:
            radii = held["radius"]
            count = (
                f"{len(radii)} radii from {radii[0]:g} to {radii[-1]:g}" if len(radii) > 1 else f"radius {radii[0]:g}"
            )
            parts.append(f"{_probe(first.name)} at {count} cycles/image")
        else:
            parts.append(f"{_probe(first.name)} at {len(held['low'])} band{'s' * (len(held['low']) > 1)}")
    return ", ".join(parts)


def _clean(comparison: Comparison) -> Section:
    against = {row["b"]: row for row in records(comparison.differences) if row["probe"] == CLEAN}
    rows = []
    for own in records(comparison.clean):
        change = against.get(own["model"])
        cells = (_points(change, "difference"), _p(change["p"])) if change else ("", "")
        value = _between(100 * own["accuracy"], 100 * own["ci_low"], 100 * own["ci_high"])
        rows.append((own["model"], value, *cells))
    return Section("Clean accuracy", ("", "%", "difference", "p"), rows)


def _bands(comparison: Comparison) -> Section:
    against = {(row["b"], row["probe"], row["quantity"]): row for row in records(comparison.band_differences)}
    rows, notes = [], []
    for probe, table in comparison.bands.groupby("probe", sort=False):
        bands = records(table)
        for quantity, own in itertools.product(SHOWN_QUANTITIES, bands):
            change = against.get((own["model"], probe, quantity))
            value = _between(own[quantity], own[f"{quantity}_ci_low"], own[f"{quantity}_ci_high"])
            moved = _between(change["difference"], change["ci_low"], change["ci_high"], "+") if change else ""
            rows.append((_probe(probe), quantity, own["model"], value, moved))
        notes += [f"{own['model']}: no band, {_probe(probe)}: {own['reason']}." for own in bands if own["reason"]]
    columns = ("probe", "", "", "cycles/image", "difference")
    return Section("Bands: their centre r50 and width r90 - r10", columns, rows, 3, tuple(notes))


def _scale_laws(table: pd.DataFrame) -> Section:
    laws = records(table)
    rows = [
        (
            _probe(law["probe"]),
            law["model"],
            _between(law["beta"], law["beta_ci_low"], law["beta_ci_high"], digits=2),
            FOLLOWS.get(law["verdict"], NOTHING),
            str(law["n"]),
        )
        for law in laws
    ]
    notes = tuple(
        f"{law['model']}: no law, {_probe(law['probe'])}: {law['reason']}." for law in laws if law["reason"]
    )
    columns = ("probe", "", "beta", "the band", "images")
    return Section("Scale laws r50 ~ zoom^-beta: 1 follows the object, 0 the image", columns, rows, 2, notes)


def _wins(comparison: Comparison) -> Section:
    found = records(comparison.wins)
    won = {(row["probe"], row["b"]) for row in found}
    tables = comparison.differences.groupby(["probe", "b"], sort=False)
    notes = [_no_win(records(table)) for (probe, b), table in tables if probe != CLEAN and (probe, b) not in won]
    title = f"Where one is more accurate (adjusted p < {comparison.alpha:g})"
    columns, cells = _wins_of(found, comparison.common)
    return Section(title, columns, cells, len(columns) - 2, tuple(notes))


def _wins_of(rows: list[Row], common: Common) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and cells; who loses is said where it could be more than one."""
    several = len(common.names) > 2
    columns = ("probe", "more accurate", *["than"] * several, "cycles/image", "part of the band", "points", "at")
    return columns, [_win(row, several=several) for row in rows]


def _win(row: Row, *, several: bool) -> tuple[str, ...]:
    loser = [row["a"] if row["winner"] == row["b"] else row["b"]] * several
    radii = f"{row['from_radius']:g} to {row['to_radius']:g}" if row["conditions"] > 1 else f"{row['from_radius']:g}"
    by = f"{100 * abs(row['difference']):.1f}"
    return _probe(row["probe"]), row["winner"], *loser, radii, row["part"] or NOTHING, by, f"{row['at_radius']:g}"


def _no_win(rows: list[Row]) -> str:
    best = min(rows, key=lambda row: row["p"])
    return (
        f"{_probe(best['probe'])}: nowhere do {best['b']} and {best['a']} differ; nearest to it at {_place(best)}, "
        f"{_points(best, 'difference')} points, p {_p(best['p'])}, adjusted {_p(best['p_adjusted'])}."
    )


def _group_wins(groups: Comparison, noun: str) -> Section:
    """The groups in which a model wins by most."""
    found = sorted(records(groups.wins), key=lambda row: -abs(row["difference"]))
    columns, cells = _wins_of(found[:MOST_GROUPS], groups.common)
    rows = [(str(row["group"]), *own) for row, own in zip(found, cells, strict=False)]
    names, count, of = PLURALS[noun].capitalize(), groups.wins["group"].nunique(), groups.clean["group"].nunique()
    title = f"{names} where one is more accurate (adjusted p < {groups.alpha:g} within each): {count} of {of}"
    left = len(found) - len(rows)
    notes = (f"{left} more ranges of radii are in the tables.",) if left else ()
    return Section(title, (noun, *columns), rows, len(columns) - 1, notes)


def _verdicts(table: pd.DataFrame) -> Section:
    found = records(table)
    rows = [
        (
            row["condition"],
            row["b"],
            "undefined" if row["reason"] else ("VIOLATED" if row["violated"] else "passed"),
            _between(row["value"], row["ci_low"], row["ci_high"], "+", digits=4),
        )
        for row in found
    ]
    notes = tuple(f"{row['condition']}, {row['b']}: {row['reason']}." for row in found if row["reason"])
    return Section("Thresholds: fail if", ("condition", "", "", "difference"), rows, 3, notes)


def _every_condition(comparison: Comparison) -> Iterator[Section]:
    """A section for each probe and model, a row for each condition."""
    tables = comparison.differences.groupby(["probe", "a", "b"], sort=False)
    for (probe, a, b), table in tables:
        if probe != CLEAN:
            rows = [
                (
                    _place(row),
                    *(f"{100 * row[name]:.1f}" for name in ("accuracy_a", "accuracy_b")),
                    *(_points(row, name) for name in ("difference", "relative_difference")),
                    *(_p(row[name]) for name in ("p", "p_adjusted")),
                )
                for row in records(table)
            ]
            columns = ("cycles/image", f"{a}, %", f"{b}, %", "difference", "relative to clean", "p", "adjusted p")
            yield Section(f"{_probe(probe)}: {b} against {a}", columns, rows)


# ---- cells


def _probe(name: object) -> str:
    return str(name).replace("_", "-")


def _place(row: Row) -> str:
    """The condition of a row: its radius, or low-high."""
    band = row["probe"].startswith("band")
    return f"{row['low']:g}-{row['high']:g}" if band else f"{row['radius']:g}"


def _points(row: Row, name: str) -> str:
    """A difference of shares in percentage points, with its interval."""
    return _between(100 * row[name], 100 * row[f"{name}_ci_low"], 100 * row[f"{name}_ci_high"], "+")


def _between(value: float, low: float, high: float, sign: str = "", digits: int = 1) -> str:
    """Such as: +1.2 (-0.3 to 2.7)."""
    if np.isnan(value):
        return NOTHING
    interval = "" if np.isnan(low) else f" ({low:z.{digits}f} to {high:z.{digits}f})"
    return f"{value:{sign}z.{digits}f}{interval}"


def _p(value: float) -> str:
    if np.isnan(value):
        return NOTHING
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"
