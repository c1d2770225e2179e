from __future__ import annotations

import numpy as np
import pytest
import torch

from tests import reference
from zncc_cli.errors import OptionError, WindowError
from zncc_cli.operators.fft import fft_cc, good_size

# Image and kernel: odd, even, oblong, a kernel of one pixel, a kernel as large as the image, a single row, a prime.
SHAPES = [
    ((9, 12), (3, 3)),
    ((10, 7), (4, 2)),
    ((6, 20), (1, 5)),
    ((8, 8), (1, 1)),
    ((7, 5), (7, 5)),
    ((1, 16), (1, 3)),
    ((31, 37), (11, 2)),
]
# Rounding of a float64 FFT of at most 50 x 50 normal deviates.
ROUNDING = {"rtol": 1e-11, "atol": 1e-12}


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("image_shape", "kernel_shape"), SHAPES)
def test_valid_is_the_cross_correlation_where_the_kernel_fits(
    image_shape: tuple[int, int], kernel_shape: tuple[int, int], device: torch.device
) -> None:
    image, kernel = normal(*image_shape), normal(*kernel_shape, seed=1)
    expected = torch.from_numpy(reference.correlate_valid(image.numpy(), kernel.numpy()))
    torch.testing.assert_close(fft_cc(image.to(device), kernel.to(device)).cpu(), expected, **ROUNDING)


@pytest.mark.parametrize(("image_shape", "kernel_shape"), SHAPES)
def test_full_is_the_full_convolution(
    image_shape: tuple[int, int], kernel_shape: tuple[int, int], device: torch.device
) -> None:
    image, kernel = normal(*image_shape), normal(*kernel_shape, seed=1)
    expected = torch.from_numpy(reference.convolve_full(image.numpy(), kernel.numpy()))
    torch.testing.assert_close(fft_cc(image.to(device), kernel.to(device), "full").cpu(), expected, **ROUNDING)


@pytest.mark.parametrize(("image_shape", "kernel_shape"), SHAPES)
def test_full_is_the_transpose_of_valid(image_shape: tuple[int, int], kernel_shape: tuple[int, int]) -> None:
    image, kernel = normal(*image_shape), normal(*kernel_shape, seed=1)
    forward = fft_cc(image, kernel)
    other = normal(*forward.shape, seed=2)
    torch.testing.assert_close((forward * other).sum(), (image * fft_cc(other, kernel, "full")).sum(), **ROUNDING)


def test_a_kernel_is_shared_by_the_batch() -> None:
    images, kernel = normal(2, 3, 9, 8), normal(3, 2, seed=1)
    together = fft_cc(images, kernel)
    assert together.shape == (2, 3, 7, 7)
    torch.testing.assert_close(together[1, 2], fft_cc(images[1, 2], kernel), **ROUNDING)


def test_leading_dimensions_broadcast() -> None:
    images, kernels = normal(4, 1, 9, 8), normal(5, 3, 2, seed=1)
    together = fft_cc(images, kernels, "full")
    assert together.shape == (4, 5, 11, 9)
    torch.testing.assert_close(together[3, 1], fft_cc(images[3, 0], kernels[1], "full"), **ROUNDING)


@pytest.mark.parametrize("mode", ["valid", "full"])
def test_gradients_of_both_arguments(mode: str, device: torch.device) -> None:
    image = normal(2, 6, 5).to(device).requires_grad_()
    kernel = normal(3, 2, seed=1).to(device).requires_grad_()
    assert torch.autograd.gradcheck(lambda *arguments: fft_cc(*arguments, mode), (image, kernel))


def test_strides_do_not_matter() -> None:
    image, kernel = normal(20, 18).T[::2], normal(4, 3, seed=1).T
    torch.testing.assert_close(fft_cc(image, kernel), fft_cc(image.contiguous(), kernel.contiguous()), **ROUNDING)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_is_computed_in_float32_and_returned_in_half(dtype: torch.dtype) -> None:
    image, kernel = normal(12, 12, dtype=dtype), normal(3, 3, seed=1, dtype=dtype)
    torch.testing.assert_close(fft_cc(image, kernel), fft_cc(image.float(), kernel.float()).to(dtype))


def test_the_wider_dtype_is_returned() -> None:
    assert fft_cc(normal(8, 8, dtype=torch.float32), normal(3, 3)).dtype == torch.float64


@pytest.mark.parametrize(("mode", "shape"), [("valid", (0, 3, 6, 7)), ("full", (0, 3, 10, 9))])
def test_an_empty_batch_gives_an_empty_result(mode: str, shape: tuple[int, ...]) -> None:
    image = torch.empty(0, 3, 8, 8, requires_grad=True)
    out = fft_cc(image, torch.ones(3, 2), mode)
    out.sum().backward()
    assert out.shape == shape
    assert image.grad is not None
    assert image.grad.shape == image.shape


def test_a_kernel_larger_than_the_image_is_refused() -> None:
    with pytest.raises(WindowError, match=r"4x3.*must fit into the image.*3x9"):
        fft_cc(torch.ones(3, 9), torch.ones(4, 3))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(OptionError, match="'same'"):
        fft_cc(torch.ones(3, 9), torch.ones(2, 2), "same")


def test_good_sizes_are_products_of_small_primes() -> None:
    lengths = np.array([good_size(length) for length in range(1, 600)])
    assert (lengths >= np.arange(1, 600)).all()
    assert [good_size(length) for length in (1, 11, 13, 97, 257, 512)] == [1, 12, 14, 98, 270, 512]
