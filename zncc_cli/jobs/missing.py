"""Files that a job could not make beside a result that stands: a picture or a map never costs the result."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zncc_cli.config.spelling import as_options
from zncc_cli.errors import ZnccError, is_memory_error
from zncc_cli.text import one_line

logger = logging.getLogger("zncc_cli.missing")

_FULL = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "raise the limit on the size of a file",
}


class Missing:
    """What is missing of a job's files, and why.

        with missing.spared("overlay.png"):
            write_picture(staging / "overlay.png", ...)

    An exception in the block ends the block alone: the file is missing then, and no part of it is left.
    """

    def __init__(self, folder: Path) -> None:
        """``folder``: where the files are made."""
        self._folder = folder
        self._reasons: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        """Tell whether a file is missing."""
        return name in self._reasons

    @contextmanager
    def spared(self, *names: str) -> Iterator[None]:
        """Go on after the block when it raises an `Exception`; the files ``names`` are missing then."""
        try:
            yield
        except Exception as error:
            self.add(names, error)

    def add(self, names: Iterable[str], error: Exception) -> None:
        """Take files for missing because of ``error``."""
        names = tuple(names)
        logger.debug("missing: %s", ", ".join(names), exc_info=error)
        for name in names:
            with suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)
            self._reasons.setdefault(name, self._reason(error))

    def follow(self, name: str, needed: Iterable[str]) -> None:
        """Take a file for missing where one is that it is made from."""
        for reason in [self._reasons[one] for one in needed if one in self._reasons][:1]:
            self._reasons.setdefault(name, reason)

    def of(self, names: Iterable[str]) -> dict[str, str]:
        """Return which of ``names`` are missing, and why, in their order."""
        return {name: self._reasons[name] for name in names if name in self._reasons}

    def _reason(self, error: Exception) -> str:
        """Return what is wrong, and what to do, on one line."""
        cause: BaseException | None = error
        while cause is not None and not (isinstance(cause, OSError) and cause.strerror):
            cause = cause.__cause__
        if isinstance(cause, OSError):
            advice = _FULL.get(cause.errno or 0, "look at the output folder's disk and its permissions")
            return f"{one_line(cause.strerror)}; {advice}"
        text = as_options(one_line(str(error).replace(f"{self._folder}/", "")))
        if isinstance(error, ZnccError):
            return text
        if is_memory_error(error):
            return "not enough memory; close other programs"
        return f"{type(error).__name__}: {text}; a defect, not your mistake: report what --debug prints"


def sentence(missing: Mapping[str, str], again: str = "--overwrite") -> str:
    """Return what is missing, why, and what to do: ``again`` is the option that writes it; "" where nothing is."""
    names: dict[str, list[str]] = {}
    for name, reason in missing.items():
        names.setdefault(reason, []).append(name)
    said = ", ".join(f"{' and '.join(several)} ({reason})" for reason, several in names.items())
    return f"missing: {said}; all else is written, a run with {again} makes it good" if said else ""


def said_of(notes: tuple[str, ...], missing: Mapping[str, str]) -> dict[str, Any]:
    """Return what a report says of the files that are missing, and its notes."""
    said = (*notes, *([sentence(missing)] if missing else []))
    return {"missing": list(missing), "notes": [as_options(note) for note in said]}
