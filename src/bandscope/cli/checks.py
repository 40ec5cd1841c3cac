"""What a command looks at before it works: folders that cannot be written, images not computed yet."""

import os
from pathlib import Path

import numpy as np
import xarray as xr

from bandscope.errors import InputError


def check_folder(folder: Path, what: str = "figures") -> None:
    """Refuse, before any work, a folder of figures (or of `what`) that can never be written.

    Raises:
        InputError: saying what is in the way.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise InputError(f"The {what} folder {folder} cannot be made: {there} is not a folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"The {what} folder {folder} cannot be made: {there} is not writable.")


def uncomputed(cube: xr.DataTree) -> int:
    """How many images the audit has not reached yet."""
    return int(np.sum(cube.dataset["status"].values == ""))
