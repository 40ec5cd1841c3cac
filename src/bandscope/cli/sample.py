"""`bandscope sample`: one image up close, or the images that are worth it."""

import math
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bandscope import analysis, cube
from bandscope.analysis.sample import image_position
from bandscope.analysis.telling import RANKED_BY
from bandscope.analysis.zoom import scale_axis, scale_values
from bandscope.cli.checks import check_folder, uncomputed
from bandscope.cli.parsing import parse_radii
from bandscope.cube.place import Place, place_of
from bandscope.datasets import ImageSource, load_source
from bandscope.datasets.names import listed
from bandscope.errors import DataError, InputError
from bandscope.probes import number
from bandscope.report.figures import save
from bandscope.report.grouping import grouping
from bandscope.report.sample import Sample, ZoomChoice, sample_sheet
from bandscope.report.stores import check_images, check_whole
from bandscope.report.thumbnails import audited_images

COUNT = 10
MOST_TAKEOVERS = 3  # of one row
FORMATS = ("png", "pdf", "svg")
HINT = "Say where the images are with --source SPEC, such as folder:DIR."
MEANING = {
    "takeover": "Mass: the usurper's probability, summed over octaves of radius.",
    "late": "Onset: the radius in cycles/image from which the label stays on top as frequencies come in.",
    "nonmonotone": "Fall: how far the label's probability falls while frequencies come in.",
    "shifted": "Octaves: how far r50 moves between two zooms; below 0 where it falls as the zoom rises.",
}


@dataclass(frozen=True)
class Options:
    """The command's options; None where one was not given."""

    image: str | None
    most: str | None
    count: int | None
    probe: str
    radii: str
    source: str | None
    by: str | None
    zoom: str
    out: Path | None
    figures: Path | None


def run(where: str, options: Options, console: Console) -> None:
    """Draw one image, or rank them all; print what there is to see."""
    _check(options)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # on single images
    store = place_of(where)
    with cube.open(store) as tree:
        check_whole(store)
        check_images(tree, store)
        if missing := uncomputed(tree):
            _warn(console, f"{missing} of {tree.sizes['image']} images are not computed yet: run the audit again.")
        if options.image is None:
            _rank(tree, options, console)
        else:
            _draw(tree, store, options, console)


def _check(options: Options) -> None:
    """Refuse options that do not go together."""
    if (options.image is None) == (options.most is None):
        raise InputError(f"Give either an IMAGE_ID or --most with one of {', '.join(RANKED_BY)}.")
    if options.image is not None and (options.count is not None or options.figures is not None):
        raise InputError("--count and --figures go with --most; the figure of one image goes to --out.")
    if options.most is not None and options.out is not None:
        raise InputError("--out is for one image; with --most give --figures DIR.")
    if options.most == "shifted" and options.zoom != "all":
        raise InputError("--most shifted compares the zooms of the store and takes no --zoom.")
    if folder := options.figures or (options.out and options.out.absolute().parent):
        check_folder(folder)


def _draw(tree: xr.DataTree, store: Place, options: Options, console: Console) -> None:
    position = _position(tree, str(options.image))
    sheet = sample_sheet(tree, position, **_settings(tree, options))
    sample = sheet.samples[0]
    given = options.out or store.outputs / _file_name(store.stem, sample.source, options)
    suffix = given.suffix.removeprefix(".")
    base, formats = (given.with_suffix(""), (suffix,)) if suffix in FORMATS else (given, FORMATS[:2])
    base.parent.mkdir(parents=True, exist_ok=True)
    paths = save(sheet.figure, base, formats)
    console.print(Text.assemble((sample.label, "bold"), f"  image {position}, {sample.source}"))
    console.print(_story(sheet.samples))
    if sheet.missing:
        _warn(console, f"{sheet.missing} {HINT}")
    console.print(f"Figure in {' and '.join(map(str, paths))}", markup=False)


def _rank(tree: xr.DataTree, options: Options, console: Console) -> None:
    kind, settings = str(options.most), _settings(tree, options)
    count = COUNT if options.count is None else options.count
    table = analysis.telling(_looked_at(tree, kind, settings["zoom"]), kind, count, settings["probe"])
    console.print(_ranking(table, kind) if len(table) else f"No image shows this under {settings['probe']}.")
    console.print(Text(MEANING[kind], "dim"))
    if options.figures is not None and len(table):
        options.figures.mkdir(parents=True, exist_ok=True)
        with console.status("Figures ..."):
            missing = [*_figures(tree, table, options.figures, settings)]
        if reasons := [reason for reason in missing if reason]:
            _warn(console, f"{len(reasons)} of {len(missing)} figures are without images. {reasons[0]} {HINT}")
        console.print(f"Figures in {options.figures}{os.sep}", markup=False)


def _looked_at(tree: xr.DataTree, kind: str, zoom: ZoomChoice) -> xr.DataTree:
    """The cube that images are ranked by: at the zoom asked for, else at zoom 1; all zooms for shifts."""
    axis = scale_axis(tree)
    if zoom == "all" and kind != "shifted" and axis and 1 not in (values := scale_values(tree, axis)):
        held = ", ".join(f"{value:g}" for value in values)
        raise InputError(f"--most {kind} looks at one {axis.replace('_', ' ')}: choose with --zoom, of {held}.")
    return tree if zoom == "all" else analysis.at_zoom(tree, zoom)


def _figures(tree: xr.DataTree, table: pd.DataFrame, folder: Path, settings: dict[str, Any]) -> Iterator[str]:
    """Draw each image, its rank first in the file's name; gives why the image is missing, or an empty string."""
    for rank, row in enumerate(table.itertuples(), start=1):
        sheet = sample_sheet(tree, str(row.source), **settings)
        save(sheet.figure, folder / f"{rank:0{len(str(len(table)))}d}-{_slug(str(row.source))}")
        yield sheet.missing


