"""From cubes to everything that the page shows, as plain data: texts for its template, JSON for its scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from bandscope.datasets import ImageSource
from bandscope.report.audit import RADIAL, Audit, same_levels
from bandscope.report.figures.tables import QUANTITIES
from bandscope.report.html import values
from bandscope.report.html.against import Against, against
from bandscope.report.html.cells import Cells, curve_cells, reach_cells
from bandscope.report.html.gallery import Gallery, gallery, kinds_shown
from bandscope.report.html.headline import Headline, headline
from bandscope.report.html.pictures import Pictures
from bandscope.report.html.provenance import Pairs, convention_sentences, provenance
from bandscope.report.html.scales import Law, laws, surfaces


@dataclass(frozen=True)
class Page:
    """A report before it is rendered.

    Attributes:
        audits: what is reported.
        headline: the first screen.
        curves, reach: cells of ordinary tables.
        laws: scale laws; empty without zooms.
        against: the comparison; None of a single audit.
        gallery: single images.
        provenance: by audit, titled lists.
        conventions: by audit, sentences.
        made: when, in UTC, and by which version.
        notes: what the reader of the report, and who makes it, must know of missing pictures.
    """

    audits: tuple[Audit, ...]
    headline: Headline
    curves: list[Cells]
    reach: Cells
    laws: list[Law]
    against: Against | None
    gallery: Gallery
    provenance: list[tuple[str, list[tuple[str, Pairs]]]]
    conventions: list[tuple[str, list[str]]]
    made: str
    notes: tuple[str, ...]

    @property
    def subjects(self) -> list[tuple[list[str], str]]:
        """What was audited: models by the data that they were audited on."""
        found: dict[str, list[str]] = {}
        for audit in self.audits:
            held = audit.whole.attrs
            found.setdefault(str(held["data"]["spec"]), []).append(str(held["model"]["spec"]))
        return [(models, data) for data, models in found.items()]

    @property
    def radial(self) -> bool:
        """Whether any audit has a probe over radius; without one there is no band, and no image that tells of one."""
        return any(audit.radial(kind) for audit in self.audits for kind in RADIAL)

    @property
    def kinds(self) -> list[dict[str, str]]:
        """The kinds of telling images that there are."""
        return list(kinds_shown(self.gallery.entries))

    def to_json(self) -> dict[str, Any]:
        """What the page's scripts work on."""
        shown = self.gallery
        return {
            "made": self.made,
            "models": [audit.to_json() for audit in self.audits],
            "quantities": {
                name: {"title": about.label, "low": about.low, "high": about.high}
                for name, about in QUANTITIES.items()
            },
            "tables": [
                {name: values.columns(table) for name, table in audit.tables.items()} for audit in self.audits
            ],
            "comparison": {
                "differences": self.against.to_json() if self.against else [],
                "tables": {name: values.columns(table) for name, table in self.against.tables.items()}
                if self.against
                else {},
            },
            "surfaces": surfaces(self.audits),
            "gallery": {
                "entries": shown.entries,
                "crops": shown.crops,
                "pictures": shown.pictures,
                "small": shown.small,
                "examples": shown.examples,
                "typical": shown.typical,
                "kinds": self.kinds,
            },
            "provenance": [values.plain(dict(audit.whole.attrs)) for audit in self.audits],
        }


def build(audits: Sequence[Audit], images: ImageSource | None = None) -> Page:
    """Compute every table and pack every picture.

    Args:
        audits: the first is the baseline.
        images: where the audited images are now, if no longer where the cubes say.
    """
    audits = same_levels(audits)
    shown = gallery(audits, [Pictures(audit.cube, images) for audit in audits])
    return Page(
        audits=audits,
        headline=headline(audits),
        curves=curve_cells(audits),
        reach=reach_cells(audits),
        laws=laws(audits),
        against=against(audits) if len(audits) > 1 else None,
        gallery=shown,
        provenance=[(audit.name, provenance(audit)) for audit in audits],
        conventions=_conventions(audits),
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, bandscope {version('bandscope')}",
        notes=shown.notes,
    )


def _conventions(audits: Sequence[Audit]) -> list[tuple[str, list[str]]]:
    """The sentences of each audit, once where all are the same."""
    found = [(audit.name, convention_sentences(audit)) for audit in audits]
    same = all(sentences == found[0][1] for _, sentences in found)
    return [("", found[0][1])] if same else found
