"""Cross-correlation by FFT, batched, with one kernel for the whole batch or one for each image."""

from __future__ import annotations

from functools import lru_cache

import torch

from zncc_cli.errors import OptionError, WindowError

# A DFT whose length has no larger prime factor than these is fast both on the CPU (MKL, pocketfft) and in cuFFT.
_FAST_FACTORS = (2, 3, 5, 7)


@lru_cache(maxsize=256)
def good_size(length: int) -> int:
    """Return the smallest FFT length of at least ``length`` that is a product of 2, 3, 5 and 7."""
    size = max(length, 1)
    while True:
        rest = size
        for factor in _FAST_FACTORS:
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 1


def fft_cc(image: torch.Tensor, kernel: torch.Tensor, mode: str = "valid") -> torch.Tensor:
    """Correlate ``image`` with ``kernel`` where it fits ('valid'), or spread it by the transpose of that ('full').

    - ``'valid'``, the cross-correlation where the kernel lies inside the image:
      ``out[y, x] = sum over (u, v) of kernel[u, v] * image[y + u, x + v]``, of shape (..., H-h+1, W-w+1).
    - ``'full'``, the transpose (adjoint) of 'valid', which is the full convolution:
      ``out[y, x] = sum over (u, v) of kernel[u, v] * image[y - u, x - v]`` with zeros outside the image, of shape
      (..., H+h-1, W+w-1). For a kernel of ones, as for any symmetric one, it is the full cross-correlation as well.

    Args:
        image: shape (..., H, W), floating point; any strides.
        kernel: shape (..., h, w), floating point. Leading dimensions broadcast against the image's, so that a kernel
            of shape (h, w) is shared by the whole batch.
        mode: 'valid' or 'full'.

    Returns:
        The sums, in the wider of the two dtypes; half and bfloat16 are computed in float32 and returned in the
        dtype they came in. Differentiable in both arguments.

    Raises:
        OptionError: ``mode`` is neither 'valid' nor 'full'.
        WindowError: 'valid', and the kernel is larger than the image.

    An FFT mixes all pixels of a plane: a NaN anywhere is a NaN everywhere, and the rounding error at a pixel is
    relative to the largest values of its plane, not to its own.
    """
    (height, width), (h, w) = image.shape[-2:], kernel.shape[-2:]
    if mode not in ("valid", "full"):
        raise OptionError(f"mode must be 'valid' or 'full', got {mode!r}")
    if mode == "valid" and (h > height or w > width):
        raise WindowError(f"the kernel ({h}x{w}) must fit into the image ({height}x{width}); use a smaller kernel")

    dtype = torch.result_type(image, kernel)
    working = torch.promote_types(dtype, torch.float32)
    # 'valid' is 'full' with the kernel turned round, cropped; what wraps around is cropped too, so it needs no padding.
    # Turned round, not conjugated: torch conjugates lazily, and loses it when a graph runs while it is being traced.
    if mode == "valid":
        kernel = kernel.flip((-2, -1))
        rows, columns = slice(h - 1, height), slice(w - 1, width)
    else:
        rows, columns = slice(0, height + h - 1), slice(0, width + w - 1)
    if 0 in (*image.shape[:-2], *kernel.shape[:-2]):  # MKL refuses an empty batch; the sums keep it in the graph
        batch = image.sum(dim=(-2, -1)) + kernel.sum(dim=(-2, -1))
        return batch[..., None, None].expand(*batch.shape, rows.stop - rows.start, columns.stop - columns.start)
    size = (good_size(rows.stop), good_size(columns.stop))
    image_spectrum = torch.fft.rfft2(image.to(working), s=size)
    # Rows first, while there are only h of them: the padding's rows are zero. A quarter of rfft2's time.
    kernel_spectrum = torch.fft.fft(torch.fft.rfft(kernel.to(working), n=size[1]), n=size[0], dim=-2)
    out: torch.Tensor = torch.fft.irfft2(image_spectrum * kernel_spectrum, s=size)
    return out[..., rows, columns].to(dtype)
