"""Class names as people write them: WordNet ids, synonyms, underscores."""

import re
import unicodedata
from collections.abc import Sequence

from bandscope.labels import ClassLabel

WNID = re.compile(r"(n\d{8})(?:[\s_.,:-]+(.*))?", re.DOTALL)


def class_label(text: str) -> ClassLabel:
    """A class from a folder or label name: "n01440764", "n01440764_tench", "n01440764 tench" or "tench"."""
    found = WNID.fullmatch(text)
    if not found:
        return ClassLabel(text)
    wnid, name = found.groups()
    return ClassLabel(name or wnid, wnid)


def normalised(name: str) -> str:
    """What two spellings of a name have in common: no case, no underscores or hyphens, the first synonym alone."""
    first = unicodedata.normalize("NFKC", name).partition(",")[0]
    return re.sub(r"[\s_-]+", " ", first).strip().casefold()


def listed(names: Sequence[str], most: int = 10) -> str:
    """Names for an error message: the first few, and how many there are."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} ... ({len(names)} in all)" if len(names) > most else shown
