"""What is told of how far a field may be off, where the images are not what the model of them says."""

from __future__ import annotations

import numpy as np

from tests.registration.analytic import Scene
from zncc_cli import register
from zncc_cli.registration.nonrigid.error_map import ErrorMap
from zncc_cli.registration.nonrigid.expected_error import Samples, crossed
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.register import RegistrationResult

SHAPE = (160, 192)


def pair(displacements: np.ndarray, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return fixed and moving with moving(p + displacement) = fixed(p), under noise of a share of the deviation."""
    scene, random = Scene(1), np.random.default_rng(1)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    fixed, moving = scene(np.stack([x, y], axis=-1) + displacements), scene.image(SHAPE)
    return tuple(image + noise * moving.std() * random.standard_normal(SHAPE) for image in (fixed, moving))


def speckle(points: np.ndarray) -> np.ndarray:
    """Return a fine texture, waves of 7 to 14 pixels, at points (H, W, 2)."""
    random = np.random.default_rng(3)
    length, angle, phase = random.uniform(7, 14, 60), random.uniform(0, 2 * np.pi, 60), random.uniform(0, 2 * np.pi, 60)
    k = 2 * np.pi / length * np.stack([np.cos(angle), np.sin(angle)])
    return np.cos(points @ k + phase).sum(axis=-1)


def torn(jump: float) -> np.ndarray:
    """Return displacements of two halves, above and below the middle, that slide apart by ``jump`` pixels."""
    field = np.zeros((*SHAPE, 2))
    field[: SHAPE[0] // 2, :, 0], field[SHAPE[0] // 2 :, :, 0] = jump / 2, -jump / 2
    return field


def squared_errors(result: RegistrationResult, truth: np.ndarray) -> np.ndarray:
    assert result.field is not None
    return np.square(result.field.displacements(range(SHAPE[0]), range(SHAPE[1])) - truth).sum(axis=-1)


def error_map(result: RegistrationResult) -> ErrorMap:
    assert result.bending is not None
    assert result.bending.expected_error is not None
    return result.bending.expected_error


def test_a_crack_is_named_and_its_error_is_told() -> None:
    truth = torn(12.0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    points = np.stack([x, y], axis=-1)
    result = register(speckle(points + truth), speckle(points), model="bspline")
    told = error_map(result)
    at = np.ix_(told.rows, told.columns)
    assert any("a depth edge, a crack, or what only one image shows" in reason for reason in result.reasons)
    # Most of what does not agree lies within a window and a point of the crack.
    places = told.rows[np.nonzero(told.unmatched)[0]]
    assert np.quantile(np.abs(places - SHAPE[0] / 2), 0.8) <= 16
    # A smooth field crosses 12 px there. The posterior alone says a tenth of a pixel.
    true = np.sqrt(squared_errors(result, truth)[at][told.overlap].mean())
    assert 0.4 * true < told.rms_everywhere < 2.5 * true


def test_a_smooth_field_is_not_torn_anywhere() -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    truth = 2 * np.stack([np.sin(y / 14 + 0.4), np.sin(x / 14) * np.cos(y / 14)], axis=-1)
    for noise in (0.0, 0.3):
        result = register(*pair(truth, noise), model="bspline")
        assert error_map(result).unmatched_share == 0
        assert result.bending is not None
        assert result.bending.line_shift == 0


def test_lines_that_are_shifted_one_by_one_are_named_and_part_of_the_error() -> None:
    truth = np.zeros((*SHAPE, 2))
    truth[..., 0] = 0.6 * np.random.default_rng(4).standard_normal(SHAPE[0])[:, None]
    for axes in ((0, 1), (1, 0)):  # lines along x, and along y
        fixed, moving = (np.transpose(image, axes) for image in pair(truth))
        result = register(fixed, moving, model="bspline")
        assert any("rows or columns are shifted one by one" in reason for reason in result.reasons)
        # No smooth field follows them. The images are smoothed, which hides a third of such shifts.
        assert 0.5 * 0.6 < error_map(result).rms < 1.2 * 0.6


def test_ground_without_texture_beside_a_tear_is_not_trusted() -> None:
    """A tear down the sixth column of points, which lie 8 px apart: texture to its left, none to its right."""
    lines = np.arange(4, 128, 8)
    shape = len(lines), len(lines)
    textured, torn = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    textured[:, :7], torn[:, 6] = True, True
    at = Samples(lines, lines, np.ones(shape, dtype=bool), textured, np.ones(shape, dtype=np.float32), torn, 0.0)
    # The field goes over from one side to the other within two lengths of its smoothness, 32 px.
    assert np.flatnonzero(crossed(at, 16.0).all(axis=0)).tolist() == [6, 7, 8, 9, 10]
    assert not crossed(at, 16.0)[:, [*range(6), *range(11, 16)]].any()


def test_an_error_that_is_large_over_the_whole_overlap_is_doubted() -> None:
    """Half of the frame shows texture and is put in place; the other half shows nothing, and moves by 3 pixels."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    truth = 3 * np.stack([np.sin(y / 14 + 0.4), np.cos(x / 14)], axis=-1)
    images = [np.where(x < 0.5 * SHAPE[1], image, 0.3) for image in pair(truth)]
    random = np.random.default_rng(2)
    result = register(*(image + 0.05 * random.standard_normal(SHAPE) for image in images), model="bspline")
    told = error_map(result)
    assert told.rms < 1 < told.rms_everywhere
    assert result.status is Status.SUSPECT
    assert "mask what has no texture" in " ".join(result.reasons)


def test_strong_noise_is_smoothed_away() -> None:
    """Smoothed as clean ones are, the images lead to an error of 1.4 px."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    truth = 2 * np.stack([np.sin(y / 20 + 0.4), np.cos(x / 20)], axis=-1)
    assert np.sqrt(squared_errors(register(*pair(truth, 0.8), model="bspline"), truth).mean()) < 1.2
