"""`bandscope audit`: options into `bandscope.audit`, then the summary and the figures."""

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from bandscope.api import audit
from bandscope.classifiers import load_classifier
from bandscope.cli.checks import check_folder, check_images, uncomputed
from bandscope.cli.parsing import (
    parse_bands,
    parse_batch_size,
    parse_overrides,
    parse_probes,
    parse_radii,
    parse_zoom,
)
from bandscope.conventions import Convention
from bandscope.engine.share import launched_share
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
    zoom: str | None
    object_size: str | None
    boxes: Path | None
    outside: str
    convention: str
    convention_changes: dict[str, Any]
    preprocess_changes: dict[str, str | float | None]
    settings: dict[str, Any]


def run(options: Options, console: Console) -> None:
    """Audit, then print the summary and write the figures; of several shards the last one to finish does."""
    shard, speaks = _shard(options.settings["shard"])
    aloud = console if speaks else Console(quiet=True)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # on single images; what counts is recorded in `status`
    radii, bands = parse_radii(options.radii), parse_bands(options.bands)
    zoom = parse_zoom(options.zoom, options.object_size, options.boxes, options.outside)
    batch_size = parse_batch_size(options.settings["batch_size"])
    convention = Convention.named(options.convention, **options.convention_changes)
    store = options.store or _default_store(options.model, options.data)
    folder = options.figures or store.parent / f"{store.stem}-figures"
    if options.figures or folder.exists():  # else it is made beside the store, whose own check is as good
        check_folder(folder)
    aloud.print(f"Model  {options.model}\nData   {options.data}\nCube   {store}", markup=False)
    with _Bar(aloud) as bar:
        overrides = parse_overrides(options.preprocess_changes)
        classifier = load_classifier(options.model, weights=options.weights, overrides=overrides or None)
        asked_grouping(options.by, classifier.classes or ())
        cube = audit(
            classifier,
            options.data,
            out=store,
            probes=lambda size: parse_probes(options.probes, radii=radii, bands=bands, unit=options.unit, size=size),
            zoom=zoom,
            convention=convention,
            progress=bar.update,
            **options.settings | {"batch_size": batch_size, "shard": shard},
        )
    if shard and (left := uncomputed(cube)):
        aloud.print(f"This part is done; {left} of {cube.sizes['image']} images are left to other parts.")
        return
    check_images(cube, store)
    groups = grouping(cube, options.by)
    with console.status("Intervals and figures ..."):
        text = summary(cube, groups)
        overview = write_overview(cube, groups, folder)
    console.print(text)
    console.print(f"Figures and tables in {folder}{os.sep}: start with {overview.name}", markup=False)


def _shard(asked: str | None) -> tuple[str | None, bool]:
    """The part of this process, as asked or as torchrun started it, and whether it shows its progress."""
    launched = launched_share(os.environ)
    if asked is not None or launched.alone:
        return asked, True
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return f"{launched.number}/{launched.count}", launched.number == 1


class _Left(TimeRemainingColumn):
    """The time left, and the word; nothing where it is not known or no longer of interest."""

    def render(self, task: Task) -> Text:
        shown = super().render(task)
        return Text() if task.finished or not shown else shown.append(" left")


class _Bar:
    """A progress bar in images, with forward passes a second and the time left."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[images]}"),
            TextColumn("[cyan]{task.fields[rate]}"),
            TimeElapsedColumn(),
            _Left(),
            console=console,
        )
        self._task = self._progress.add_task("Loading", total=None, images="", rate="")
        self._stored: int | None = None

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, passes: int, total: int, images: int) -> None:
        """Take the engine's report; its first one tells what the store already held."""
        if self._stored is None:
            self._stored = passes
            self._progress.reset(self._task, total=total, completed=passes, description="Auditing")
            passes = 0
        task = self._progress.tasks[0]
        done = int(task.completed) + passes
        rate = f"{(done - self._stored) / task.elapsed:,.0f} conditions/s" if task.elapsed and passes else ""
        shown = f"{images * done // max(total, 1):,}/{images:,} images"
        self._progress.update(self._task, completed=done, images=shown, rate=rate)


def _default_store(model: str, data: str) -> Path:
    return Path("-".join(dict.fromkeys((_slug(model), _slug(data)))) + ".zarr")


def _slug(spec: str) -> str:
    """A short file name for a spec: the part after the scheme, without options, folders and odd characters."""
    body = spec.split("?", 1)[0].rstrip("/")
    last = Path(body.partition(":")[2] or body).name.removesuffix(".safetensors").removesuffix(".onnx")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-.") or "audit"
