"""Everything that can go wrong for a user, and the exit code that each class ends with.

    ZnccError                 1   base of all; never raised itself
      InputError      (OSError)    1   a file cannot be read, or is not what it claims to be
      OutputError     (OSError)    1   a file or folder cannot be written, or would be overwritten
      ContentError    (ValueError) 1   the pixels cannot be used: too small, constant, not finite
      BackendError    (RuntimeError) 1 the native kernels or the device that was asked for are not there
      ResourceError   (MemoryError) 1  the machine has not what it takes: memory, room on the disk
      OptionError     (ValueError) 2   an option, alone or beside others or for this image, makes no sense
        WindowError                2   the window does not fit the image

A message names the argument, what was expected, what was found and what to do next.
A registration that ran but is not to be trusted is no exception: it is a status (exit code 3). Neither is a picture, a
map or a mask that could not be made beside a result, or a pair of a batch that is not good: exit code 5.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command; SOME_FAILED: some files or pairs are missing."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_TRUSTED = 3
    SOME_FAILED = 5
    INTERRUPTED = 130


def is_memory_error(error: BaseException) -> bool:
    """Tell whether memory ran out: torch says so by a RuntimeError of its own on the CPU, and another on a GPU."""
    return isinstance(error, MemoryError) or any(
        words in str(error) for words in ("not enough memory", "out of memory", "Unable to allocate")
    )


class ZnccError(Exception):
    """Base of all errors that are a user's to mend; shown as one line, without a traceback."""

    exit_code: ExitCode = ExitCode.ERROR


class InputError(ZnccError, OSError):
    """A file cannot be read, or is not what it claims to be."""


class OutputError(ZnccError, OSError):
    """A file or folder cannot be written, or would be overwritten."""


class ContentError(ZnccError, ValueError):
    """The pixels cannot be used: too small, constant, not finite."""


class BackendError(ZnccError, RuntimeError):
    """The native kernels or the device that was asked for are not there."""


class ResourceError(ZnccError, MemoryError):
    """The machine has not what it takes: memory, room on the disk."""


class OptionError(ZnccError, ValueError):
    """An option, alone or beside others or for this image, makes no sense."""

    exit_code = ExitCode.USAGE


class WindowError(OptionError):
    """The window does not fit the image."""
