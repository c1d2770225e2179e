"""Grids of nodes: those of the levels are nested, and the prior holds what it says."""

from __future__ import annotations

import math

import pytest
import torch

from zncc_cli.errors import OptionError
from zncc_cli.operators import banded, native
from zncc_cli.operators.node_band import node_band
from zncc_cli.operators.spline_system import multiplied
from zncc_cli.registration.nonrigid.node_grid import NodeGrid, check_spacing
from zncc_cli.registration.nonrigid.prior import Smoothness, form_stencil, prior_stencil


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(65, 97), (64, 90), (33, 41)])
def test_a_field_is_the_same_on_nodes_half_as_far_apart(shape: tuple[int, int]) -> None:
    coarse, fine = NodeGrid(shape, 8.0), NodeGrid(shape, 4.0)
    c = random(2, *coarse.nodes)
    torch.testing.assert_close(fine.field(fine.refined(c)), coarse.field(c), rtol=0, atol=1e-12)


def test_a_fit_to_a_spline_returns_it() -> None:
    grid = NodeGrid((64, 80), 8.0)
    field = grid.field(random(2, *grid.nodes))
    # The prior that holds unseen nodes weighs a ten-thousandth of the pixels.
    assert float((grid.field(grid.fit(field)) - field).abs().max()) < 0.02


def test_the_prior_of_a_constant_is_its_square_over_the_frame() -> None:
    """The third derivatives of a constant are zero, so that tau u^2 times the area is left."""
    grid = NodeGrid((65, 97), 8.0)
    smoothness = Smoothness(deviation=2.0, length=16.0)
    prior = prior_stencil(grid.nodes, grid.spacing, smoothness)
    c = torch.ones(2, *grid.nodes, dtype=torch.float64)
    stencil = torch.stack((prior, torch.zeros_like(prior), prior), dim=1)
    energy = float((c * multiplied(stencil, c)).sum()) / 2
    # The nodes end with the frame, 64 by 96 pixels between its outermost ones.
    assert energy == pytest.approx(64 * 96 / (8 * math.pi * 16**2 * 2**2), rel=1e-9)


def test_the_prior_of_a_parabola_is_that_of_its_square() -> None:
    grid = NodeGrid((65, 97), 8.0)
    x = torch.arange(grid.nodes[1], dtype=torch.float64) - 1
    c = torch.zeros(2, *grid.nodes, dtype=torch.float64)
    c[0] = x**2 - 1 / 3  # a cubic spline with these coefficients is the parabola itself
    # The third derivatives vanish, however long the length.
    energies = []
    for length in (8.0, 64.0):
        form = form_stencil(grid.nodes, grid.spacing, length)
        energies.append(float((c * multiplied(torch.stack((form, 0 * form, form), dim=1), c)).sum()))
    assert energies[1] == pytest.approx(energies[0], rel=1e-3)


@pytest.mark.parametrize("nodes", [(5, 9), (9, 5)])
def test_a_band_is_the_matrix_of_its_stencil(nodes: tuple[int, int]) -> None:
    stencil = random(25, 3, *nodes)
    for k, (j, i) in enumerate([(0, k) for k in range(4)] + [(j, i) for j in range(1, 4) for i in range(-3, 4)]):
        stencil[k, :, nodes[0] - j :] = 0
        stencil[k, :, :, : max(0, -i)] = 0
        stencil[k, :, :, nodes[1] - max(0, i) :] = 0
    band, c, one = node_band(nodes), random(2, *nodes), stencil[:, 0].contiguous()
    plain = band.of_stencil(stencil, one, 0.0)
    torch.testing.assert_close(banded.dense(plain) @ band.vector(c), band.vector(multiplied(stencil, c)))
    torch.testing.assert_close(band.to_stencil(plain), stencil)
    added = banded.dense(band.of_stencil(stencil, one, 0.5))
    expected = band.vector(multiplied(stencil + 0.5 * torch.stack((one, 0 * one, one), dim=1), c))
    torch.testing.assert_close(added @ band.vector(c), expected)
    with native.selected("reference"):
        by_torch = band.of_stencil(stencil, one, 0.5)
    torch.testing.assert_close(band.of_stencil(stencil, one, 0.5), by_torch, rtol=1e-14, atol=1e-14)


def test_a_spacing_of_too_many_nodes_is_refused_in_one_line() -> None:
    check_spacing(3.0, (3000, 3000))
    with pytest.raises(OptionError, match=r"expected at least 8\.8 pixels for a fixed image of 10000 x 10000, as"):
        check_spacing(8.0, (10000, 10000))
    check_spacing(8.8, (10000, 10000))
