"""Cubes whose outcomes are planted: who wins at each radius is given, not measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

SIDE = 224
RANKS = 5
FINE = np.unique(np.geomspace(1, 160, 40).round(1))


def make_cube(
    right: np.ndarray | Mapping[str, np.ndarray],
    *,
    labels: np.ndarray | None = None,
    radius: np.ndarray | None = None,
    clean: np.ndarray | None = None,
    winner: np.ndarray | int | None = None,
    label_rank: np.ndarray | int = 1,
    probability: np.ndarray | Mapping[str, np.ndarray] | None = None,
    status: np.ndarray | None = None,
    classes: int = 8,
) -> xr.DataTree:
    """A cube in which `right` (images x conditions; one array a probe, or one for "low_pass") is as given.

    winner: the class on top where the label is not (the next class). label_rank: the label's rank there; 5 puts it
    beyond the best five. clean: right or wrong without a filter (as under the last condition of the first probe).
    """
    probes = dict(right) if isinstance(right, Mapping) else {"low_pass": right}
    first = next(iter(probes.values()))
    n = len(first)
    labels = np.zeros(n, dtype=np.int32) if labels is None else np.asarray(labels, dtype=np.int32)
    clean = first[:, -1] if clean is None else clean
    root = {f"clean_{name}": v for name, v in _measured(clean[:, None], labels, None, 1, None, classes).items()}
    chosen = probability if isinstance(probability, Mapping) else dict.fromkeys(probes, probability)
    nodes = {
        f"/{name}": xr.Dataset(
            {
                variable: (("image", _dimension(name), "rank")[: values.ndim], values)
                for variable, values in _measured(outcome, labels, winner, label_rank, chosen[name], classes).items()
            },
            coords=_coordinates(name, outcome.shape[1], radius),
            attrs=_attributes(name),
        )
        for name, outcome in probes.items()
    }
    status = np.full(n, "ok", dtype=object) if status is None else np.asarray(status, dtype=object)
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(
                {
                    "label": ("image", labels),
                    "source": ("image", np.array([f"{k}/{i}.png" for i, k in enumerate(labels)], dtype=object)),
                    "status": ("image", status),
                    "class_name": ("class", np.array([f"class {k}" for k in range(classes)], dtype=object)),
                    "class_wnid": ("class", np.array([""] * classes, dtype=object)),
                    **{k: (("image", "rank")[: v.ndim - 1], v[:, 0]) for k, v in root.items()},
                },
                coords={"image": np.arange(n)},
            ),
            **nodes,
        }
    )


def threshold_curves(thresholds: np.ndarray, conditions: int) -> np.ndarray:
    """Images that become right at condition `threshold` and stay so."""
    return np.arange(conditions) >= np.asarray(thresholds)[:, None]


def random_cube(seed: int, n: int = 60, conditions: int = 8, classes: int = 4) -> xr.DataTree:
    """Rising low-pass and falling high-pass curves with much noise, predictions and probabilities at random."""
    rng = np.random.default_rng(seed)
    rising = threshold_curves(rng.integers(0, conditions, n), conditions) ^ (rng.random((n, conditions)) < 0.15)
    falling = ~threshold_curves(rng.integers(0, conditions, n), conditions) ^ (rng.random((n, conditions)) < 0.15)
    labels = rng.integers(0, classes, n)
    winner = (labels[:, None] + rng.integers(1, classes, (n, conditions))) % classes
    return make_cube(
        {"low_pass": rising, "high_pass": falling},
        labels=labels,
        clean=rng.random(n) < 0.8,
        winner=winner,
        label_rank=rng.integers(1, 3, (n, conditions)),
        probability=rng.random((n, conditions)).astype(np.float32),
        classes=classes,
    )


def stack_zooms(
    cubes: Mapping[float, xr.DataTree],
    *,
    axis: str = "zoom",
    padded: np.ndarray | None = None,
    achieved: np.ndarray | None = None,
) -> xr.DataTree:
    """One cube over zooms from a cube without zoom for each; the root's clean_* are those of zoom 1, or the first.

    padded, achieved: images x zooms; not padded, and exact, by default.
    """
    zooms = np.array(list(cubes), dtype=np.float64)
    first = cubes.get(1.0, next(iter(cubes.values())))
    shape = (first.sizes["image"], len(zooms))
    clean = [_renamed(cube.to_dataset()) for cube in cubes.values()]
    everything = _over_zooms(clean, axis).drop_vars("image").assign_attrs(kind="all_pass", family="ideal")
    for name, values in (
        ("achieved", zooms if achieved is None else achieved),
        ("padded", 0 if padded is None else padded),
    ):
        everything[name] = ("image", axis), np.broadcast_to(np.float32(values), shape)
    root = first.to_dataset().assign_coords({axis: (axis, zooms)}).assign_attrs(zoom={"axis": axis})
    probes = {
        f"/{name}": _over_zooms([cube[name].to_dataset(inherit=False) for cube in cubes.values()], axis)
        for name in first.children
    }
    return xr.DataTree.from_dict({"/": root, "/all_pass": everything, **probes})


def law_cube(
    r50: np.ndarray,
    zooms: np.ndarray,
    *,
    radius: np.ndarray = FINE,
    octaves: float = 1.0,
    labels: np.ndarray | None = None,
    right: np.ndarray | bool = True,
    **settings: Any,
) -> xr.DataTree:
    """A cube over zooms whose curves rise from 0.02 to 0.98 about r50 (images x zooms), as logistics of log radius.

    octaves: from a tenth of the rise to its half. right: whether each image is right, clean, at each zoom.
    """
    right = np.broadcast_to(right, r50.shape)
    cubes = {}
    for k, zoom in enumerate(zooms):
        rise = 1 / (1 + 9 ** (np.log2(r50[:, k, None] / radius) / octaves))
        low, high = 0.02 + 0.96 * rise, 0.98 - 0.96 * rise
        cubes[float(zoom)] = make_cube(
            {"low_pass": low > 0.5, "high_pass": high > 0.5},
            probability={"low_pass": low, "high_pass": high},
            clean=right[:, k],
            labels=labels,
            radius=radius,
            classes=4,
        )
        cubes[float(zoom)]["clean_probability"].values[:] = 0.98
    return stack_zooms(cubes, **settings)


def take_images(cube: xr.DataTree, order: np.ndarray) -> xr.DataTree:
    """The same cube with other images in another order."""
    return xr.DataTree.from_dict(
        {"/": cube.to_dataset().isel(image=order)}
        | {f"/{name}": node.to_dataset(inherit=False).isel(image=order) for name, node in cube.children.items()}
    )


def _over_zooms(parts: Sequence[xr.Dataset], axis: str) -> xr.Dataset:
    return xr.concat(parts, dim=axis).transpose("image", axis, ...)


def _renamed(root: xr.Dataset) -> xr.Dataset:
    """The clean_* of a root, as the variables of a probe."""
    names = [name for name in root if str(name).startswith("clean_")]
    return root[names].rename({name: str(name).removeprefix("clean_") for name in names})


def _measured(
    right: np.ndarray,
    labels: np.ndarray,
    winner: np.ndarray | int | None,
    label_rank: np.ndarray | int,
    probability: np.ndarray | None,
    classes: int,
) -> dict[str, np.ndarray]:
    shape, ranks = right.shape, min(RANKS, classes)
    winner = np.broadcast_to((labels[:, None] + 1) % classes if winner is None else winner, shape)
    rank = np.where(right, 0, np.broadcast_to(label_rank, shape))
    top = np.empty((*shape, ranks), dtype=np.int32)
    for place in np.ndindex(shape):
        label, first = labels[place[0]], winner[place]
        others = [k for k in range(classes) if k not in (label, first)]
        order = [*([] if right[place] else [first]), *others]
        if right[place]:
            order.insert(1, first)
        order.insert(rank[place], label)
        top[place] = order[:ranks]
    p = np.where(right, 0.8, 0.1) if probability is None else probability
    return {
        "probability": p.astype(np.float32),
        "margin": np.where(right, 1, -1).astype(np.float32),
        "top5_class": top,
        "top5_probability": np.broadcast_to(np.float32([0.5, 0.2, 0.1, 0.05, 0.02][:ranks]), top.shape).copy(),
    }


def _dimension(probe: str) -> str:
    return "band" if probe.startswith("band") else "radius"


def _coordinates(probe: str, count: int, radius: np.ndarray | None) -> dict[str, tuple[str, np.ndarray]]:
    edges = 10.0 * np.arange(1, count + 2)
    if _dimension(probe) == "band":
        low, high = edges[:-1], edges[1:]
        values = {"low": low, "high": high, "low_frequency": low / SIDE, "high_frequency": high / SIDE}
        return {name: ("band", value) for name, value in values.items()}
    radius = edges[:-1] if radius is None else np.asarray(radius, dtype=np.float64)
    return {"radius": ("radius", radius), "frequency": ("radius", radius / SIDE)}


def _attributes(probe: str) -> dict[str, str]:
    family = next((f for f in ("gaussian", "butterworth") if probe.endswith(f)), "ideal")
    return {"kind": probe.removesuffix(f"_{family}"), "family": family}
