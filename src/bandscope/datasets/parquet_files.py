"""What must be known about a Parquet file of images before any image is read."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int

from bandscope.errors import DataError, nearest

FOOTER_TAIL = 8  # bytes at the end: the footer's length and "PAR1"


@dataclass(frozen=True)
class RowGroups:
    """Row groups of one file: the column that holds image bytes, rows, and encoded size of that column."""

    column: str
    rows: tuple[int, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class FileFacts:
    """One file.

    name: relative to the data set. size: in bytes. footer: SHA-256 of the footer.
    names: of the label's ClassLabel, empty where it has none. textual: whether labels are strings.
    values: distinct labels. codes: for each row, the position of its label in `values`.
    """

    name: str
    size: int
    footer: str
    groups: RowGroups
    names: tuple[str, ...]
    textual: bool
    values: tuple[Any, ...]
    codes: Int[np.ndarray, " rows"]


def read_facts(root: Path, path: Path, image: str, label: str) -> FileFacts:
    """Read footer and labels of one file.

    Raises:
        DataError: it is not Parquet, lacks a column, or has one of another type.
    """
    try:
        with pq.ParquetFile(path) as file:
            groups = _row_groups(path, file, image)
            values, codes, textual = _read_labels(path, file, label)
            names = () if textual else _class_names(file.schema_arrow, label)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{str(path)!r} cannot be read as Parquet: {error}.") from error
    name = path.relative_to(root).as_posix()
    return FileFacts(name, path.stat().st_size, _footer(path), groups, names, textual, values, codes)


def _row_groups(path: Path, file: pq.ParquetFile, image: str) -> RowGroups:
    column = _bytes_column(path, file.schema_arrow, image)
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    leaf = [file.schema.column(i).path for i in range(len(file.schema))].index(column)
    sizes = tuple(group.column(leaf).total_uncompressed_size for group in groups)
    return RowGroups(column, tuple(group.num_rows for group in groups), sizes)


def _bytes_column(path: Path, schema: pa.Schema, image: str) -> str:
    kind = _field(path, schema, image, "image").type
    if _is_binary(kind):
        return image
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and _is_binary(kind.field("bytes").type):
        return f"{image}.bytes"
    raise DataError(f"Column {image!r} of {str(path)!r} is {kind}; expected bytes, or a struct with `bytes`.")


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _field(path: Path, schema: pa.Schema, name: str, role: str) -> pa.Field:
    if schema.names.count(name) != 1:
        columns = ", ".join(schema.names)
        raise DataError(
            f"{str(path)!r} has no column {name!r}; its columns are {columns}. Say which one: ?{role}=NAME."
            f"{nearest(name, schema.names)}"
        )
    return schema.field(name)


def _read_labels(
    path: Path, file: pq.ParquetFile, label: str
) -> tuple[tuple[Any, ...], Int[np.ndarray, " rows"], bool]:
    kind = _field(path, file.schema_arrow, label, "label").type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    textual = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (textual or pa.types.is_integer(kind)):
        raise DataError(f"Column {label!r} of {str(path)!r} is {kind}; expected integers or strings.")
    column = file.read(columns=[label], use_threads=False).column(label)
    if column.null_count:
        raise DataError(f"Column {label!r} of {str(path)!r} lacks {column.null_count} of its {len(column)} labels.")
    encoded = column.cast(kind).combine_chunks().dictionary_encode()  # a stored dictionary may hold unused values
    return tuple(encoded.dictionary.to_pylist()), encoded.indices.to_numpy(zero_copy_only=False), bool(textual)


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    """The names of a ClassLabel in Hugging Face's metadata, which is JSON beside the schema."""
    try:
        feature = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]
        names: Sequence[str] = feature["names"] if feature["_type"] == "ClassLabel" else ()
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(names) if all(isinstance(name, str) for name in names) else ()


def _footer(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(-FOOTER_TAIL, 2)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-FOOTER_TAIL - length, 2)
        return hashlib.sha256(file.read(length)).hexdigest()
