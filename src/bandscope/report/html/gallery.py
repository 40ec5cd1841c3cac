"""The sample gallery: the images that tell most, as crops that the page filters, with what the network says."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bandscope import analysis
from bandscope.analysis.telling import RANKED_BY
from bandscope.analysis.zoom import at_zoom, scale_axis
from bandscope.cube import status_ok
from bandscope.report.audit import Audit
from bandscope.report.html import values
from bandscope.report.html.pictures import Packed, Pictures
from bandscope.report.plain import records

EACH = {1: 6, 2: 4}  # images of a kind, by the number of audits; of more audits
OF_MORE = 3
MOST_SMALL = 1200  # small pictures in the explorer, shared by all classes
MOST_OF_A_CLASS = 4
MOST_RIVALS = 4
ENOUGH_RADII = 2  # a class on top at a single radius is a dot, not a curve
KINDS = {
    "takeover": ("Takeovers", "Another class takes the top place over a range of radii."),
    "late": ("Late", "Of the images that are right without a filter, those that need most frequencies."),
    "nonmonotone": ("Conflicts", "The label's probability falls as more frequencies come in."),
    "shifted": ("Shifted", "The centre r50 of the band moves most from one zoom to another."),
}


@dataclass(frozen=True)
class Gallery:
    """What the page shows of single images.

    Attributes:
        entries: one a (model, image), ready for JSON.
        crops: data URLs of whole crops, by the key that entries name them with; equal ones of several audits once.
        quality: of the crops; None: lossless.
        pictures: data URLs of small pictures, by key.
        small: by audit, the keys of `pictures` by the image's position.
        examples: by audit and class index, the positions of its examples.
        typical: by audit, the place in `entries` of the image that stands for all; None without pictures.
        notes: what is missing of the pictures.
    """

    entries: list[dict[str, Any]]
    crops: dict[str, str]
    quality: int | None
    pictures: dict[str, str]
    small: list[dict[str, str]]
    examples: list[dict[str, list[dict[str, Any]]]]
    typical: list[int | None]
    notes: tuple[str, ...]


def gallery(audits: Sequence[Audit], pictures: Sequence[Pictures]) -> Gallery:
    """The most telling images of each audit, and examples of each class."""
    entries: list[dict[str, Any]] = []
    packed, small, examples, typical = Packed(), [], [], []
    for number, (audit, shown) in enumerate(zip(audits, pictures, strict=True)):
        told = _told(audit, EACH.get(len(audits), OF_MORE))
        stands_for_all = _typical(audit)
        if stands_for_all is not None:
            told.setdefault(stands_for_all, [])
        place = {position: len(entries) + k for k, position in enumerate(told)}
        for position, kinds in told.items():
            cubes = _cubes(audit, kinds)
            entry = _entry(audit, cubes, position, kinds) | {"model": number}
            for view, crop in zip(entry["views"], shown.crops(cubes, position), strict=False):
                view["crop"] = packed.add(crop)
            entries.append(entry)
        typical.append(_shown(entries, None if stands_for_all is None else place[stands_for_all]))
        examples.append(_examples(audit))
        wanted = {*told, *(row["image"] for rows in examples[-1].values() for row in rows)}
        crops = ((position, shown.small(position)) for position in sorted(wanted))
        small.append({str(position): packed.add_small(crop) for position, crop in crops if crop is not None})
    urls, quality = packed.crops()
    notes = tuple(dict.fromkeys(own.note for own in pictures if own.note))
    return Gallery(entries, urls, quality, packed.small, small, examples, typical, notes)


def _shown(entries: Sequence[Mapping[str, Any]], place: int | None) -> int | None:
    """The place, where the picture of its entry could be opened."""
    return place if place is not None and "crop" in entries[place]["views"][0] else None


# ---- which images


def _told(audit: Audit, count: int) -> dict[int, list[dict[str, Any]]]:
    """The telling images of an audit by position, each with what it tells."""
    probe = audit.radial("low_pass") or audit.radial("high_pass")
    found: dict[int, list[dict[str, Any]]] = {}
    if probe is None:
        return found
    for kind in RANKED_BY:
        if kind == "shifted" and not audit.zoomed:
            continue
        cube = audit.whole if kind == "shifted" else audit.cube
        for row in records(analysis.telling(cube, kind, count, probe)):
            told = {"kind": kind, "text": _text(kind, row), "radius": row[_TURN[kind]]} | (
                {"zooms": _zooms(row)} if kind == "shifted" else {}
            )
            found.setdefault(int(row["image"]), []).append(told)
    return found


_TURN = {"takeover": "from_radius", "late": "onset", "nonmonotone": "to_radius", "shifted": "from_r50"}


def _zooms(row: Mapping[str, Any]) -> list[float]:
    return [
        float(row[name]) for name in row if name in ("from_zoom", "to_zoom", "from_object_size", "to_object_size")
    ]


def _text(kind: str, row: Mapping[str, Any]) -> str:
    """What the image tells, in a sentence."""
    if kind == "takeover":
        same = row["from_radius"] == row["to_radius"]
        usurper, share = values.name(row["usurper"]), f"{row['usurper_probability']:.0%}"
        if same:
            return f"At {row['from_radius']:g} cycles/image {usurper} is on top ({share})."
        span = f"From {row['from_radius']:g} to {row['to_radius']:g} cycles/image"
        return f"{span} mostly {usurper} is on top ({share} on average)."
    if kind == "late":
        before = f"; before that {values.name(row['before'])} is on top" if isinstance(row["before"], str) else ""
        if "high_pass" in str(row["probe"]):
            return f"Right for good while no more than {row['onset']:g} cycles/image are taken away{before}."
        return f"Right for good from {row['onset']:g} cycles/image on{before}."
    if kind == "nonmonotone":
        return (
            f"Its label has {row['from_probability']:.0%} at {row['from_radius']:g} cycles/image and "
            f"{row['to_probability']:.0%} at {row['to_radius']:g}, where {values.name(row['winner'])} is on top."
        )
    (start, stop), noun = _zooms(row), "zoom" if "from_zoom" in row else "object size"
    return (
        f"r50 is {row['from_r50']:.1f} cycles/image at {noun} {start:g} and {row['to_r50']:.1f} at {noun} {stop:g}."
    )


def _typical(audit: Audit) -> int | None:
    """The image of the first screen: right when clean, and from about r50 on without a break."""
    probe = audit.radial("low_pass")
    band = None if probe is None else audit.row("bands", probe=probe)
    if band is None or math.isnan(band["r50"]):
        return None
    samples = audit.samples
    rows = samples[(samples["probe"] == probe) & samples["clean_right"] & samples["monotone"]].dropna(subset="onset")
    if not len(rows):
        return None
    return int(rows.loc[(rows["onset"] - band["r50"]).abs().idxmin(), "image"])


def _examples(audit: Audit) -> dict[str, list[dict[str, Any]]]:
    """By class index the first images of each class, with what became of them."""
    labels, used = audit.cube.dataset["label"].values, np.flatnonzero(status_ok(audit.cube))
    by_class = pd.Series(used).groupby(labels[used])
    most = int(np.clip(MOST_SMALL // max(by_class.ngroups, 1), 1, MOST_OF_A_CLASS))
    sources = audit.cube.dataset["source"].values
    right = audit.cube.dataset["clean_top5_class"].values[:, 0] == labels
    return {
        str(index): [
            {"image": int(at), "source": str(sources[at]), "right": bool(right[at])} for at in rows.head(most)
        ]
        for index, rows in by_class
    }


# ---- what is said of one


def _cubes(audit: Audit, kinds: Sequence[Mapping[str, Any]]) -> list[xr.DataTree]:
    """The cube at every zoom to show: the usual one, and those between which the image shifts."""
    shifted: list[float] = next((told["zooms"] for told in kinds if told["kind"] == "shifted"), [])
    return [audit.cube, *(at_zoom(audit.whole, zoom) for zoom in shifted if zoom != _zoom(audit.cube))]


def _zoom(cube: xr.DataTree) -> float | None:
    axis = next((axis for axis in ("zoom", "object_size") if axis in cube.coords), None)
    return None if axis is None else float(cube.coords[axis])


def _entry(audit: Audit, cubes: Sequence[xr.DataTree], position: int, kinds: list[dict[str, Any]]) -> dict[str, Any]:
    root = audit.cube.dataset
    label = int(root["label"].values[position])
    axis = scale_axis(audit.whole)
    return {
        "image": position,
        "source": str(root["source"].values[position]),
        "label": str(root["class_name"].values[label]),
        "label_index": label,
        "kinds": kinds,
        "views": [
            {"name": "" if axis is None else f"{axis.replace('_', ' ')} {_zoom(cube):g}"} | _view(cube, position)
            for cube in cubes
        ],
    }


def _view(cube: xr.DataTree, position: int) -> dict[str, Any]:
    one = cube.isel(image=[position]).load()
    best = int(one.dataset["clean_top5_class"].values[0, 0])
    table = analysis.sample_curves(one, 0)
    return {
        "clean": {
            "probability": values.plain(one.dataset["clean_probability"].values[0]),
            "top": str(one.dataset["class_name"].values[best]),
            "top_probability": values.plain(one.dataset["clean_top5_probability"].values[0, 0]),
            "right": best == int(one.dataset["label"].values[0]),
        },
        "curves": {str(probe): _curves(own) for probe, own in table.groupby("probe", sort=False)},
    }


def _curves(table: pd.DataFrame) -> dict[str, Any]:
    """The label's curve first, then those of the classes that are on top most often; and who is on top where."""
    wide = table.pivot(index="radius", columns="class_index", values="probability")
    label = table["class_index"].iloc[0]
    top = wide.idxmax(axis=1)
    counts = top.value_counts()
    often = [index for index in counts.index[counts >= ENOUGH_RADII] if index != label][:MOST_RIVALS]
    names = dict(zip(table["class_index"], table["class_name"], strict=True))
    return {
        "radius": values.column(wide.index.to_series()),
        "classes": [
            {"name": names[index], "probability": values.column(wide[index].astype(np.float64))}
            for index in [label, *often]
        ],
        "top": [names[index] for index in top],
        "top_probability": values.column(wide.max(axis=1).astype(np.float64)),
    }


def kinds_shown(entries: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """The kinds that occur, with their titles."""
    held = {told["kind"] for entry in entries for told in entry["kinds"]}
    return ({"kind": kind, "title": title, "about": about} for kind, (title, about) in KINDS.items() if kind in held)
