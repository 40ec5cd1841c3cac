"""What the tests of a sample's figure share."""

import math

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import bandscope as bs
from bandscope.report.sample import Sample

SIDE = 64


RADII = (2.0, 4.0, 6.0, 8.0, 10.0, 13.0, 17.0, 21.0, 25.0, 30.0, 46.0)


LIMIT = 24


def changed(cube: xr.DataTree, **attributes: object) -> xr.DataTree:
    """The same cube, other words in its attributes."""
    other = cube.copy(deep=True)
    other.attrs |= attributes
    return other


def strip(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes[:-1]]


def story(cube: xr.DataTree, **changes: object) -> Sample:
    table = bs.takeovers(cube).query("image == 3 and probe == 'low_pass'")
    fields = {"source": "", "index": 0, "label": "", "kind": "low_pass", "radius": np.array(RADII), "curves": table,
              "corner": 45.3, "takeovers": table, "onset": math.nan}  # fmt: skip
    return Sample(**(fields | changes))


def moved(cube: xr.DataTree) -> xr.DataTree:
    return changed(cube, data={**cube.attrs["data"], "spec": "folder:/nowhere/to/be/seen"})


def note(figure: Figure) -> str:
    return " ".join(figure.axes[0].get_title(loc="left").split())
