"""Where features match, a place is found that no search holds; where they do not, there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike

from tests.registration.analytic import Scene, about_centre, corner_error, level, rotation
from zncc_cli import register
from zncc_cli.config import Model
from zncc_cli.registration import variant_search
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.search import feature_place as features
from zncc_cli.registration.search.feature_place import feature_place

SHAPE = (220, 260)
# Turned, smaller, and seen from the side.
SIDE_VIEW = about_centre(rotation(25, 0.8), (8.0, -5.0), SHAPE) @ np.array([[1, 0, 0], [0, 1, 0], [4e-4, 2e-4, 1]])


def reduced(image: ArrayLike, factor: int) -> Level:
    """Return an image as a level ``factor`` times as coarse."""
    own = level(np.asarray(image))
    return Level(own.image, own.mask, factor)


@pytest.fixture(autouse=True)
def opencv() -> None:
    pytest.importorskip("cv2")


@pytest.mark.parametrize("model", [Model.AUTO, Model.HOMOGRAPHY])
def test_a_view_from_the_side_is_found(model: Model) -> None:
    """In full-resolution pixels, whatever the level; features lie where they do to a pixel or so of it."""
    fixed, moving = Scene(1).pair(SIDE_VIEW, SHAPE)
    found = feature_place(reduced(fixed, 4), reduced(moving, 4), model)
    assert found is not None
    enlarge = np.diag([4.0, 4.0, 1.0])
    truth = enlarge @ SIDE_VIEW @ np.linalg.inv(enlarge)
    assert corner_error(found, truth, (4 * SHAPE[0], 4 * SHAPE[1])) < 3 * 4


def test_the_place_is_of_the_model_that_is_asked_for() -> None:
    truth = about_centre(rotation(40), (8.0, -5.0), SHAPE)
    fixed, moving = (level(image) for image in Scene(1).pair(truth, SHAPE))
    found = feature_place(fixed, moving, Model.RIGID)
    assert found is not None
    np.testing.assert_allclose(found[:2, :2] @ found[:2, :2].T, np.eye(2), atol=1e-9)
    assert corner_error(found, truth, SHAPE) < 1


def test_unrelated_images_have_none() -> None:
    assert feature_place(level(Scene(1).image(SHAPE)), level(Scene(2).image(SHAPE)), Model.HOMOGRAPHY) is None


@pytest.mark.parametrize("image", [np.zeros(SHAPE), np.eye(40)])
def test_what_has_no_features_has_none(image: np.ndarray) -> None:
    fixed = Level(torch.tensor(image, dtype=torch.float32)[None, None], torch.ones(image.shape, dtype=torch.bool), 1)
    assert feature_place(fixed, level(Scene(1).image(SHAPE)), Model.AFFINE) is None


def test_a_level_without_a_valid_pixel_has_none() -> None:
    """As that of an image of which single pixels far apart are valid; it was an IndexError."""
    image = level(Scene(1).image(SHAPE))
    nothing = Level(torch.zeros_like(image.image), torch.zeros_like(image.mask), 1)
    assert feature_place(nothing, image, Model.AFFINE) is None
    assert feature_place(image, nothing, Model.AFFINE) is None


def test_without_opencv_what_failed_says_so_where_features_would_have_been_matched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (features, variant_search):
        monkeypatch.setattr(module, "can_match", lambda: False)
    fixed, moving = (Scene(seed).image((96, 96)) for seed in (1, 2))
    for contrast, said in (("same", True), ("inverted", False)):
        result = register(fixed, moving, "translation", contrast=contrast, flip="no")
        assert result.status == "failed"
        assert any("features were not matched" in note for note in result.notes) == said
