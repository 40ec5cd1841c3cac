"""`bandscope inspect`: what a network's depthwise kernels look like, in the terminal, as CSV, as figures."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from torch import nn

from bandscope.classifiers import load_classifier
from bandscope.errors import ModelError, StoreError
from bandscope.files import check_file
from bandscope.nn.inspect import Inspection, inspect_model
from bandscope.report.figures import save
from bandscope.report.figures.kernels import figure_kernel_layers, figure_kernels
from bandscope.report.words import short_spec

NOTE = (
    "Energy of the kernels, in %, that the nearest single Gaussian derivative of order 0 to 2 (member) and all six "
    "together (jet) explain, each at its best scale: mean over kernels. In brackets, what chance makes of it: random "
    "kernels, and the layer's own with their taps in random order. Pass: kernels nearest to a g so narrow "
    "that it leaves a channel nearly alone; σ: median scale of the others, in pixels."
)


def run(
    model: str,
    *,
    weights: Path | None,
    include: Sequence[str],
    exclude: Sequence[str],
    csv: Path | None,
    figures: Path | None,
    console: Console,
) -> None:
    """Load the network, look at its kernels, show the layers, write what was asked for."""
    if csv is not None:
        check_file(csv, "--csv")
    found = inspect_model(_module(model, weights), include=include, exclude=exclude)
    _show(found.layers, console)
    try:
        for path in _write(found, csv, figures, title=short_spec(model)):
            console.print(f"{path}", markup=False)
    except OSError as error:
        raise StoreError(f"{error.filename or figures} cannot be written: {error.strerror}.") from error


def _module(model: str, weights: Path | None) -> nn.Module:
    module = getattr(load_classifier(model, weights=weights), "module", None)
    if not isinstance(module, nn.Module):
        raise ModelError(f"{model} is not a PyTorch network: inspect looks at modules, and an ONNX graph has none.")
    return module


def _write(found: Inspection, csv: Path | None, figures: Path | None, *, title: str) -> list[str]:
    """The paths written."""
    written: list[str] = []
    if csv is not None:
        found.kernels.to_csv(csv, index=False)
        written.append(f"{len(found.kernels)} kernels -> {csv}")
    if figures is not None:
        figures.mkdir(parents=True, exist_ok=True)
        found.layers.to_csv(figures / "layers.csv", index=False)
        found.kernels.to_csv(figures / "kernels.csv", index=False)
        save(figure_kernels(found.kernels, found.taps, title=title), figures / "kernels")
        save(figure_kernel_layers(found.layers, title=title), figures / "layers")
        written.append(f"Figures and tables in {figures}{os.sep}")
    return written


def _show(layers: pd.DataFrame, console: Console) -> None:
    seen, left = layers[layers["reason"] == ""], layers[layers["reason"] != ""]
    shown = Table(header_style="bold", box=None, pad_edge=False)
    shown.add_column("Layer", overflow="fold")
    for name in ("Kernels", "Nearest", "Pass", "σ", "Member", "Jet"):
        shown.add_column(name, justify="right", no_wrap=True)
    for _, row in seen.iterrows():
        shown.add_row(*_cells(row))
    console.print(shown)
    console.print(f"[dim]{NOTE}[/]")
    for reason, names in left.groupby("reason", sort=False)["layer"]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        console.print(f"Not looked at: {names.iloc[0]}{more}: {reason}", markup=False)


def _cells(row: "pd.Series[Any]") -> tuple[str, ...]:
    stride = "" if row["stride"] == "1 x 1" else f" /{_first(row['stride'])}"
    return (
        row["layer"],
        f"{row['kernels']} of {row['kernel'].replace(' x ', 'x')}{stride}",
        f"{row['member']} {row['nearest_' + row['member']]:.0%}",
        f"{row['passes']:.0%}",
        f"{row['sigma']:.2f}",
        _share(row, "member"),
        _share(row, "jet"),
    )


def _first(times: str) -> str:
    """The number of "2 x 2"; all of "2 x 1"."""
    y, _, x = times.partition(" x ")
    return y if x in {y, ""} else times


def _share(row: "pd.Series[Any]", name: str) -> str:
    own, random, shuffled = (row[f"{name}_{what}"] for what in ("share", "random", "shuffled"))
    return f"{100 * own:.0f} ({100 * random:.0f}, {100 * shuffled:.0f})"
