"""The native warp: the same values and depth as plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zncc_cli.config import Interpolation
from zncc_cli.operators import native
from zncc_cli.operators.warp import LANCZOS, spline_knots, warp, warp_part, weighted_sums
from zncc_cli.registration.warp import Sampler

MATRIX = torch.tensor([[0.97, 0.1, -3.3], [-0.08, 1.02, 2.2], [1e-4, -2e-4, 1.0]], dtype=torch.float64)
FRAME = (40, 44)

pytestmark = pytest.mark.skipif(
    native.load(torch.device("cpu")).used != "native", reason="no native kernels on this machine"
)


def image(height: int = 37, width: int = 53, planes: int = 2, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, planes, height, width, dtype=torch.float64, generator=generator)


def by_torch(planes: torch.Tensor, interpolation: Interpolation, mask: torch.Tensor | None = None) -> Sampler:
    with native.selected("reference"):
        return Sampler(planes, interpolation, mask)


@pytest.mark.parametrize("interpolation", [Interpolation.LINEAR, Interpolation.CUBIC])
# float64: rounding of coordinates of 50 pixels. float32: torch rounds coordinates to 4e-6 pixels, the kernels do not.
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-7), (torch.float32, 1e-4)])
@pytest.mark.parametrize("masked", ["whole", "rectangle", "hole"])
def test_equals_plain_torch(interpolation: Interpolation, dtype: torch.dtype, atol: float, masked: str) -> None:
    planes = image().to(dtype)
    mask = torch.ones(37, 53, dtype=torch.bool)
    if masked == "rectangle":
        mask[:3] = mask[:, 50:] = False
    elif masked == "hole":
        mask[10:14, 20:30] = False
    values, depth = Sampler(planes, interpolation, mask).warped(MATRIX, FRAME)
    expected = by_torch(planes, interpolation, mask).warped(MATRIX, FRAME)
    torch.testing.assert_close((values, depth), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("size", [(1, 7), (2, 2), (3, 40), (60, 1)])
def test_the_spline_goes_through_the_pixels_of_any_size(size: tuple[int, int]) -> None:
    planes = image(*size)[0]
    values, _ = warp(spline_knots(planes), torch.eye(3, dtype=torch.float64), size, 3, (0, 0, size[1] - 1, size[0] - 1))
    torch.testing.assert_close(values, planes, rtol=0, atol=1e-12)


# Sizes of which several threads get unequal parts, or too little for more than one.
@pytest.mark.parametrize("size", [(301, 403), (1, 90001), (90001, 1), (7, 9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_knots_do_not_depend_on_threads(size: tuple[int, int], dtype: torch.dtype) -> None:
    planes, before = image(*size)[0].to(dtype), torch.get_num_threads()
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        results.append(spline_knots(planes))
    torch.set_num_threads(before)
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=0)


@pytest.mark.parametrize("entry", [np.nan, np.inf, 1e300])
def test_points_that_are_nowhere_are_nan_and_count_for_nothing(entry: float) -> None:
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[0, 2] = entry
    values, depth = warp(image(9, 11)[0], matrix, (5, 6), 3, (-2, -2, 12, 10))
    assert values.isnan().all()
    assert not depth.any()


def test_rows_do_not_depend_on_threads() -> None:
    knots, before = image(300, 400)[0], torch.get_num_threads()
    results = []
    for threads in (1, 4):
        torch.set_num_threads(threads)
        results.append(warp(knots, MATRIX, (300, 400), 3, (0, 0, 399, 299)))
    torch.set_num_threads(before)
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


@pytest.mark.parametrize("degree", [1, 3, LANCZOS])
def test_a_part_of_a_frame_from_a_part_of_the_knots_is_the_same_bit_for_bit(degree: int) -> None:
    knots, matrix = image(90, 80)[0], MATRIX + torch.tensor([[0, 0, 20], [0, 0, 20], [0, 0, 0]])
    box = (30, 35, 45, 50)
    values, depth = warp(knots, matrix, (40, 44), degree, box)
    part = warp_part(knots[:, 9:80, 12:75], matrix, (11, 17), degree, box, (13, 21), (12, 9))
    torch.testing.assert_close(part, (values[:, 21:32, 13:30], depth[21:32, 13:30]), rtol=0, atol=0)
    assert 0 < part[1].mean() < 1


def test_lanczos_is_the_pixel_itself_on_a_pixel() -> None:
    knots = image(20, 20)[0]
    values, _ = warp_part(knots, torch.eye(3, dtype=torch.float64), (14, 14), LANCZOS, (0, 0, 19, 19), (3, 3), (0, 0))
    torch.testing.assert_close(values, knots[:, 3:17, 3:17], rtol=0, atol=0)


@pytest.mark.parametrize("reach", [0, 1, 5])
def test_weighted_sums_are_those_of_a_convolution_wherever_the_plane_was_cut(reach: int) -> None:
    planes, weights = image(90, 171)[0], torch.rand(reach + 1, dtype=torch.float64)
    sums = weighted_sums(planes, weights)
    kernel = torch.cat((weights.flip(0), weights[1:]))
    expected = F.conv2d(planes[:, None], torch.outer(kernel, kernel)[None, None])[:, 0]
    torch.testing.assert_close(sums, expected, rtol=1e-13, atol=1e-13)  # another order of up to 121 terms
    with native.selected("reference"):
        torch.testing.assert_close(weighted_sums(planes, weights), sums, rtol=0, atol=0)
    part = weighted_sums(planes[:, 7 : 50 + 2 * reach, 11 : 80 + 2 * reach], weights)
    torch.testing.assert_close(part, sums[:, 7:50, 11:80], rtol=0, atol=0)
