"""A moving image that shows the scene mirrored is found without an option, and its transform says so."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import Scene, about_centre, corner_error, rotation
from zncc_cli import register
from zncc_cli.errors import OptionError
from zncc_cli.registration.transforms.matrices import mirror
from zncc_cli.registration.warp import corners

SHAPE = (192, 220)
# Clean analytic scenes: interpolation alone leaves some thousandths of a pixel.
CLEAN_PX = 0.05


def mirrored_pair(seed: int, upright: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return fixed, moving and the truth, of which ``upright`` (3, 3) is the part before the mirror."""
    truth = mirror(SHAPE[1]) @ upright
    fixed, moving = Scene(seed).pair(truth, SHAPE)
    return fixed, moving, truth


@pytest.mark.parametrize(
    ("model", "upright"),
    [
        ("translation", about_centre(rotation(0), (9.4, -6.2), SHAPE)),
        ("rigid", about_centre(rotation(37), (4.3, 7.1), SHAPE)),
        ("similarity", about_centre(rotation(-110, 1.1), (4.3, 7.1), SHAPE)),
        ("affine", about_centre([[1.06, 0.05], [-0.04, 0.95]], (-6.5, 3.2), SHAPE)),
        ("homography", about_centre([[1.06, 0.05], [-0.04, 0.95]], (-6.5, 3.2), SHAPE)),
        ("auto", about_centre(rotation(65), (4.3, 7.1), SHAPE)),
    ],
)
def test_a_mirrored_image_is_found_by_every_model(model: str, upright: np.ndarray) -> None:
    fixed, moving, truth = mirrored_pair(1, upright)
    result = register(fixed, moving, model)
    assert result.status == "ok", result.reasons
    assert result.mirrored
    assert np.linalg.det(result.matrix) < 0
    assert corner_error(result.matrix, truth, SHAPE) < CLEAN_PX
    assert any("the moving image is mirrored" in note for note in result.notes)
    # The displacement of a corner in the files' own pixels: the mirror is part of it.
    assert result.evidence.motion == pytest.approx(corner_error(truth, np.eye(3), SHAPE), abs=2 * CLEAN_PX)


def test_a_transposed_image_is_a_mirrored_one_after_a_quarter_turn() -> None:
    fixed = Scene(2).image(SHAPE)
    result = register(fixed, fixed.T, "rigid")
    assert result.status == "ok", result.reasons
    assert result.mirrored
    exchanged = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    assert corner_error(result.matrix, exchanged, SHAPE) < CLEAN_PX


def test_a_mirror_image_is_not_looked_for_where_that_is_forbidden() -> None:
    fixed, moving, _ = mirrored_pair(1, about_centre(rotation(37), (4.3, 7.1), SHAPE))
    result = register(fixed, moving, "rigid", flip="no")
    assert result.status == "failed"
    assert not result.mirrored


def test_the_option_changes_nothing_where_the_images_as_they_are_agree() -> None:
    fixed, moving = Scene(3).pair(about_centre(rotation(25), (5, 3), SHAPE), SHAPE)
    results = [register(fixed, moving, "rigid", flip=flip) for flip in ("auto", "no")]
    np.testing.assert_array_equal(results[0].matrix, results[1].matrix)
    assert not results[0].mirrored
    assert results[0].notes == results[1].notes


@pytest.mark.parametrize("model", ["rigid", "affine", "homography"])
def test_the_expected_error_is_that_of_the_mirror_image(model: str) -> None:
    fixed, moving, _ = mirrored_pair(4, about_centre(rotation(5), (4, 2), SHAPE))
    moving = moving + 0.2 * moving.std() * np.random.default_rng(0).normal(size=SHAPE)
    result, upright = register(fixed, moving, model), register(fixed, moving[:, ::-1], model)
    assert result.mirrored
    assert not upright.mirrored
    assert result.uncertainty is not None
    assert upright.uncertainty is not None
    points = corners(SHAPE)
    # The same numbers in other coordinates. The mirror image is searched for in fewer starts, and both descents end
    # within a fraction of the tolerance of each other: 0.03 percent of the expected error.
    np.testing.assert_allclose(result.uncertainty.at(points), upright.uncertainty.at(points), rtol=1e-3)
    covariance, mirrored = (each.uncertainty.covariance_at(points) for each in (upright, result))
    np.testing.assert_allclose(mirrored, covariance * [[1, -1], [-1, 1]], rtol=2e-3, atol=1e-7)
    np.testing.assert_allclose(result.uncertainty.matrix, result.matrix, atol=1e-12)


def test_a_start_that_mirrors_is_followed_in_the_mirror_image() -> None:
    fixed, moving, truth = mirrored_pair(5, about_centre(rotation(150), (4, 2), SHAPE))
    start = truth.copy()
    start[:2, 2] += 1.5, -2.0
    result = register(fixed, moving, "affine", init=start)
    assert result.status == "ok", result.reasons
    assert result.mirrored
    assert corner_error(result.matrix, truth, SHAPE) < CLEAN_PX
    with pytest.raises(OptionError, match="not mirrored with `flip` no"):
        register(fixed, moving, "affine", init=start, flip="no")


@pytest.mark.parametrize(("seed", "model"), [(11, "rigid"), (14, "similarity")])
def test_unrelated_images_are_refused_with_their_mirror_image_as_well(seed: int, model: str) -> None:
    result = register(*(Scene(each).image((160, 160)) for each in (seed, seed + 100)), model)
    assert result.status == "failed"
    assert not result.mirrored
