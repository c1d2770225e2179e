"""What windows hold, and what pixels are given back by the windows that hold them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from zncc_cli.registration.metric.windows import (
    full_windows,
    over_windows,
    pixel_sums,
    window_sums,
    window_variance,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def test_full_windows_are_those_without_a_masked_pixel() -> None:
    mask = torch.from_numpy(np.random.default_rng(0).random((2, 12, 13)) > 0.05)
    expected = sliding_window_view(mask.numpy(), (3, 3), axis=(-2, -1)).all((-2, -1))
    np.testing.assert_array_equal(full_windows(mask, 3).numpy(), expected)


@pytest.mark.parametrize("window", [1, 2, 5, 7])
@pytest.mark.parametrize(("combine", "expected"), [(torch.minimum, np.min), (torch.add, np.sum)])
def test_all_pixels_of_a_window_are_combined(
    combine: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    expected: Callable[..., np.ndarray],
    window: int,
) -> None:
    image = random(2, 12, 13)
    windows = sliding_window_view(image.numpy(), (window, window), axis=(-2, -1))
    combined = over_windows(image, window, combine)
    np.testing.assert_allclose(combined.numpy(), expected(windows, axis=(-2, -1)), rtol=0, atol=1e-12)


def test_window_sums_and_variances_are_those_of_the_pixels() -> None:
    image = random(12, 13)
    windows = sliding_window_view(image.numpy(), (5, 5))
    # float64: roundings of sums of 25 numbers of about one.
    np.testing.assert_allclose(window_sums(image, 5).numpy(), windows.sum((-2, -1)), rtol=0, atol=1e-12)
    np.testing.assert_allclose(window_variance(image, 5).numpy(), 25 * windows.var((-2, -1)), rtol=0, atol=1e-11)


def test_pixel_sums_are_the_adjoint_of_window_sums() -> None:
    pixels, windows = random(12, 13), random(8, 9, seed=1)
    by_window, by_pixel = (window_sums(pixels, 5) * windows).sum(), (pixels * pixel_sums(windows, 5)).sum()
    torch.testing.assert_close(by_window, by_pixel, rtol=0, atol=1e-10)
