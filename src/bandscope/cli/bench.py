"""`bandscope bench`: what an audit of a model is made of on this machine, and what bounds it."""

import warnings
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bandscope.bench import Bench, bench
from bandscope.cli.parsing import parse_overrides
from bandscope.engine.estimate import usable_cores

CLOSE = 1.05  # of the forward passes: an audit that costs no more is bounded by them


def run(
    model: str,
    data: str | None,
    console: Console,
    *,
    weights: Path | None,
    preprocess_changes: dict[str, str | float | None],
    **settings: Any,
) -> None:
    """Print the forward pass by every backend and precision, then everything else beside it."""
    warnings.filterwarnings("ignore")  # of exporters and compilers about themselves
    with console.status("Timing ..."):
        overrides = parse_overrides(preprocess_changes) or None
        found = bench(model, data, weights=weights, overrides=overrides, **settings)
    plan, size = found.plan, found.classifier.preprocess.size
    channels = found.classifier.preprocess.channels
    console.print(
        f"{found.classifier.spec}: {channels} x {size[0]} x {size[1]}, batch {plan.batch_size}, "
        f"{plan.threads} threads, {plan.device}\n",
        markup=False,
    )
    console.print(_forward(found))
    for row in found.forward:
        if row.milliseconds is None:
            console.print(f"{row.name}: {row.reason}", style="dim", markup=False)
    console.print()
    console.print(_rest(found))
    console.print()
    console.print(_verdict(found), markup=False)


def _forward(found: Bench) -> Table:
    """One row a way to run the network, with the whole audit over its passes."""
    table = _table("Forward pass", "ms an image", "of the fastest", "setup, s", "whole audit")
    timed = [row for row in found.forward if row.milliseconds]
    fastest = min((row.milliseconds or 0.0 for row in timed), default=1.0)
    for row in timed:
        milliseconds = row.milliseconds or 0.0
        table.add_row(
            row.name,
            f"{milliseconds:.2f}",
            f"{milliseconds / fastest:.1f} x",
            f"{row.setup:.1f}",
            f"{_ratio(found, milliseconds):.2f} x",
        )
    return table


def _rest(found: Bench) -> Table:
    table = _table("Everything else", "ms an image and condition", "")
    rest = found.rest
    shared = rest.decoding / found.conditions / usable_cores()
    table.add_row("filters", f"{rest.filtering:.3f}", "")
    table.add_row("statistics", f"{rest.statistics:.3f}", "")
    table.add_row(
        "decoding",
        f"{shared:.3f}",
        f"{rest.decoding:.1f} ms an image, {found.conditions} conditions, {usable_cores()} cores",
    )
    table.add_row("storing", f"{rest.storing:.3f}", f"{rest.stored:.0f} bytes before compression")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place and column else "left")
    return table


def _verdict(found: Bench) -> str:
    timed = [row for row in found.forward if row.milliseconds]
    if not timed:
        return "No forward pass could be timed."
    best = min(timed, key=lambda row: row.milliseconds or 0.0)
    ratio = _ratio(found, best.milliseconds or 0.0)
    if ratio <= CLOSE:
        return f"The forward pass bounds an audit, even by the fastest way ({best.name})."
    rest = found.rest
    parts = {"filters": rest.filtering, "statistics": rest.statistics, "storing": rest.storing}
    parts["decoding"] = rest.decoding / found.conditions / usable_cores()
    largest = max(parts, key=lambda name: parts[name])
    costs = f"By the fastest way ({best.name}) an audit costs {ratio:.2f} x its forward passes"
    return f"{costs}; most of what comes on top goes to {largest}."


def _ratio(found: Bench, milliseconds: float) -> float:
    return (milliseconds + found.rest.milliseconds(found.conditions, usable_cores())) / milliseconds
