"""The coordinate convention: (x, y) pixels, fixed -> moving, the centre of the top-left pixel is (0, 0)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from analytic import Scene, about_centre

from zncc_cli.registration.warp import Interpolation, coordinates, in_front, level_matrix, map_points, resample

SHAPE = (40, 50)
ALL = np.ones(SHAPE, dtype=bool)


def shift(dx: float, dy: float) -> np.ndarray:
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], dtype=float)


@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_identity_reproduces_the_image_bit_for_bit(interpolation: Interpolation, dtype: type) -> None:
    image = (np.random.default_rng(0).random(SHAPE) * 200).astype(dtype)
    out, valid = resample(image, ALL, np.eye(3), SHAPE, interpolation)
    np.testing.assert_array_equal(out.astype(dtype), image)
    assert valid.all()


def test_whole_shift_copies_values_and_marks_the_rest() -> None:
    image = np.random.default_rng(1).random((*SHAPE, 3))
    out, valid = resample(image, ALL, shift(3, -2), SHAPE, Interpolation.CUBIC)
    np.testing.assert_array_equal(out[2:, :-3], image[:-2, 3:])  # out(x, y) = moving(x + 3, y - 2)
    assert valid[2:, :-3].all()
    assert not valid[:2].any()
    assert not valid[:, -3:].any()
    np.testing.assert_array_equal(out[~valid], 0)


def test_shift_beyond_the_frame_leaves_nothing() -> None:
    _, valid = resample(np.ones(SHAPE), ALL, shift(-500, 3), SHAPE, Interpolation.CUBIC)
    assert not valid.any()


def test_resampling_agrees_with_the_scene() -> None:
    shape = (120, 140)
    truth = about_centre([[1.02, 0.04], [-0.03, 0.97]], (2.3, -1.7), shape)
    fixed, moving = Scene(seed=2).pair(truth, shape)
    out, valid = resample(moving, np.ones(shape, bool), truth, shape, Interpolation.CUBIC)
    # The image's std is 0.1. A cubic spline through wavelengths of 7 pixels and more is good to 1e-5 inside, where
    # the mirrored frame no longer matters; linear interpolation is a hundred times worse.
    deep = np.zeros(shape, dtype=bool)
    deep[12:-12, 12:-12] = valid[12:-12, 12:-12]
    assert np.abs(out - fixed)[deep].max() < 5e-5
    linear, _ = resample(moving, np.ones(shape, bool), truth, shape, Interpolation.LINEAR)
    assert np.abs(linear - fixed)[deep].max() > 1e-3


def test_strips_join_without_a_seam() -> None:
    image = Scene(seed=3).image((600, 30))
    truth = about_centre([[1.0, 0.01], [-0.01, 1.0]], (0.3, 0.4), (600, 30))
    whole, _ = resample(image, np.ones((600, 30), bool), truth, (600, 30), Interpolation.LINEAR)
    points = np.stack(np.meshgrid(np.arange(30.0), np.arange(600.0)), axis=-1)
    mapped = map_points(truth, points)
    x, y = (c.numpy() for c in coordinates(torch.from_numpy(truth), (600, 30)))
    np.testing.assert_allclose(np.stack([x, y], -1), mapped, atol=1e-10)
    assert np.isfinite(whole).all()
    rows = np.abs(np.diff(whole, axis=0)).max(axis=1)
    assert rows[255] < 3 * np.median(rows)  # the strips meet between rows 255 and 256


def test_pixels_outside_the_mask_are_never_used() -> None:
    image, mask = np.ones(SHAPE), ALL.copy()
    image[10, 10], mask[10, 10] = np.nan, False
    out, valid = resample(image, mask, shift(0.5, 0.5), SHAPE, Interpolation.LINEAR)
    assert not valid[9:11, 9:11].any()  # the four pixels whose neighbourhoods hold it
    np.testing.assert_allclose(out[valid], 1.0, rtol=1e-12)


def test_level_matrix_maps_the_same_points() -> None:
    matrix = np.array([[1.1, 0.1, 8.0], [-0.2, 0.9, 4.0], [1e-4, 2e-4, 1.0]])
    coarse = level_matrix(torch.from_numpy(matrix), 4).numpy()
    point = np.array([12.0, 20.0])
    np.testing.assert_allclose(4 * map_points(coarse, point / 4), map_points(matrix, point), rtol=1e-12)


def test_coordinates_are_differentiable_in_the_matrix() -> None:
    matrix = torch.tensor([[1.1, 0.1, 8.0], [-0.2, 0.9, 4.0], [1e-3, 2e-3, 1.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda m: coordinates(m, (3, 4)), matrix.requires_grad_())


def test_a_homography_must_not_fold_the_frame() -> None:
    assert in_front(np.eye(3), SHAPE)
    assert not in_front(np.array([[1, 0, 0], [0, 1, 0], [-0.05, 0, 1.0]]), SHAPE)  # the horizon at x = 20
    assert not in_front(np.diag([-1.0, 1.0, 1.0]), SHAPE)  # mirrored
