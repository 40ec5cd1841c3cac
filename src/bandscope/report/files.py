"""Files that are there whole or not at all."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bandscope.errors import StoreError


def write_text(path: Path, text: str, what: str = "") -> None:
    """Write a text in UTF-8; see `write_whole`."""
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"), what)


def write_csv(path: Path, table: pd.DataFrame, what: str = "") -> None:
    """Write a table as CSV; see `write_whole`."""
    write_whole(path, lambda draft: table.to_csv(draft, index=False), what)


def write_whole(path: Path, write: Callable[[Path], object], what: str) -> None:
    """Write a file through a draft; what exists and is no file, such as /dev/stdout, is written to as it is.

    Args:
        path: the file, replaced once the draft is whole.
        write: called with the draft's path.
        what: how the file was asked for, such as "--csv", for the message.

    Raises:
        StoreError: it cannot be written.
    """
    special = path.exists() and not path.is_file()
    draft = path if special else path.with_name(f".{path.name}.draft")
    try:
        write(draft)
        if not special:
            draft.replace(path)
    except OSError as error:
        if not special:
            draft.unlink(missing_ok=True)
        raise StoreError(f"{f'{what} {path}'.strip()} cannot be written: {error.strerror or error}.") from error
