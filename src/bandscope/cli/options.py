"""Options that several commands take, each with its words and its place in the help."""

from pathlib import Path
from typing import Annotated

import typer

from bandscope.cli.terminal import HOW, MACHINE, WHAT

Preset = Annotated[str, typer.Option(help="Preset: bandscope, zhang2023 or gavrikov2024.", rich_help_panel=WHAT)]
Domain = Annotated[
    str | None,
    typer.Option(
        help="Filter the normalised tensor or the pixel values.", rich_help_panel=WHAT, show_default="normalised"
    ),
]
KeepMean = Annotated[
    bool | None,
    typer.Option("--keep-mean/--drop-mean", help="Keep the image's mean in every filter.", rich_help_panel=WHAT),
]
Clip = Annotated[
    bool | None,
    typer.Option("--clip/--no-clip", help="Clip filtered images to the pixel range.", rich_help_panel=WHAT),
]

Weights = Annotated[Path | None, typer.Option(help="Weights file in place of the model's own.", rich_help_panel=HOW)]
InputSize = Annotated[
    str | None, typer.Option(help="Crop: 224 or 224x320 (H x W).", metavar="SIZE", rich_help_panel=HOW)
]
CropPct = Annotated[
    float | None, typer.Option(help="Crop side over resized short side, as in timm.", rich_help_panel=HOW)
]
Mean = Annotated[str | None, typer.Option(help="Of pixels in [0, 1]: m or r,g,b.", rich_help_panel=HOW)]
Std = Annotated[str | None, typer.Option(help="Of pixels in [0, 1]: s or r,g,b.", rich_help_panel=HOW)]
Interpolation = Annotated[
    str | None, typer.Option(help="nearest, bilinear, bicubic or lanczos.", rich_help_panel=HOW)
]
Labels = Annotated[
    Path | None, typer.Option(help="CSV from the data's classes to the model's outputs.", rich_help_panel=HOW)
]
Match = Annotated[
    str, typer.Option(help="How data classes find outputs: auto, wnid, name or index.", rich_help_panel=HOW)
]

Threads = Annotated[int | None, typer.Option(help="CPU threads of the classifier.", rich_help_panel=MACHINE)]
Workers = Annotated[int, typer.Option(help="Threads that decode images.", rich_help_panel=MACHINE)]
Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda, cuda:1, ...", rich_help_panel=MACHINE, show_default="cuda where there is one"),
]
