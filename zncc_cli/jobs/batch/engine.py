"""What runs the pairs of a batch, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

Task = dict[str, Any]
"""What a worker is told of a pair: ``name``, ``fixed``, ``moving``, ``key``; see `worker.align_task`."""


@dataclass(frozen=True)
class Answer:
    """What came back for a task: the worker's answer, or why there is none.

    Attributes:
        task: as it was handed in.
        content: as `worker.align_task` returns it; None where there is none.
        reason: what became of the worker then.
        passing: another try may go better.
    """

    task: Task
    content: Mapping[str, Any] | None = None
    reason: str = ""
    passing: bool = False


class Engine(Protocol):
    """Takes tasks and gives answers, in any order; closing it ends what is under way.

    ``room``: how many further tasks should be handed in now. ``wait``: the answers that are there, or none after some
    seconds at most.
    """

    @property
    def room(self) -> int:
        """See above."""

    def submit(self, task: Task) -> None:
        """Take a task."""

    def wait(self, seconds: float) -> list[Answer]:
        """See above; raises BackendError when no worker can be had."""

    def __enter__(self) -> Engine:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End: no worker is left, nor anything half-written."""
