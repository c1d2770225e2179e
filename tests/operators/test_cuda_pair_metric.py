"""The pair metric on a GPU against the CPU kernel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.operators.pair_cases import CASES, PairCase, assert_same_metric, drawn, moved
from zncc_cli.operators import native_ops
from zncc_cli.operators.pair_metric import PairSums, Wanted, has_pair_metric, pair_metric

DTYPES = [torch.float32, torch.float64]


def on_device(case: PairCase, dtype: torch.dtype, device: torch.device) -> PairSums:
    planes, arguments = drawn(case, dtype)
    transform, weight = arguments["transform"], arguments["weight"]
    assert isinstance(transform, torch.Tensor)
    if transform.dim() == 3:
        arguments["transform"] = transform.to(device)
    if isinstance(weight, torch.Tensor):
        arguments["weight"] = weight.to(device)
    return pair_metric(moved(planes, device), **arguments)  # type: ignore[arg-type]


def on_cpu(case: PairCase, dtype: torch.dtype) -> PairSums:
    planes, arguments = drawn(case, dtype)
    return pair_metric(planes, **arguments)  # type: ignore[arg-type]


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_the_metric_is_that_of_the_cpu(cuda: torch.device, name: str, dtype: torch.dtype) -> None:
    ours = on_device(CASES[name], dtype, cuda)
    for sums in (ours.cells, ours.scores, ours.curvature):
        assert sums is None or sums.is_cpu
    for plane in (ours.z, ours.w, ours.pixels):
        assert plane is None or plane.is_cuda
    assert_same_metric(ours, on_cpu(CASES[name], dtype), dtype)


@pytest.mark.cuda
def test_a_large_frame(cuda: torch.device) -> None:
    """Many tiles, blocks and cells, with more rows than a tile has."""
    large = {"shape": (1500, 2300), "moving_shape": (1480, 2350), "window": 15}
    case = replace(CASES["projective"], **large)  # type: ignore[arg-type]
    assert_same_metric(on_device(case, torch.float32, cuda), on_cpu(case, torch.float32), torch.float32)


@pytest.mark.cuda
def test_the_same_bits_from_run_to_run_and_on_another_stream(cuda: torch.device) -> None:
    """The stream is kept busy first, so that work on another one would come too early."""
    case = CASES["weights of windows"]
    first = on_device(case, torch.float32, cuda)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        busy = torch.ones(2000, 2000, device=cuda)
        for _ in range(20):
            busy = busy @ busy * 1e-4
        second = on_device(case, torch.float32, cuda)
    torch.cuda.synchronize()
    assert second.totals == first.totals
    for part in ("cells", "scores", "curvature", "z", "w", "pixels"):
        torch.testing.assert_close(getattr(second, part), getattr(first, part), rtol=0, atol=0)


@pytest.mark.cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")  # a prototype feature, says torch
def test_nothing_waits_for_the_device_before_the_sums_are_read(
    cuda: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    planes, arguments = drawn(CASES["affine"], torch.float32)
    on_gpu = moved(planes, cuda)
    pair_metric(on_gpu, **arguments)  # type: ignore[arg-type]
    copies = []
    copy = torch.Tensor.cpu

    def copied(tensor: torch.Tensor) -> torch.Tensor:
        torch.cuda.set_sync_debug_mode("default")
        copies.append(tensor)
        return copy(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", copied)
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        pair_metric(on_gpu, **arguments)  # type: ignore[arg-type]
    finally:
        torch.cuda.set_sync_debug_mode(before)
    assert len(copies) == 1


@pytest.mark.cuda
def test_windows_wider_than_the_kernels_are_left_to_plain_torch(cuda: torch.device) -> None:
    image = torch.zeros(2, 2, device=cuda)
    assert has_pair_metric(image, native_ops.MAX_CUDA_WINDOW)
    assert not has_pair_metric(image, native_ops.MAX_CUDA_WINDOW + 1)


@pytest.mark.cuda
def test_arguments_on_another_device_are_refused(cuda: torch.device) -> None:
    planes, arguments = drawn(CASES["weights of windows"], torch.float32)
    with pytest.raises(RuntimeError, match="weight has another dtype, layout or device"):
        pair_metric(moved(planes, cuda), **arguments)  # type: ignore[arg-type]
    matrix = torch.tensor(np.eye(3), device=cuda)
    with pytest.raises(RuntimeError, match="matrix must be on the CPU"):
        pair_metric(
            moved(planes, cuda),
            matrix,
            9,
            CASES["affine"].weights,
            Wanted(),
        )
