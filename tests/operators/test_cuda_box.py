"""The box path and the fused sum on a GPU against the same operators on the CPU."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from zncc_cli.operators import build, native_ops
from zncc_cli.operators.local_std import local_std
from zncc_cli.operators.local_zncc import local_zncc_sum

EPS = 1e-3
DTYPES = [torch.float32, torch.float64]
SHAPES = [
    ((2, 3, 41, 57), (11, 11)),
    ((61, 1100), (11, 11)),
    ((300, 900), (101, 101)),
    ((150, 600), (12, 9)),  # more rows than are kept in shared memory
    ((90, 701), (40, 40)),  # the widest that is summed thread by thread
    ((90, 700), (8, 41)),
    ((90, 700), (8, 42)),
    ((90, 700), (8, 47)),
    ((24, 31), (24, 31)),
    ((24, 31), (1, 1)),
    ((50, 700), (4, 384)),
    ((50, 700), (4, 385)),  # wider than the kernels' widest window
    ((700, 50), (385, 4)),
    ((0, 20, 20), (5, 4)),
]


def normal(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape), dtype=dtype)


def assert_near(ours: torch.Tensor, expected: torch.Tensor) -> None:
    """Relative to the largest, since a gradient is a sum of numbers that may be larger."""
    scale = expected.abs().max().clamp(min=1e-30) if expected.numel() else 1.0
    tolerance = 3e-7 if expected.dtype == torch.float32 else 1e-11
    torch.testing.assert_close(ours.cpu() / scale, expected / scale, rtol=0, atol=tolerance, equal_nan=True)


def std_and_gradient(image: torch.Tensor, window: tuple[int, int], method: str = "box") -> tuple[torch.Tensor, ...]:
    leaf = image.detach().requires_grad_()
    std = local_std(leaf, window, EPS, method)
    return std.detach(), torch.autograd.grad(std, leaf, std.detach().flip(-1))[0]


def sum_and_gradients(
    f: torch.Tensor, m: torch.Tensor, weight: torch.Tensor, window: tuple[int, int]
) -> tuple[torch.Tensor, ...]:
    leaves = [x.detach().requires_grad_() for x in (f, m, weight)]
    total = local_zncc_sum(leaves[0], leaves[1], window, (EPS, 2 * EPS), leaves[2])
    return total.detach(), *torch.autograd.grad(total.sum(), leaves)


def pair(shape: tuple[int, ...], window: tuple[int, int], dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    f, m = normal(shape, dtype), normal(shape, dtype, seed=1)
    maps = (*shape[:-2], shape[-2] - window[0] + 1, shape[-1] - window[1] + 1)
    return f, 0.6 * f + m, normal(maps, dtype, seed=2).clamp(min=0)


def test_the_widest_window_is_that_of_the_kernels() -> None:
    source = (build.source_folder() / "cuda" / "tile_grid.h").read_text()
    found = re.search(r"kMaxTileWindow = (\d+);", source)
    assert found
    assert int(found.group(1)) == native_ops.MAX_CUDA_WINDOW


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "window"), SHAPES, ids=str)
def test_local_std(cuda: torch.device, shape: tuple[int, ...], window: tuple[int, int], dtype: torch.dtype) -> None:
    image = normal(shape, dtype)
    for ours, expected in zip(std_and_gradient(image.to(cuda), window), std_and_gradient(image, window), strict=True):
        assert ours.is_cuda
        assert_near(ours, expected)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "window"), SHAPES, ids=str)
def test_local_zncc(cuda: torch.device, shape: tuple[int, ...], window: tuple[int, int], dtype: torch.dtype) -> None:
    tensors = pair(shape, window, dtype)
    on_gpu = sum_and_gradients(*(x.to(cuda) for x in tensors), window)
    for ours, expected in zip(on_gpu, sum_and_gradients(*tensors, window), strict=True):
        assert ours.is_cuda
        assert_near(ours, expected)


@pytest.mark.cuda
@pytest.mark.parametrize("window", [(11, 11), (31, 8)])
def test_without_saved_means_the_gradient_is_the_same(cuda: torch.device, window: tuple[int, int]) -> None:
    image = (100 + 5 * normal((2, 90, 600), torch.float32)).to(cuda)
    std, M = torch.ops.zncc.local_std_box_with_mean(image, *window, EPS)
    g = std.flip(-1)
    ours, again = (torch.ops.zncc.local_std_box_gradient(g, image, std, saved, *window, EPS) for saved in (M, None))
    torch.testing.assert_close(ours, again, rtol=0, atol=0)
    torch.testing.assert_close(std, torch.ops.zncc.local_std_box(image, *window, EPS), rtol=0, atol=0)
    torch.library.opcheck(torch.ops.zncc.local_std_box_with_mean, (image, *window, EPS))


@pytest.mark.cuda
@pytest.mark.parametrize(("of_image", "of_g"), [(1e-14, 1.0), (1e13, 1.0), (1.0, 1e30), (1.0, 1e-30), (1.0, 0.0)])
def test_very_large_and_very_small_numbers(cuda: torch.device, of_image: float, of_g: float) -> None:
    """Their roots and quotients are taken apart from all others."""
    image, g = of_image * normal((60, 600), torch.float32), of_g * normal((50, 590), torch.float32, seed=1)
    leaves = [x.detach().requires_grad_() for x in (image.to(cuda), image)]
    maps = [local_std(leaf, 11, 1e-42, "box") for leaf in leaves]
    assert_near(maps[0].detach(), maps[1].detach())
    gradients = [torch.autograd.grad(std, leaf, g.to(leaf.device)) for std, leaf in zip(maps, leaves, strict=True)]
    assert_near(gradients[0][0], gradients[1][0])


# Of the windows' maps rows begin at any element, at every second, and at every fourth one.
@pytest.mark.cuda
@pytest.mark.parametrize("window", [(7, 10), (7, 11), (7, 45)])
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e6])
def test_lost_pixels_and_outliers(cuda: torch.device, value: float, window: tuple[int, int]) -> None:
    f, m, weight = pair((2, 120, 600), window, torch.float32)
    m[0, 60, 100] = m[1, 0, 0] = m[1, 119, 599] = value
    on_gpu = std_and_gradient(m.to(cuda), window), sum_and_gradients(f.to(cuda), m.to(cuda), weight.to(cuda), window)
    expected = std_and_gradient(m, window), sum_and_gradients(f, m, weight, window)
    for ours, other in zip(sum(on_gpu, ()), sum(expected, ()), strict=True):
        assert ours.isfinite().cpu().equal(other.isfinite())
        scale = other[other.isfinite()].abs().max() if other.isfinite().any() else 1.0
        assert_near(torch.where(ours.isfinite(), ours, 0.0) / scale, torch.where(other.isfinite(), other, 0.0) / scale)


@pytest.mark.cuda
def test_auto_is_box_and_strides_do_not_matter(cuda: torch.device) -> None:
    base = normal((3, 80, 90), torch.float32).to(cuda)
    aside = base.flatten()[1 : 1 + 80 * 88].view(80, 88)  # contiguous, and not aligned
    for view in (base.transpose(1, 2), base[:, ::2, 1::3], base[0].expand(2, 80, 90), base.flip(2), aside):
        expected = std_and_gradient(view.clone(memory_format=torch.contiguous_format), (5, 4))
        for method in ("box", "auto"):
            for ours, other in zip(std_and_gradient(view, (5, 4), method), expected, strict=True):
                torch.testing.assert_close(ours, other, rtol=0, atol=0)


@pytest.mark.cuda
def test_gradcheck(cuda: torch.device) -> None:
    f, m, weight = (x.to(cuda).requires_grad_() for x in pair((2, 6, 7), (3, 2), torch.float64))
    assert torch.autograd.gradcheck(lambda f, m, w: local_zncc_sum(f, m, (3, 2), EPS, w), (f, m, weight))
    assert torch.autograd.gradcheck(lambda f: local_std(f, (3, 2), 1e-6), f)


@pytest.mark.cuda
def test_on_another_stream_and_from_run_to_run(cuda: torch.device) -> None:
    """The stream is kept busy first, so that work on another one would come too early."""
    tensors = [x.to(cuda) for x in pair((4, 500, 600), (11, 11), torch.float32)]
    expected = (*std_and_gradient(tensors[0], (11, 11)), *sum_and_gradients(*tensors, (11, 11)))
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    for _ in range(3):
        with torch.cuda.stream(stream):
            late = [torch.zeros_like(x) for x in tensors]
            busy = torch.ones(2000, 2000, device=cuda)
            for _ in range(20):
                busy = busy @ busy * 1e-4
            for x, y in zip(late, tensors, strict=True):
                x.copy_(y)
            ours = (*std_and_gradient(late[0], (11, 11)), *sum_and_gradients(*late, (11, 11)))
        stream.synchronize()
        for x, y in zip(ours, expected, strict=True):
            torch.testing.assert_close(x, y, rtol=0, atol=0)


@pytest.mark.cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")  # a prototype feature, says torch
def test_nothing_waits_for_the_device(cuda: torch.device) -> None:
    f, m, weight = (x.to(cuda) for x in pair((2, 90, 80), (5, 5), torch.float32))
    std_and_gradient(f, (5, 5)), sum_and_gradients(f, m, weight, (5, 5))
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        std_and_gradient(f, (5, 5))
        sum_and_gradients(f, m, weight, (5, 5))
    finally:
        torch.cuda.set_sync_debug_mode(before)


@pytest.mark.cuda
def test_more_than_two_to_the_31_elements(cuda: torch.device) -> None:
    free, _ = torch.cuda.mem_get_info()
    if free < 40 << 30:
        pytest.skip("needs 40 GiB of free memory")
    image = torch.zeros(3, 30000, 30000, device=cuda)
    image[2, -200:, -200:] = normal((200, 200), torch.float32).to(cuda)
    std = local_std(image, 11, EPS)
    expected = local_std(image[2, -210:, -210:].contiguous(), 11, EPS)
    torch.testing.assert_close(std[2, -200:, -200:], expected, rtol=2e-6, atol=0)
    assert std[0, 0, 0].item() == pytest.approx(math.sqrt(EPS), rel=1e-6)
