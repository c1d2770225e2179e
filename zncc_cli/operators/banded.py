"""Symmetric positive definite matrices of which only the entries near the diagonal are not zero.

Stored as in csrc/cpu/banded.h: (n, width + 1) float64 on the CPU, row j holds the entries (j, j), (j + 1, j), ... By
native kernels, or in plain torch; the two agree to rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zncc_cli.operators.spline_system import has_splines

_NATIVE = torch.ops.zncc


def cholesky(band: Tensor, *, overwrite: bool = False) -> Tensor | None:
    """Return the Cholesky factor L of a banded matrix, stored likewise; None where the matrix is not positive.

    ``overwrite``: whether the matrix is not needed any more.
    """
    if has_splines(band):
        factor = band if overwrite else band.clone()
        return factor if _NATIVE.banded_cholesky(factor) else None
    factor, info = torch.linalg.cholesky_ex(dense(band))
    return None if int(info) else banded(factor, band.shape[1] - 1)


def log_determinant(factor: Tensor) -> float:
    """Return the logarithm of the determinant of L L^T."""
    return 2 * float(factor[:, 0].log().sum())


def solve(factor: Tensor, b: Tensor) -> Tensor:
    """Return x (n,) with L L^T x = b (n,)."""
    if has_splines(b):
        x = b.clone()
        _NATIVE.banded_solve(factor, x)
        return x
    return torch.cholesky_solve(b[:, None], dense(factor).tril())[:, 0]


def inverse(factor: Tensor) -> Tensor:
    """Return the entries of the inverse of L L^T that lie in the band, stored likewise."""
    if has_splines(factor):
        out = torch.empty_like(factor)
        _NATIVE.banded_inverse(factor, out)
        return out
    return banded(torch.cholesky_inverse(dense(factor).tril()), factor.shape[1] - 1)


def dense(band: Tensor) -> Tensor:
    """Return a banded matrix as (n, n)."""
    out = torch.diag(band[:, 0])
    for k in range(1, min(band.shape[1], len(band))):
        below = torch.diag(band[: len(band) - k, k], -k)
        out += below + below.T
    return out


def banded(matrix: Tensor, width: int) -> Tensor:
    """Return the band of a symmetric or lower triangular matrix (n, n), (n, width + 1)."""
    out = matrix.new_zeros((len(matrix), width + 1))
    for k in range(min(width + 1, len(matrix))):
        out[: len(matrix) - k, k] = torch.diagonal(matrix, -k)
    return out
