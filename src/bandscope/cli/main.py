"""`bandscope`: the commands. Heavy libraries are imported inside them, so that `--help` answers at once."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bandscope.cli.train import train
from bandscope.errors import BandscopeError, InputError

app = typer.Typer(
    name="bandscope",
    help="Which spatial frequencies and scales does an image classifier live on?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
# No emoji: in "python:models:apple" a spec is no fruit.
out = Console(highlight=False, soft_wrap=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)
INTERRUPTED = 130  # 128 + SIGINT, as shells count
VIOLATED = DAMAGED = 3  # 1 is an error, 2 wrong usage

WHAT, HOW, WHERE, MACHINE = "What is measured", "Preprocessing and labels", "Results", "Machine"


class Table(StrEnum):
    """The tables of `bandscope table`."""

    curves = "curves"
    bands = "bands"
    reach = "reach"
    conflicts = "conflicts"
    samples = "samples"
    takeovers = "takeovers"
    usurpers = "usurpers"
    similarity = "similarity"
    band_accuracy = "band-accuracy"
    scale_surface = "scale-surface"
    scale_points = "scale-points"
    scale_law = "scale-law"


class Most(StrEnum):
    """What makes an image worth looking at."""

    takeover = "takeover"
    late = "late"
    nonmonotone = "nonmonotone"
    shifted = "shifted"


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. An error is one sentence, an interrupt says how to go on."""
    try:
        app(arguments, prog_name="bandscope")
    except SystemExit as end:
        return int(end.code or 0)
    except BandscopeError as error:
        err.print("[bold red]Error:[/] ", end="")
        err.print(str(error), markup=False)
        return 1
    return 0


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.", is_eager=True)] = False,
) -> None:
    if version:
        from bandscope import __version__

        out.print(f"bandscope {__version__}")
        raise typer.Exit


@app.command()
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
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Store to make or to go on with.",
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
    convention: Annotated[
        str, typer.Option(help="Preset: bandscope, zhang2023 or gavrikov2024.", rich_help_panel=WHAT)
    ] = "bandscope",
    domain: Annotated[
        str | None,
        typer.Option(
            help="Filter the normalised tensor or the pixel values.", rich_help_panel=WHAT, show_default="normalised"
        ),
    ] = None,
    keep_mean: Annotated[
        bool | None,
        typer.Option("--keep-mean/--drop-mean", help="Keep the image's mean in every filter.", rich_help_panel=WHAT),
    ] = None,
    clip: Annotated[
        bool | None,
        typer.Option("--clip/--no-clip", help="Clip filtered images to the pixel range.", rich_help_panel=WHAT),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights file in place of the model's own.", rich_help_panel=HOW)
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(help="Crop: 224 or 224x320 (H x W).", metavar="SIZE", rich_help_panel=HOW)
    ] = None,
    crop_pct: Annotated[
        float | None, typer.Option(help="Crop side over resized short side, as in timm.", rich_help_panel=HOW)
    ] = None,
    mean: Annotated[str | None, typer.Option(help="Of pixels in [0, 1]: m or r,g,b.", rich_help_panel=HOW)] = None,
    std: Annotated[str | None, typer.Option(help="Of pixels in [0, 1]: s or r,g,b.", rich_help_panel=HOW)] = None,
    interpolation: Annotated[
        str | None, typer.Option(help="nearest, bilinear, bicubic or lanczos.", rich_help_panel=HOW)
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV from the data's classes to the model's outputs.", rich_help_panel=HOW)
    ] = None,
    match: Annotated[
        str, typer.Option(help="How data classes find outputs: auto, wnid, name or index.", rich_help_panel=HOW)
    ] = "auto",
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
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of the classifier.", rich_help_panel=MACHINE)
    ] = None,
    workers: Annotated[int, typer.Option(help="Threads that decode images.", rich_help_panel=MACHINE)] = 4,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda, cuda:1, ...", rich_help_panel=MACHINE, show_default="cuda where there is one"),
    ] = None,
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


