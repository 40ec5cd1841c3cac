"""`bandscope train`: options into `bandscope.training.train`, a progress bar, and where the weights are."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from bandscope.cli.bars import Bar
from bandscope.cli.names import slug
from bandscope.cli.options import Device, Workers
from bandscope.cli.terminal import INTERRUPTED, MACHINE, WHERE, err
from bandscope.cli.terminal import out as console
from bandscope.errors import InputError

if TYPE_CHECKING:
    from bandscope.probes import Probe
    from bandscope.training import Report, Trained

LEARNING, FILTERS = "What is learned", "Filters in training"


class TrainingPrecision(StrEnum):
    """Types in which a network computes while its weights stay in fp32."""

    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


def train(
    model: Annotated[
        str,
        typer.Argument(
            help="timm:NAME[?kw=value], torchvision:NAME or python:package.module:factory, at random; or a "
            ".safetensors path, to go on from its weights."
        ),
    ],
    data: Annotated[
        str,
        typer.Argument(
            help="Training images, as in audit: folder:DIR, parquet:GLOB, torchvision:NAME?root=DIR&train=true, "
            "planted?split=train, ..."
        ),
    ],
    val: Annotated[
        str,
        typer.Option(
            help="Validation images; or the share of each class to hold out; or none.", rich_help_panel=LEARNING
        ),
    ] = "0.1",
    recipe: Annotated[
        str, typer.Option(help="zhang2023, or zhang2023-small for small images.", rich_help_panel=LEARNING)
    ] = "zhang2023",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a field of the recipe, such as epochs=30 or lr=0.1. Any number of times.",
            metavar="FIELD=VALUE",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Start from this file.", rich_help_panel=LEARNING)] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Start from the published weights.", rich_help_panel=LEARNING)
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Of weights, order, augmentation, filters, dropout.", rich_help_panel=LEARNING)
    ] = 0,
    lowpass: Annotated[
        str | None,
        typer.Option(
            help="Train on low-passed images: a radius, or start:stop:step or r,r,... to draw one for each image.",
            metavar="R",
            rich_help_panel=FILTERS,
        ),
    ] = None,
    highpass: Annotated[
        str | None, typer.Option(help="The same, high-passed.", metavar="R", rich_help_panel=FILTERS)
    ] = None,
    bandpass: Annotated[
        str | None,
        typer.Option(help="Keep low-high, or one of several bands.", metavar="LOW-HIGH", rich_help_panel=FILTERS),
    ] = None,
    bandstop: Annotated[
        str | None, typer.Option(help="Remove them instead.", metavar="LOW-HIGH", rich_help_panel=FILTERS)
    ] = None,
    family: Annotated[
        str, typer.Option(help="Of low-pass and high-pass: ideal, gaussian, butterworth.", rich_help_panel=FILTERS)
    ] = "ideal",
    filter_share: Annotated[
        float, typer.Option(help="Share of the training images that are filtered.", rich_help_panel=FILTERS)
    ] = 1.0,
    convention: Annotated[
        str, typer.Option(help="Preset: bandscope, zhang2023 or gavrikov2024.", rich_help_panel=FILTERS)
    ] = "bandscope",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder to make or to go on with.",
            rich_help_panel=WHERE,
            show_default="MODEL-DATA-trained",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start again where the folder exists.", rich_help_panel=WHERE)
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard/--no-tensorboard", help="Logs for it, too.", rich_help_panel=WHERE)
    ] = True,
    device: Device = None,
    devices: Annotated[
        int, typer.Option(help="Processes, one a device; torchrun decides by itself.", rich_help_panel=MACHINE)
    ] = 1,
    precision: Annotated[TrainingPrecision, typer.Option(help="Mixed.", rich_help_panel=MACHINE)] = (
        TrainingPrecision.fp32
    ),
    accumulate: Annotated[
        int, typer.Option(help="Batches whose gradients make one step of batch_size.", rich_help_panel=MACHINE)
    ] = 1,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the network.", rich_help_panel=MACHINE)
    ] = False,
    channels_last: Annotated[
        bool, typer.Option("--channels-last/--contiguous", help="Memory format.", rich_help_panel=MACHINE)
    ] = True,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same bits each time.", rich_help_panel=MACHINE)
    ] = False,
    workers: Workers = 4,
    memory_gb: Annotated[
        float, typer.Option(help="Decoded images that may be kept in memory.", rich_help_panel=MACHINE)
    ] = 4.0,
) -> None:
    """Train a network by a recipe, on filtered images if asked, and keep weights that audit takes by path.

    A training can be stopped or killed at any moment: the same command goes on after the last finished epoch.
    """
    from bandscope import training
    from bandscope.engine.memory import keep_memory
    from bandscope.training.machine import rank
    from bandscope.training.recipe import parse_settings

    overrides = parse_settings(settings or ())
    folder = out or Path(f"{slug(model, 'network')}-{slug(data, 'network')}-trained")
    filters = _filters(lowpass, highpass, bandpass, bandstop, family)
    if not filters and (family != "ideal" or filter_share != 1 or convention != "bandscope"):
        raise InputError(
            "--family, --filter-share and --convention speak of a filter: give one, such as --lowpass 45."
        )
    try:
        with keep_memory(), _Bar(console if rank() == 0 else Console(quiet=True)) as bar:
            trained = training.train(
                model,
                data,
                out=folder,
                val=_val(val),
                recipe=recipe,
                filters=filters,
                filter_share=filter_share,
                convention=convention,
                weights=weights,
                pretrained=pretrained,
                seed=seed,
                device=device,
                devices=devices,
                precision=precision.value,
                accumulate=accumulate,
                compile=compiled,
                channels_last=channels_last,
                deterministic=deterministic,
                workers=workers,
                memory_gb=memory_gb,
                tensorboard=tensorboard,
                overwrite=overwrite,
                progress=bar.update,
                say=lambda line: console.print(line, markup=False),
                **overrides,
            )
    except KeyboardInterrupt:
        again = "the same command without --overwrite" if overwrite else "the same command again"
        err.print(f"\nStopped. Finished epochs are kept: run {again} to go on.")
        raise typer.Exit(INTERRUPTED) from None
    if rank() == 0:
        _conclude(trained, console)


def _conclude(trained: "Trained", console: Console) -> None:
    """The result of a training, said once."""
    if trained.best_accuracy == trained.best_accuracy:
        best = f"epoch {trained.best_epoch}, {trained.best_accuracy:.2%} of the validation images right"
        last = f"epoch {len(trained.history)}, {trained.last_accuracy:.2%}"
    else:
        best = last = f"epoch {len(trained.history)}, without validation images"
    console.print(f"Best        {best}\nLast        {last}\nWeights     {trained.best}", markup=False)


def _filters(
    lowpass: str | None, highpass: str | None, bandpass: str | None, bandstop: str | None, family: str
) -> "tuple[Probe, ...]":
    from bandscope.cli.parsing import parse_bands, parse_radii
    from bandscope.probes import BandPass, BandStop, HighPass, LowPass

    made: list[Probe] = []
    for radial, text in ((LowPass, lowpass), (HighPass, highpass)):
        if text is not None:
            made.append(radial(parse_radii(text) or (), family))
    for band, text in ((BandPass, bandpass), (BandStop, bandstop)):
        if text is not None:
            made.append(band(parse_bands(text) or ()))
    return tuple(made)


def _val(text: str) -> str | float | None:
    """A share, a spec, or None."""
    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        return text


class _Bar(Bar):
    """A progress bar: first of images being decoded, then of optimiser steps."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, 18, state="default")
        self._stage = ""

    def update(self, report: "Report") -> None:
        """Take a training's report."""
        if report.stage != self._stage:
            self._stage = report.stage
            before = report.done - 1 if report.stage == "training" else 0
            self.progress.reset(self.task, total=report.total, completed=before)
        fields: dict[str, Any] = {"description": "Decoding", "state": f"{report.done:,}/{report.total:,} images"}
        if report.stage == "training":
            right = "" if report.accuracy != report.accuracy else f"  val {report.accuracy:.1%}"
            fields["description"] = f"Epoch {report.epoch}/{report.epochs}"
            fields["state"] = f"loss {report.loss:.3f}{right}  [cyan]{report.rate:,.0f} images/s"
        self.progress.update(self.task, completed=report.done, total=report.total, **fields)
