"""Random access to the image bytes of Parquet files, with memory that does not grow with the files."""

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bandscope.datasets.parquet_files import RowGroups
from bandscope.errors import ImageError

WINDOW = 16 << 20  # bytes of images decoded from Parquet at once; a row group may be far larger
KEPT_WINDOWS = 2  # a window and the one before it: threads finish out of order
KEPT_GROUPS = 3
KEPT_FILES = 3
READ_AHEAD = 1 << 20

Value = TypeVar("Value")


class Rows:
    """The bytes of every image, by position; files are opened when needed, in each process anew.

    files: paths. groups: their row groups.
    """

    def __init__(self, files: Sequence[str], groups: Sequence[RowGroups]) -> None:
        self._files, self._groups = files, groups
        self._places = [(file, group) for file, each in enumerate(groups) for group in range(len(each.rows))]
        self._ends = np.cumsum([groups[file].rows[group] for file, group in self._places])
        self._reader: _Reader | None = None

    def __getitem__(self, position: int) -> bytes | None:
        at = int(np.searchsorted(self._ends, position, side="right"))
        start = int(self._ends[at - 1]) if at else 0
        file, group = self._places[at]
        try:
            return self._open().read(self._files[file], self._groups[file], group, position - start)
        except (pa.ArrowException, OSError) as error:
            raise ImageError(f"its Parquet row group cannot be read: {' '.join(str(error).split())[:80]}") from error

    def _open(self) -> "_Reader":
        reader = self._reader
        if reader is None or reader.process != os.getpid():
            self._reader = reader = _Reader()
        return reader

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None}


class _Recent(Generic[Value]):
    """The last few values made."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        if key not in self._values:
            while len(self._values) >= self._most:
                self._values.popitem(last=False)
            self._values[key] = make()
        self._values.move_to_end(key)
        return self._values[key]


class _Reader:
    """Open files of one process, used by one thread at a time."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._lock = threading.Lock()
        self._files: _Recent[pq.ParquetFile] = _Recent(KEPT_FILES)
        self._cursors: _Recent[_Cursor] = _Recent(KEPT_GROUPS)

    def read(self, path: str, groups: RowGroups, group: int, row: int) -> bytes | None:
        with self._lock:
            file = self._files.get(path, lambda: pq.ParquetFile(path, buffer_size=READ_AHEAD, pre_buffer=False))
            cursor = self._cursors.get((path, group), lambda: _Cursor(file, groups, group))
            window, at = cursor.seek(row)
        data: bytes | None = window[at].as_py()
        return data


class _Cursor:
    """A place in one row group: goes forward window by window, and starts anew to go back."""

    def __init__(self, file: pq.ParquetFile, groups: RowGroups, group: int) -> None:
        self._file, self._column, self._group = file, groups.column, group
        self._rows = max(1, WINDOW * groups.rows[group] // max(1, groups.sizes[group]))
        self._start_anew()

    def _start_anew(self) -> None:
        self._ahead: Iterator[pa.RecordBatch] = self._file.iter_batches(
            batch_size=self._rows, row_groups=[self._group], columns=[self._column], use_threads=False
        )
        self._next = 0
        self._windows: deque[tuple[int, pa.Array]] = deque(maxlen=KEPT_WINDOWS)

    def seek(self, row: int) -> tuple[pa.Array, int]:
        if self._windows and row < self._windows[0][0]:
            self._start_anew()
        while row >= self._next:
            batch = next(self._ahead, None)
            if batch is None:
                raise OSError("it holds fewer rows than its footer says")
            self._windows.append((self._next, _bytes_of(batch.column(0))))
            self._next += batch.num_rows
        start, window = next(each for each in reversed(self._windows) if each[0] <= row)
        return window, row - start


def _bytes_of(column: pa.Array) -> pa.Array:
    """The bytes themselves, null where the whole struct is."""
    return column.flatten()[0] if pa.types.is_struct(column.type) else column
