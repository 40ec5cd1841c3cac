"""What a command refuses: folders that cannot be written, stores that are damaged or empty."""

import os
from pathlib import Path

import numpy as np
import xarray as xr

from bandscope.cube import status_ok
from bandscope.cube.place import Place
from bandscope.cube.store import Store
from bandscope.cube.verify import misdescribed
from bandscope.errors import InputError, StoreError


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


def check_whole(place: Place) -> None:
    """Refuse a store whose files are no longer what the audit wrote.

    Raises:
        StoreError: saying how to repair it.
    """
    if found := misdescribed(place):
        raise StoreError(f"{place} is damaged: {found[0].where}: {found[0].what}. See bandscope verify {place}")
    store = Store(place, read_only=True)
    if damaged := store.damaged():
        raise StoreError(
            f"{place} is damaged: files of {len(damaged)} of its {len(store.blocks)} blocks are lost or have "
            "changed. Run the audit that made it again: it computes those blocks anew."
        )


def check_images(cube: xr.DataTree, place: Place) -> None:
    """Refuse a store without a single image that counts: nothing could be said of it.

    Raises:
        StoreError: with the first image's reason.
    """
    if not status_ok(cube).any():
        status, source = cube.dataset["status"].values[0], cube.dataset["source"].values[0]
        reason = status or "not computed yet (run the audit again)"
        raise StoreError(
            f"No image of {place} counts, so there is nothing to show: the first, {source}, is {reason}."
        )


def uncomputed(cube: xr.DataTree) -> int:
    """How many images the audit has not reached yet."""
    return int(np.sum(cube.dataset["status"].values == ""))
