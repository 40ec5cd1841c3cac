"""Cubes of a second model: the same images in other words, in another order, under other attributes."""

from typing import Any

import numpy as np
import xarray as xr
from planted_cubes import make_cube

RADII = np.arange(5.0, 125.0, 5.0)
FEW_RADII = np.array([5.0, 10, 20, 30, 45, 60, 80, 115])


def changed(cube: xr.DataTree, attrs: dict[str, Any] | None = None, **variables: Any) -> xr.DataTree:
    """The cube with other attributes, or other values of root variables."""
    root = cube.to_dataset().assign_attrs(attrs or {})
    for name, values in variables.items():
        kind = object if root[name].dtype == object else root[name].dtype
        root = root.assign({name: (root[name].dims, np.asarray(values, dtype=kind))})
    return _with_root(cube, root)


def with_outputs(cube: xr.DataTree, order: np.ndarray) -> xr.DataTree:
    """The same model with its outputs in another order: the new output k is the old output order[k]."""

    def turned(part: xr.Dataset) -> xr.Dataset:
        outputs = [name for name in ("label", "clean_top5_class", "top5_class") if name in part]
        names = [name for name in ("class_name", "class_wnid") if name in part]
        new = np.argsort(order).astype(np.int32)
        return part.assign(
            {name: (part[name].dims, new[part[name].values]) for name in outputs}
            | {name: (part[name].dims, part[name].values[order]) for name in names}
        )

    children = {f"/{name}": turned(node.to_dataset(inherit=False)) for name, node in cube.children.items()}
    return xr.DataTree.from_dict({"/": turned(cube.to_dataset()), **children})


def planted_pair(seed: int = 0, n: int = 300, shift: float = -0.3) -> dict[str, xr.DataTree]:
    """Two models, low-passed and high-passed; B needs exp(shift) times the frequencies that A does."""
    rng = np.random.default_rng(seed)
    difficulty, labels = rng.normal(np.log(40), 0.5, n), rng.integers(0, 4, n)
    cubes = {}
    for name, move in (("A", 0.0), ("B", shift)):
        own = np.exp(difficulty + move + rng.normal(0, 0.2, n))
        right = {"low_pass": own[:, None] <= RADII, "high_pass": own[:, None] / 2 > RADII}
        cubes[name] = make_cube(right, labels=labels, radius=RADII, classes=4)
    return cubes


def noisy_pair(rng: np.random.Generator, n: int, shares: tuple[float, float], shift: float) -> dict[str, xr.DataTree]:
    """Two models of one low-pass probe that can do those shares of the images at all; B is shifted as above.

    Bare cubes, made quickly: two classes, and the second instead of the label, the first, where it is not on top.
    """
    difficulty, cubes = rng.normal(np.log(40), 0.5, n), {}
    for name, share, move in (("A", shares[0], 0.0), ("B", shares[1], shift)):
        own = np.where(rng.random(n) < share, np.exp(difficulty + move + rng.normal(0, 0.2, n)), np.inf)
        clean, low = own[:, None] <= FEW_RADII[-1], own[:, None] <= FEW_RADII
        root = _bare(clean, ("image", "rank"), "clean_") | {
            "label": ("image", np.zeros(n, dtype=np.int32)),
            "source": ("image", np.arange(n).astype(str).astype(object)),
            "status": ("image", np.full(n, "ok", dtype=object)),
            "class_name": ("class", np.array(["first", "second"], dtype=object)),
            "class_wnid": ("class", np.array(["", ""], dtype=object)),
        }
        root["clean_probability"] = ("image", root["clean_probability"][1][:, 0])
        probe = xr.Dataset(
            _bare(low, ("image", "radius")),
            {"radius": FEW_RADII, "frequency": ("radius", FEW_RADII / 224)},
            {"kind": "low_pass", "family": "ideal"},
        )
        cubes[name] = xr.DataTree.from_dict({"/": xr.Dataset(root), "/low_pass": probe})
    return cubes


def _bare(right: np.ndarray, dims: tuple[str, ...], prefix: str = "") -> dict[str, Any]:
    ranked = right[..., None] if dims[-1] != "rank" else right
    return {
        f"{prefix}top5_class": ((*dims, "rank")[: ranked.ndim], (~ranked).astype(np.int32)),
        f"{prefix}probability": (dims, right.astype(np.float32)),
    }


def _with_root(cube: xr.DataTree, root: xr.Dataset) -> xr.DataTree:
    children = {f"/{name}": node.to_dataset(inherit=False) for name, node in cube.children.items()}
    return xr.DataTree.from_dict({"/": root, **children})
