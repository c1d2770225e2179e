"""A function computed for many items by several threads, with few results in memory at a time."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MAX_BEGUN_PER_THREAD = 2  # items that are begun before the first result is taken


class _Workers(ThreadPoolExecutor):
    """Threads that run each call in the context of its caller, so that the backend chosen there holds here as well."""

    def submit(self, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any) -> Future[_Result]:
        return super().submit(contextvars.copy_context().run, fn, *args, **kwargs)


def workers(threads: int) -> ThreadPoolExecutor:
    """Return threads that each compute on one core, with the backend of the thread that submits a call."""
    return _Workers(threads, initializer=torch.set_num_threads, initargs=(1,))


@contextlib.contextmanager
def beside(load: Callable[[], None]) -> Iterator[None]:
    """Call ``load`` in a thread beside the block. What it raises is dropped: who needs it will call it again."""

    def run() -> None:
        with contextlib.suppress(Exception):
            load()

    thread = threading.Thread(target=run, daemon=True)
    with contextlib.suppress(RuntimeError):  # no thread can be had
        thread.start()
    yield
    # Not where the block was interrupted: that may leave the lock of an import, for which the thread waits for ever.
    if thread.ident is not None:
        thread.join()


def in_order(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int, most: int | None = None
) -> Iterator[_Result]:
    """Yield ``function(item)`` for each of ``items``, in their order; with one thread, each when it is taken.

    ``most``: how many results are in memory at a time, besides the one that was taken; by default two for each thread.
    """
    most = _MAX_BEGUN_PER_THREAD * threads if most is None else max(1, min(most, _MAX_BEGUN_PER_THREAD * threads))
    if threads == 1:
        yield from map(function, items)
        return
    with workers(threads) as pool:
        begun: deque[Future[_Result]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(function, item))
                if len(begun) > most:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
