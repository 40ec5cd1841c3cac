"""A figure on disk: whole or not at all, and the same bytes each time."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from bandscope.errors import InputError, nearest
from bandscope.files import write_bytes
from bandscope.report.figures import style

# No dates and no versions: equal figures are equal files.
_METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": "bandscope"},
    "pdf": {"Creator": "bandscope", "Producer": None, "CreationDate": None},
    "svg": {"Creator": "bandscope", "Date": None},
}


def save(
    figure: Figure, path_without_suffix: str | os.PathLike[str], formats: Sequence[str] = ("png", "pdf")
) -> list[Path]:
    """Write `figure` once a format, each file renamed into place only when it is complete.

    Args:
        figure: what a figure function returned.
        path_without_suffix: "out/curves" makes out/curves.png and out/curves.pdf. Dots in the name are kept.
        formats: any of "png" (300 dpi), "pdf" and "svg" (text stays text).

    Returns:
        The paths written, in the order of `formats`.

    Raises:
        InputError: an unknown format, or a place that cannot be written.
    """
    for name in formats:
        if name not in _METADATA:
            raise InputError(
                f"save: format {name!r} is not known; allowed are {', '.join(_METADATA)}." + nearest(name, _METADATA)
            )
    base = Path(path_without_suffix)
    rendered = [(base.with_name(f"{base.name}.{name}"), _render(figure, name)) for name in formats]
    for path, content in rendered:
        write_bytes(path, content, "save:", InputError)
    return [path for path, _ in rendered]


def _render(figure: Figure, name: str) -> bytes:
    buffer = io.BytesIO()
    with style.drawing():
        figure.savefig(buffer, format=name, metadata=_METADATA[name], facecolor="white")
    return buffer.getvalue()
