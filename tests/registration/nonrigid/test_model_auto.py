"""Model auto takes a transform that bends where no matrix explains the pair, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import Scene
from zncc_cli import register

SHAPE = (192, 208)


def pair(displacements: np.ndarray, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return fixed and moving with moving(p + displacement) = fixed(p), under noise of a share of the deviation."""
    scene, random, (height, width) = Scene(4), np.random.default_rng(4), displacements.shape[:2]
    y, x = np.mgrid[:height, :width].astype(float)
    fixed, moving = scene(np.stack([x, y], axis=-1) + displacements), scene.image((height, width))
    return tuple(image + noise * moving.std() * random.standard_normal(image.shape) for image in (fixed, moving))


def test_a_motion_that_bends_is_followed_and_the_reason_told() -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    truth = 3 * np.stack([np.sin(y / 14 + 0.4), np.sin(x / 14) * np.cos(y / 14)], axis=-1)
    result = register(*pair(truth, 0.02), model="auto")
    assert (result.model, result.model_asked, result.status) == ("bspline", "auto", "ok")
    assert result.field is not None
    found = result.field.displacements(range(SHAPE[0]), range(SHAPE[1]))
    # As `model` bspline: 0.06 px without noise, twice that with it; a matrix leaves 2 px.
    assert np.sqrt(np.square(found - truth).sum(axis=-1).mean()) < 0.15
    assert result.selection is not None
    assert result.selection.model == "bspline"
    assert result.selection.reason.startswith("no matrix explains the pair: a B-spline explains windows held out")


def test_a_small_part_that_moves_by_itself_is_followed() -> None:
    """The rest tells one matrix surely, and the mean gain of all windows is within chance."""
    shape = (320, 336)  # a twentieth of it is off by 4 px and more
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    part = 9 * np.exp(-((x - 200) ** 2 + (y - 110) ** 2) / (2 * 26**2))
    truth = np.stack([2 + part, np.full(shape, -3.0)], axis=-1)
    result = register(*pair(truth), model="auto")
    assert (result.model, result.status) == ("bspline", "ok")
    assert result.field is not None
    assert result.selection is not None
    found = result.field.displacements(range(shape[0]), range(shape[1]))
    # It comes to 0.04 px; the matrix leaves 1.3 px, and 8.9 px at the worst place.
    assert np.sqrt(np.square(found - truth).sum(axis=-1).mean()) < 0.15
    assert "parts that change agree more" in result.selection.reason


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_motion_that_a_matrix_explains_stays_at_its_model(noise: float) -> None:
    """Under noise of the size of the texture the blocks scatter, so that a field is tried; it explains no more."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    affine = np.stack([0.04 * (x - 100) - 0.05 * (y - 96) + 5, 0.05 * (x - 100) - 0.02 * (y - 96) - 4], axis=-1)
    result = register(*pair(affine, noise), model="auto")
    assert result.field is None
    assert result.model in ("similarity", "affine")


def test_images_of_different_places_are_not_bent_together() -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    fixed, moving = (Scene(seed)(np.stack([x, y], axis=-1)) for seed in (7, 8))
    result = register(fixed, moving, model="auto")
    assert result.field is None
    assert result.status == "failed"
