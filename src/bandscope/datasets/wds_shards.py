"""Where in a tar file of WebDataset each image lies, and what its label is."""

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from webdataset.tariterators import base_plus_ext

from bandscope.datasets.names import listed
from bandscope.errors import DataError

IMAGES = ("jpg", "jpeg", "png", "webp")
LABELS = ("cls", "json")  # the first that a sample has
KEY = "label"  # of a .json
BLOCK = 512  # bytes: a tar ends with blocks of zeros
TAIL = 2 * tarfile.RECORDSIZE  # bytes: no tar ends with more of them
NOTES = re.compile(r"__[^/]*__([./]|$)")  # files and folders of WebDataset itself
NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}


@dataclass(frozen=True)
class Member:
    """A file inside a tar: its name, and its place in bytes."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Sample:
    """An image and its label, a whole number or a text."""

    image: Member
    label: int | str


def read_shard(path: Path, image: str, label: str) -> Iterator[Sample]:
    """The samples of one shard, in the order of its members; image bytes are not read.

    Args:
        path: the tar.
        image: the extension of images; "" is whichever of IMAGES a sample has.
        label: the extension of labels, or a key of the .json; "" is .cls, or else "label" of the .json.

    Raises:
        DataError: the tar is truncated, damaged or compressed, a name occurs twice, a sample has several images, no
            image or no label, or a label is neither a whole number nor a text.
    """
    try:
        with path.open("rb") as file:
            samples = _samples(file, path)
            for key, members in samples.items():
                if found := _image(key, members, image, label, path):
                    yield Sample(found, _label(key, members, label, file, path))
    except OSError as error:
        raise DataError(f"The shard {str(path)!r} cannot be read: {error.strerror or error}.") from error


def _samples(file: IO[bytes], path: Path) -> dict[str, dict[str, Member]]:
    """The members of each key by extension; only headers are read."""
    samples: dict[str, dict[str, Member]] = {}
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined] # or else a million headers stay in memory
                if info.isreg():
                    _add(samples, Member(info.name, info.offset_data, info.size), path)
            end = tar.offset
    except tarfile.TarError as error:
        raise DataError(f"{str(path)!r} is no tar, or truncated: {error}.{_hint(file)}") from error
    file.seek(end)
    if file.read(BLOCK) != bytes(BLOCK):
        raise DataError(f"The shard {str(path)!r} is truncated or damaged at byte {end}: what follows is no member.")
    if any(file.read(TAIL)):
        raise DataError(
            f"The shard {str(path)!r} goes on after its end at byte {end}: give each of several tars a file."
        )
    return samples


def _add(samples: dict[str, dict[str, Member]], member: Member, path: Path) -> None:
    """Sort a member in by WebDataset's rule: the key ends at the first dot of the file's name."""
    key, extension = base_plus_ext(member.name)
    if key is None or NOTES.match(member.name) or NOTES.match(member.name.rpartition("/")[2]):
        return
    members = samples.setdefault(key, {})
    if members.setdefault(extension.lower(), member) is not member:
        raise DataError(f"The shard {str(path)!r} holds {member.name!r} twice.")


def _hint(file: IO[bytes]) -> str:
    file.seek(0)
    kind = COMPRESSED.get(file.read(2))
    return f" It is compressed ({kind}), which allows no random access: decompress it." if kind else ""


def _image(key: str, members: Mapping[str, Member], image: str, label: str, path: Path) -> Member | None:
    """The image of a sample; None where it is none: neither an image nor a label."""
    found = [name for name in ((image,) if image else IMAGES) if name in members]
    if len(found) > 1:
        raise DataError(
            f"{key!r} in {str(path)!r} has several images ({', '.join(found)}); say which: ?image={found[0]}."
        )
    if found:
        return members[found[0]]
    if not any(name in members for name in (label, *LABELS)):
        return None
    wanted = f".{image}" if image else ", ".join(f".{name}" for name in IMAGES)
    raise DataError(f"{key!r} in {str(path)!r} has no image ({wanted}) among {listed(sorted(members))}.")


def _label(key: str, members: Mapping[str, Member], label: str, file: IO[bytes], path: Path) -> int | str:
    own = next((name for name in ((label, "json") if label else LABELS) if name in members), None)
    if own is None:
        wanted = f".{label}, or {label!r} in a .json" if label else "a .cls or a .json"
        raise DataError(f"{key!r} in {str(path)!r} has no label ({wanted}) among {listed(sorted(members))}.")
    file.seek(members[own].offset)
    data = file.read(members[own].size)
    where = f"{members[own].name!r} in {str(path)!r}"
    if own == "json" and own != label:
        return _json_label(data, label or KEY, where)
    try:
        return _value(data.decode().strip(), where)
    except UnicodeDecodeError as error:
        raise DataError(f"The label {where} is no text: {error}.") from error


def _json_label(data: bytes, key: str, where: str) -> int | str:
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise DataError(f"{where} is no JSON: {error}.") from error
    if not isinstance(fields, dict) or key not in fields:
        held = f"; it holds {listed(sorted(fields))}" if isinstance(fields, dict) else ""
        raise DataError(f"{where} has no {key!r}{held}. Say which key is the label: ?label=KEY.")
    value = fields[key]
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise DataError(f"The {key!r} of {where} is {value!r}; expected a whole number or a text.")
    return value if isinstance(value, int) else _value(value, where)


def _value(text: str, where: str) -> int | str:
    """A whole number where the text is one."""
    if not text:
        raise DataError(f"The label {where} is empty.")
    return int(text) if NUMBER.fullmatch(text) else text
