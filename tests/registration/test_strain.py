"""Strain: stretches, shears and rotations of known size, the gauge length, and what is not known."""

from __future__ import annotations

import numpy as np
import pytest

from zncc_cli.registration.transforms.strain import plane_gradients, strain_of

SHAPE = (30, 41)


def rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def displacement_of(f: np.ndarray) -> np.ndarray:
    """Return the displacements (H, W, 2) of a deformation gradient."""
    x = np.stack(np.meshgrid(np.arange(SHAPE[1]), np.arange(SHAPE[0])), axis=-1)
    return np.asarray(x @ (f - np.eye(2)).T)


@pytest.mark.parametrize("angle", [0.0, 0.3, -2.0])
def test_engineering_strain_is_that_of_the_stretch_whatever_the_rotation(angle: float) -> None:
    u = np.array([[1.05, 0.02], [0.02, 0.97]])
    strain = strain_of(rotation(angle) @ u - np.eye(2))
    got = strain.exx, strain.exy, strain.eyy, strain.rotation
    np.testing.assert_allclose(got, [0.05, 0.02, -0.03, angle], rtol=0, atol=1e-14)
    principal = np.linalg.eigvalsh(u) - 1
    np.testing.assert_allclose([strain.e2, strain.e1], principal, rtol=0, atol=1e-14)
    green = (u @ u - np.eye(2)) / 2
    np.testing.assert_allclose(
        [strain.green_exx, strain.green_exy, strain.green_eyy], green.ravel()[[0, 1, 3]], rtol=0, atol=1e-14
    )
    assert strain.determinant == pytest.approx(np.linalg.det(u), abs=1e-14)


def test_a_fold_has_a_determinant_and_no_strain() -> None:
    strain = strain_of(np.diag([-2.5, 0.0]))
    assert strain.determinant == -1.5
    for name in ("exx", "eyy", "exy", "e1", "e2", "rotation", "green_exx", "green_eyy", "green_exy"):
        assert np.isnan(getattr(strain, name))


@pytest.mark.parametrize("gauge", [3, 9, 15])
def test_the_gradient_of_a_plane_is_found_in_every_window_cut_ones_too(gauge: int) -> None:
    f = rotation(0.1) @ np.array([[1.02, 0.01], [0.01, 0.99]])
    u = displacement_of(f) + np.array([3.0, -7.0])
    u[10:13, 20:22] = np.nan
    gradients, share = plane_gradients(u, gauge)
    known = np.isfinite(gradients).all(axis=(-1, -2))
    assert not known[10:13, 20:22].any()
    assert share[0, 0] == pytest.approx(((gauge + 1) // 2) ** 2 / gauge**2)
    assert np.array_equal(known, np.isfinite(u).all(axis=-1) & (share >= 0.5))
    np.testing.assert_allclose(gradients[known], np.broadcast_to(f - np.eye(2), (known.sum(), 2, 2)), atol=1e-12)


def test_a_window_averages_the_strain_over_the_gauge_length() -> None:
    """Of u = sin(k x), the slope of the line through 2 r + 1 samples is known in closed form."""
    k, gauge = 2 * np.pi / 20, 9
    x = np.arange(200.0)
    u = np.zeros((30, 200, 2))
    u[..., 0] = np.sin(k * x)
    gradients, _ = plane_gradients(u, gauge)
    steps = np.arange(-4, 5)
    gain = (steps * np.sin(k * steps)).sum() / (steps**2).sum()
    np.testing.assert_allclose(gradients[15, 4:-4, 0, 0], gain * np.cos(k * x[4:-4]), atol=1e-12)
    assert gain / k == pytest.approx(0.82, abs=0.01)  # what a gauge of nine pixels leaves of a wave of twenty
