"""The options of `bandscope lens`; what is done with them stands in `bandscope.cli.lens`."""

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
)
from bandscope.cli.terminal import out

START, PAGE = "What it opens with", "The page"


def lens(
    model: Annotated[str, typer.Argument(help="As of `bandscope audit`.")] = "planted",
    data: Annotated[
        str | None,
        typer.Argument(
            help="Images to choose from, as of `bandscope audit`.",
            show_default="planted of the embedded model, else none: drop your own",
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            help="Position or path in DATA, or an image file.",
            metavar="IMAGE",
            rich_help_panel=START,
            show_default="the first one",
        ),
    ] = None,
    low_pass: Annotated[
        float | None, typer.Option(help="Radius in cycles/image.", metavar="R", rich_help_panel=START)
    ] = None,
    high_pass: Annotated[
        float | None, typer.Option(help="Radius in cycles/image.", metavar="R", rich_help_panel=START)
    ] = None,
    band_pass: Annotated[
        str | None,
        typer.Option(help="Band in cycles/image, such as 8-16.", metavar="LOW-HIGH", rich_help_panel=START),
    ] = None,
    band_stop: Annotated[
        str | None,
        typer.Option(help="Band in cycles/image, such as 8-16.", metavar="LOW-HIGH", rich_help_panel=START),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(
            help="Edge of a low-pass or high-pass: ideal, gaussian or butterworth.",
            rich_help_panel=START,
            show_default="ideal",
        ),
    ] = None,
    zoom: Annotated[
        float | None, typer.Option(help="0.25 to 4.", metavar="Z", rich_help_panel=START, show_default="1")
    ] = None,
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
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.", rich_help_panel=PAGE)
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, rich_help_panel=PAGE, show_default="the first free one from 7860 on"),
    ] = None,
    share: Annotated[
        bool, typer.Option("--share", help="Also a public address, through Gradio's servers.", rich_help_panel=PAGE)
    ] = False,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.", rich_help_panel=PAGE)
    ] = True,
    threads: Threads = None,
    device: Device = None,
) -> None:
    r"""Look at one image through any filter, in the browser: picture, spectrum, top 5, and probability over radius.

    Serves this machine alone unless told otherwise. Needs pip install 'bandscope\[lens]'.
    """
    from bandscope.cli import lens as command

    options = command.Options(
        model=model,
        data=data,
        image=image,
        start={
            "low_pass": low_pass,
            "high_pass": high_pass,
            "band_pass": band_pass,
            "band_stop": band_stop,
            "family": family,
            "zoom": zoom,
        },
        convention=convention,
        convention_changes={"domain": domain, "keep_mean": keep_mean, "clip": clip},
        preprocess_changes={
            "input_size": input_size,
            "crop_pct": crop_pct,
            "mean": mean,
            "std": std,
            "interpolation": interpolation,
        },
        settings={"weights": weights, "labels": labels, "match": match, "threads": threads, "device": device},
        host=host,
        port=port,
        share=share,
        browser=browser,
    )
    command.run(options, out)
