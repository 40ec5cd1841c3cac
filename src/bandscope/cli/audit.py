"""`bandscope audit`: options into `bandscope.audit`, then the summary and the figures."""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from rich.console import Console

from bandscope.api import audit, audit_together, subject_of
from bandscope.classifiers import Classifier, load_classifier
from bandscope.cli.bars import Bar
from bandscope.cli.checks import check_folder, uncomputed
from bandscope.cli.dry_run import show
from bandscope.cli.names import slug
from bandscope.cli.parsing import (
    parse_bands,
    parse_batch_size,
    parse_overrides,
    parse_probes,
    parse_radii,
    parse_zoom,
)
from bandscope.cli.report import after_audit
from bandscope.conventions import Convention
from bandscope.cube.place import Place, place_of
from bandscope.engine.estimate import estimate, usable_cores
from bandscope.engine.pilot import Pilot, coarse_radii
from bandscope.engine.plan import Request
from bandscope.engine.share import launched_share
from bandscope.errors import InputError
from bandscope.probes import default_radii
from bandscope.report.audit import read_audit
from bandscope.report.grouping import asked_grouping
from bandscope.report.overview import write_overview
from bandscope.report.stores import check_images
from bandscope.report.summary import summary


@dataclass(frozen=True)
class Options:
    """The command's options; the dictionaries hold what is passed on by name."""

    model: str
    data: str
    also: Sequence[str]
    weights: Path | None
    store: str | None
    figures: Path | None
    by: str | None
    probes: str
    radii: str
    adaptive: float | None
    bands: str
    unit: str
    zoom: str | None
    object_size: str | None
    boxes: Path | None
    outside: str
    convention: str
    convention_changes: dict[str, Any]
    preprocess_changes: dict[str, str | float | None]
    dry_run: bool
    settings: dict[str, Any]


@dataclass(frozen=True)
class _Target:
    """A model, and where its results go."""

    model: str
    weights: Path | None
    store: Place
    figures: Path


def run(options: Options, console: Console) -> None:
    """Audit, then print the summaries and write the figures; of several shards the last one to finish does."""
    shard, speaks = _shard(options.settings["shard"])
    aloud = console if speaks else Console(quiet=True)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # on single images; what counts is recorded in `status`
    radii, bands = parse_radii(options.radii), parse_bands(options.bands)
    pilot = None if options.adaptive is None else Pilot(options.adaptive)
    default = default_radii if pilot is None else coarse_radii
    zoom = parse_zoom(options.zoom, options.object_size, options.boxes, options.outside)
    batch_size = parse_batch_size(options.settings["batch_size"])
    convention = Convention.named(options.convention, **options.convention_changes)
    targets = _targets(options)
    what: dict[str, Any] = {
        "probes": lambda size: parse_probes(
            options.probes, radii=radii, bands=bands, unit=options.unit, size=size, default=default
        ),
        "adaptive": pilot,
        "zoom": zoom,
        "convention": convention,
        **options.settings | {"batch_size": batch_size, "shard": shard},
    }
    if options.dry_run:
        _estimate(options, targets, what, console)
        return
    for target in targets:
        if options.figures or target.figures.exists():  # else it is made beside the store, whose own check is as good
            check_folder(target.figures)
        aloud.print(f"Model  {target.model}\nData   {options.data}\nCube   {target.store}", markup=False)
    with _Bar(aloud) as bar:
        classifiers = _loaded(options, targets)
        cubes = _audited(classifiers, options.data, targets, progress=bar.update, watch=bar, **what)
    if shard and (left := max(uncomputed(cube) for cube in cubes)):
        aloud.print(f"This part is done; {left} of {cubes[0].sizes['image']} images are left to other parts.")
        return
    for target, cube in zip(targets, cubes, strict=True):
        _present(target, cube, options.by, console)
    if len(targets) > 1:
        stores = " ".join(str(target.store) for target in targets)
        console.print(f"Side by side: bandscope compare {stores}", markup=False)


