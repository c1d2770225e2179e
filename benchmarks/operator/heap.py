"""The source of a plane's memory on the CPU: always the system, or always what was freed before.

Left alone, glibc decides by what was freed earlier in the process, so that a call's time depends on who ran before it:
page faults alone have made it four times as long. Either setting is the same for all calls. Not even trimming gives
back all memory that was kept, so time with fresh memory has to be measured before time with kept memory.
"""

from __future__ import annotations

import ctypes

# mallopt's parameters, and the values that glibc starts with.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_DEFAULT_THRESHOLD, _DEFAULT_MMAP_MAX = 128 * 1024, 65536
_NEVER = 2**31 - 1


def set_heap(*, keep: bool) -> bool:
    """Let planes come from freed memory (``keep``) or from the system; return whether this C library can be told."""
    try:
        library = ctypes.CDLL(None)
        mallopt, trim = library.mallopt, library.malloc_trim
    except (AttributeError, OSError):
        return False
    # Naming the threshold stops glibc from moving it.
    done = mallopt(_MMAP_THRESHOLD, _DEFAULT_THRESHOLD)
    done &= mallopt(_MMAP_MAX, 0 if keep else _DEFAULT_MMAP_MAX)
    done &= mallopt(_TRIM_THRESHOLD, _NEVER if keep else _DEFAULT_THRESHOLD)
    if not keep:
        trim(0)
    return bool(done)
