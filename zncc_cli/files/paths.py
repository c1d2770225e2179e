"""Paths of files to read: what stands there, and how to speak of it in one line."""

from __future__ import annotations

import stat
from pathlib import Path

from zncc_cli.errors import InputError
from zncc_cli.text import one_line, shown

# A transform takes about a kilobyte; what is larger by far is something else, and is not read.
SMALL = 2**20

_OTHER_KINDS = (
    (stat.S_ISDIR, "a folder", "name one file in it"),
    (stat.S_ISFIFO, "a named pipe", "write its content into a file first"),
    (stat.S_ISSOCK, "a socket", "write its content into a file first"),
    (stat.S_ISCHR, "a device", "name a file"),
    (stat.S_ISBLK, "a device", "name a file"),
)


def refusal(path: Path, *, expected: str, found: object, advice: str) -> InputError:
    """The error, to be raised by the caller, for a file that is not what it should be."""
    return InputError(f"{shown(path)}: expected {expected}, found {one_line(found) or type(found).__name__}; {advice}")


def no_room(path: Path) -> InputError:
    """The error, to be raised by the caller, for a file whose pixels memory has no room for."""
    return InputError(f"{shown(path)}: the image does not fit into memory; crop it, or use a larger machine")


def regular_file_size(path: Path, *, expected: str) -> int:
    """Size of the file at ``path`` in bytes, without opening it: opening a named pipe would wait for ever.

    Raises:
        InputError: nothing is there, or it is no regular file, or it is empty.
    """
    try:
        info = path.stat()
    except FileNotFoundError:
        raise refusal(path, expected="a file", found="nothing there", advice="check the name") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise refusal(path, expected=expected, found=reason, advice="check the name and the folder's rights") from error
    for is_kind, kind, advice in _OTHER_KINDS:
        if is_kind(info.st_mode):
            raise refusal(path, expected=expected, found=kind, advice=advice)
    if info.st_size == 0:
        raise refusal(path, expected=expected, found="an empty file", advice="copy or export the file again")
    return info.st_size


class MismatchError(Exception):
    """What a parser says of content that it cannot use; who knows the path makes a `refusal` of it."""

    def __init__(self, expected: str, found: object) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found


def small_file(path: Path, *, expected: str, advice: str) -> bytes:
    """Content of the file at ``path``, which is to be of at most `SMALL` bytes.

    Raises:
        InputError: nothing readable is there, or it is empty or larger.
    """
    size = regular_file_size(path, expected=expected)
    if size > SMALL:
        raise refusal(path, expected=expected, found=f"{size} bytes", advice=advice)
    try:
        return path.read_bytes()
    except OSError as error:
        raise refusal(
            path, expected="a readable file", found=error.strerror or error, advice="check its permissions"
        ) from error
