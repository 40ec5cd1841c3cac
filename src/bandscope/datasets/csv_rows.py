"""Small CSV files that people write by hand."""

import csv
import io
from pathlib import Path

from bandscope.errors import DataError

DELIMITERS = "\t;,"  # the first of them that the first line holds; names hold commas, rarely semicolons, never tabs


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every row that is not empty.

    Raises:
        DataError: the file cannot be read, or a row has fewer than two cells.
    """
    text = _text(path)
    first = text.partition("\n")[0]
    delimiter = next((mark for mark in DELIMITERS if mark in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise DataError(f"Line {reader.line_num} of the CSV {str(path)!r} cannot be read: {error}.") from error
    rows = [(line, cells) for line, cells in rows if any(cells)]
    if short := [line for line, cells in rows if len(cells) < 2]:
        raise DataError(f"Line {short[0]} of {str(path)!r} has one column; expected two, such as `tench,0`.")
    return rows


def _text(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The CSV {str(path)!r} cannot be read: {error}.") from error
