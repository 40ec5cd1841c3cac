"""Stores in, a file out."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bandscope.datasets import ImageSource, load_source
from bandscope.files import check_file, write_text
from bandscope.report.audit import Audit, read_audit
from bandscope.report.grouping import Asked
from bandscope.report.html.build import build
from bandscope.report.html.render import render
from bandscope.report.stores import Stores, opened
from bandscope.reprs import Facts


@dataclass(frozen=True, repr=False)
class Written(Facts):
    """A report on disk.

    Attributes:
        path: of the file.
        size: of the file, in bytes.
        notes: what a reader would miss in it, and why, a sentence each.
    """

    path: Path
    size: int
    notes: tuple[str, ...]

    def _told(self) -> dict[str, str]:
        told = {"file": str(self.path), "size": f"{self.size / 1e6:.1f} MB"}
        return told | ({"notes": " ".join(self.notes)} if self.notes else {})


def write_report(
    stores: Stores,
    path: str | os.PathLike[str],
    *,
    by: Asked = None,
    source: str | ImageSource | None = None,
) -> Written:
    """Write the report of one or more audits as one self-contained HTML file, which opens from disk.

    Args:
        stores: an audit, as a cube or as the path or URL of its store; or several, in a list or by names of your own.
            Others are compared with the first. Without names of your own, stores are called after their files and
            cubes after their models.
        path: of the file; a file that is there is replaced.
        by: rows beside the classes: "class", "imagenet" (everyday groups), a CSV of class,group, or
            {model output index: group name}; by default classes, or ImageNet's groups where classes are small.
        source: a spec or an `ImageSource` that holds the images, if no longer the place that the stores name.

    Returns:
        Where the report is, and what is missing in it, such as pictures of images that cannot be opened again.

    Raises:
        InputError: the file cannot be written there, the groups are not possible, or what is given is no audit.
        StoreError: a store cannot be opened, is damaged, or holds no image that counts; the disk is full.
        DataError: `source` cannot be opened.
    """
    file = Path(path)
    check_file(file)
    images = None if source is None else load_source(source)
    with opened(stores) as cubes:
        return write_page([read_audit(name, cube, by) for name, cube in cubes.items()], file, images=images)


def write_page(audits: Sequence[Audit], path: Path, *, images: ImageSource | None = None) -> Written:
    """`write_report` of audits whose tables may have been computed already."""
    page = build(audits, images)
    text = render(page)
    write_text(path, text)
    return Written(path, len(text.encode()), page.notes)
