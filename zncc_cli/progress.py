"""How far a job is: told from anywhere inside it to whoever listens, a command's bar or another program's.

    with listened(listener):            # listener(text, share): what is done now, or how much of all is done, 0 to 1
        with part(0.0, 0.2):
            read()                      # which says: say("reading a.tif")
        with part(0.2, 1.0):
            for frame in counted(frames, len(frames)):
                ...

Without a listener nothing happens. What a listener raises ends the job: that is how it is cancelled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

_Item = TypeVar("_Item")

Listener = Callable[[str | None, float | None], None]
"""Is called with a few words on what comes next, or with the share of the job that is done, which never falls."""


@dataclass
class _Job:
    """A job that is listened to, and the share of it that is done."""

    listener: Listener
    reached: float = 0.0


_job: ContextVar[_Job | None] = ContextVar("zncc_job", default=None)
_part: ContextVar[tuple[float, float]] = ContextVar("zncc_part", default=(0.0, 1.0))


@contextlib.contextmanager
def listened(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of all that is said in the block, and by threads that run in copies of its context."""
    job, whole = _job.set(_Job(listener)), _part.set((0.0, 1.0))
    try:
        yield
    finally:
        _part.reset(whole)
        _job.reset(job)


@contextlib.contextmanager
def part(low: float, high: float) -> Iterator[None]:
    """Let the block go from the share ``low`` to ``high`` of the part that it is in."""
    first, last = _part.get()
    with _as_part(first + low * (last - first), first + high * (last - first)):
        yield


@contextlib.contextmanager
def part_of_rest(share: float) -> Iterator[None]:
    """Let the block go on from what is done by a ``share`` of what is left of the part that it is in.

    Work that may be done again, nobody knows how often, never ends beyond the end so.
    """
    job, (first, last) = _job.get(), _part.get()
    reached = first if job is None else min(max(first, job.reached), last)
    with _as_part(reached, reached + share * (last - reached)):
        yield


@contextlib.contextmanager
def _as_part(first: float, last: float) -> Iterator[None]:
    token = _part.set((first, last))
    try:
        advance(0.0)
        yield
        advance(1.0)
    finally:
        _part.reset(token)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Let nobody hear what the block says: one of many small parts of what is told otherwise."""
    token = _job.set(None)
    try:
        yield
    finally:
        _job.reset(token)


def say(text: str) -> None:
    """Say in a few words what comes next."""
    if (job := _job.get()) is not None:
        job.listener(text, None)


def advance(share: float) -> None:
    """Say that a ``share`` of the part that this is in is done, 0 to 1."""
    if (job := _job.get()) is None:
        return
    first, last = _part.get()
    reached = first + min(max(share, 0.0), 1.0) * (last - first)
    if reached > job.reached:
        job.reached = reached
        job.listener(None, reached)


def size_words(factor: int) -> str:
    """Return how a level of a pyramid is called: "1/4 of the size", "full size"."""
    return "full size" if factor == 1 else f"1/{factor} of the size"


def counted(items: Iterable[_Item], count: int) -> Iterator[_Item]:
    """Yield ``items``, of which there are ``count``; those that were taken before the last one are done."""
    for number, item in enumerate(items):
        advance(number / max(count, 1))
        yield item
    advance(1.0)