def _settings(tree: xr.DataTree, options: Options) -> dict[str, Any]:
    """The arguments of `sample_sheet` that all images share."""
    return {
        "source": _images(tree, options.source),
        "probe": options.probe.replace("-", "_"),
        "radii": _radii(options.radii),
        "by": grouping(tree, options.by).by,
        "zoom": "all" if options.zoom == "all" else number(options.zoom, "zoom"),
    }


def _images(tree: xr.DataTree, source: str | None) -> ImageSource | None:
    """The images, opened once for all figures; None where the store does not tell where: each figure says so."""
    if source is not None:
        return load_source(source)
    try:
        return audited_images(tree)
    except DataError:
        return None


def _radii(text: str) -> tuple[float, ...] | None:
    """Radii of the filtered images; the last may be "clean"."""
    finite, _, last = text.rpartition(",")
    if last.strip() != "clean":
        return parse_radii(text)
    return (*((parse_radii(finite) or ()) if finite else ()), math.inf)


def _position(tree: xr.DataTree, image: str) -> int:
    """An image by its source path, by its position, or by the end of its path where no other ends so."""
    sources = [str(source) for source in tree.dataset["source"].values]
    if image in sources or not image:
        return image_position(tree, image)
    if image.isdecimal():
        return image_position(tree, int(image))
    ends = [source for source in sources if source.endswith(image)]
    found = [source for source in ends if source.endswith(f"/{image}")] or ends
    if len(found) > 1:
        raise InputError(
            f"The paths of {len(found)} images end in {image!r}: {listed(found)}. Give more of the path."
        )
    return image_position(tree, found[0] if found else image)


def _file_name(store: str, source: str, options: Options) -> str:
    """The figure's name, with what was chosen in it: figures of two probes do not overwrite each other."""
    probe = "" if options.probe.replace("-", "_") == "low_pass" else options.probe.replace("_", "-")
    zoom = "" if options.zoom == "all" else f"zoom-{options.zoom}"
    return "-".join(filter(None, [store, _slug(source), probe, zoom]))


def _slug(source: str) -> str:
    """A file name from a source path."""
    stem = re.sub(r"\.(jpe?g|png|webp|bmp|tiff?|gif)$", "", source, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[-100:] or "image"


def _story(samples: Sequence[Sample]) -> Table:
    """A row a zoom: right or wrong without a filter, onset, takeovers."""
    shown = Table(header_style="bold", box=None, pad_edge=False)
    zooms = len(samples) > 1
    scale = "Zoom" if samples[0].zoom.startswith("zoom") else "Size"
    for name in [scale, "r50"] if zooms else []:
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("Clean", no_wrap=True)
    shown.add_column("Onset", justify="right", no_wrap=True)
    shown.add_column("Takeovers", overflow="fold")
    for sample in samples:
        cells = [sample.zoom.rpartition(" ")[2], _number(sample.r50)] if zooms else []
        clean = f"{'right' if sample.clean_right else 'wrong'} {sample.clean_probability:.1%}"
        shown.add_row(*cells, clean, _number(sample.onset), Text(_takeovers(sample)))
    return shown


def _takeovers(sample: Sample) -> str:
    """Radii, usurper and its mean probability, as in "8 to 13 background (60%)"; the longest first."""
    rows = sample.takeovers.head(MOST_TAKEOVERS).itertuples()
    named = [f"{_range(row)} {row.usurper} ({row.usurper_probability:.0%})" for row in rows]
    more = len(sample.takeovers) - len(named)
    return ", ".join(named + [f"{more} more"] * (more > 0)) or "none"


def _range(row: Any) -> str:
    return f"{row.from_radius:g}" if row.from_radius == row.to_radius else f"{row.from_radius:g} to {row.to_radius:g}"


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"


def _ranking(table: pd.DataFrame, kind: str) -> Table:
    shown = Table(header_style="bold", box=None, pad_edge=False)
    shown.add_column("Image", justify="right", no_wrap=True)
    shown.add_column("Label", no_wrap=True, overflow="ellipsis", max_width=30)
    shown.add_column("Clean", no_wrap=True)
    shown.add_column(RANKED_BY[kind].capitalize(), justify="right", no_wrap=True)
    shown.add_column("Shows")
    shown.add_column("Source", overflow="ellipsis")  # gives way first: the position names the image too
    for row in table.itertuples():
        shown.add_row(
            str(row.image),
            Text(str(row.label_name)),
            "right" if row.clean_right else "wrong",
            f"{getattr(row, RANKED_BY[kind]):.3g}",
            Text(_SHOWN[kind](row)),
            Text(str(row.source)),
        )
    return shown


def _at(row: Any, end: str) -> str:
    return f"{getattr(row, f'{end}_probability'):.0%} at {getattr(row, f'{end}_radius'):g}"


def _shift(row: Any) -> str:
    axis = "zoom" if hasattr(row, "from_zoom") else "object_size"
    (from_scale, to_scale), noun = (getattr(row, f"{end}_{axis}") for end in ("from", "to")), axis.replace("_", " ")
    return f"r50 {row.from_r50:.1f} at {noun} {from_scale:g}, {row.to_r50:.1f} at {to_scale:g}"


_SHOWN = {
    "takeover": lambda row: f"{_range(row)}: {row.usurper} ({row.usurper_probability:.0%})",
    "late": lambda row: f"before: {row.before}" if isinstance(row.before, str) else "from the first radius",
    "nonmonotone": lambda row: f"{_at(row, 'from')}, {_at(row, 'to')}: {row.winner}",
    "shifted": _shift,
}


def _warn(console: Console, text: str) -> None:
    console.print(Text(text, "yellow"))
