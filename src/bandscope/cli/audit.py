"""`bandscope audit`: options into `bandscope.audit`, then the summary and the figures."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bandscope.api import audit
from bandscope.classifiers import load_classifier
from bandscope.cli.main import changes, floats
from bandscope.conventions import Convention
from bandscope.errors import InputError
from bandscope.probes import parse_bands, parse_probes, parse_radii
from bandscope.report.grouping import asked_grouping, grouping
from bandscope.report.overview import write_overview
from bandscope.report.summary import summary


@dataclass(frozen=True)
class Options:
    """The command's options; the dictionaries hold what is passed on by name."""

    model: str
    data: str
    weights: Path | None
    store: Path | None
    figures: Path | None
    by: str | None
    probes: str
    radii: str
    bands: str
    unit: str
    convention: str
    convention_changes: dict[str, Any]
    preprocess_changes: dict[str, str | float | None]
    settings: dict[str, Any]


def run(options: Options, console: Console) -> None:
    """Audit, then print the summary and write the figures."""
    radii, bands = parse_radii(options.radii), parse_bands(options.bands)
    convention = Convention.named(options.convention, **options.convention_changes)
    store = options.store or _default_store(options.model, options.data)
    console.print(f"Model  {options.model}\nData   {options.data}\nCube   {store}", markup=False)
    with _Bar(console) as bar:
        overrides = _overrides(options.preprocess_changes)
        classifier = load_classifier(options.model, weights=options.weights, overrides=overrides or None)
        asked_grouping(options.by, classifier.classes or ())
        cube = audit(
            classifier,
            options.data,
            out=store,
            probes=lambda size: parse_probes(options.probes, radii=radii, bands=bands, unit=options.unit, size=size),
            convention=convention,
            progress=bar.update,
            **options.settings,
        )
    groups = grouping(cube, options.by)
    folder = options.figures or store.with_name(f"{store.stem}-figures")
    with console.status("Intervals and figures ..."):
        text = summary(cube, groups)
        overview = write_overview(cube, groups, folder)
    console.print(text)
    console.print(f"Figures and tables in {folder}{os.sep}: start with {overview.name}", markup=False)


class _Bar:
    """A progress bar in images, with forward passes a second and the time left."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("[cyan]{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self._task = self._progress.add_task("Loading", total=None, rate="")
        self._stored: int | None = None

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, passes: int, total: int) -> None:
        """Take the engine's report; its first one tells what the store already held."""
        if self._stored is None:
            self._stored = passes
            self._progress.reset(self._task, total=total, completed=passes, description="Auditing")
            return
        task = self._progress.tasks[0]
        done = int(task.completed) + passes
        rate = f"{(done - self._stored) / task.elapsed:,.0f} images x conditions/s" if task.elapsed else ""
        self._progress.update(self._task, completed=done, rate=rate)


def _overrides(given: dict[str, str | float | None]) -> dict[str, Any]:
    texts = {name: str(given[name]) for name in ("mean", "std") if given[name] is not None}
    numbers: dict[str, Any] = {name: _one_or_more(floats(text, name)) for name, text in texts.items()}
    size = given["input_size"]
    rest = {"input_size": _size(str(size)) if size else None}
    return changes({**rest, **{k: given[k] for k in ("crop_pct", "interpolation")}, **numbers})


def _one_or_more(values: tuple[float, ...] | None) -> float | tuple[float, ...] | None:
    return values[0] if values and len(values) == 1 else values


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:[x,](\d+))?", text.strip())
    if not match:
        raise InputError(f"--input-size {text!r} is not a side such as 224, or height x width such as 224x320.")
    return int(match[1]), int(match[2] or match[1])


def _default_store(model: str, data: str) -> Path:
    return Path("-".join(dict.fromkeys((_slug(model), _slug(data)))) + ".zarr")


def _slug(spec: str) -> str:
    """A short file name for a spec: the part after the scheme, without options, folders and odd characters."""
    body = spec.split("?", 1)[0].rstrip("/")
    last = Path(body.partition(":")[2] or body).name.removesuffix(".safetensors").removesuffix(".onnx")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-.") or "audit"
