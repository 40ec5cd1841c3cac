"""`bandscope report`: stores in, one self-contained HTML file out."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bandscope import cube
from bandscope.cli.checks import check_images, check_whole
from bandscope.cli.compare import named
from bandscope.cube.place import place_of
from bandscope.datasets import load_source
from bandscope.errors import InputError
from bandscope.report.audit import Audit
from bandscope.report.html import Written, write_page, write_report

LARGE = 15_000_000  # bytes: beyond it mail refuses a file, and browsers take long
FILE = "report.html"


def run(stores: Sequence[str], out: Path | None, *, by: str | None, source: str | None, console: Console) -> None:
    """Write the report of one or more stores.

    Raises:
        InputError: the file cannot be written there, or `by` is not possible.
        StoreError, DataError: a store or `source` cannot be opened.
    """
    places = [place_of(store) for store in stores]
    path = out or Path(f"{places[0].stem}.html" if len(places) == 1 else FILE)
    _check(path)
    images = None if source is None else load_source(source)
    with ExitStack() as stack, console.status("Tables, pictures and the page ..."):
        cubes = {name: stack.enter_context(cube.open(store)) for name, store in named(places).items()}
        for store, tree in zip(places, cubes.values(), strict=True):
            check_whole(store)
            check_images(tree, store)
        written = write_report(cubes, path, by=by, images=images)
    _tell(written, console)


def after_audit(audit: Audit, figures: Path, console: Console) -> None:
    """The report of an audit that has just ended, beside its figures."""
    with console.status("The report ..."):
        written = write_page([audit], figures / FILE)
    _tell(written, console)


def _check(path: Path) -> None:
    """Refuse, before any work, what cannot be written."""
    if not path.parent.is_dir():
        raise InputError(f"--out {path}: the folder {path.parent} does not exist.")
    if path.is_dir():
        raise InputError(f"--out {path} is a folder; give a file, such as {path / FILE}.")


def _tell(written: Written, console: Console) -> None:
    for note in written.notes:
        console.print(Text(f"{note} Say where they are now: bandscope report STORE --source folder:DIR.", "yellow"))
    if written.size > LARGE:
        console.print(Text("The file is large: give fewer stores, or groups with --by.", "yellow"))
    console.print(f"Report {written.path} ({written.size / 1e6:.1f} MB): open it in a browser", markup=False)
