"""Means over windows around some pixels only."""

from __future__ import annotations

import pytest
import torch

from zncc_cli.registration.nonrigid.smoothing import box_means, box_means_at


@pytest.mark.parametrize(("shape", "side", "step"), [((300, 41), 11, 8), ((19, 70), 21, 8), ((530, 33), 5, 7)])
def test_means_at_some_pixels_are_those_of_all(shape: tuple[int, int], side: int, step: int) -> None:
    planes = torch.rand(2, *shape, generator=torch.Generator().manual_seed(1))
    some = box_means_at(lambda rows: planes[:, rows], shape[0], side, step)
    every = slice(step // 2, None, step)
    torch.testing.assert_close(some, box_means(planes, side)[:, every, every])
