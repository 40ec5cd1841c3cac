"""The headline: what was audited and what came out, in plain words and a handful of figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bandscope.report.audit import RADIAL, Audit
from bandscope.report.html import values
from bandscope.report.plain import records
from bandscope.reprs import counted

FEW = 3  # models that a sentence can name


@dataclass(frozen=True)
class Figure:
    """One figure of the first screen: a number, its unit, its interval, and what it is."""

    what: str
    value: str
    unit: str = ""
    interval: str = ""
    note: str = ""


@dataclass(frozen=True)
class Headline:
    """The first screen.

    Attributes:
        title: of the page.
        sentence: the result.
        meaning: what that means in pixels.
        figures: by model, in the order of the audits.
        warnings: what must be known before any number is read.
    """

    title: str
    sentence: str
    meaning: str
    figures: tuple[tuple[str, tuple[Figure, ...]], ...]
    warnings: tuple[str, ...]


def headline(audits: Sequence[Audit]) -> Headline:
    """The first screen of a report on these audits."""
    names = ", ".join(audit.name for audit in audits)
    return Headline(
        title=f"{names} – bandscope",
        sentence=_sentence(audits),
        meaning=_meaning(audits[0]) if len(audits) == 1 else _meanings(audits),
        figures=tuple((audit.name, figures(audit)) for audit in audits),
        warnings=tuple(warning for audit in audits for warning in _warnings(audit, several=len(audits) > 1)),
    )


def ninety(audit: Audit) -> Mapping[str, Any] | None:
    """The row of `reach` for 90 % of clean accuracy under low-pass; None without a low-pass probe."""
    probe = audit.radial("low_pass")
    return None if probe is None else audit.row("reach", probe=probe, level=0.9)


def telling_band(audit: Audit) -> Mapping[str, Any] | None:
    """Of an audit without a probe over radius, the band that alone is worth most, or that costs most; else None."""
    if any(audit.radial(kind) for kind in RADIAL):
        return None
    rows = [row for row in records(audit.table("curves")) if row["probe"] == "band_pass" and row["n"]]
    if rows:
        return max(rows, key=lambda row: float(row["accuracy"]))
    rows = [row for row in records(audit.table("curves")) if row["probe"] == "band_stop" and row["n"]]
    return min(rows, key=lambda row: float(row["accuracy"]), default=None)


def _band(row: Mapping[str, Any]) -> str:
    """Such as "with frequencies of 8 to 16 cycles per image alone"."""
    edges = f"{row['low']:g} to {row['high']:g} cycles per image"
    return f"with frequencies of {edges} alone" if row["probe"] == "band_pass" else f"without frequencies of {edges}"


def _sentence(audits: Sequence[Audit]) -> str:
    if len(audits) == 1:
        return _one(audits[0])
    known = {audit.name: row["radius"] for audit in audits if (row := ninety(audit)) and not row["reason"]}
    if len(known) < len(audits) or len(audits) > FEW:
        low, high = (min(known.values()), max(known.values())) if known else (0, 0)
        where = f" reach 90 % of their clean accuracy at {low:.0f} to {high:.0f} cycles/image" if known else ""
        return f"{len(known)} of {len(audits)} audits{where}" if known else f"{len(audits)} audits side by side"
    first, *rest = (f"{values.name(name)} at {radius:.1f}" for name, radius in known.items())
    others = ", ".join([first + " cycles/image", *rest[:-1]])
    return f"90 % of clean accuracy is reached by {others} and by {rest[-1]}"


def _one(audit: Audit) -> str:
    row, clean = ninety(audit), audit.row("clean")
    if clean is None or clean["reason"]:
        return f"{values.name(audit.name)}: no image counts"
    if row is None or row["reason"]:
        told = telling_band(audit)
        share = "" if told is None else f", and on {values.percent(told['accuracy'])} {_band(told)}"
        return f"{values.name(audit.name)} is right on {values.percent(clean['accuracy'])} of its images{share}"
    return (
        f"{values.name(audit.name)} reaches 90 % of its accuracy with spatial frequencies up to "
        f"{row['radius']:.1f} cycles per image"
    )


def _meaning(audit: Audit) -> str:
    row = ninety(audit)
    if told := telling_band(audit):
        worth = "No other band alone is worth more" if told["probe"] == "band_pass" else "No other band costs more"
        return f"{worth}. This audit looks at bands only: it has no low-pass or high-pass over radius."
    if row is None:
        return "There is no low-pass probe in this audit, so nothing is said of where accuracy is reached."
    if row["reason"]:
        return f"Where 90 % of clean accuracy is reached under low-pass is not known: {row['reason']}."
    height, width = audit.cube.attrs["preprocess"]["size"]
    return (
        f"In its crop of {height} × {width} pixels one such wave is {audit.side / row['radius']:.1f} pixels long, "
        "light and dark together. All detail finer than that can be removed at the cost of a tenth of the accuracy."
    )


def _meanings(audits: Sequence[Audit]) -> str:
    lengths = [
        f"{audit.side / row['radius']:.1f} pixels long for {values.name(audit.name)}"
        for audit in audits
        if (row := ninety(audit)) and not row["reason"]
    ]
    if not lengths:
        shares = [
            f"{values.name(audit.name)} is right on {values.percent(told['accuracy'])} {_band(told)}"
            for audit in audits
            if (told := telling_band(audit))
        ]
        return f"{'; '.join(shares)}." if shares else ""
    return (
        f"One such wave, light and dark together, is {'; '.join(lengths)}. All detail finer than that can be "
        "removed at the cost of a tenth of the accuracy."
    )


def figures(audit: Audit) -> tuple[Figure, ...]:
    """Clean accuracy, where low-pass reaches 90 % of it, the wave's length, where high-pass has lost half of it."""
    found = [_clean(audit)]
    if row := ninety(audit):
        found.append(_radius(row, "90 % of it, with frequencies up to"))
        if not row["reason"]:
            found.append(_period(row, audit))
    high = audit.radial("high_pass")
    if high and (row := audit.row("reach", probe=high, level=0.5)):
        found.append(_radius(row, "half of it, with frequencies above"))
    if told := telling_band(audit):
        ends = values.interval(told["ci_low"], told["ci_high"], scale=100)
        found.append(Figure(_band(told), f"{100 * told['accuracy']:.1f}", "%", f"{ends} %"))
    return tuple(found)


