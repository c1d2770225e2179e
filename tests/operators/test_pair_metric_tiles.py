"""The kernels of the CUDA pair metric, run thread by thread on the CPU, against the CPU kernel."""

from __future__ import annotations

import ctypes

import pytest
import torch

from tests.operators.emulators import compiled_emulator, pointers
from tests.operators.pair_cases import CASES, PairCase, assert_same_metric, drawn
from zncc_cli.operators.pair_metric import PairSums, pair_metric

DTYPES = [torch.float32, torch.float64]


class Emulator:
    """A stand-in for the operator zncc::pair_metric."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library, self.order, self.calls = library, 0, 0

    def __call__(
        self,
        fixed: torch.Tensor,
        knots: torch.Tensor,
        matrix: torch.Tensor,
        field: torch.Tensor | None,
        degree: int,
        box: torch.Tensor,
        *rest: object,
    ) -> None:
        planes, (window, eps, cells, tile_step, projective, *written) = rest[:5], rest[5:]
        assert isinstance(eps, torch.Tensor)
        assert isinstance(cells, torch.Tensor)
        sizes = [*knots.shape, *fixed.shape, degree, *box.tolist(), window, *cells.tolist(), tile_step, projective]
        call = getattr(self.library, f"pair_metric_{str(fixed.dtype).removeprefix('torch.')}")
        call.restype = None
        call(
            (ctypes.c_int64 * len(sizes))(*map(int, sizes)),
            *(ctypes.c_void_p(numbers.data_ptr()) for numbers in (matrix, eps)),
            ctypes.c_int(self.order),
            *(pointers(tensors) for tensors in ((fixed, knots, field, *planes), written)),
        )
        self.calls += 1


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compiled_emulator("pair_metric", tmp_path_factory.mktemp("pair_metric"))


def emulated(library: ctypes.CDLL, case: PairCase, dtype: torch.dtype, order: int = 0) -> PairSums:
    planes, arguments = drawn(case, dtype)
    emulator = Emulator(library)
    emulator.order = order
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.ops.zncc, "pair_metric", emulator)
        sums = pair_metric(planes, **arguments)  # type: ignore[arg-type]
    assert emulator.calls == 1
    return sums


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_the_kernels_compute_what_the_cpu_kernel_does(library: ctypes.CDLL, name: str, dtype: torch.dtype) -> None:
    case = CASES[name]
    planes, arguments = drawn(case, dtype)
    expected = pair_metric(planes, **arguments)  # type: ignore[arg-type]
    assert_same_metric(emulated(library, case, dtype), expected, dtype)


@pytest.mark.parametrize("name", ["weights of windows", "every other tile", "wide windows", "field"])
def test_no_thread_reads_what_another_one_writes_in_the_same_phase(library: ctypes.CDLL, name: str) -> None:
    """Then neither the order of threads and blocks decides anything, nor what memory held before."""
    first, *others = (emulated(library, CASES[name], torch.float32, order) for order in range(3))
    for other in others:
        assert other.totals == first.totals
        for part in ("cells", "scores", "curvature", "z", "w", "pixels"):
            torch.testing.assert_close(getattr(other, part), getattr(first, part), rtol=0, atol=0)
