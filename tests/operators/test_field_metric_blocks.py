"""The kernels of the CUDA field metric, run thread by thread on the CPU, against the CPU kernel."""

from __future__ import annotations

import ctypes

import pytest
import torch

from tests.operators.emulators import compiled_emulator, pointers
from tests.operators.field_cases import assert_same, masked, measured, planes, random
from zncc_cli.operators.field_metric import FieldMetric, FieldPlanes


class Emulator:
    """A stand-in for the operator zncc::field_metric."""

    def __init__(self, library: ctypes.CDLL, order: int) -> None:
        self.library, self.order, self.calls = library, order, 0

    def __call__(self, fixed: torch.Tensor, gradient: torch.Tensor, knots: torch.Tensor, *rest: object) -> None:
        box, fixed_mask, moving_mask, matrix, coefficients, weight, window, wide, numbers, *written = rest
        assert isinstance(coefficients, torch.Tensor)
        assert isinstance(written[0], torch.Tensor)
        sizes = [*fixed.shape, *knots.shape, *coefficients.shape[1:], window, wide]
        written[0].zero_()
        self.library.field_metric_emulated.restype = None
        self.library.field_metric_emulated(
            (ctypes.c_int64 * len(sizes))(*map(int, sizes)),  # type: ignore[call-overload]
            *(ctypes.c_void_p(pointers([each])[0]) for each in (matrix, box, numbers)),
            ctypes.c_int(self.order),
            pointers([fixed, gradient, knots, moving_mask, fixed_mask, coefficients, weight]),
            pointers(written),
        )
        self.calls += 1


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compiled_emulator("field_metric", tmp_path_factory.mktemp("field_metric"))


def emulated(
    library: ctypes.CDLL, images: FieldPlanes, weight: torch.Tensor | None = None, order: int = 0
) -> FieldMetric:
    emulator = Emulator(library, order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.ops.zncc, "field_metric", emulator)
        found = measured(images, weight)
    assert emulator.calls == 1
    return found


@pytest.mark.parametrize("shape", [(70, 61), (150, 40), (12, 15)])
def test_the_metric_is_that_of_the_cpu(library: ctypes.CDLL, shape: tuple[int, int]) -> None:
    assert_same(emulated(library, planes(shape)), measured(planes(shape)))


def test_masks_and_weights_are_those_of_the_cpu(library: ctypes.CDLL) -> None:
    images, weight = masked(planes()), random(70, 61, seed=6).abs()
    assert_same(emulated(library, images, weight), measured(images, weight))


def test_no_thread_reads_what_another_one_writes_in_the_same_phase(library: ctypes.CDLL) -> None:
    first, *others = (emulated(library, planes((45, 50)), order=order) for order in range(3))
    for other in others:
        assert torch.equal(other.pixels, first.pixels)
        assert (other.weight, other.zncc, other.information) == (first.weight, first.zncc, first.information)
