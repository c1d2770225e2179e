"""What a process of ours takes of the machine: memory and cores."""

from __future__ import annotations

import ctypes
import os
import sys

# malloc.h: blocks taken from the system one by one, the end of the heap that is given back, and by how much it grows.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Use freed memory again rather than give it back: on large images its faults took longer than the arithmetic.

    glibc takes a block of 32 MiB and more from the system each time, whatever its thresholds are. A pair of 4096^2 took
    13 seconds instead of 31. The price: a quarter more memory at the peak, and all of it held until the process ends.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:  # glibc has it, other C libraries do not
        return
    for parameter, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**26)):
        mallopt(parameter, value)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
