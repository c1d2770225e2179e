"""The interface of what runs the pairs of a batch: processes of this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

Task = dict[str, Any]
"""A pair as a worker receives it: ``name``, ``fixed``, ``moving``, ``key``; see `worker.align_task`."""


@dataclass(frozen=True)
class Answer:
    """The answer to a task: what the worker returned, or why it returned nothing.

    Attributes:
        task: the task as it was submitted.
        content: what `worker.align_task` returned; None where the worker was lost.
        reason: what became of a worker that was lost.
        transient: whether another try may succeed.
    """

    task: Task
    content: Mapping[str, Any] | None = None
    reason: str = ""
    transient: bool = False


class Engine(Protocol):
    """Takes tasks and returns answers in any order; leaving its context stops the tasks under way."""

    @property
    def room(self) -> int:
        """How many further tasks should be submitted now."""

    def submit(self, task: Task) -> None:
        """Take a task."""

    def wait(self, seconds: float) -> list[Answer]:
        """Return the answers that have come, waiting up to ``seconds`` for the first.

        Raises:
            BackendError: no worker can be started or reached.
        """

    def __enter__(self) -> Engine:
        """Start, or connect to, the workers."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the workers, and remove what they have half-written."""
