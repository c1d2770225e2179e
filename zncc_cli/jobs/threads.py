"""A function computed for many items by several threads, with few results in memory at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MAX_BEGUN_PER_THREAD = 2  # items that are begun before the first result is taken


def workers(threads: int) -> ThreadPoolExecutor:
    """Return a pool of threads in each of which torch computes on one core."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))


def in_order(function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> Iterator[_Result]:
    """Yield ``function(item)`` for each of ``items``, in their order; with one thread, each when it is taken."""
    if threads == 1:
        yield from map(function, items)
        return
    with workers(threads) as pool:
        begun: deque[Future[_Result]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(function, item))
                if len(begun) > _MAX_BEGUN_PER_THREAD * threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