def _estimate(options: Options, targets: Sequence[_Target], what: dict[str, Any], console: Console) -> None:
    """Instead of the audit, what it would cost: of several models each by itself."""
    machine = ("batch_size", "threads", "device", "precision", "backend")
    run_only = {*machine, "workers", "overwrite", "extend", "strict", "shard"}
    request = Request(**{name: what[name] for name in machine})
    measured = {name: value for name, value in what.items() if name not in run_only}
    for target, classifier in zip(targets, _loaded(options, targets), strict=True):
        with console.status("Timing ..."):
            found = estimate(subject_of(classifier, options.data, request=request, **measured), usable_cores())
        show(target.model, found, console)


def _targets(options: Options) -> list[_Target]:
    """The model, and those that are audited in the same pass; stores and figures of those lie beside the first's."""
    store = place_of(options.store or _default_store(options.model, options.data))
    figures = options.figures or store.outputs / f"{store.stem}-figures"
    targets = [_Target(options.model, options.weights, store, figures)]
    for model in options.also:
        other = store.beside(_default_store(model, options.data))
        targets.append(_Target(model, None, other, figures.parent / f"{other.stem}-figures"))
    return targets


def _loaded(options: Options, targets: Sequence[_Target]) -> list[Classifier]:
    overrides = parse_overrides(options.preprocess_changes) or None
    loaded = []
    for target in targets:
        loaded.append(load_classifier(target.model, weights=target.weights, overrides=overrides))
        asked_grouping(options.by, loaded[-1].classes or ())
    return loaded


def _audited(
    classifiers: Sequence[Classifier], data: str, targets: Sequence[_Target], **settings: Any
) -> list[xr.DataTree]:
    """One cube a model: a single one by `audit`, several in one pass."""
    if len(classifiers) == 1:
        return [audit(classifiers[0], data, out=targets[0].store, **settings)]
    if settings.pop("extend"):
        raise InputError("--extend and --also exclude each other: extend the stores one by one.")
    return audit_together(classifiers, data, out=[target.store for target in targets], **settings)


def _present(target: _Target, cube: xr.DataTree, by: str | None, console: Console) -> None:
    check_images(cube, target.store)
    held = read_audit(target.store.stem, cube, by)
    with console.status("Intervals and figures ..."):
        text = summary(held)
        overview = write_overview(held, target.figures)
    console.print(text)
    console.print(f"Figures and tables in {target.figures}{os.sep}: start with {overview.name}", markup=False)
    after_audit(held, target.figures, console)


def _shard(asked: str | None) -> tuple[str | None, bool]:
    """The part of this process, as asked or as torchrun started it, and whether it shows its progress."""
    launched = launched_share(os.environ)
    if asked is not None or launched.alone:
        return asked, True
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return f"{launched.number}/{launched.count}", launched.number == 1


class _Bar(Bar):
    """A progress bar in images, with forward passes a second and the time left."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, 30, images="default", rate="cyan")
        self._doing = "Auditing"
        self._stored: int | None = None

    def round(self, number: int) -> Callable[[int, int, int], None]:
        """Begin anew, for one round of the pilot."""
        self._doing, self._stored = f"Pilot, round {number}", None
        return self.update

    def chosen(self, images: int, radii: Sequence[float], new: int | None) -> None:
        """Tell what the pilot has found; the audit follows."""
        self._doing, self._stored = "Auditing", None
        added = "as in the store" if new is None else f"{new} of them new"
        closest = min(after - before for before, after in pairwise(radii))
        self.progress.console.print(f"Pilot  {images} images: {len(radii)} radii, {added}, closest {closest:g} apart")

    def update(self, passes: int, total: int, images: int) -> None:
        """Take the engine's report; its first one tells what the store already held."""
        if self._stored is None:
            self._stored = passes
            self.progress.reset(self.task, total=total, completed=passes, description=self._doing)
            passes = 0
        task = self.progress.tasks[0]
        done = int(task.completed) + passes
        rate = f"{(done - self._stored) / task.elapsed:,.0f} conditions/s" if task.elapsed and passes else ""
        shown = f"{images * done // max(total, 1):,}/{images:,} images"
        self.progress.update(self.task, completed=done, images=shown, rate=rate)


def _default_store(model: str, data: str) -> str:
    return "-".join(dict.fromkeys((slug(model, "audit"), slug(data, "audit")))) + ".zarr"
