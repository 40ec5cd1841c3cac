"""The cube: an audit's labelled results, one Zarr v3 store that xarray alone can read."""

from bandscope.cube.schema import CONDITION_VARIABLES, ROOT_VARIABLES, status_ok
from bandscope.cube.store import open_cube as open  # noqa: A004  (bandscope.cube.open reads as intended)

__all__ = ["CONDITION_VARIABLES", "ROOT_VARIABLES", "open", "status_ok"]
