"""The manifest of a batch: a file with a line of JSON for each finished pair, appended when the pair is finished.

The process may be killed at any byte: a last line that is cut off is dropped. The manifests of several shards are read
as one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from zncc_cli.errors import OutputError
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.jobs.batch.row import ERROR, BatchRow, row_of
from zncc_cli.text import one_line, shown

NAME = "manifest.jsonl"
_NAMES = re.compile(r"manifest(-[0-9]+-of-[0-9]+)?\.jsonl")
_HEADER = {"format": "zncc-batch-manifest", "version": 1}
_SYNC_SECONDS = 1.0  # of records that a power cut may lose; a killed process loses none


@dataclass(frozen=True)
class Record:
    """A finished pair.

    Attributes:
        row: its result.
        key: the `pair_key` of its inputs and settings; "" where an input could not be read.
        time: when it was finished, in seconds since 1970.
    """

    row: BatchRow
    key: str
    time: float

    @property
    def is_result(self) -> bool:
        """Whether the row is a result; an error is tried again."""
        return self.row.status != ERROR and bool(self.key)


def manifests(folder: Path) -> list[Path]:
    """Return the paths of the manifests in an output folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if _NAMES.fullmatch(entry.name) and entry.is_file())
    except OSError:
        return []


def read_manifests(paths: list[Path]) -> dict[str, Record]:
    """Return the latest record of each pair. Damaged lines are skipped; their pairs are done again.

    Raises:
        OutputError: a file cannot be read, or is not a manifest of this version.
    """
    latest: dict[str, Record] = {}
    for path in paths:
        for record in _records(path):
            name = record.row.name
            if name not in latest or latest[name].time <= record.time:
                latest[name] = record
    return latest


def _records(path: Path) -> Iterator[Record]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file):
                content = _parsed(line)
                if number == 0 and line.endswith(b"\n") and content != _HEADER:
                    raise OutputError(
                        f"{shown(path)}: expected a manifest of this version of zncc-batch, found something else; "
                        "remove it, or choose another --out"
                    )
                if number and isinstance(content, dict) and line.endswith(b"\n"):
                    try:
                        record = Record(row_of(content), str(content["key"]), float(content["time"]))
                    except (ValueError, TypeError, LookupError, ArithmeticError):
                        continue
                    if math.isfinite(record.time):
                        yield record
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{shown(path)}: cannot be read ({one_line(error.strerror or error)})") from error


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


class Manifest:
    """A manifest that is open for writing; no other process can write it."""

    def __init__(self, path: Path, *, keep: bool) -> None:
        """Open the manifest; ``keep`` its records, without a last line that is cut off, or begin it anew.

        Raises:
            OutputError: it cannot be written, or another process is writing it.
        """
        self.path = path
        self.begun = 0
        """When this process created it, in ns by the clock of the disk, as are the files of its pairs; else 0."""
        self._synced = time.monotonic()
        try:
            if os.path.lexists(path.parent) and not path.parent.is_dir():
                raise OutputError(
                    f"{shown(path.parent)}: expected a folder, found something else; choose another folder with --out"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+", buffering=0)
            try:
                self._lock()
                self._file.truncate(_whole_lines(self._file) if keep else 0)
                if self._file.seek(0, os.SEEK_END) == 0:
                    self._write(_HEADER)
                    self.begun = os.fstat(self._file.fileno()).st_mtime_ns
            except BaseException:
                self._file.close()
                raise
        except OutputError:
            raise
        except OSError as error:
            raise self._error(error) from error

    def __enter__(self) -> Manifest:
        """Return the manifest, which is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write everything to the disk and close the file."""
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Remove the manifest, and its folder if that is empty then."""
        with contextlib.suppress(OSError):
            self.path.unlink()
            self.path.parent.rmdir()

    def add(self, row: BatchRow, key: str) -> None:
        """Append the record of a pair.

        Raises:
            OutputError: the manifest cannot be written.
        """
        try:
            self._write({**dataclasses.asdict(row), "key": key, "time": round(time.time(), 3)})
            now = time.monotonic()
            if now - self._synced > _SYNC_SECONDS:
                os.fsync(self._file.fileno())
                self._synced = now
        except OSError as error:
            raise self._error(error) from error

    def sort(self, names: Iterable[str]) -> None:
        """Put the latest record of each pair in the order of ``names``, at time 0. No record is added after that.

        Those of other pairs, which an earlier run had, follow. Later runs number their records by the clock, so that
        these are the oldest.

        Raises:
            OutputError: the manifest cannot be written; it is as it was then.
        """
        records = read_manifests([self.path])
        with atomic_write(self.path) as file:
            file.write(_line(_HEADER))
            for record in (records[name] for name in dict.fromkeys([*names, *sorted(records)]) if name in records):
                file.write(_line({**dataclasses.asdict(record.row), "key": record.key, "time": 0.0}))

    def _write(self, content: dict[str, Any]) -> None:
        line = memoryview(_line(content))
        while line:  # a nearly full disk takes a part of it
            line = line[self._file.write(line) :]

    def _error(self, error: OSError) -> OutputError:
        advice = "check the folder's permissions and the free space, or choose another --out"
        return OutputError(f"{shown(self.path)}: cannot be written ({one_line(error.strerror or error)}); {advice}")

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{shown(self.path)}: another zncc-batch is writing this manifest; wait until it ends, choose another "
                "--out, or give each run its own --shard"
            ) from None
        except OSError:  # a file system without locks
            return


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def _whole_lines(file: Any) -> int:
    """Return the position after the last complete line of a binary file."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 2**16)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return int(start + newline + 1)
        end = start
    return 0
