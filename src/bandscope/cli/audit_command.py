"""The options of `bandscope audit`; what is done with them stands in `bandscope.cli.audit`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bandscope.cli.options import (
    Clip,
    CropPct,
    Device,
    Domain,
    InputSize,
    Interpolation,
    KeepMean,
    Labels,
    Match,
    Mean,
    Preset,
    Std,
    Threads,
    Weights,
    Workers,
)
from bandscope.cli.terminal import INTERRUPTED, MACHINE, WHAT, WHERE, err, out
from bandscope.errors import InputError


class Precision(StrEnum):
    """Types in which a classifier computes."""

    fp32 = "fp32"
    bf16 = "bf16"
    auto = "auto"


class Backend(StrEnum):
    """What runs a classifier."""

    eager = "eager"
    compiled = "compiled"
    openvino = "openvino"
    onnxruntime = "onnxruntime"
    auto = "auto"


def audit(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL",
            help="timm:NAME[?kw=value], torchvision:NAME, hf:ID (Hugging Face hub or folder), onnx:FILE, export:FILE "
            "(.pt2), python:package.module:factory, a .safetensors path, or planted (embedded).",
            show_default="planted",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA]",
            help="folder:DIR (class folders), parquet:GLOB, hf:NAME (Hugging Face datasets), wds:SHARDS (WebDataset "
            "tars), torchvision:NAME?root=DIR, or planted (embedded).",
            show_default="planted",
        ),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            help="Audit this model in the same pass, into a store of its own; any number of times. "
            "Its weights: MODEL?weights=FILE.",
            metavar="MODEL",
            rich_help_panel=WHAT,
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="Store to make or to go on with: a folder, or a URL such as s3://bucket/audit.zarr.",
            metavar="STORE",
            rich_help_panel=WHERE,
            show_default="MODEL-DATA.zarr",
        ),
    ] = None,
    probes: Annotated[
        str,
        typer.Option(
            help="Comma-separated: low-pass, high-pass, both also with -gaussian or -butterworth; band-pass, "
            "band-stop.",
            rich_help_panel=WHAT,
        ),
    ] = "low-pass,high-pass",
    radii: Annotated[
        str,
        typer.Option(
            help="start:stop:step (stop included), r,r,..., paper (5:160:5), or auto: even steps up to the corner, "
            "finer below the first.",
            rich_help_panel=WHAT,
        ),
    ] = "auto",
    adaptive: Annotated[
        float | None,
        typer.Option(
            help="Add radii where accuracy on 200 images jumps by more.",
            metavar="TOL",
            rich_help_panel=WHAT,
        ),
    ] = None,
    bands: Annotated[
        str, typer.Option(help="Bands of the band probes: low-high,low-high,... or octaves.", rich_help_panel=WHAT)
    ] = "octaves",
    unit: Annotated[
        str, typer.Option(help="Of radii and bands: cycles/image or cycles/pixel.", rich_help_panel=WHAT)
    ] = "cycles/image",
    zoom: Annotated[
        str | None,
        typer.Option(
            help="Look at every image at these zooms too, such as 0.71,1,1.41,2,2.83.",
            metavar="Z,Z,...",
            rich_help_panel=WHAT,
        ),
    ] = None,
    object_size: Annotated[
        str | None,
        typer.Option(
            help="Bring every object to these sizes, in pixels of the crop; needs --boxes.",
            metavar="P,P,...",
            rich_help_panel=WHAT,
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="Object boxes to cut around: CSV, COCO JSON, or Pascal VOC.", rich_help_panel=WHAT),
    ] = None,
    outside: Annotated[
        str,
        typer.Option(
            help="Of zooms below 1: real (more of the image, then its reflection) or shrink (the crop itself).",
            rich_help_panel=WHAT,
        ),
    ] = "real",
    limit: Annotated[
        int | None, typer.Option(help="Audit a seeded sample of N images.", metavar="N", rich_help_panel=WHAT)
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(help="Audit a seeded sample of N images a class.", metavar="N", rich_help_panel=WHAT)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the samples.", rich_help_panel=WHAT)] = 0,
    convention: Preset = "bandscope",
    domain: Domain = None,
    keep_mean: KeepMean = None,
    clip: Clip = None,
    weights: Weights = None,
    input_size: InputSize = None,
    crop_pct: CropPct = None,
    mean: Mean = None,
    std: Std = None,
    interpolation: Interpolation = None,
    labels: Labels = None,
    match: Match = "auto",
    by: Annotated[
        str | None,
        typer.Option(
            help="Rows of the figures: class, imagenet (everyday groups), or a CSV of class,group.",
            metavar="GROUPS",
            rich_help_panel=WHERE,
            show_default="class, or imagenet where classes are small",
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="Folder for figures and tables.", rich_help_panel=WHERE, show_default="MODEL-DATA-figures"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start again where the store exists.", rich_help_panel=WHERE)
    ] = False,
    extend: Annotated[
        bool, typer.Option("--extend", help="Add new radii, bands or zooms to the store.", rich_help_panel=WHERE)
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Compute the I-th of N parts of the store; torchrun says which by itself.",
            metavar="I/N",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what it would cost, from timings on this machine.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first image that fails.", rich_help_panel=WHERE)
    ] = False,
    batch_size: Annotated[
        str | None,
        typer.Option(
            help="Images a forward pass, or auto.", metavar="N|auto", rich_help_panel=MACHINE, show_default="32"
        ),
    ] = None,
    threads: Threads = None,
    workers: Workers = 4,
    device: Device = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="Of the classifier; auto: bf16 where that is faster and gives the same answers.",
            rich_help_panel=MACHINE,
            show_default="fp32",
        ),
    ] = None,
    backend: Annotated[
        Backend | None,
        typer.Option(
            help="What runs the classifier; auto: the one that finishes first, checked for the same answers.",
            rich_help_panel=MACHINE,
            show_default="eager",
        ),
    ] = None,
) -> None:
    """Measure how a classifier's answers change as spatial frequencies are taken away.

    [bold]bandscope audit[/] alone audits the embedded model on the embedded images, in about a minute.
    A run can be stopped or killed at any moment: the same command goes on where it stopped.
    """
    model, data = _model_and_data(model, data)
    from bandscope.cli import audit as command

    options = command.Options(
        model=model,
        data=data,
        also=also or (),
        weights=weights,
        store=store,
        figures=figures,
        by=by,
        probes=probes,
        radii=radii,
        adaptive=adaptive,
        bands=bands,
        unit=unit,
        zoom=zoom,
        object_size=object_size,
        boxes=boxes,
        outside=outside,
        convention=convention,
        convention_changes={"domain": domain, "keep_mean": keep_mean, "clip": clip},
        preprocess_changes={
            "input_size": input_size,
            "crop_pct": crop_pct,
            "mean": mean,
            "std": std,
            "interpolation": interpolation,
        },
        dry_run=dry_run,
        settings={
            "labels": labels,
            "match": match,
            "limit": limit,
            "per_class": per_class,
            "seed": seed,
            "overwrite": overwrite,
            "extend": extend,
            "strict": strict,
            "shard": shard,
            "batch_size": batch_size,
            "threads": threads,
            "workers": workers,
            "device": device,
            "precision": precision.value if precision else None,
            "backend": backend.value if backend else None,
        },
    )
    try:
        command.run(options, out)
    except KeyboardInterrupt:
        again = "the same command without --overwrite" if overwrite else "the same command again"
        err.print(f"\nStopped. Finished blocks are stored: run {again} to go on.")
        raise typer.Exit(INTERRUPTED) from None


def _model_and_data(model: str | None, data: str | None) -> tuple[str, str]:
    if data is None and model not in (None, "planted"):
        raise InputError(
            f"Only {model!r} was given: audit takes MODEL and DATA, such as `bandscope audit {model} folder:images`, "
            "or neither for the embedded ones."
        )
    return "planted" if model is None else model, "planted" if data is None else data
