"""The line of progress that a terminal shows while a batch runs."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from zncc_cli.jobs.batch.row import BatchRow
from zncc_cli.jobs.batch.run import OnRow
from zncc_cli.text import span

_COLUMNS = ("", "done", "ok", "suspect", "failed", "error", "pairs/s", "time left")
_BAR_WIDTH = 24


@contextlib.contextmanager
def live(total: int, *, shown: bool) -> Iterator[OnRow]:
    """Yield a function to call with each finished pair; if ``shown``, show on stderr how many of ``total`` are done."""
    if not shown:
        yield lambda _row, _kept: None
        return
    counts = _Counts(total)
    with Live(get_renderable=counts.table, console=Console(stderr=True), refresh_per_second=2, transient=True):
        yield counts.add


class _Counts:
    def __init__(self, total: int) -> None:
        self._total = total
        self._began = time.monotonic()
        self._by_status: Counter[str] = Counter()
        self._done = self._kept = 0

    def add(self, row: BatchRow, kept: bool) -> None:
        self._by_status[row.status] += 1
        self._done += 1
        self._kept += kept

    def table(self) -> Table:
        """Return the line; its rate and the time left count only the pairs that this run has done itself."""
        rate = (self._done - self._kept) / max(time.monotonic() - self._began, 1e-9)
        left = span((self._total - self._done) / rate) if rate else "-"
        table = Table(box=None, pad_edge=False)
        for column in _COLUMNS:
            table.add_column(column, justify="right")
        counts = (str(self._by_status[status]) for status in ("ok", "suspect", "failed", "error"))
        bar = ProgressBar(max(self._total, 1), self._done, width=_BAR_WIDTH)
        table.add_row(bar, f"{self._done}/{self._total}", *counts, f"{rate:.3g}", left)
        return table