@app.command()
def table(
    store: Annotated[Path, typer.Argument(help="A store made by `bandscope audit`.")],
    name: Annotated[Table, typer.Argument(help="Which table.")],
    by: Annotated[
        str | None,
        typer.Option(
            help="class, imagenet (everyday groups), a CSV of class,group, or (scale-*) image.", metavar="GROUPS"
        ),
    ] = None,
    zoom: Annotated[
        float | None,
        typer.Option(
            help="Of an audit over zooms, the one to speak of (or the object size).", metavar="Z", show_default="1"
        ),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the whole table to this file.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows to show in the terminal.")] = 40,
) -> None:
    """Print a table of a store, or write it as CSV."""
    from bandscope.cli import table as command

    command.run(store, name.value, by=by, zoom=zoom, csv=csv, rows=rows, console=out)


@app.command()
def compare(
    stores: Annotated[list[Path], typer.Argument(help="Stores of `bandscope audit`; the first is the baseline.")],
    by: Annotated[
        str | None,
        typer.Option(help="Also by class, imagenet (everyday groups), or a CSV of class,group.", metavar="GROUPS"),
    ] = None,
    zoom: Annotated[
        float | None,
        typer.Option(help="Compare audits over zooms at this one (or at this object size).", show_default="1"),
    ] = None,
    any_convention: Annotated[
        bool, typer.Option("--any-convention", help="Compare stores of different conventions.")
    ] = False,
    alpha: Annotated[float, typer.Option(help="Error of the tests over all radii of a probe.")] = 0.05,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            help='Leave with exit code 3 if a store minus the baseline meets this, such as "relative@45 < -0.02", '
            '"high_pass.accuracy@20 < -0.05", "clean < -0.01" or "r50 > 2". Any number of times.',
            metavar="CONDITION",
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write everything to this file.", rich_help_panel=WHERE)] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            help="Write every table into this folder, or the differences to this .csv.",
            metavar="FOLDER|FILE.csv",
            rich_help_panel=WHERE,
        ),
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a page to this file.", rich_help_panel=WHERE)] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder for figures.", rich_help_panel=WHERE)] = None,
) -> None:
    """Hold two or more audits against the first, on the images and radii that they share.

    Exit codes: 0; 3 where a --fail-if condition is met; 1 for an error, also where a condition cannot be decided.
    """
    from bandscope.cli import compare as command

    outputs = command.Outputs(json, csv, markdown, figures)
    violated = command.run(
        stores,
        by=by,
        zoom=zoom,
        any_convention=any_convention,
        alpha=alpha,
        fail_if=fail_if or (),
        outputs=outputs,
        console=out,
    )
    if violated:
        raise typer.Exit(VIOLATED)


@app.command()
def report(
    stores: Annotated[
        list[Path], typer.Argument(help="Stores of `bandscope audit`; others are compared with the first.")
    ],
    file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="HTML file to write.",
            show_default="STORE.html, or report.html for several stores",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Rows beside the classes: class, imagenet (everyday groups), or a CSV of class,group.",
            metavar="GROUPS",
            show_default="class, or imagenet where classes are small",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Where the images are now, such as folder:DIR.", metavar="SPEC", show_default="the stores'"
        ),
    ] = None,
) -> None:
    """Write one self-contained HTML page: curves, classes, maps, scale, filtered images, comparison, data."""
    from bandscope.cli import report as command

    command.run(stores, file, by=by, source=source, console=out)


