"""Files of object boxes, one box at a time: CSV, COCO's JSON, Pascal VOC's XML."""

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from xml.etree import ElementTree

from bandscope.datasets.csv_rows import DELIMITERS
from bandscope.errors import DataError

SOURCE_COLUMNS = ("source", "image", "path", "filename", "file_name")
CORNERS = (("x0", "y0", "x1", "y1"), ("xmin", "ymin", "xmax", "ymax"))
CORNER_AND_SIZE = ("x", "y", "width", "height")
EXPECTED = "expected a CSV, a COCO .json, a Pascal VOC .xml or a folder of those"


@dataclass(frozen=True)
class FileBox:
    """One box of a file, not yet checked.

    name: what the file calls the image.
    corners: (x0, y0, x1, y1) in source pixels, half-open.
    size: (width, height) of the image in pixels, where the file tells it.
    where: which part of which file, for messages.
    """

    name: str
    corners: tuple[float, float, float, float]
    size: tuple[float, float] | None
    where: str


def read_boxes(path: Path) -> Iterator[FileBox]:
    """Every box of a file, or of all XML files at any depth of a folder, in the file's order.

    Raises:
        DataError: it is missing, empty, cannot be parsed, or is none of the formats.
    """
    if path.is_dir():
        return _voc_folder(path)
    if not path.is_file():
        raise DataError(f"There is no file of boxes {str(path)!r}; {EXPECTED}.")
    return _FORMATS[path.suffix.lower() if path.suffix.lower() in _FORMATS else _suffix_by_content(path)](path)


def _suffix_by_content(path: Path) -> str:
    with _reading(path), path.open("rb") as file:
        start = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")
    return {b"<": ".xml", b"{": ".json", b"[": ".json"}.get(start[:1], ".csv")


def _csv(path: Path) -> Iterator[FileBox]:
    with _reading(path), path.open(encoding="utf-8-sig", newline="") as file:
        rows = _dict_reader(file)
        name_column, box_columns = _columns(path, rows.fieldnames or ())
        for row in rows:
            where = f"line {rows.line_num} of {str(path)!r}"
            if None in row or None in row.values():
                raise DataError(f"{_upper(where)} has not as many cells as the header.")
            a, b, c, d = (_number(row[column], where) for column in box_columns)
            if box_columns == CORNER_AND_SIZE:
                yield FileBox(row[name_column].strip(), (a, b, a + c, b + d), None, where)
            else:
                yield FileBox(row[name_column].strip(), (a, b, c, d), _size(row, where), where)


def _dict_reader(file: TextIO) -> "csv.DictReader[str]":
    first = file.readline()
    file.seek(0)
    delimiter = next((mark for mark in DELIMITERS if mark in first), ",")
    reader = csv.DictReader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
    return reader


def _columns(path: Path, header: Any) -> tuple[str, tuple[str, ...]]:
    """The column that names the image, and the four of the box."""
    name = next((column for column in SOURCE_COLUMNS if column in header), None)
    box = next((columns for columns in (*CORNERS, CORNER_AND_SIZE) if set(columns) <= set(header)), None)
    if name is None or box is None or len(set(header)) < len(header):
        allowed = ", or ".join(",".join(columns) for columns in (*CORNERS, CORNER_AND_SIZE))
        raise DataError(
            f"The header of {str(path)!r} is {','.join(header)!r}; it must have one of {', '.join(SOURCE_COLUMNS)}, "
            f"and {allowed}, each once."
        )
    return name, box


def _size(values: Mapping[str, Any], where: str) -> tuple[float, float] | None:
    """(width, height) of the image, where both are told and are not 0, which many tools write for "unknown"."""
    if values.get("width") is None or values.get("height") is None:
        return None
    width, height = _number(values["width"], where), _number(values["height"], where)
    if (width, height) == (0, 0):
        return None
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise DataError(f"{_upper(where)} says that its image has {width:g} x {height:g} pixels.")
    return width, height


def _coco(path: Path) -> Iterator[FileBox]:
    with _reading(path), path.open(encoding="utf-8-sig") as file:
        content = json.load(file)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise DataError(f"{str(path)!r} is not COCO's JSON: an object with `images` and `annotations` was expected.")
    with _fields(path):
        images = {image["id"]: image for image in content["images"]}
        for annotation in content["annotations"]:
            where = f"annotation {annotation.get('id', '?')} of {str(path)!r}"
            if annotation["image_id"] not in images:
                raise DataError(f"{_upper(where)} is of image {annotation['image_id']}, which is not in the file.")
            if annotation.get("iscrowd"):  # the box of a crowd is no object's
                continue
            image = images[annotation["image_id"]]
            x, y, width, height = (_number(value, where) for value in annotation["bbox"])
            yield FileBox(_text(image["file_name"], where), (x, y, x + width, y + height), _size(image, where), where)


@contextmanager
def _fields(path: Path) -> Iterator[None]:
    """What goes wrong with JSON of another shape than COCO's."""
    try:
        yield
    except KeyError as error:
        raise DataError(f"{str(path)!r} is not COCO's JSON: an entry lacks {error}.") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{str(path)!r} is not COCO's JSON: {error}.") from error


def _voc_folder(folder: Path) -> Iterator[FileBox]:
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() == ".xml" and not f.name.startswith("."))
    if not files:
        raise DataError(f"The folder {str(folder)!r} holds no .xml file; {EXPECTED}.")
    for file in files:
        yield from _voc(file)


def _voc(path: Path) -> Iterator[FileBox]:
    """Pixels are counted from 1 and `xmax`, `ymax` are the last ones inside: pixel n covers n - 1 to n."""
    with _reading(path):
        root = ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=_PlainTree()))
    if root.tag != "annotation":
        raise DataError(f"{str(path)!r} is not Pascal VOC's XML: its root is <{root.tag}>, not <annotation>.")
    where = repr(str(path))
    size = _size({side: root.findtext(f"size/{side}") for side in ("width", "height")}, where)
    name = (root.findtext("filename") or "").strip() or path.stem
    for found in root.findall("object"):
        texts = (found.findtext(f"bndbox/{edge}") for edge in CORNERS[1])
        first_x, first_y, last_x, last_y = (_number(text, where) for text in texts)
        yield FileBox(name, (first_x - 1, first_y - 1, last_x, last_y), size, where)


class _PlainTree(ElementTree.TreeBuilder):
    """A tree without entities: those can be defined in a DOCTYPE alone, and blow up or reach for other files."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it has a DOCTYPE, which is not allowed here")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What goes wrong while a file is opened and parsed."""
    try:
        yield
    except OSError as error:
        raise DataError(f"The boxes {str(path)!r} cannot be read: {error.strerror or error}; {EXPECTED}.") from error
    except RecursionError as error:
        raise DataError(f"The boxes {str(path)!r} cannot be parsed: they are nested too deep.") from error
    except (ElementTree.ParseError, ValueError, LookupError, csv.Error) as error:
        raise DataError(f"The boxes {str(path)!r} cannot be parsed: {error}.") from error


_FORMATS: Mapping[str, Callable[[Path], Iterator[FileBox]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".json": _coco,
    ".xml": _voc,
}


def _number(value: Any, where: str) -> float:
    try:
        return float("" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{_upper(where)} has {value!r} where a number of pixels should be.") from None


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{_upper(where)} has an image named {value!r}, which is not text.")
    return value


def _upper(where: str) -> str:
    return where[:1].upper() + where[1:]
