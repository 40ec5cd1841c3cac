"""`bandscope`: the commands. Heavy libraries are imported inside them, so that `--help` answers at once."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bandscope.cli.audit_command import audit
from bandscope.cli.lens_command import lens
from bandscope.cli.options import CropPct, Device, InputSize, Mean, Std, Threads, Weights
from bandscope.cli.terminal import STATISTICS, WHERE, err, out
from bandscope.cli.train import train
from bandscope.errors import BandscopeError

app = typer.Typer(
    name="bandscope",
    help="Which spatial frequencies and scales does an image classifier live on?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
VIOLATED = DAMAGED = 3  # 1 is an error, 2 wrong usage


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. An error is one sentence, an interrupt says how to go on."""
    try:
        app(arguments, prog_name="bandscope")
    except SystemExit as end:
        return int(end.code or 0)
    except BandscopeError as error:
        err.print(Text.assemble(("Error:", "bold red"), f" {error}"))
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


app.command()(audit)


@app.command()
def table(
    store: Annotated[str, typer.Argument(help="A store made by `bandscope audit`.")],
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
    stores: Annotated[list[str], typer.Argument(help="Stores of `bandscope audit`; the first is the baseline.")],
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
    alpha: Annotated[
        float, typer.Option(help="Error of the tests over all radii of a probe.", rich_help_panel=STATISTICS)
    ] = 0.05,
    confidence: Annotated[float, typer.Option(help="Of every interval.", rich_help_panel=STATISTICS)] = 0.95,
    resamples: Annotated[
        int, typer.Option(help="Of the paired bootstrap over images.", rich_help_panel=STATISTICS)
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.", rich_help_panel=STATISTICS)] = 0,
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
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        fail_if=fail_if or (),
        outputs=outputs,
        console=out,
    )
    if violated:
        raise typer.Exit(VIOLATED)


@app.command()
def report(
    stores: Annotated[
        list[str], typer.Argument(help="Stores of `bandscope audit`; others are compared with the first.")
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
    store: Annotated[str, typer.Argument(help="A store made by `bandscope audit`.")],
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


app.command()(lens)


@app.command()
def bench(
    model: Annotated[str, typer.Argument(help="As of `bandscope audit`.")] = "planted",
    data: Annotated[
        str | None,
        typer.Argument(help="Images to decode, as of `bandscope audit`.", show_default="photographs in memory"),
    ] = None,
    weights: Weights = None,
    input_size: InputSize = None,
    crop_pct: CropPct = None,
    mean: Mean = None,
    std: Std = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a forward pass.", show_default="32")] = None,
    threads: Threads = None,
    device: Device = None,
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
    store: Annotated[str, typer.Argument(help="A store made by `bandscope audit`, also while it is being filled.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Tell how far an audit is: blocks done, by which processes, how fast, and the time left."""
    from bandscope.cli import status as command

    command.run(store, as_json=json, console=out)


@app.command()
def verify(store: Annotated[str, typer.Argument(help="A store made by `bandscope audit`.")]) -> None:
    """Check a store without changing it: schema, provenance, checksums, markers, and values against each other.

    Exit codes: 0 for a store that is whole or merely unfinished; 3 where it is damaged; 1 for an error.
    """
    from bandscope.cli import verify as command

    if not command.run(store, out):
        raise typer.Exit(DAMAGED)


app.command()(train)


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(help="timm:NAME, torchvision:NAME, a .safetensors path: see audit.")],
    weights: Weights = None,
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