def _clean(audit: Audit) -> Figure:
    row = audit.row("clean")
    what = f"clean accuracy {audit.at}".strip()
    if row is None or row["reason"]:
        return Figure(what, "–", note=str(row["reason"]) if row else "no images")
    ends = values.interval(row["ci_low"], row["ci_high"], scale=100)
    of = counted(audit.images, "image")
    return Figure(what, f"{100 * row['accuracy']:.1f}", "%", f"{ends} %", of)


def _radius(row: Mapping[str, Any], what: str) -> Figure:
    if row["reason"]:
        return Figure(what, "–", note=str(row["reason"]))
    ends = values.interval(row["radius_ci_low"], row["radius_ci_high"])
    return Figure(what, f"{row['radius']:.1f}", "cycles/image", ends)


def _period(row: Mapping[str, Any], audit: Audit) -> Figure:
    ends = [audit.side / row[f"radius_ci_{end}"] for end in ("high", "low") if row[f"radius_ci_{end}"] > 0]
    span = values.interval(*ends) if len(ends) == 2 else ""
    return Figure(
        "one such wave is", f"{audit.side / row['radius']:.1f}", "pixels long", span, f"of the crop's {audit.side}"
    )


def _warnings(audit: Audit, *, several: bool) -> list[str]:
    """Images that count in no statistic."""
    status = audit.cube.dataset["status"].values
    waiting, total = int((status == "").sum()), len(status)
    failed = total - audit.images - waiting
    parts = [f"{counted(waiting, 'image')} not computed yet: run the audit again"] * bool(waiting)
    parts += [f"{counted(failed, 'image')} failed"] * bool(failed)
    where = f"{values.name(audit.name)}: " * several
    return [f"{where}of {total:,} images, {part}. They are left out of every number here." for part in parts]
