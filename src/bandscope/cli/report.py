"""`bandscope report`: stores in, one self-contained HTML file out."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bandscope.cube.place import place_of
from bandscope.report.audit import Audit
from bandscope.report.html import Written, write_page, write_report

LARGE = 15_000_000  # bytes: beyond it mail refuses a file, and browsers take long
FILE = "report.html"


def run(stores: Sequence[str], out: Path | None, *, by: str | None, source: str | None, console: Console) -> None:
    """Write the report of one or more stores, and say where it is and what is missing in it."""
    path = out or Path(f"{place_of(stores[0]).stem}.html" if len(stores) == 1 else FILE)
    with console.status("Tables, pictures and the page ..."):
        written = write_report(stores, path, by=by, source=source)
    _tell(written, console)


def after_audit(audit: Audit, figures: Path, console: Console) -> None:
    """The report of an audit that has just ended, beside its figures."""
    with console.status("The report ..."):
        written = write_page([audit], figures / FILE)
    _tell(written, console)


def _tell(written: Written, console: Console) -> None:
    for note in written.notes:
        console.print(Text(f"{note} Say where they are now: bandscope report STORE --source folder:DIR.", "yellow"))
    if written.size > LARGE:
        console.print(Text("The file is large: give fewer stores, or groups with --by.", "yellow"))
    console.print(f"Report {written.path} ({written.size / 1e6:.1f} MB): open it in a browser", markup=False)
