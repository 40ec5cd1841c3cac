"""Files that are there whole or not at all."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bandscope.errors import BandscopeError, InputError, StoreError

if TYPE_CHECKING:
    import pandas as pd

DRAFT = ".draft-"  # how the names of half-written files begin


def check_file(path: Path, what: str = "") -> None:
    """Refuse, before any work, a path that no file can be written to.

    Args:
        path: of the file.
        what: how it was asked for, such as "--csv", for the message.

    Raises:
        InputError: its folder does not exist, or it is a folder itself.
    """
    asked = f"{what} {path}".strip()
    if not path.parent.is_dir():
        raise InputError(f"{asked}: the folder {path.parent} does not exist.")
    if path.is_dir():
        raise InputError(f"{asked} is a folder; give a file.")


def write_text(path: Path, text: str, what: str = "") -> None:
    """Write a text in UTF-8; see `write_whole`."""
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"), what)


def write_csv(path: Path, table: "pd.DataFrame", what: str = "") -> None:
    """Write a table as CSV; see `write_whole`."""
    write_whole(path, lambda draft: table.to_csv(draft, index=False), what)


def write_bytes(path: Path, content: bytes, what: str = "", error: type[BandscopeError] = StoreError) -> None:
    """Write bytes; see `write_whole`."""
    write_whole(path, lambda draft: draft.write_bytes(content), what, error)


def write_whole(
    path: Path, write: Callable[[Path], object], what: str = "", error: type[BandscopeError] = StoreError
) -> None:
    """Write a file through a draft; what exists and is no file, such as /dev/stdout, is written to as it is.

    Args:
        path: the file, replaced once the draft is whole.
        write: called with the draft's path, which ends as the file's own.
        what: how the file was asked for, such as "--csv", for the message.
        error: raised where it cannot be written.

    Raises:
        BandscopeError: of the kind `error`, where the file cannot be written.
    """
    special = path.exists() and not path.is_file()
    draft = path if special else path.with_name(f"{DRAFT}{os.getpid()}-{path.name}")
    try:
        write(draft)
        if not special:
            draft.replace(path)
    except OSError as failure:
        raise error(f"{f'{what} {path}'.strip()} cannot be written: {failure.strerror or failure}.") from failure
    finally:
        if not special:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
