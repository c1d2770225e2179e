"""The memory and the cores that this process takes of the machine."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Iterator

# malloc.h: free memory at the end of the heap that is returned to the system, the step by which the heap grows, and how
# many blocks are taken from the system one by one.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Make glibc reuse freed memory instead of returning it to the system, whose page faults cost more than arithmetic.

    Otherwise glibc takes each block of 32 MiB and more from the system anew, whatever its thresholds are. A pair of
    4096^2 pixels took 13 seconds instead of 31. The price: a quarter more memory at the peak, all of it held until the
    process ends.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:  # glibc has it, other C libraries do not
        return
    for parameter, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**26)):
        mallopt(parameter, value)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Import torch in this context: without Python's collector, which takes a fifth of the time, here and at the end.

    Modules are never freed, but the collector would search them again and again, while they are loaded and afterwards.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
