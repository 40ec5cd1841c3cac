"""The comparison of several audits: the cells that the terminal shows too, and the differences to draw."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bandscope.analysis.comparison.common import common_images
from bandscope.analysis.comparison.compare import compare
from bandscope.analysis.comparison.differences import CLEAN
from bandscope.errors import InputError, StoreError
from bandscope.report.audit import Audit
from bandscope.report.comparison import Report, Section, method, sections
from bandscope.report.html import values


@dataclass(frozen=True)
class Against:
    """The audits on their common images, or why they cannot be compared.

    Attributes:
        method: how the numbers were made, as a sentence.
        sections: titled tables of cells.
        tables: what they are made of, by name.
        missing: why there is no comparison; empty where there is one.
    """

    method: str = ""
    sections: tuple[Section, ...] = ()
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    missing: str = ""

    def to_json(self) -> list[dict[str, Any]]:
        """The differences over radius, one item a (probe, model)."""
        if "differences" not in self.tables:
            return []
        table = self.tables["differences"]
        radial = table[(table["probe"] != CLEAN) & table["radius"].notna()] if "radius" in table else table.head(0)
        names = ["radius", "difference", "difference_ci_low", "difference_ci_high", "p_adjusted"]
        return [
            {"probe": str(probe), "a": str(a), "b": str(b), **values.columns(rows[names])}
            for (probe, a, b), rows in radial.groupby(["probe", "a", "b"], sort=False)
        ]


def against(audits: Sequence[Audit]) -> Against:
    """Every other audit against the first, on what they share."""
    try:
        common = common_images({audit.name: audit.whole for audit in audits})
    except (InputError, StoreError) as error:
        return Against(missing=str(error))
    report = Report(compare(common))
    return Against(method(report.comparison), tuple(sections(report)), report.tables())
