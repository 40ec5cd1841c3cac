"""The scale axis: a cube over zooms, or over sizes of the object, as a cube at one of them."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from bandscope.cube.schema import ALL_PASS, VIEW_VARIABLES
from bandscope.errors import InputError

AXES = ("zoom", "object_size")
NOT_OF_CLEAN = ("out_of_range", *(v.name for v in VIEW_VARIABLES))
TOLERANCE = 1e-6  # 1.4142136 finds a zoom that was given as 2 ** 0.5


def scale_axis(cube: xr.DataTree) -> str | None:
    """The scale dimension of a cube: "zoom" (factors), "object_size" (pixels of the crop), or None without one."""
    return next((axis for axis in AXES if axis in cube.dims), None)


def scale_values(cube: xr.DataTree, axis: str) -> Float[np.ndarray, " zooms"]:
    """The zooms or object sizes of a cube, increasing."""
    return np.asarray(cube.dataset[axis].values, dtype=np.float64)


def at_zoom(cube: xr.DataTree, value: float | None = None) -> xr.DataTree:
    """The cube at one zoom, in the form of a cube without zoom; it is what every other table takes.

    The scale dimension and the group `all_pass` are gone; the root's clean_* are those at this zoom, and a coordinate
    without dimension says which zoom it is. Nothing is read from disk.

    Args:
        cube: an audit's results.
        value: a zoom, or object size in pixels, that the audit has. None: zoom 1; a cube without a scale axis is
            given back unchanged.

    Raises:
        InputError: the cube has no such zoom or size.
    """
    if (axis := scale_axis(cube)) is None:
        return _at_its_only_zoom(cube, value)
    place = _place(scale_values(cube, axis), 1.0 if value is None else value, axis)
    root = cube.to_dataset().isel({axis: place})
    groups = {
        f"/{name}": node.to_dataset(inherit=False).isel({axis: place}, drop=True)
        for name, node in cube.children.items()
    }
    clean = groups.pop(f"/{ALL_PASS}").drop_vars(NOT_OF_CLEAN, errors="ignore")
    named = clean.rename({name: f"clean_{name}" for name in clean.data_vars}).drop_attrs(deep=False)
    return xr.DataTree.from_dict({"/": root.assign(named.data_vars), **groups})


def at_usual_zoom(cube: xr.DataTree) -> tuple[xr.DataTree, str]:
    """The cube at zoom 1, or at the zoom nearest to it, or at the middle size of the object; and what was chosen.

    The second is empty where it is zoom 1, else such as "at zoom 1.41 ".
    """
    if (axis := scale_axis(cube)) is None:
        return cube, ""
    values = scale_values(cube, axis)
    place = int(np.abs(np.log(values)).argmin()) if axis == "zoom" else len(values) // 2
    named = "" if axis == "zoom" and values[place] == 1 else f"at {axis.replace('_', ' ')} {values[place]:g} "
    return at_zoom(cube, float(values[place])), named


def _at_its_only_zoom(cube: xr.DataTree, value: float | None) -> xr.DataTree:
    """The cube itself, where it is at this zoom."""
    axis = next((axis for axis in AXES if axis in cube.coords), "zoom")
    here = float(cube.coords[axis]) if axis in cube.coords else 1.0
    if value is not None:
        _place(np.array([here]), value, axis)
    return cube


def _place(values: Float[np.ndarray, " zooms"], wanted: float, axis: str) -> int:
    found = np.flatnonzero(np.isclose(values, wanted, rtol=TOLERANCE, atol=0))
    if not len(found):
        held = ", ".join(f"{value:g}" for value in values)
        noun = axis.replace("_", " ")
        raise InputError(
            f"The cube has no {noun} {wanted:g}; it has {noun} {held}. Choose one: --zoom, or bs.at_zoom(cube, ...)."
        )
    return int(found[0])
