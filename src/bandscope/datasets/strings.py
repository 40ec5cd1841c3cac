"""Millions of short strings without millions of objects."""

from array import array
from collections.abc import Iterable, Sequence
from typing import overload

from bandscope.errors import DataError


class Strings(Sequence[str]):
    """An immutable list of strings in one buffer, so that forked workers share it and do not copy it.

    Raises:
        DataError: a string is a file name that is not Unicode, which no result store could hold.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        text, ends = bytearray(), array("q", [0])
        for string in strings:
            text += _encode(string)
            ends.append(len(text))
        self._text, self._ends = bytes(text), ends

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[str]: ...
    def __getitem__(self, position: int | slice) -> str | Sequence[str]:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        start = range(len(self))[position]
        return self._text[self._ends[start] : self._ends[start + 1]].decode()


def _encode(string: str) -> bytes:
    try:
        return string.encode()
    except UnicodeEncodeError as error:
        shown = string.encode(errors="surrogateescape")
        raise DataError(f"The file name {shown!r} is not Unicode; rename that file.") from error
