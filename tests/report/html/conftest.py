"""An audit over zooms, and its page."""

import pytest
import xarray as xr
from reading import RADII, build

import bandscope as bs
from bandscope.report.html.build import Page


@pytest.fixture(scope="session")
def cube() -> xr.DataTree:
    return bs.audit(
        "planted", "planted?per_class=12", probes=[bs.LowPass(RADII), bs.HighPass(RADII)], zoom=[1, 2], threads=1
    ).load()


@pytest.fixture(scope="session")
def page(cube: xr.DataTree) -> Page:
    return build({"planted": cube})
