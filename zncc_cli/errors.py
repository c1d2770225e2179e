"""The errors that a user can mend, and the exit code of each class.

    ZnccError                          1   base of all; never raised itself
      InputError      (OSError)        1   a file cannot be read, or is not what it claims to be
      OutputError     (OSError)        1   a file or folder cannot be written, or would be overwritten
      ContentError    (ValueError)     1   the pixels cannot be used: too few, constant, not finite
      BackendError    (RuntimeError)   1   the native kernels or the device that was asked for are not available
      ResourceError   (MemoryError)    1   the machine lacks memory, or room on the disk
      OptionError     (ValueError)     2   a setting makes no sense, alone, with others, or for this image
        WindowError                    2   the window does not fit the image

A message says which file or setting is meant, what was expected, what was found, and what to do. It names a setting in
backticks, as Python spells it (`` `min_overlap` ``); `zncc_cli.config.spelling.as_options` turns that into the option.
A registration that ran but is not to be trusted raises nothing: it has a status (exit code 3). Nor does a picture, map
or mask that could not be made beside a result, or a pair of a batch that is not good (exit code 5).
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of all commands; INCOMPLETE means that some files or pairs are missing."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_TRUSTED = 3
    INCOMPLETE = 5
    INTERRUPTED = 130


def is_memory_error(error: BaseException) -> bool:
    """Tell whether memory ran out; torch raises a RuntimeError of its own on the CPU, and another on a GPU."""
    return isinstance(error, MemoryError) or any(
        words in str(error) for words in ("not enough memory", "out of memory", "Unable to allocate")
    )


class ZnccError(Exception):
    """Base of the errors that a user can mend; a command shows them as one line, without a traceback."""

    exit_code: ExitCode = ExitCode.ERROR


class InputError(ZnccError, OSError):
    """A file cannot be read, or is not what it claims to be."""


class OutputError(ZnccError, OSError):
    """A file or folder cannot be written, or would be overwritten."""


class ContentError(ZnccError, ValueError):
    """The pixels cannot be used: too few, constant, not finite."""


class BackendError(ZnccError, RuntimeError):
    """The native kernels or the device that was asked for are not available."""


class ResourceError(ZnccError, MemoryError):
    """The machine lacks memory, or room on the disk."""


class OptionError(ZnccError, ValueError):
    """A setting makes no sense, alone, together with others, or for this image."""

    exit_code = ExitCode.USAGE


class WindowError(OptionError):
    """The window does not fit the image."""
