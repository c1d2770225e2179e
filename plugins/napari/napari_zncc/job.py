"""A function that runs in a thread, says how far it is, and can be cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

from zncc_cli.errors import ZnccError
from zncc_cli.progress import listened


class _Cancelled(BaseException):
    """Ends a function from inside what it says."""


class Job(QObject):
    """Runs a function in a thread of its own; its signals arrive in the thread of who connects them.

    Signals:
        said: what is done now, and the share that is done, 0 to 1, or -1 while that is not known.
        done: with what the function returned.
        failed: with what went wrong, in a sentence.
        cancelled: the function was ended.
    """

    said = Signal(str, float)
    done = Signal(object)
    failed = Signal(str)
    cancelled = Signal()

    def __init__(self, function: Callable[[], Any], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._function = function
        self._text, self._share = "starting", -1.0
        self._is_cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="zncc")

    def start(self) -> None:
        """Start the function."""
        self._thread.start()

    def cancel(self) -> None:
        """End the function the next time that it says something."""
        self._is_cancelled.set()

    def wait(self, seconds: float) -> None:
        """Wait until the function has ended, or for some seconds."""
        self._thread.join(seconds)

    def _tell(self, text: str | None, share: float | None) -> None:
        if self._is_cancelled.is_set():
            raise _Cancelled
        self._text = self._text if text is None else text
        self._share = self._share if share is None else share
        self.said.emit(self._text, self._share)

    def _run(self) -> None:
        try:
            with listened(self._tell):
                result = self._function()
        except _Cancelled:
            self.cancelled.emit()
        except (ZnccError, ValueError) as error:
            self.failed.emit(str(error))
        except Exception as error:  # whatever it is, the panel goes on
            self.failed.emit(f"{type(error).__name__}: {error}")
        else:
            self.done.emit(result)
