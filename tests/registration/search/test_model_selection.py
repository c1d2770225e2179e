"""The simplest model that explains a pair, judged on windows held out from the fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre, corner_error, level, rotation, small_motions
from zncc_cli import register
from zncc_cli.config import NESTED_MODELS, Model, RegistrationConfig
from zncc_cli.registration.search.model_selection import _chessboard, select_model

SHAPE = (160, 192)
WINDOW = 11
TRUTH = small_motions(SHAPE)


def noisy_pair(model: Model, sigma: float, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [x / x.std() + sigma * rng.normal(size=SHAPE) for x in Scene(seed=80 + seed).pair(TRUTH[model], SHAPE)]


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_auto_takes_the_simplest_model_that_explains_the_pair(model: Model) -> None:
    fixed, moving = Scene(seed=3).pair(TRUTH[model], SHAPE)
    result = register(fixed, moving, "auto")
    assert (result.model, result.model_asked, result.status) == (model, Model.AUTO, "ok")
    assert corner_error(result.matrix, TRUTH[model], SHAPE) < 0.01  # as with the model known


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("model", NESTED_MODELS)
def test_noise_is_no_reason_for_a_richer_model(model: Model, seed: int) -> None:
    """Half of a scene's standard deviation may hide a part of the motion, but must not feign one."""
    result = register(*noisy_pair(model, 0.5, seed), "auto")
    assert NESTED_MODELS.index(result.model) <= NESTED_MODELS.index(model)
    assert result.status == "ok"
    # A simpler model is a pixel off at the corners where noise hides more than that, no farther.
    assert corner_error(result.matrix, TRUTH[model], SHAPE) < 2


def test_held_out_windows_gain_nothing_from_parameters_that_are_not_needed() -> None:
    """Two halves of nothing but noise in what is fitted: on the other half a richer model does worse, on average."""
    losses = []
    for seed in range(6):
        fixed, moving = (level(image) for image in noisy_pair(Model.TRANSLATION, 1.0, seed))
        got = select_model(fixed, moving, TRUTH[Model.TRANSLATION], RegistrationConfig(model=Model.AUTO))
        assert got.model is Model.TRANSLATION
        losses.append(got.held_out[Model.TRANSLATION] - got.held_out[Model.HOMOGRAPHY])
    assert np.mean(losses) > 0


def test_the_reason_names_models_and_figures() -> None:
    fixed, moving = (level(image) for image in noisy_pair(Model.SIMILARITY, 0.2, 0))
    got = select_model(fixed, moving, TRUTH[Model.SIMILARITY], RegistrationConfig(model=Model.AUTO))
    assert got.reason.startswith("rigid explains held-out windows worse than")
    assert f"{got.held_out[Model.RIGID]:.4f}" in got.reason
    assert "no richer model explains them better" in got.reason
    assert tuple(got.held_out) == NESTED_MODELS


def test_no_pixel_is_in_windows_of_both_halves() -> None:
    held = torch.ones(SHAPE[0] - WINDOW + 1, SHAPE[1] - WINDOW + 1)
    held[:40], held[:, 150:] = 0, 0  # an overlap that is part of the frame
    block, black = _chessboard(held, WINDOW)
    seen = []
    for half in (black & (block >= 0), ~black & (block >= 0)):
        pixels = torch.zeros(SHAPE, dtype=torch.bool)
        for y, x in half.nonzero().tolist():
            pixels[y : y + WINDOW, x : x + WINDOW] = True
        seen.append(pixels)
    assert not (seen[0] & seen[1]).any()
    assert not (seen[0] | seen[1])[:40].any()
    # Eight blocks along each side: between them only pixels are lost that fit into no whole block.
    assert (seen[0] | seen[1])[40:, :160].float().mean() > 0.9
    assert len(block.unique()) - 1 >= 49


def test_far_motion_and_inverted_contrast_are_found_by_the_cheapest_search() -> None:
    truth = about_centre(rotation(140), (14.3, -9.2), SHAPE)
    fixed, moving = Scene(seed=60).pair(truth, SHAPE)
    result = register(fixed, moving.max() - moving, "auto")
    assert (result.model, result.inverted, result.status) == (Model.RIGID, True, "ok")
    assert corner_error(result.matrix, truth, SHAPE) < 0.05


def test_far_scale_is_found() -> None:
    truth = about_centre(rotation(35, 0.55), (6.1, 3.3), SHAPE)
    fixed, moving = Scene(seed=60).pair(truth, SHAPE)
    result = register(fixed, moving, "auto")
    assert (result.model, result.status) == (Model.SIMILARITY, "ok")
    # At a scale of 0.55 wavelengths of 7 pixels are left with 4, which the spline follows less well.
    assert corner_error(result.matrix, truth, SHAPE) < 0.05


def test_init_is_followed_alone() -> None:
    truth = about_centre(rotation(140), (14.3, -9.2), SHAPE)
    fixed, moving = Scene(seed=62).pair(truth, SHAPE)
    near = about_centre(rotation(137), (11, -7), SHAPE)
    assert register(fixed, moving, "auto", init=near).model is Model.RIGID
    assert register(fixed, moving, "auto", init=np.eye(3)).status == "failed"


@pytest.mark.parametrize("seed", range(3))
def test_unrelated_images_are_not_called_aligned(seed: int) -> None:
    result = register(Scene(seed=20 + seed).image(SHAPE), Scene(seed=40 + seed).image(SHAPE), "auto")
    assert result.status == "failed"
    rng = np.random.default_rng(seed)
    assert register(rng.normal(size=SHAPE), rng.normal(size=SHAPE), "auto").status == "failed"


def test_stripes_hold_no_model_and_are_no_exception() -> None:
    stripes = np.tile(np.sin(np.arange(SHAPE[1]) * 0.4 + np.sin(np.arange(SHAPE[1]) * 0.05)), (SHAPE[0], 1))
    result = register(stripes, stripes, "auto")
    assert result.model is Model.TRANSLATION
    assert result.status != "ok"
    assert "too little texture" in result.selection.reason


def test_where_nothing_can_be_told_the_centre_stays_where_it_was() -> None:
    """Also where models are compared on a coarser level than the matrix is of."""
    stripes = np.tile(np.sin(np.arange(SHAPE[1]) * 0.4 + np.sin(np.arange(SHAPE[1]) * 0.05)), (SHAPE[0], 1))
    quarter = dataclasses.replace(level(stripes), factor=4)
    full = SHAPE[0] * 4, SHAPE[1] * 4
    start = about_centre([[1.2, 0], [0, 1.1]], (20, 0), full)
    got = select_model(quarter, quarter, start, RegistrationConfig(window=WINDOW))
    assert got.model is Model.TRANSLATION
    # The centre of the level lies one and a half pixels beside that of the frame, which a scale of 1.2 moves by 0.3.
    np.testing.assert_allclose(got.matrix[:2, 2], (20, 0), atol=0.31)


def test_a_model_that_was_asked_for_is_kept() -> None:
    fixed, moving = Scene(seed=5).pair(TRUTH[Model.TRANSLATION], SHAPE)
    result = register(fixed, moving, "affine")
    assert (result.model, result.model_asked, result.selection) == (Model.AFFINE, Model.AFFINE, None)
