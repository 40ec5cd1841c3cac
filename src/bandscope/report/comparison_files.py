"""A comparison as files: JSON and CSV for machines, Markdown and figures for people; each whole or not at all."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bandscope import files
from bandscope.errors import StoreError
from bandscope.report.comparison import Report, markdown
from bandscope.report.figures import figure_comparison, save
from bandscope.report.figures.compare import probe_rows
from bandscope.report.plain import plain, records

PROVENANCE = ("model", "data", "preprocess", "convention", "zoom", "plan", "environment", "command")


def write_json(report: Report, path: Path) -> None:
    """Everything: where the models come from, how the numbers were made, every table as records; NaN is null."""
    text = json.dumps(as_json(report), indent=1, allow_nan=False, ensure_ascii=False)
    files.write_text(path, f"{text}\n", "--json")


def as_json(report: Report) -> dict[str, Any]:
    """The content of `write_json`, of plain values alone."""
    comparison, common = report.comparison, report.comparison.common
    models = [
        {"name": name, "images_left_out": left, **{key: images.cube.attrs.get(key) for key in PROVENANCE}}
        for name, images, left in zip(common.names, common.images, common.left_out, strict=True)
    ]
    settings = {
        "confidence": comparison.bootstrap.confidence,
        "resamples": comparison.bootstrap.resamples,
        "seed": comparison.bootstrap.seed,
        "alpha": comparison.alpha,
        "at": common.zoom(),
        "test": "McNemar, exact; Holm over the conditions of each probe, model and group",
    }
    head = {
        "bandscope": version("bandscope"),
        "baseline": common.names[0],
        "images": len(common.images[0]),
        "models": models,
        "settings": settings,
        "notes": list(common.notes),
    }
    data: dict[str, Any] = plain(head | {name: records(table) for name, table in report.tables().items()})
    return data


def write_csv(report: Report, path: Path) -> None:
    """Into a folder every table as NAME.csv; to a file NAME.csv the differences, by group if that was asked for."""
    tables = report.tables()
    if path.suffix.lower() == ".csv":
        wanted = {path: tables[f"differences_by_{report.noun}" if report.groups else "differences"]}
    else:
        _make_folder(path, "--csv")
        wanted = {path / f"{name}.csv": table for name, table in tables.items()}
    for file, table in wanted.items():
        files.write_csv(file, table, "--csv")


def write_markdown(report: Report, path: Path) -> None:
    """The page of `markdown`."""
    files.write_text(path, markdown(report), "--markdown")


def write_figures(report: Report, folder: Path) -> None:
    """A comparison panel, as .png and .pdf, for each family of probes; comparison.png is the first."""
    _make_folder(folder, "--figures")
    comparison = report.comparison
    curves = {name: comparison.curves[comparison.curves["model"] == name] for name in comparison.common.names}
    for probes in probe_rows(comparison.differences):
        family = probes[0].split("_")[2:] or (["bands"] if probes[0].startswith("band") else [])
        figure = figure_comparison(curves, comparison.differences, alpha=comparison.alpha, probes=probes)
        save(figure, folder / "-".join(["comparison", *family]))


def _make_folder(folder: Path, option: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{option} {folder} cannot be made: {error.strerror or error}.") from error
