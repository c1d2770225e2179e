"""Features tell the place of views that differ much, to some pixels; scenes that are unrelated have none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre, corner_error, level, rotation
from zncc_cli import register
from zncc_cli.config import Model
from zncc_cli.registration import variant_search
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.search.feature_place import feature_place

pytest.importorskip("cv2", reason="OpenCV is an extra: features")

SHAPE = (300, 360)
ZOOM = about_centre(rotation(35, 2.6), (11.0, -7.0), SHAPE)
# Features lie to a fraction of a pixel; of a corner, three half-widths from where most of them are, to some pixels.
TOLERANCE_PX = 3.0


def tilted() -> np.ndarray:
    """Return a perspective that shrinks one side of the frame by two fifths."""
    matrix = about_centre([[0.8, 0.1], [-0.1, 0.9]], (4.0, 6.0), SHAPE)
    matrix[2, 0] = 0.4 / SHAPE[1]
    return np.asarray(matrix)


def test_the_place_of_a_zoom_is_told() -> None:
    fixed, moving = (level(image) for image in Scene(1).pair(ZOOM, SHAPE))
    place = feature_place(fixed, moving, Model.AFFINE)
    assert place is not None
    assert corner_error(place, ZOOM, SHAPE) < TOLERANCE_PX


def test_the_place_of_a_perspective_is_told() -> None:
    truth = tilted()
    fixed, moving = (level(image) for image in Scene(1).pair(truth, SHAPE))
    place = feature_place(fixed, moving, Model.HOMOGRAPHY)
    assert place is not None
    assert corner_error(place, truth, SHAPE) < TOLERANCE_PX


def test_the_place_is_in_pixels_of_the_full_resolution() -> None:
    truth = about_centre(rotation(35, 1.3), (11.0, -7.0), SHAPE)
    both = (level(image) for image in Scene(1).pair(truth, SHAPE))
    fixed, moving = (Level(each.image, each.mask, 4) for each in both)
    place = feature_place(fixed, moving, Model.AFFINE)
    assert place is not None
    full = np.diag([4.0, 4.0, 1.0])
    assert corner_error(np.linalg.inv(full) @ place @ full, truth, SHAPE) < TOLERANCE_PX


@pytest.mark.parametrize("seed", range(3))
def test_unrelated_scenes_have_no_place(seed: int) -> None:
    fixed, moving = (level(Scene(s).image(SHAPE)) for s in (seed, seed + 10))
    assert feature_place(fixed, moving, Model.HOMOGRAPHY) is None


def test_features_are_not_taken_where_the_mask_is_not_valid() -> None:
    fixed, moving = (level(image) for image in Scene(1).pair(ZOOM, SHAPE))
    nothing = np.zeros(SHAPE, dtype=bool)
    nothing[:20, :20] = True
    masked = Level(fixed.image, fixed.mask.new_tensor(nothing), 1)
    assert feature_place(masked, moving, Model.AFFINE) is None


def test_the_place_is_of_the_model_that_is_asked_for() -> None:
    truth = about_centre(rotation(40), (8.0, -5.0), SHAPE)
    fixed, moving = (level(image) for image in Scene(1).pair(truth, SHAPE))
    place = feature_place(fixed, moving, Model.RIGID)
    assert place is not None
    np.testing.assert_allclose(place[:2, :2] @ place[:2, :2].T, np.eye(2), atol=1e-9)


def test_a_level_without_a_valid_pixel_has_no_place() -> None:
    """As that of an image of which single pixels far apart are valid; it was an IndexError."""
    image = level(Scene(1).image(SHAPE))
    nothing = Level(torch.zeros_like(image.image), torch.zeros_like(image.mask), 1)
    assert feature_place(nothing, image, Model.AFFINE) is None
    assert feature_place(image, nothing, Model.AFFINE) is None


@pytest.mark.parametrize(("contrast", "says"), [("same", True), ("inverted", False)])
def test_what_failed_says_how_features_are_had(monkeypatch: pytest.MonkeyPatch, contrast: str, says: bool) -> None:
    """As without OpenCV, which is installed here; but not where features would not have been matched anyway."""
    monkeypatch.setattr(variant_search, "can_match", lambda: False)
    monkeypatch.setattr(variant_search, "feature_place", lambda *_: None)
    fixed, moving = (Scene(seed).image((128, 128)) for seed in (0, 10))
    result = register(fixed, moving, "translation", contrast=contrast, flip="no")
    assert result.status == "failed"
    assert any('pip install "zncc-cli[features]"' in note for note in result.notes) == says
