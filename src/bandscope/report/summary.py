"""What the terminal shows at the end of an audit: a handful of numbers with their intervals, in plain words."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bandscope.cube import status_ok
from bandscope.report.audit import Audit
from bandscope.report.choice import choice_lines
from bandscope.report.words import FOLLOWS, PLURALS, filter_name, reaches

EXTREMES = 3


def summary(audit: Audit) -> RenderableType:
    """Clean accuracy, where low-pass reaches and high-pass falls to shares of it, hungriest groups; 80 columns.

    Of a cube over zooms these speak of one of them, which is named where it is not 1; and the scale law.
    """
    parts: list[RenderableType] = [Text(), _clean(audit), Text(), *_reach(audit), *_hungry(audit), *_scale_law(audit)]
    parts += [*(Text(f"Forward passes: {line}") for line in choice_lines(audit.whole.attrs)[:1]), Text()]
    if left_out := _left_out(audit.whole):
        parts.insert(0, left_out)
    return Group(*parts)


def _clean(audit: Audit) -> Text:
    row = audit.table("clean").iloc[0]
    if row.reason:
        return Text(f"Clean accuracy: {row.reason}")
    interval = f"{100 * row.ci_low:.1f} to {100 * row.ci_high:.1f} %"
    return Text.assemble(
        f"Clean accuracy {audit.at}", (f"{row.accuracy:.1%}", "bold"), f" ({interval}, {row.n} images)"
    )


def _reach(audit: Audit) -> Iterator[RenderableType]:
    """One row a level: the radius, its interval, and what it means in pixels; a reason that they share once."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    table.add_column("")
    for name in ("cycles/image", "95 % interval", "pixels a cycle"):
        table.add_column(name, justify="right")
    notes: dict[tuple[str, str], list[str]] = {}
    for row in audit.table("reach").itertuples():
        about = audit.cube[str(row.probe)].attrs
        first = f"{reaches(about, float(str(row.level)))} of it"
        if row.reason:
            table.add_row(first, "-", "", "")
            notes.setdefault((filter_name(about["kind"], about["family"]), str(row.reason)), []).append(first)
        else:
            interval = f"{row.radius_ci_low:.1f} to {row.radius_ci_high:.1f}"
            table.add_row(first, f"[bold]{row.radius:.1f}[/]", interval, _period(row.radius, audit.side))
    if table.row_count:
        yield table
    for (name, reason), rows in notes.items():
        yield Text(f"{rows[0] if len(rows) == 1 else name}: {reason}", style="dim")


def _scale_law(audit: Audit) -> Iterator[RenderableType]:
    """Does the band follow the object? One row a probe, where there are several zooms."""
    if not audit.zoomed:
        return
    yield Text("\nScale law r50 ~ zoom^-beta (1: follows the object, 0: stays in the image)")
    table = Table.grid(padding=(0, 2))
    for row in audit.table("scale_law").itertuples():
        name = "  " + str(row.probe).replace("_", "-").capitalize()
        if row.reason:
            table.add_row(name, "-", Text(str(row.reason), style="dim"))
        else:
            interval = f"({row.beta_ci_low:.2f} to {row.beta_ci_high:.2f}, {row.n} images)"
            table.add_row(name, f"[bold]{row.beta:.2f}[/]", interval, FOLLOWS[str(row.verdict)])
    yield table


def _hungry(audit: Audit) -> Iterator[RenderableType]:
    """Groups by the centre of their low-pass band: the highest need the highest frequencies."""
    table = audit.table(f"bands_by_{audit.level.noun}")
    ours = table[table["probe"] == "low_pass"] if len(table) else table
    rows = ours[ours["reason"] == ""] if len(ours) else ours
    if len(rows) < 2:
        return
    nouns = PLURALS[audit.level.noun]
    count = min(EXTREMES, len(rows) // 2)
    ordered = rows.sort_values("r50", kind="stable")
    yield Text(f"\nCentre r50 of the low-pass band in cycles/image, {len(rows)} {nouns}")
    extremes = Table.grid(padding=(0, 2))
    extremes.add_row("  highest", _named(ordered.iloc[::-1].head(count)))
    extremes.add_row("  lowest", _named(ordered.head(count)))
    yield extremes
    if missing := len(ours) - len(rows):
        yield Text(f"  {missing} more without a band: bands.csv gives the reason", style="dim")
    if audit.level.note:
        yield Text(f"  {audit.level.note}", style="dim")


def _named(rows: pd.DataFrame) -> Text:
    return Text("; ".join(f"{row.group} {row.r50:.1f}" for row in rows.itertuples()))


def _period(radius: Any, side: int) -> str:
    return f"{side / radius:.1f}" if radius > 0 else "DC alone"


def _left_out(cube: xr.DataTree) -> Text | None:
    """Images that count in no statistic, by kind of reason, with one example each."""
    status, sources = cube.dataset["status"].values, cube.dataset["source"].values
    bad = np.flatnonzero(~status_ok(cube))
    if not len(bad):
        return None
    lines = [f"\n{len(bad)} of {len(status)} images are left out of every statistic:"]
    for kind in dict.fromkeys(str(status[i]).split(":")[0] or "not computed yet" for i in bad):
        members = [i for i in bad if (str(status[i]).split(":")[0] or "not computed yet") == kind]
        lines.append(
            f"  {len(members)} {kind}, such as {sources[members[0]]}: {status[members[0]] or 'run the audit again'}"
        )
    return Text("\n".join(lines), style="yellow")
