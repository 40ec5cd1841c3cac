"""Page faults, counted in a process of its own: the allocator remembers what went on in a process before."""

import platform
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bandscope.engine.memory import keep_memory

MEGABYTES = 64


def page_faults() -> int:
    """Of the third of three large allocations, each touched and freed."""
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(MEGABYTES * 2**17)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def counted() -> tuple[int, int]:
    """Within `keep_memory`, and afterwards."""
    with keep_memory():
        kept = page_faults()
    return kept, page_faults()


def in_a_process() -> list[int]:
    command = [sys.executable, "-c", "from test_memory import counted; print(*counted())"]
    return [int(word) for word in subprocess.check_output(command, text=True, cwd=Path(__file__).parent).split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told to keep memory")
def test_freed_memory_is_used_again_without_page_faults_and_given_back_afterwards():
    kept, after = in_a_process()
    pages = MEGABYTES * 2**20 // resource.getpagesize()
    assert kept < pages / 100
    assert after > 10 * max(kept, 1)  # huge pages make fewer faults than pages


def test_the_allocator_is_put_back_after_an_error():
    with pytest.raises(ZeroDivisionError), keep_memory():
        1 / 0  # noqa: B018
    assert page_faults() > 10
