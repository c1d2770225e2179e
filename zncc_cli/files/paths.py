"""Paths of files to read: checks of a path before it is opened, and one-line errors for files that cannot be read."""

from __future__ import annotations

import contextlib
import re
import stat
from pathlib import Path

from zncc_cli.errors import InputError
from zncc_cli.text import one_line, shown

# A transform takes about a kilobyte. A file that is larger by far is something else, and is not read.
MAX_SMALL_FILE_BYTES = 2**20

# As a path, which has lost one of two slashes.
_URL = re.compile(r"(https?|s?ftp|ftps|s3|gs|gcs|abfss?|az|file):/+(.+)", re.IGNORECASE)

_OTHER_KINDS = (
    (stat.S_ISDIR, "a folder", "name one file in it"),
    (stat.S_ISFIFO, "a named pipe", "write its content into a file first"),
    (stat.S_ISSOCK, "a socket", "write its content into a file first"),
    (stat.S_ISCHR, "a device", "name a file"),
    (stat.S_ISBLK, "a device", "name a file"),
)


def is_zarr(path: Path) -> bool:
    """Tell whether ``path`` is a folder that is an OME-Zarr, or is named like one."""
    with contextlib.suppress(OSError, ValueError):
        is_named = path.suffix == ".zarr"
        return path.is_dir() and (is_named or any((path / name).is_file() for name in (".zattrs", "zarr.json")))
    return False


def as_url(path: Path) -> str | None:
    """Return the URL that a user gave for a path; None where it is none, or there is a file of that name."""
    match = _URL.fullmatch(str(path))
    return None if match is None or path.exists() else f"{match[1]}://{match[2]}"


def refuse_url(path: Path) -> None:
    """Raise `InputError` for a URL: what is not on this machine is not read."""
    url = as_url(path)
    if url is not None:
        advice = "give its path alone" if url.lower().startswith("file:") else "download it, and name the copy"
        raise InputError(f"{one_line(url)}: expected a file on this machine, found a URL; {advice}")


def refusal(path: Path, *, expected: str, found: object, advice: str) -> InputError:
    """Return the error, for the caller to raise, for a file that is not the ``expected`` one."""
    return InputError(f"{shown(path)}: expected {expected}, found {one_line(found) or type(found).__name__}; {advice}")


def too_large_for_memory(path: Path) -> InputError:
    """Return the error, for the caller to raise, for an image that does not fit into memory."""
    return InputError(f"{shown(path)}: the image does not fit into memory; crop it, or use a larger machine")


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error, for the caller to raise, for a file that exists and cannot be read."""
    return refusal(path, expected="a readable file", found=reason(error), advice="check its permissions")


def reason(error: Exception) -> object:
    """Return an error's message; of an error of the operating system, the words without its number and path."""
    return (isinstance(error, OSError) and error.strerror) or error


def regular_file_size(path: Path, *, expected: str) -> int:
    """Return the size in bytes of the file at ``path``, without opening it: opening a named pipe would wait for ever.

    Raises:
        InputError: there is no file, or it is not a regular one, or it is empty.
    """
    try:
        info = path.stat()
    except FileNotFoundError:
        refuse_url(path)
        raise refusal(path, expected="a file", found="nothing there", advice="check the name") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        advice = "check the name and the folder's permissions"
        raise refusal(path, expected=expected, found=reason(error), advice=advice) from error
    for is_kind, kind, advice in _OTHER_KINDS:
        if is_kind(info.st_mode):
            raise refusal(path, expected=expected, found=kind, advice=advice)
    if info.st_size == 0:
        raise refusal(path, expected=expected, found="an empty file", advice="copy or export the file again")
    return info.st_size


class MismatchError(Exception):
    """The error of a parser, which does not know the path. Who knows it raises a `refusal` instead."""

    def __init__(self, expected: str, found: object) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found


def read_small_file(path: Path, *, expected: str, advice: str, max_bytes: int = MAX_SMALL_FILE_BYTES) -> bytes:
    """Return the content of the file at ``path``, of at most ``max_bytes``.

    Raises:
        InputError: the file is missing, not readable, empty or larger.
    """
    size = regular_file_size(path, expected=expected)
    if size > max_bytes:
        raise refusal(path, expected=expected, found=f"{size} bytes", advice=advice)
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
