import platform
import resource

import numpy as np
import pytest

from bandscope.engine.memory import keep_memory

MEGABYTES = 64
OWN = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)  # of this thread alone, on Linux


def page_faults() -> int:
    """Of a large array, touched and freed, once there was one: the fewest of several, since the kernel adds some."""

    def faults() -> int:
        before = resource.getrusage(OWN).ru_minflt
        np.ones(MEGABYTES * 2**17)
        return resource.getrusage(OWN).ru_minflt - before

    return min([faults() for _ in range(6)][2:])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told to keep memory")
def test_freed_memory_is_used_again_without_page_faults_and_given_back_afterwards():
    with keep_memory():
        kept = page_faults()
    pages = MEGABYTES * 2**20 // resource.getpagesize()
    assert kept < pages / 100
    assert page_faults() > 10 * max(kept, 1)  # huge pages make fewer faults than pages


def test_the_allocator_is_put_back_after_an_error():
    with pytest.raises(ZeroDivisionError), keep_memory():
        1 / 0  # noqa: B018
    assert page_faults() > 10
