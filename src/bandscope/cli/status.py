"""`bandscope status`: how far an audit is, who works at it, how fast, and when it will be done."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bandscope.conventions import Convention
from bandscope.cube.place import Place, growing, place_of
from bandscope.cube.progress import Progress, Worker, progress, read_marks
from bandscope.cube.schema import SETTINGS
from bandscope.cube.store import Store, check_version
from bandscope.cube.verify import misdescribed
from bandscope.engine.conditions import Layout
from bandscope.engine.scales import Scales
from bandscope.errors import StoreError
from bandscope.probes import ResolvedProbe
from bandscope.report.choice import choice_lines

SHOWN = 8  # processes
MINUTE, HOUR, DAY = 60, 3600, 86400


def run(where: str, *, as_json: bool, console: Console) -> None:
    """Print one screen, or JSON."""
    now, place = datetime.now(UTC), place_of(where)
    store, progress = _read(place, now)
    grown = growing(place.resolved())
    extension = _read(grown, now)[1] if not grown.vacant() else None
    if as_json:
        text = json.dumps(_fields(store, progress, extension), indent=1, default=_json)
        console.print(text, markup=False, soft_wrap=True)
        return
    console.print(_screen(store, progress, extension, now))
    if workers := [worker for worker in progress.workers if worker.process]:
        console.print(_processes(workers, now))
    if (unread := store.marked() - progress.blocks_done) > 0:
        console.print(
            Text(f"{unread} marker{'s' * (unread > 1)} cannot be read: see bandscope verify {place}", "yellow")
        )


def _read(place: Place, now: datetime) -> tuple[Store, Progress]:
    check_version(place)
    store = Store(place, read_only=True)
    if missing := [name for name in SETTINGS if name not in store.attributes]:
        raise StoreError(f"{place} lacks its settings ({', '.join(missing)}): see bandscope verify {place}")
    if found := misdescribed(place):
        raise StoreError(f"{place} is damaged: {found[0].where}: {found[0].what}. See bandscope verify {place}")
    passes, size = _passes_an_image(store.attributes), store.block_size
    marks = read_marks(place, store.blocks)
    return store, progress(marks, images=store.images, block_size=size, passes_an_image=passes, now=now)


def _passes_an_image(attributes: Mapping[str, Any]) -> int:
    size = tuple(attributes["preprocess"]["size"])
    probes = tuple(ResolvedProbe.from_json(probe, size) for probe in attributes["probes"])
    scales = None
    if zoom := attributes.get("zoom"):
        boxes = np.empty((0, 4)) if zoom["boxes"] else None  # which ones they are does not matter here
        scales = Scales(zoom["axis"], tuple(map(float, zoom["values"])), zoom["outside"], boxes)
    layout = Layout(probes, Convention(**attributes["convention"]), scales)
    return layout.forward_passes(layout.conditions())


def _screen(store: Store, done: Progress, extension: Progress | None, now: datetime) -> Table:
    shown = Table.grid(padding=(0, 2))
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for name, text in _lines(store, done, extension, now).items():
        shown.add_row(Text(name, "bold"), Text(text))
    return shown


def _lines(store: Store, done: Progress, extension: Progress | None, now: datetime) -> dict[str, str]:
    attributes, plan = store.attributes, store.attributes["plan"]
    lines = {
        "Cube": str(store.place),
        "Model": str(attributes["model"].get("spec")),
        "Data": str(attributes["data"].get("spec")),
        "Blocks": f"{_of(done.blocks_done, done.blocks)} ({_percent(done)}), {store.block_size} images each",
        "Images": _of(done.images_done, done.images),
        "Passes": f"{_of(done.passes_done, done.passes)}: {done.passes_an_image} an image, {_conditions(attributes)}",
        "Plan": f"batch {plan['batch_size']}, {plan['threads']} threads, {plan['device']}, {plan['precision']}, "
        f"{plan.get('backend', 'eager')}",
    }
    if chosen := choice_lines(attributes):
        lines["Chosen"] = "\n".join(chosen)
    if done.in_parts:
        lines["Memory"] = f"{done.in_parts} blocks ran in parts: their batches did not fit into memory"
    if done.first and done.last:
        lines["First block"] = _moment(done.first, now)
        lines["Last block"] = _moment(done.last, now)
    lines["Rate"] = _speed(store, done)
    lines["Left"] = _left(done)
    if extension:
        grown = _of(extension.blocks_done, extension.blocks)
        lines["Extension"] = f"grows beside it: {grown} blocks; left: {_left(extension)}"
    return lines


def _of(done: int, total: int) -> str:
    return f"{done:,} of {total:,}"


def _percent(done: Progress) -> str:
    """Rounded down: 100 % means finished."""
    return f"{100 * done.blocks_done // done.blocks} %"


def _conditions(attributes: dict[str, Any]) -> str:
    """What is measured of each image, in words."""
    words = ["clean"] + [
        f"{probe['name'].replace('_', '-')} {len(probe['cutoffs'])}" for probe in attributes["probes"]
    ]
    if zoom := attributes.get("zoom"):
        axis = zoom["axis"].replace("_", " ")
        words[-1] += f"; at {axis} {', '.join(f'{value:g}' for value in zoom['values'])}"
    return ", ".join(words)


def _speed(store: Store, done: Progress) -> str:
    if done.rate is None:
        return "not known yet" if done.blocks_done < done.blocks else "unknown"
    images = done.rate * store.block_size
    text = f"{_number(images)} images/s, {_number(images * done.passes_an_image)} passes/s"
    return text if done.active else f"{text} when it last ran"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _left(done: Progress) -> str:
    if done.blocks_done == done.blocks:
        return "nothing: finished"
    if done.seconds_left is None:
        return "not known yet"
    time = f"about {duration(done.seconds_left)}"
    if not done.active:
        return f"{time}, once the same audit command is run again: no process is at work"
    return f"{time} with {done.active} process{'es' * (done.active > 1)}"


def _moment(time: datetime, now: datetime) -> str:
    ago = (now - time).total_seconds()
    when = f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{when} ({duration(ago)} ago)" if ago >= 0 else f"{when} (in the future: clocks differ)"


def duration(seconds: float) -> str:
    """A length of time in two units at most, such as "3 h 20 min"."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s" if whole < 10 * MINUTE else f"{whole // MINUTE} min"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def _processes(workers: list[Worker], now: datetime) -> Table:
    shown = Table(header_style="bold", box=None, pad_edge=False, title_justify="left")
    for name in ("Host", "Process", "Blocks", "Last block", "Seconds a block"):
        shown.add_column(name, justify="left" if name in ("Host", "Last block") else "right", overflow="fold")
    for worker in workers[:SHOWN]:
        shown.add_row(
            Text(worker.host or ""),
            str(worker.process),
            f"{worker.blocks:,}",
            Text(_moment(worker.last, now) if worker.last else "", "" if worker.active else "dim"),
            f"{worker.seconds:.3g}" if worker.seconds else "",
        )
    if len(workers) > SHOWN:
        shown.add_row(Text(f"and {len(workers) - SHOWN} more", "dim"))
    return shown


def _fields(store: Store, done: Progress, extension: Progress | None) -> dict[str, Any]:
    names = ("passes", "passes_done", "active")
    parts = [one and {**asdict(one), **{name: getattr(one, name) for name in names}} for one in (done, extension)]
    settings = {name: store.attributes.get(name) for name in ("model", "data", "probes", "zoom", "plan", "command")}
    return {"store": str(store.place), **(parts[0] or {}), "extension": parts[1], **settings}


def _json(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} has no place in JSON.")
