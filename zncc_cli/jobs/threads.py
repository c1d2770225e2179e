"""The same work on many things, several at a time, a few of them in memory."""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD = 2  # times the number of threads: what is begun before the first is taken


class _Workers(ThreadPoolExecutor):
    """Threads that run each call in the context of its caller, so that the backend chosen there holds here as well."""

    def submit(self, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any) -> Future[_Result]:
        return super().submit(contextvars.copy_context().run, fn, *args, **kwargs)


def workers(threads: int) -> ThreadPoolExecutor:
    """Return threads that each compute on one core, with the backend of the thread that submits a call."""
    return _Workers(threads, initializer=torch.set_num_threads, initargs=(1,))


def in_order(function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> Iterator[_Result]:
    """Yield ``function`` of each of ``items``, in their order; with one thread, when it is asked for."""
    if threads == 1:
        yield from map(function, items)
        return
    with workers(threads) as pool:
        begun: deque[Future[_Result]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(function, item))
                if len(begun) > _AHEAD * threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
