"""The errors bandscope raises: one small hierarchy, one clear sentence each.

Every message says what was given, what is allowed, and where.
"""

import difflib
from collections.abc import Iterable


class BandscopeError(Exception):
    """Base of every error that bandscope raises on purpose."""


class InputError(BandscopeError, ValueError):
    """An argument or option is out of its allowed range."""


class ModelError(BandscopeError):
    """A classifier cannot be found, loaded or run."""


class DataError(BandscopeError):
    """An image set cannot be found, read or matched to a classifier."""


class ImageError(DataError):
    """One image cannot be decoded; the audit records it and goes on."""


class StoreError(BandscopeError):
    """A result store is missing, foreign, damaged or made with other settings."""


def first_line(error: Exception) -> str:
    """The first line of another library's error, which may fill a page."""
    return str(error).strip().partition("\n")[0][:200].rstrip(".") or type(error).__name__


def nearest(given: str, allowed: Iterable[str]) -> str:
    """`" Did you mean 'x'?"`, or an empty string where nothing is close."""
    found = difflib.get_close_matches(given, list(allowed), n=1, cutoff=0.5)
    return f" Did you mean {found[0]!r}?" if found else ""
