"""Cubes whose outcomes are planted: who wins at each radius is given, not measured."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

SIDE = 224
RANKS = 5


def make_cube(
    right: np.ndarray | Mapping[str, np.ndarray],
    *,
    labels: np.ndarray | None = None,
    radius: np.ndarray | None = None,
    clean: np.ndarray | None = None,
    winner: np.ndarray | int | None = None,
    label_rank: np.ndarray | int = 1,
    probability: np.ndarray | None = None,
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
    nodes = {
        f"/{name}": xr.Dataset(
            {
                variable: (("image", _dimension(name), "rank")[: values.ndim], values)
                for variable, values in _measured(outcome, labels, winner, label_rank, probability, classes).items()
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


def take_images(cube: xr.DataTree, order: np.ndarray) -> xr.DataTree:
    """The same cube with other images in another order."""
    return xr.DataTree.from_dict(
        {"/": cube.to_dataset().isel(image=order)}
        | {f"/{name}": node.to_dataset(inherit=False).isel(image=order) for name, node in cube.children.items()}
    )


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
