"""The field metric on a GPU against the CPU kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.operators.field_cases import assert_same, masked, measured, planes, random
from zncc_cli.operators.field_metric import FieldPlanes


def moved(images: FieldPlanes, device: torch.device) -> FieldPlanes:
    names = ("fixed", "gradient", "knots", "fixed_mask", "moving_mask")
    parts = {name: getattr(images, name) for name in names}
    return replace(images, **{name: part.to(device) for name, part in parts.items() if part is not None})


@pytest.mark.cuda
@pytest.mark.parametrize("shape", [(70, 61), (12, 15), (900, 1300)])
def test_the_metric_is_that_of_the_cpu(cuda: torch.device, shape: tuple[int, int]) -> None:
    images = planes(shape, (shape[0] - 5, shape[1] + 9))
    found = measured(moved(images, cuda))
    assert found.pixels.is_cuda
    assert_same(found, measured(images))


@pytest.mark.cuda
def test_masks_and_weights_are_those_of_the_cpu(cuda: torch.device) -> None:
    images, weight = masked(planes()), random(70, 61, seed=6).abs()
    assert_same(measured(moved(images, cuda), weight.to(cuda)), measured(images, weight))


@pytest.mark.cuda
def test_the_same_bits_from_run_to_run(cuda: torch.device) -> None:
    first, second = (measured(moved(planes((300, 200)), cuda)) for _ in range(2))
    torch.testing.assert_close(second.pixels, first.pixels, rtol=0, atol=0)
    assert (second.weight, second.zncc, second.information) == (first.weight, first.zncc, first.information)
