"""Tables and attributes in JSON's types."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def plain(value: Any, digits: int | None = None) -> Any:
    """The value in JSON's types; what is missing, NaN or infinite is None.

    Args:
        value: a number, text, mapping or sequence, of Python, NumPy or pandas.
        digits: significant ones of every float; None: all.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(own, digits) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [plain(own, digits) for own in value]
    if isinstance(value, np.generic):
        return plain(value.item(), digits)
    if isinstance(value, float):
        return rounded(value, digits)
    return None if value is pd.NA else value


def rounded(value: float, digits: int | None = None) -> float | None:
    """To so many significant digits; None where it is not finite."""
    if not math.isfinite(value):
        return None
    return value if digits is None else float(f"{value:.{digits}g}")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, each by the names of its columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
