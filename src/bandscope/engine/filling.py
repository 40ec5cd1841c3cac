"""The store of a subject: begun, gone on with, extended; refused where it holds something else."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray as xr

from bandscope import cube
from bandscope.cube.lock import beginning, recover, writing
from bandscope.cube.place import Folder, Place, Where, clear_errors, growing, place_of
from bandscope.cube.store import Store, is_store
from bandscope.engine import run as engine
from bandscope.engine.choice import choose
from bandscope.engine.conditions import Condition, Layout, missing_conditions
from bandscope.engine.job import Job
from bandscope.engine.pilot import chosen_radii
from bandscope.engine.plan import Plan, adopt_plan, resolve_plan
from bandscope.engine.scales import Scales
from bandscope.engine.subject import Subject, differences, same_pilot
from bandscope.errors import StoreError
from bandscope.probes import ResolvedProbe, merged


def store_place(out: Where, options: Mapping[str, Any] | None = None, *, overwrite: bool) -> Place:
    """Where the store is, or will be; what a kill has left unfinished there is finished.

    Raises:
        StoreError: no name for a store, or none that can be written; or, to be overwritten, what is no store or is
            being written.
    """
    place = place_of(out, options)
    if not place.name:  # "", "." or "/"
        raise StoreError(f"{place} is a folder, not a store; give --out a name of its own, such as audit.zarr.")
    place = place.target()
    with clear_errors(place):
        recover(place)
        if overwrite and place.exists():
            if not is_store(place):
                raise StoreError(
                    f"{place} exists and is not a bandscope store; it was left alone. Choose another --out."
                )
            with writing(place, shared=False):  # not while another run is at it
                pass
    return place


def in_memory(subject: Subject, settings: engine.Settings) -> xr.DataTree:
    """The cube of a subject that keeps no store."""
    with tempfile.TemporaryDirectory(prefix="bandscope-") as folder:
        place = Folder(Path(folder) / "cube.zarr")
        fill(subject, place, settings, overwrite=False, extend=False)
        with cube.open(place) as opened:
            return opened.load()


def fill(subject: Subject, place: Place, settings: engine.Settings, *, overwrite: bool, extend: bool) -> None:
    """Measure what the store at `place` lacks of a subject; without a store there, or with `overwrite`, all of it.

    Raises:
        StoreError: it holds something else, or, without `extend`, other conditions; nothing was changed.
    """
    if extend and not _vacant(place):
        _extend(subject, place, settings)
        return
    job, store = ready(subject, place, settings, overwrite=overwrite)
    with writing(place, shared=not settings.share.alone):
        engine.run([(job, store)], settings)


def ready(subject: Subject, place: Place, settings: engine.Settings, *, overwrite: bool) -> tuple[Job, Store]:
    """The job of a subject and its store, made now or found to hold the same.

    Raises:
        StoreError: it holds something else, or other conditions.
    """
    with beginning(place):
        made = _made(subject, place, overwrite, settings) if overwrite or _vacant(place) else None
    if made:
        with clear_errors(place):
            growing(place).discard()
        return made
    store = same_store(subject, place)
    plan = adopt_plan(subject.request, store.attributes["plan"], len(subject.source), subject.classifier)
    subject = _piloted(subject, plan, store, False, settings)
    stored, union = _layouts(subject, store)
    if missing := missing_conditions(stored, union):
        raise StoreError(
            f"{place} holds other conditions: {_listed(union, missing)} are new. Add them with --extend, start again "
            "with --overwrite, or choose another --out."
        )
    return subject.job(plan, stored), store  # what is asked is in the store, or will be


def _made(subject: Subject, place: Place, overwrite: bool, settings: engine.Settings) -> tuple[Job, Store] | None:
    """A new store and its job: radii, backend and all other settings are settled now and hold for every process.

    None where another process was faster: not all file systems have the locks that keep them apart.
    """
    plan, choice = resolve_plan(subject.request, len(subject.source), subject.classifier), None
    if subject.pilot:
        subject = subject.at_radii(chosen_radii(subject.job(plan, subject.layout), subject.pilot, (), settings))
    if subject.request.open:
        plan, choice = choose(subject.job(plan, subject.layout), subject.request)
    header = subject.header(plan, subject.layout, choice)
    try:
        store = Store.create(place, header, plan.block_size, replace=overwrite)
    except StoreError:
        if overwrite or not is_store(place):
            raise
        return None
    return subject.job(plan, subject.layout), store


def _extend(subject: Subject, place: Place, settings: engine.Settings) -> None:
    """Go on with a store under the conditions that it holds and those of the subject."""
    store = same_store(subject, place)
    plan = adopt_plan(subject.request, store.attributes["plan"], len(subject.source), subject.classifier)
    with writing(place, shared=False):
        subject = _piloted(subject, plan, store, True, settings)
        stored, union = _layouts(subject, store)
        if not missing_conditions(stored, union):
            engine.run([(subject.job(plan, stored), store)], settings)
            return
        grown = growing(place)
        if _vacant(grown) or not _goes_on(subject, Store(grown), union, plan):
            header = subject.header(plan, union, store.attributes.get("choice"))
            Store.create(grown, header, plan.block_size, replace=True)
        engine.extend(subject.job(plan, union), store, stored, Store(grown), settings)


def _vacant(place: Place) -> bool:
    with clear_errors(place):
        return place.vacant()


def same_store(subject: Subject, place: Place) -> Store:
    """The store at `place`.

    Raises:
        StoreError: it is damaged, or of another model, data, labels, preprocessing or convention.
    """
    with cube.open(place):
        store = Store(place)
    if differing := differences(subject, store):
        raise StoreError(
            f"{place} was made with another configuration:\n"
            + "\n".join(f"  {line}" for line in differing)
            + "\nChoose another --out, or start again with --overwrite."
        )
    return store


def _piloted(subject: Subject, plan: Plan, store: Store, extend: bool, settings: engine.Settings) -> Subject:
    """The subject at the radii of the store's pilot, or of a further one if the store is to be extended.

    Without a pilot of its own it keeps the record of the store's.
    """
    stored, asked = store.attributes.get("pilot"), subject.pilot
    if asked is None:
        return replace(subject, pilot=stored)
    if extend and not same_pilot(stored, asked):
        stored = _begun_pilot(subject, store.place)
    if same_pilot(stored, asked):
        radii = stored["radii"]
        if settings.watch:
            settings.watch.chosen(stored["images"], radii, None)
    elif extend:
        radii = chosen_radii(subject.job(plan, subject.layout), asked, stored_layout(subject, store).probes, settings)
    else:
        raise StoreError(
            f"{store.place} {_other_pilot(asked, stored)}. Refine it with --extend, start again with --overwrite, or "
            "choose another --out."
        )
    return subject.at_radii(radii)


def _begun_pilot(subject: Subject, place: Place) -> Any:
    """The pilot of an interrupted extension of the store at `place`, if there is one of the same subject."""
    grown = growing(place)
    store = None if _vacant(grown) else Store(grown)
    return None if store is None or differences(subject, store) else store.attributes.get("pilot")


def _other_pilot(asked: Mapping[str, Any], stored: Mapping[str, Any] | None) -> str:
    if stored is None:
        return "was made without --adaptive"
    differing = [key for key, value in asked.items() if value != stored.get(key)]
    shown = (f"{key}: {_shown(asked[key])} asked, {_shown(stored.get(key))} stored" for key in differing)
    return f"holds the radii of another pilot ({'; '.join(shown)})"


def _shown(value: Any) -> str:
    """A setting of a pilot in a message."""
    if isinstance(value, list):
        return " ".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _layouts(subject: Subject, store: Store) -> tuple[Layout, Layout]:
    """The store's conditions, and those with the subject's."""
    stored, asked = stored_layout(subject, store), subject.layout
    scales = _merged(stored.scales, asked.scales)
    return stored, replace(stored, probes=merged(stored.probes, asked.probes), scales=scales)


def stored_layout(subject: Subject, store: Store) -> Layout:
    """The store's conditions; its scales are cut and surrounded as the subject's, or would have been refused."""
    attributes, asked = store.attributes, subject.layout.scales
    probes = tuple(ResolvedProbe.from_json(fields, subject.layout.probes[0].size) for fields in attributes["probes"])
    if not attributes.get("zoom"):
        return replace(subject.layout, probes=probes, scales=None)
    values = tuple(map(float, attributes["zoom"]["values"]))
    return replace(subject.layout, probes=probes, scales=replace(asked or Scales("zoom", values), values=values))


def _merged(stored: Scales | None, asked: Scales | None) -> Scales | None:
    """The union of the scales; a store without any is one of zoom 1."""
    if asked is None or stored is None:
        return stored if asked is None else replace(asked, values=tuple(sorted({1.0, *asked.values})))
    return replace(asked, values=tuple(sorted({*stored.values, *asked.values})))


def _goes_on(subject: Subject, growing: Store, union: Layout, plan: Plan) -> bool:
    """Whether an interrupted extension was the same one: the store it belonged to may have been replaced since."""
    header = subject.header(plan, union).attributes
    same = all(growing.attributes.get(key) == header[key] for key in ("probes", "plan", "zoom"))
    return same and not differences(subject, growing)


def _listed(layout: Layout, conditions: Sequence[Condition]) -> str:
    new = [layout.describe(condition) for condition in conditions]
    return ", ".join(new[:5]) + (f" and {len(new) - 5} more" if len(new) > 5 else "")
