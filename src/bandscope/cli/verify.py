"""`bandscope verify`: is a store whole, and if not, what of it is affected and how it is repaired."""

import json
import shlex
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bandscope.cube.place import METADATA, Place, growing, place_of
from bandscope.cube.verify import Finding, Severity, verify

COLOURS: dict[Severity, str] = {"damaged": "bold red", "unfinished": "yellow", "note": "dim"}
SHOWN = 20  # findings of each severity
WITHOUT = ("--out", "-o", "--shard")  # options whose value is dropped from the command


def run(where: str, console: Console) -> bool:
    """Print what was found and what to do; returns whether the store is free of damage."""
    place = place_of(where)
    with console.status("Reading every block ..."):
        findings = verify(place)
    if findings:
        console.print(_table(findings))
    for line in _conclusion(place, findings):
        console.print(line, soft_wrap=True)
    return not any(finding.severity == "damaged" for finding in findings)


def _table(findings: Sequence[Finding]) -> Table:
    shown = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("Finding", "Where", "What"):
        shown.add_column(name, overflow="fold")
    shown.add_column("Images", justify="right", no_wrap=True)
    for severity, colour in COLOURS.items():
        several = [finding for finding in findings if finding.severity == severity]
        for finding in several[:SHOWN]:
            shown.add_row(Text(severity, colour), Text(finding.where), Text(finding.what), _span(finding.images))
        if len(several) > SHOWN:
            shown.add_row("", Text(f"and {len(several) - SHOWN:,} more", "dim"))
    return shown


def _span(images: range | None) -> str:
    if images is None:
        return ""
    return f"{images[0]}" if len(images) == 1 else f"{images[0]} to {images[-1]}"


def _conclusion(place: Place, findings: Sequence[Finding]) -> Iterator[Text]:
    """What the findings come to, and how to go on."""
    remedies = {finding.remedy for finding in findings if finding.severity == "damaged"}
    waiting = _images(findings, "unfinished")
    if not remedies and not waiting:
        yield Text(f"{place} is whole.", "green")
        return
    if "overwrite" in remedies:
        yield Text(
            f"{place} is damaged in labels, settings or array headers: start again with --overwrite.", "bold red"
        )
        return
    if remedies:
        yield Text(f"{place} is damaged: {_images(findings, 'damaged'):,} images are affected.", "bold red")
    if "unmark" in remedies:
        yield Text("Delete the markers (.blocks/NUMBER.json) of blocks whose values are wrong: the audit keeps them.")
    if waiting:
        yield Text(f"{place} is unfinished: {waiting:,} images are not computed yet.", "yellow")
    which = {(True, True): "the damaged and the missing", (True, False): "the damaged", (False, True): "the missing"}
    yield Text(f"The same audit command computes exactly {which[bool(remedies), bool(waiting)]} blocks:")
    yield Text(f"  {_command(place)}", "bold")


def _images(findings: Sequence[Finding], severity: Severity) -> int:
    return len({i for finding in findings if finding.severity == severity for i in finding.images or ()})


def _command(place: Place) -> str:
    """The command that made the store, for the place where it is now and for all of it, without beginning anew."""
    words = shlex.split(json.loads(place.read(METADATA))["attributes"]["command"])
    if words[:2] != ["bandscope", "audit"]:  # a script of the user's own
        return shlex.join(words)
    kept = iter(word for word in words if word != "--overwrite" and not word.startswith(("--out=", "--shard=")))
    rest = [word for word in kept if word not in WITHOUT or next(kept, None) is None]
    return shlex.join([*rest, "--out", str(_asked(place))])


def _asked(place: Place) -> Place:
    """What `--out` must name: of an extension that still grows, the store that is extended."""
    name = place.resolved().name
    extended = place.beside(name.removeprefix(".").removesuffix(".extending"))
    return extended if growing(extended).name == name else place
