"""What the threads of a job take over from the thread that starts them."""

from __future__ import annotations

import torch

from zncc_cli.jobs.threads import in_order, workers
from zncc_cli.operators import native


def used(_: int) -> str:
    return native.load(torch.device("cpu")).used


def test_threads_compute_with_the_backend_of_their_caller() -> None:
    usual = used(0)
    with native.selected("reference"):
        assert list(in_order(used, range(5), threads=2)) == ["reference"] * 5
    with workers(2) as pool:
        with native.selected("reference"):
            chosen = [pool.submit(used, i) for i in range(4)]
        later = [pool.submit(used, i) for i in range(4)]
        assert {future.result() for future in chosen} == {"reference"}
        assert {future.result() for future in later} == {usual}


def test_no_more_results_are_in_memory_than_may_be() -> None:
    """A strip of a whole slide takes half a gigabyte: as many threads as a machine has cores would fill the memory."""
    computed = 0

    def result(number: int) -> int:
        nonlocal computed
        computed += 1  # one thread at a time begins, since a result must be taken first
        return number

    for taken, number in enumerate(in_order(result, range(20), threads=4, most=1), 1):
        assert number == taken - 1
        assert computed <= taken + 1
