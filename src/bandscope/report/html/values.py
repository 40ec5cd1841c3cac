"""Values for the page: tables as columns of JSON, numbers and names as text."""

import math
from typing import Any

import numpy as np
import pandas as pd

from bandscope.report.plain import plain as to_plain
from bandscope.report.plain import rounded

DIGITS = 7  # significant ones of every float: more than any of them is known to
LONGEST = 60  # characters of a name within a sentence
ISOLATE, END = "\u2068", "\u2069"  # a name's own direction of writing does not turn the sentence around it


def columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    """A table as JSON: one list a column, None where a value is missing."""
    return {str(name): column(table[name]) for name in table.columns}


def column(values: pd.Series) -> list[Any]:
    """The values of a column in JSON's types."""
    if pd.api.types.is_float_dtype(values):
        return [rounded(value, DIGITS) for value in values.to_numpy(dtype=np.float64).tolist()]
    return [plain(value) for value in values.tolist()]


def plain(value: Any) -> Any:
    """The value in JSON's types, to the page's digits."""
    return to_plain(value, DIGITS)


def percent(share: float, digits: int = 1) -> str:
    """Such as "89.4 %"."""
    return f"{100 * share:.{digits}f} %"


def interval(low: float, high: float, *, scale: float = 1, digits: int = 1) -> str:
    """Such as "86.4 to 91.8"; empty where it is not known."""
    known = math.isfinite(low) and math.isfinite(high)
    return f"{scale * low:.{digits}f} to {scale * high:.{digits}f}" if known else ""


def name(text: object) -> str:
    """A name within a sentence: on one line, not too long, in its own direction of writing."""
    line = " ".join(str(text).split())
    short = line if len(line) <= LONGEST else line[: LONGEST - 1].rstrip() + "…"
    return f"{ISOLATE}{short}{END}"
