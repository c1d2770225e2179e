"""The bar of a command on a terminal: what is done, how much of it, and the time that is left."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from zncc_cli.progress import Listener
from zncc_cli.text import shown, span

if TYPE_CHECKING:
    from rich.progress import Progress, Task

_DELAY_S = 1.0  # what is done by then needs no bar
# Before that much is done, and so long has passed, nobody can tell how long the rest takes.
_MIN_SHARE, _MIN_SECONDS = 0.03, 1.5
_BAR_WIDTH = 30


@contextlib.contextmanager
def bar() -> Iterator[Listener]:
    """Yield a listener that shows what it is told as a bar on stderr, after a second, until the block ends."""
    shower = _Bar()
    timer = threading.Timer(_DELAY_S, shower.start)
    timer.daemon = True
    timer.start()
    try:
        yield shower.tell
    finally:
        timer.cancel()
        shower.stop()


class _Bar:
    """What was told last, and rich's bar of it once that is started; its methods are called by several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._text, self._share, self._ended = "starting", 0.0, False
        self._began, self._job_began = time.monotonic(), 0.0
        self._shown: Progress | None = None

    def tell(self, text: str | None, share: float | None) -> None:
        """Take what is done now, or how much of it."""
        with self._lock:
            self._text = self._text if text is None else shown(text)
            if share is not None:
                # What came before, loading torch for example, tells nothing about the rest.
                self._job_began = self._job_began or time.monotonic()
                self._share = share
            self._update()

    def start(self) -> None:
        """Show the bar, unless the job has ended."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn
        from rich.table import Column
        from rich.text import Text

        bar = self

        class TimeLeft(ProgressColumn):
            """The time that is left, as long as what is done took; or that has passed, while nothing is known."""

            max_refresh = 0.5

            def render(self, task: Task) -> Text:
                seconds, share = time.monotonic() - bar._job_began, 0.0 if task.total is None else task.completed
                if share < _MIN_SHARE or seconds < _MIN_SECONDS:
                    return Text(span(time.monotonic() - bar._began))
                return Text(f"{span(seconds * (1 - share) / share)} left")

        with self._lock:
            if self._ended:
                return
            one_line = Column(no_wrap=True, overflow="ellipsis")
            words = TextColumn("{task.description}", markup=False, table_column=one_line)
            share = TextColumn("{task.fields[percent]}", justify="right")
            columns = SpinnerColumn(), BarColumn(_BAR_WIDTH), share, TimeLeft(), words
            self._shown = Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=8)
            self._shown.add_task(self._text, total=None, percent="")
            self._update()
            self._shown.start()

    def stop(self) -> None:
        """Remove the bar."""
        with self._lock:
            self._ended = True
            if self._shown is not None:
                self._shown.stop()

    def _update(self) -> None:
        if self._shown is None or self._ended:
            return
        (task,) = self._shown.task_ids
        known = self._share > 0
        self._shown.update(
            task,
            description=self._text,
            total=1.0 if known else None,
            completed=self._share,
            percent=f"{self._share:4.0%}" if known else "",
        )
