"""The normal equations of a spline field, and banded matrices: native and plain torch agree and solve them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zncc_cli.operators import banded, native
from zncc_cli.operators.spline_system import (
    STENCIL,
    lag_products,
    multiplied,
    shift_products,
    solve,
    spline_adjoint,
    spline_curvature,
)

NODES, SPACING, SHAPE = (12, 11), 8.0, (70, 61)
needs_native = pytest.mark.skipif(
    native.load(torch.device("cpu")).used != "native", reason="no native kernels on this machine"
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def curvature() -> Tensor:
    """Return the curvature (3, H, W) of pixels that each know one direction."""
    gx, gy = random(2, *SHAPE)
    return torch.stack((gx * gx, gx * gy, gy * gy))


def positive_band(n: int = 90, width: int = 17) -> Tensor:
    band = random(n, width + 1, seed=1).double()
    band[:, 0] = 20
    for k in range(1, width + 1):
        band[n - k :, k] = 0
    return band


OPERATORS: dict[str, Callable[[], Tensor]] = {
    "adjoint": lambda: spline_adjoint(random(2, *SHAPE), NODES, SPACING),
    "curvature": lambda: spline_curvature(curvature(), NODES, SPACING),
    "product": lambda: multiplied(spline_curvature(curvature(), NODES, SPACING), random(2, *NODES).double()),
    "lags": lambda: lag_products(random(2, *SHAPE), 5, step=3),
    "shifts": lambda: shift_products(random(*SHAPE), random(*SHAPE, seed=1), 11, 4),
    "factor": lambda: banded.cholesky(positive_band()),  # type: ignore[dict-item, return-value]
    "solution": lambda: banded.solve(banded.cholesky(positive_band()), random(90).double()),  # type: ignore[arg-type]
    "inverse": lambda: banded.inverse(banded.cholesky(positive_band())),  # type: ignore[arg-type]
}


@needs_native
@pytest.mark.parametrize("name", OPERATORS)
def test_native_kernels_agree_with_plain_torch(name: str) -> None:
    with native.selected("native"):
        found = OPERATORS[name]()
    with native.selected("reference"):
        expected = OPERATORS[name]()
    # Products of float32 numbers of about one, some summed in float32.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_solution_solves_its_equations(backend: str) -> None:
    if backend == "native" and native.load(torch.device("cpu")).used != "native":
        pytest.skip("no native kernels on this machine")
    with native.selected(backend):
        stencil = spline_curvature(curvature(), NODES, SPACING)
        stencil[0, 0] += 0.1
        stencil[0, 2] += 0.1
        b = random(2, *NODES).double()
        x = solve(stencil, b, most=500, tolerance=1e-10)
        torch.testing.assert_close(multiplied(stencil, x), b, rtol=0, atol=1e-7)


def test_a_stencil_is_the_matrix_of_the_splines() -> None:
    """sum over pixels of u^T A u, u a spline, is c^T S c."""
    c, A = random(2, *NODES).double(), curvature()
    stencil = spline_curvature(A, NODES, SPACING)
    # The adjoint's transpose makes the field.
    u = torch.zeros(2, *SHAPE, dtype=torch.float64)
    for axis in range(2):
        for y, x in ((3, 5), (69, 60), (31, 0)):
            point = torch.zeros(2, *SHAPE)
            point[axis, y, x] = 1
            u[axis, y, x] = (spline_adjoint(point, NODES, SPACING) * c).sum()
    where = (u[0] != 0) | (u[1] != 0)
    only = torch.where(where, A, 0)
    energy = (only[0] * u[0] ** 2 + 2 * only[1] * u[0] * u[1] + only[2] * u[1] ** 2).sum()
    found = (c * multiplied(spline_curvature(only, NODES, SPACING), c)).sum()
    assert float(found) == pytest.approx(float(energy), rel=1e-4)
    assert stencil.shape == (len(STENCIL), 3, *NODES)


def test_a_matrix_that_is_not_positive_has_no_factor() -> None:
    band = positive_band()
    band[40, 0] = -1
    assert banded.cholesky(band) is None


def test_the_band_of_the_inverse_is_that_of_the_dense_one() -> None:
    band = positive_band()
    factor = banded.cholesky(band)
    assert factor is not None
    expected = torch.linalg.inv(banded.dense(band))
    torch.testing.assert_close(banded.inverse(factor), banded.banded(expected, band.shape[1] - 1))
    assert banded.log_determinant(factor) == pytest.approx(float(torch.logdet(banded.dense(band))))
