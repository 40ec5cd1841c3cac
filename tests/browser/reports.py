"""Cubes for the browser: a small audit, another model made from it, and one whose names are hostile."""

import numpy as np
import xarray as xr

import bandscope as bs

RADII = range(2, 47, 4)
HOSTILE_MODEL = '"><img src=x onerror="window.hacked=1">'
HOSTILE = (
    "<script>window.hacked=1</script>",
    "\"'><img src=x onerror=window.hacked=1>",
    "</script><script>window.hacked=1</script>",
    "\u202eright to left \u05e9\u05dc\u05d5\u05dd",
    "x" * 300,
    "🦊🦊 emoji",
    "{{ 7 * 7 }} %{x} ${y} {% raw %}",
    "<b>bold</b> &lt; &amp; <br>",
    "<a href='javascript:window.hacked=1'>link</a>",
)


def audited() -> xr.DataTree:
    """The embedded model on a few of the embedded images, at three zooms."""
    return bs.audit(
        "planted",
        "planted?per_class=12",
        probes=[bs.LowPass(RADII), bs.HighPass(RADII), bs.BandPass([(0, 8), (8, 16), (16, 46)])],
        zoom=[1, 1.41, 2],
        threads=1,
    ).load()


def earlier(cube: xr.DataTree) -> xr.DataTree:
    """A model that answers at each radius what the first answers at the radius before."""
    groups = {"/": cube.to_dataset()}
    for name, node in cube.children.items():
        own = node.to_dataset(inherit=False)
        if "radius" in own.dims:
            before = np.maximum(np.arange(own.sizes["radius"]) - 1, 0)
            moved = own.isel(radius=before).drop_vars(["radius", "frequency"])
            own = moved.assign_coords({key: own[key] for key in ("radius", "frequency")}).assign_attrs(own.attrs)
        groups[f"/{name}"] = own
    return xr.DataTree.from_dict(groups)


def only(cube: xr.DataTree, probe: str) -> xr.DataTree:
    """The cube with one of its probes."""
    return xr.DataTree.from_dict({"/": cube.to_dataset(), f"/{probe}": cube[probe].to_dataset(inherit=False)})


def halved(cube: xr.DataTree) -> xr.DataTree:
    """As of a network of half the side: radii of the same frequencies, and the last two bands under other edges."""
    root = cube.to_dataset()
    root.attrs = {**root.attrs, "preprocess": {**root.attrs["preprocess"], "size": [32, 32]}}
    groups = {"/": root}
    for name, node in cube.children.items():
        own = node.to_dataset(inherit=False)
        if "radius" in own.dims:
            own = own.assign_coords(radius=own["radius"] / 2)
        elif "low" in own.coords:
            edges = {"low": ("band", [8.0, 12.0]), "high": ("band", [12.0, 46.0])}
            own = own.isel(band=slice(1, None)).assign_coords(edges)
        groups[f"/{name}"] = own
    return xr.DataTree.from_dict(groups)


def hostile(cube: xr.DataTree) -> xr.DataTree:
    """The cube with hostile names of classes, paths of images and specs."""
    root = cube.to_dataset()
    sources = [f"{HOSTILE[k % len(HOSTILE)]}/{k}.png" for k in range(root.sizes["image"])]
    attributes = {**root.attrs, "data": {**root.attrs["data"], "spec": f"folder:{HOSTILE[0]}"}, "command": HOSTILE[2]}
    root = root.assign(
        class_name=("class", np.array(HOSTILE, dtype=object)), source=("image", np.array(sources, dtype=object))
    ).assign_attrs(attributes)
    groups = {f"/{name}": node.to_dataset(inherit=False) for name, node in cube.children.items()}
    return xr.DataTree.from_dict({"/": root, **groups})
