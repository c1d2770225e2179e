"""Motions that are concentrated in a few places, and the smoothness that gives way there."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.nonrigid.speckle import _pair as speckle_pair
from zncc_cli import register
from zncc_cli.operators.spline_system import multiplied
from zncc_cli.registration.nonrigid.prior import bending_energy, form_stencil


def test_a_form_of_cells_that_all_count_once_is_the_usual_one() -> None:
    usual, by_cell = (form_stencil((9, 11), 4.0, 6.0, each) for each in (None, torch.ones(6, 8, dtype=torch.float64)))
    torch.testing.assert_close(by_cell, usual, rtol=1e-9, atol=1e-9 * float(usual.abs().max()))


def test_the_energy_of_the_cells_adds_up_to_the_form() -> None:
    c = torch.randn(2, 9, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    form = form_stencil((9, 11), 4.0, 6.0) - form_stencil((9, 11), 4.0, 0.0)
    both = torch.stack((form, torch.zeros_like(form), form), dim=1)
    expected = (c * multiplied(both, c)).sum() / 6.0**6
    torch.testing.assert_close(bending_energy(c, 4.0).sum(), expected, rtol=1e-6, atol=0.0)


def test_a_shear_band_of_six_pixels_is_not_smeared() -> None:
    """One smoothness for the whole field leaves an error of 0.05 px, five times that of one that gives way."""
    pair = speckle_pair("band", (192, 256), lambda x, y: np.stack((0 * x, 5 * np.tanh((x - 127.5) / 6)), axis=-1), 0.0)
    result = register(pair.fixed, pair.moving, "bspline")
    assert result.field is not None
    found = result.field.displacements(*(np.arange(n) for n in pair.fixed.shape))
    assert np.sqrt(((found - pair.truth) ** 2).sum(axis=-1)[pair.inside].mean()) < 0.03
