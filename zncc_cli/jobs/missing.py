"""Files that a job could not make beside its result: a picture or a map that fails never costs the result."""

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

_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "raise the limit on the size of a file",
}


class Missing:
    """The files of a job that could not be made, and why.

        with missing.on_failure("overlay.png"):
            write_picture(staging / "overlay.png", ...)

    An exception in the block ends the block alone: the file is missing then, and what was written of it is removed.
    """

    def __init__(self, folder: Path) -> None:
        """Collect the missing files of ``folder``, in which the files are made."""
        self._folder = folder
        self._reasons: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        """Tell whether a file is missing."""
        return name in self._reasons

    @contextmanager
    def on_failure(self, *names: str) -> Iterator[None]:
        """Catch an `Exception` that the block raises, and add the files ``names`` to the missing ones."""
        try:
            yield
        except Exception as error:
            self.add(names, error)

    def add(self, names: Iterable[str], error: Exception) -> None:
        """Add files to the missing ones because of ``error``, and remove what was written of them."""
        names = tuple(names)
        logger.debug("missing: %s", ", ".join(names), exc_info=error)
        for name in names:
            with suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)
            self._reasons.setdefault(name, self._reason(error))

    def follow(self, name: str, needed: Iterable[str]) -> None:
        """Add a file to the missing ones, for the same reason, if one of the files that it is made from is missing."""
        reason = next((self._reasons[source] for source in needed if source in self._reasons), None)
        if reason is not None:
            self._reasons.setdefault(name, reason)

    def of(self, names: Iterable[str]) -> dict[str, str]:
        """Return those of ``names`` that are missing, in their order, each with the reason."""
        return {name: self._reasons[name] for name in names if name in self._reasons}

    def _reason(self, error: Exception) -> str:
        """Return what went wrong, and what to do, on one line."""
        cause: BaseException | None = error
        while cause is not None and not (isinstance(cause, OSError) and cause.strerror):
            cause = cause.__cause__
        if isinstance(cause, OSError):
            advice = _ADVICE.get(cause.errno or 0, "look at the output folder's disk and its permissions")
            return f"{one_line(cause.strerror)}; {advice}"
        text = as_options(one_line(str(error).replace(f"{self._folder}/", "")))
        if isinstance(error, ZnccError):
            return text
        if is_memory_error(error):
            return "not enough memory; close other programs"
        return f"{type(error).__name__}: {text}; a defect, not your mistake: report what --debug prints"


def sentence(missing: Mapping[str, str], option: str = "--overwrite") -> str:
    """Return what is missing, why, and what to do; "" where nothing is missing.

    Args:
        missing: names of files, each with the reason.
        option: the option with which the command writes the missing files.
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in missing.items():
        by_reason.setdefault(reason, []).append(name)
    files = ", ".join(f"{' and '.join(names)} ({reason})" for reason, names in by_reason.items())
    return f"missing: {files}; all other files are written; run again with {option} to write these" if files else ""


def report_entries(notes: tuple[str, ...], missing: Mapping[str, str]) -> dict[str, Any]:
    """Return the report's entries "missing" and "notes"; the last note says which files are missing, if any."""
    sentences = (*notes, *([sentence(missing)] if missing else []))
    return {"missing": list(missing), "notes": [as_options(note) for note in sentences]}
