"""Cubes in, a file out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from bandscope.datasets import ImageSource
from bandscope.files import write_text
from bandscope.report.audit import Audit, read_audit
from bandscope.report.html.build import build
from bandscope.report.html.render import render


@dataclass(frozen=True)
class Written:
    """A report on disk: where, how large in bytes, and what its maker must know."""

    path: Path
    size: int
    notes: tuple[str, ...]


def write_report(
    cubes: Mapping[str, xr.DataTree],
    path: Path,
    *,
    by: str | None = None,
    images: ImageSource | None = None,
) -> Written:
    """Write the report of one or more audits as one self-contained HTML file.

    Args:
        cubes: audits by name; the first is what others are compared with.
        path: of the file; a file that is there is replaced.
        by: groups for the explorer: "class", "imagenet", or a CSV of class,group; by default classes, or ImageNet's
            everyday groups where classes are small.
        images: the audited images, if no longer where the cubes say that they are.

    Raises:
        InputError: the groups are not possible. StoreError: the file cannot be written.
    """
    return write_page([read_audit(name, cube, by) for name, cube in cubes.items()], path, images=images)


def write_page(audits: Sequence[Audit], path: Path, *, images: ImageSource | None = None) -> Written:
    """`write_report` of audits whose tables may have been computed already."""
    page = build(audits, images)
    text = render(page)
    write_text(path, text, "--out")
    return Written(path, len(text.encode()), page.notes)
