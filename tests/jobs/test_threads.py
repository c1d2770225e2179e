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
