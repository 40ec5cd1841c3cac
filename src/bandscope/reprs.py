"""What objects say of themselves: a line in a console, a small table in a notebook."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape


class Facts(ABC):
    """An object that tells a few facts, by name; each value is understood without its name."""

    @abstractmethod
    def _told(self) -> Mapping[str, str]:
        """The few that a line holds, the most telling first."""

    def _told_in_full(self) -> Mapping[str, str]:
        """Those that a table holds."""
        return self._told()

    def __repr__(self) -> str:
        try:
            told = ", ".join(map(_line, self._told().values()))
        except AttributeError:  # it is being made
            return object.__repr__(self)
        return f"<{type(self).__name__}: {told}>"

    def _repr_html_(self) -> str:
        cells = '<th style="text-align: left">{}</th><td style="text-align: left">{}</td>'
        rows = [cells.format(escape(name), escape(_line(text))) for name, text in self._told_in_full().items()]
        head = f'<thead><tr><th colspan="2" style="text-align: left">{type(self).__name__}</th></tr></thead>'
        return f"<table>{head}<tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Such as "1 image" or "1,500 images"."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def _line(text: str) -> str:
    return " ".join(text.split())