@app.command()
def sample(
    store: Annotated[Path, typer.Argument(help="A store made by `bandscope audit`.")],
    image: Annotated[
        str | None,
        typer.Argument(metavar="[IMAGE_ID]", help="Position, source path, or the end of one.", show_default=False),
    ] = None,
    most: Annotated[
        Most | None,
        typer.Option(
            help="Rank the images instead: strongest takeover, latest onset, largest fall of the label's "
            "probability, or r50 that moves most between zooms."
        ),
    ] = None,
    count: Annotated[int | None, typer.Option(help="How many to rank.", metavar="N", show_default="10")] = None,
    probe: Annotated[str, typer.Option(help="A low-pass or high-pass probe of the store.")] = "low-pass",
    radii: Annotated[
        str, typer.Option(help="Of the filtered images: as in audit, up to 12; the last may be clean.")
    ] = "auto",
    zoom: Annotated[
        str, typer.Option(help="One zoom (or object size) of the store, or all.", metavar="Z|all")
    ] = "all",
    source: Annotated[
        str | None,
        typer.Option(
            help="Where the images are now, such as folder:DIR.", metavar="SPEC", show_default="the store's"
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Groups whose mean stands in for that of a class of one image: imagenet, or a CSV of class,group.",
            metavar="GROUPS",
            show_default="imagenet where it applies",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Figure to write: .png, .pdf, .svg; without, PNG and PDF.", show_default="STORE-IMAGE"
        ),
    ] = None,
    figures: Annotated[Path | None, typer.Option(help="With --most: folder for a figure of each.")] = None,
) -> None:
    """Draw one image filtered, over what the model says to it, or find the images worth looking at."""
    from bandscope.cli import sample as command

    options = command.Options(
        image=image,
        most=most.value if most else None,
        count=count,
        probe=probe,
        radii=radii,
        source=source,
        by=by,
        zoom=zoom,
        out=file,
        figures=figures,
    )
    command.run(store, options, out)


@app.command()
def bench(
    model: Annotated[str, typer.Argument(help="As of `bandscope audit`.")] = "planted",
    data: Annotated[
        str | None,
        typer.Argument(help="Images to decode, as of `bandscope audit`.", show_default="photographs in memory"),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights file in place of the model's own.")] = None,
    input_size: Annotated[str | None, typer.Option(help="Crop: 224 or 224x320 (H x W).", metavar="SIZE")] = None,
    crop_pct: Annotated[float | None, typer.Option(help="Crop side over resized short side, as in timm.")] = None,
    mean: Annotated[str | None, typer.Option(help="Of pixels in [0, 1]: m or r,g,b.")] = None,
    std: Annotated[str | None, typer.Option(help="Of pixels in [0, 1]: s or r,g,b.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a forward pass.", show_default="32")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the classifier.")] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, ...", show_default="cuda where there is one")
    ] = None,
) -> None:
    """Time what an audit is made of on this machine: forward passes by every backend, filters, decoding, storing."""
    from bandscope.cli import bench as command

    command.run(
        model,
        data,
        out,
        weights=weights,
        preprocess_changes={
            "input_size": input_size,
            "crop_pct": crop_pct,
            "mean": mean,
            "std": std,
            "interpolation": None,
        },
        batch_size=batch_size,
        threads=threads,
        device=device,
    )


@app.command()
def status(
    store: Annotated[Path, typer.Argument(help="A store made by `bandscope audit`, also while it is being filled.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Tell how far an audit is: blocks done, by which processes, how fast, and the time left."""
    from bandscope.cli import status as command

    command.run(store, as_json=json, console=out)


@app.command()
def verify(store: Annotated[Path, typer.Argument(help="A store made by `bandscope audit`.")]) -> None:
    """Check a store without changing it: schema, provenance, checksums, markers, and values against each other.

    Exit codes: 0 for a store that is whole or merely unfinished; 3 where it is damaged; 1 for an error.
    """
    from bandscope.cli import verify as command

    if not command.run(store, out):
        raise typer.Exit(DAMAGED)


def _model_and_data(model: str | None, data: str | None) -> tuple[str, str]:
    if data is None and model not in (None, "planted"):
        raise InputError(
            f"Only {model!r} was given: audit takes MODEL and DATA, such as `bandscope audit {model} folder:images`, "
            "or neither for the embedded ones."
        )
    return "planted" if model is None else model, "planted" if data is None else data


app.command()(train)


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(help="timm:NAME, torchvision:NAME, a .safetensors path: see audit.")],
    weights: Annotated[Path | None, typer.Option(help="Weights file in place of the model's own.")] = None,
    include: Annotated[
        list[str] | None, typer.Option(help="Look only at modules whose name matches.", metavar="GLOB")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Leave these out.", metavar="GLOB")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write one row a kernel to this file.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder for figures and tables.")] = None,
) -> None:
    """Show a network's depthwise kernels: scale, nearest Gaussian derivative, how much it explains beside chance."""
    from bandscope.cli import inspect as command

    command.run(
        model,
        weights=weights,
        include=include or (),
        exclude=exclude or (),
        csv=csv,
        figures=figures,
        console=out,
    )
