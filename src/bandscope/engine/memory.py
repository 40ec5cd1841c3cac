"""Freed memory stays with the process while it measures: the same numbers, without most page faults.

A forward pass on the CPU allocates and frees hundreds of megabytes. By default glibc gives every large block back to
the kernel at once and faults it in anew, page by page, at the next layer: two fifths of the time of MobileNetV1 went
there (docs/performance.md).
"""

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager

# <malloc.h>: options of mallopt(3), and what they are by default
TRIM_THRESHOLD, TRIM_DEFAULT = -1, 128 * 1024
MMAP_MAX, MMAP_DEFAULT = -4, 65536
NEVER = 2**31 - 1  # bytes: the largest threshold that mallopt takes


@contextmanager
def keep_memory() -> Iterator[None]:
    """Keep what is freed inside for the next allocation; afterwards the allocator's defaults come back.

    Does nothing where the C library is not glibc, which in turn keeps blocks beyond 64 MB in its main arena alone:
    that of the main thread, until an allocation is refused there.
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(MMAP_MAX, 0)
    library.mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        library.mallopt(MMAP_MAX, MMAP_DEFAULT)
        library.mallopt(TRIM_THRESHOLD, TRIM_DEFAULT)
        library.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None
    except (OSError, TypeError):  # no C library to open by that name, as on Windows
        return None
