"""`bandscope compare`: stores in, their comparison out: terminal, JSON, CSV, Markdown, figures, and an exit code."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from bandscope.analysis.comparison.common import common_images
from bandscope.analysis.comparison.compare import compare
from bandscope.analysis.comparison.thresholds import check_against, check_thresholds, parse_threshold
from bandscope.analysis.statistics import Bootstrap
from bandscope.cli.checks import check_folder
from bandscope.errors import InputError
from bandscope.files import check_file
from bandscope.report.comparison import Report, terminal
from bandscope.report.comparison_files import write_csv, write_figures, write_json, write_markdown
from bandscope.report.grouping import grouping
from bandscope.report.stores import opened


@dataclass(frozen=True)
class Outputs:
    """Where the comparison is written to, each only if asked for."""

    json: Path | None
    csv: Path | None
    markdown: Path | None
    figures: Path | None

    def check(self) -> None:
        """Refuse, before any work, what cannot be written.

        Raises:
            InputError: naming the option.
        """
        to_folder = self.csv is not None and self.csv.suffix.lower() != ".csv"
        files = {"--json": self.json, "--markdown": self.markdown, "--csv": None if to_folder else self.csv}
        for option, path in files.items():
            if path is not None:
                check_file(path, option)
        if to_folder and self.csv is not None:
            check_folder(self.csv, "CSV")
        if self.figures is not None:
            check_folder(self.figures)

    def write(self, report: Report) -> list[Path]:
        """Write what was asked for; returns the files and folders."""
        written = []
        writers = (write_json, write_csv, write_markdown, write_figures)
        for path, write in zip((self.json, self.csv, self.markdown, self.figures), writers, strict=True):
            if path is not None:
                write(report, path)
                written.append(path)
        return written


def run(
    stores: Sequence[str],
    *,
    by: str | None,
    zoom: float | None,
    any_convention: bool,
    alpha: float,
    confidence: float,
    resamples: int,
    seed: int,
    fail_if: Sequence[str],
    outputs: Outputs,
    console: Console,
) -> bool:
    """Compare, print and write; returns whether a threshold is violated.

    Raises:
        InputError: also where a threshold's quantity is undefined, after everything has been written.
    """
    thresholds = [parse_threshold(text) for text in fail_if]
    outputs.check()
    settings: dict[str, Any] = {"alpha": alpha, **asdict(Bootstrap(confidence, resamples, seed))}
    with console.status("Comparing ..."), opened(stores) as cubes:
        common = common_images(cubes, zoom=zoom, any_convention=any_convention)
        check_thresholds(thresholds, common)
        groups = grouping(next(iter(cubes.values())), by) if by else None
        comparison = compare(common, **settings)
        report = Report(
            comparison,
            compare(common, groups.by, **settings) if groups else None,
            groups.noun if groups else "group",
            check_against(thresholds, comparison) if thresholds else pd.DataFrame(),
        )
        files = outputs.write(report)
    console.print(terminal(report))
    for file in files:
        console.print(f"-> {file}", markup=False)
    return _violated(report.verdicts)


def _violated(verdicts: pd.DataFrame) -> bool:
    if not len(verdicts):
        return False
    undefined = verdicts[verdicts["reason"] != ""]
    if len(undefined):
        row = undefined.iloc[0]
        raise InputError(f"The condition {row['condition']!r} cannot be decided for {row['b']}: {row['reason']}.")
    return bool(verdicts["violated"].any())
