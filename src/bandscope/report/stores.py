"""Stores as reports take them: by path or as cubes, each with a name, whole and not empty."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import xarray as xr

from bandscope import cube
from bandscope.cube import status_ok
from bandscope.cube.place import Place, Where, place_of
from bandscope.cube.store import Store
from bandscope.cube.verify import misdescribed
from bandscope.errors import InputError, StoreError
from bandscope.report.words import short_spec

Audited = xr.DataTree | Where  # a cube, or where it is
Stores = Audited | Sequence[Audited] | Mapping[str, Audited]


@contextmanager
def opened(stores: Stores) -> Iterator[dict[str, xr.DataTree]]:
    """The cubes by name, each of them whole and with an image that counts; those given by place are closed again.

    Args:
        stores: one or more, by names of your own or by those of `named`.

    Raises:
        InputError: something else is given, or nothing.
        StoreError: one cannot be opened, is damaged or empty.
    """
    given = stores if isinstance(stores, Mapping) and not isinstance(stores, xr.DataTree) else _listed(stores)
    found = {name: _placed(store) for name, store in given.items()} if isinstance(given, Mapping) else named(given)
    if not found:
        raise InputError("No store is given; at least one is needed.")
    with ExitStack() as stack:
        yield {name: _checked(store, name, stack) for name, store in found.items()}


def named(stores: Sequence[Audited]) -> dict[str, xr.DataTree | Place]:
    """A short name for each: of a store its file's stem, of a cube its model; where these repeat, more of it.

    Stores of one stem get the names of their folders too; what is then still alike gets a number.
    """
    held = [_placed(store) for store in stores]
    places = [store for store in held if isinstance(store, Place)]
    folders = {place.stem: {other.around for other in places if other.stem == place.stem} for place in places}
    found: dict[str, xr.DataTree | Place] = {}
    for store in held:
        name = _name(store, folders)
        number = next(n for n in range(1, len(held) + 1) if _numbered(name, n) not in found)
        found[_numbered(name, number)] = store
    return found


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


def check_images(tree: xr.DataTree, name: object) -> None:
    """Refuse a store without a single image that counts: nothing could be said of it.

    Raises:
        StoreError: with the first image's reason.
    """
    if not status_ok(tree).any():
        status, source = tree.dataset["status"].values[0], tree.dataset["source"].values[0]
        reason = status or "not computed yet (run the audit again)"
        raise StoreError(f"No image of {name} counts, so there is nothing to show: the first, {source}, is {reason}.")


def _listed(stores: Audited | Sequence[Audited]) -> Sequence[Audited]:
    if isinstance(stores, xr.DataTree | str | os.PathLike | Place):
        return [stores]
    if not isinstance(stores, Iterable):
        raise InputError(f"Stores are given as {type(stores).__name__}; allowed: one path, URL or cube, or several.")
    return [*stores]


def _placed(store: Audited) -> xr.DataTree | Place:
    if isinstance(store, xr.DataTree):
        if "model" not in store.attrs:
            raise InputError("A DataTree is given that is no cube; bandscope.audit and bandscope.open return cubes.")
        return store
    if not isinstance(store, str | os.PathLike | Place):
        raise InputError(
            f"A store is given as {type(store).__name__}; allowed: its path or URL, or a cube (an xarray.DataTree)."
        )
    return place_of(store)


def _checked(store: xr.DataTree | Place, name: str, stack: ExitStack) -> xr.DataTree:
    if isinstance(store, xr.DataTree):
        check_images(store, name)
        return store
    tree = stack.enter_context(cube.open(store))
    check_whole(store)
    check_images(tree, store)
    return tree


def _name(store: xr.DataTree | Place, folders: Mapping[str, set[str]]) -> str:
    if isinstance(store, xr.DataTree):
        return short_spec(str(store.attrs["model"]["spec"]))
    return f"{store.around}/{store.stem}" if len(folders[store.stem]) > 1 else store.stem


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} ({number})"
