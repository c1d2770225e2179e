"""Where a plane's memory comes from on the CPU: always from the system, or always from what was freed before.

Left alone, glibc decides by what was freed earlier in the process, so that a call's time depends on who ran before it:
page faults alone have changed it four times. Either state is the same for all; but not even trimming gives all back
that was kept, so that whoever wants both takes the fresh one first.
"""

from __future__ import annotations

import ctypes

# mallopt's parameters, and the values that glibc starts with.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_DEFAULT_THRESHOLD, _DEFAULT_MMAP_MAX = 128 * 1024, 65536
_NEVER = 2**31 - 1


def set_heap(*, keep: bool) -> bool:
    """Take each plane from what was freed before, or each from the system; say whether this C library can be told."""
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
