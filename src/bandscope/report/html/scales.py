"""Scale x frequency: the surfaces to draw, and the scale law in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bandscope.analysis.zoom import scale_axis
from bandscope.report.audit import Audit
from bandscope.report.html import values
from bandscope.report.plain import records
from bandscope.report.words import FOLLOWS


@dataclass(frozen=True)
class Law:
    """One scale law as cells: of a model under a probe."""

    model: str
    probe: str
    beta: str
    interval: str
    verdict: str
    images: int
    note: str


def laws(audits: Sequence[Audit]) -> list[Law]:
    """The scale law of all images of each audit, under each probe."""
    return [_law(audit.name, row) for audit in audits for row in records(audit.table("scale_law"))]


def surfaces(audits: Sequence[Audit]) -> list[dict[str, Any]]:
    """Accuracy and label probability over scale x radius, with r50 at each scale and its line, ready for JSON."""
    return [
        _surface(number, audit, str(probe))
        for number, audit in enumerate(audits)
        if "scale_surface" in audit.tables
        for probe in audit.tables["scale_surface"]["probe"].unique()
        if "radius" in audit.cube[str(probe)].dims
    ]


def _law(model: str, row: dict[str, Any]) -> Law:
    known = not row["reason"]
    return Law(
        model,
        str(row["probe"]).replace("_", "-"),
        f"{row['beta']:.2f}" if known else "–",
        values.interval(row["beta_ci_low"], row["beta_ci_high"], digits=2),
        FOLLOWS.get(str(row["verdict"]), "") if known else "",
        int(row["n"]),
        str(row["reason"] or row["left_out_because"]),
    )


def _surface(number: int, audit: Audit, probe: str) -> dict[str, Any]:
    axis = scale_axis(audit.whole)
    table = audit.tables["scale_surface"]
    table = table[table["probe"] == probe]
    points = audit.tables["scale_points"]
    points = points[points["probe"] == probe]
    law = audit.row("scale_law", probe=probe) or {"reason": "no law", "beta": np.nan}
    wide = {name: table.pivot(index=axis, columns="radius", values=name) for name in ("accuracy", "probability")}
    grid = wide["accuracy"]
    return {
        "model": number,
        "probe": probe,
        "axis": axis,
        "scales": values.column(grid.index.to_series()),
        "radius": values.column(grid.columns.to_series()),
        **{name: [values.column(row) for _, row in cells.iterrows()] for name, cells in wide.items()},
        "points": values.columns(points[[axis, "r50", "r50_ci_low", "r50_ci_high"]].rename(columns={axis: "scale"})),
        "law": {name: values.plain(law.get(name)) for name in ("beta", "r50", "r50_at", "reason")},
    }
