"""Pixels that show nothing of the scene: gaps, NaN, dead columns, hot pixels. They belong to the camera and stay."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.registration.analytic import Scene, about_centre, corner_error
from zncc_cli import register
from zncc_cli.registration import register as story
from zncc_cli.registration.quality.verdict import Status

SHAPE = (180, 200)
TRUTH = about_centre([[1.02, -0.03], [0.02, 0.99]], (12.4, -7.7), SHAPE)


def pair(noise: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """A texture of 12 bit, moved by more than any gap is wide."""
    rng = np.random.default_rng(0)
    images = Scene(seed=6).pair(TRUTH, SHAPE)
    fixed, moving = (2000 + 500 * (image / image.std() + noise * rng.standard_normal(SHAPE)) for image in images)
    return fixed.round(), moving.round()


def rows(width: int, period: int) -> np.ndarray:
    return np.broadcast_to((np.arange(SHAPE[0]) % period < width)[:, None], SHAPE)


def columns(width: int, period: int) -> np.ndarray:
    return np.broadcast_to((np.arange(SHAPE[1]) % period < width)[None, :], SHAPE)


@pytest.mark.parametrize("lost", [rows(2, 6), rows(4, 20), columns(1, 16) | rows(1, 16)], ids=["2/6", "4/20", "grid"])
def test_gaps_of_zeros_that_stay_hold_nothing_and_are_said(lost: np.ndarray) -> None:
    fixed, moving = pair()
    fixed[lost] = moving[lost] = 0
    result = register(fixed, moving, "affine")
    assert result.status == "ok", result.reasons
    # Waves of 7 px cannot be guessed across 4; without any guess but the zeros' own it is 8 px and called ok.
    assert corner_error(result.matrix, TRUTH, SHAPE) < 0.1
    assert result.notes == tuple(
        f"{name}: pixels of exactly 0 lie in the scene like gaps, and are left out of registration and maps as no data"
        for name in ("fixed", "moving")
    )


def test_gaps_of_zeros_are_part_of_the_scene_where_that_is_asked_for() -> None:
    fixed, moving = pair()
    fixed[rows(4, 20)] = moving[rows(4, 20)] = 0
    result = register(fixed, moving, "affine", no_data="none")
    assert result.notes == ()
    assert corner_error(result.matrix, TRUTH, SHAPE) > 1  # the gaps agree where they are


def test_a_value_that_is_named_is_no_data_without_a_word() -> None:
    fixed, moving = pair()
    fixed[40:90, 50:120] = moving[60:100, 20:80] = -9999
    result = register(fixed, moving, "affine", no_data="-9999")
    assert (result.status, result.notes) == ("ok", ())
    assert corner_error(result.matrix, TRUTH, SHAPE) < 0.02  # two fifths of the windows are lost


@pytest.mark.parametrize("share", [0.01, 0.05])
@pytest.mark.parametrize("model", ["affine", "homography"])
def test_scattered_pixels_that_are_not_finite_cost_hardly_anything(model: str, share: float) -> None:
    rng = np.random.default_rng(1)
    fixed, moving = pair()
    for image in (fixed, moving):
        image[rng.random(SHAPE) < share] = np.nan
    result = register(fixed, moving, model)
    assert result.status == "ok", result.reasons
    assert corner_error(result.matrix, TRUTH, SHAPE) < 0.05  # a homography is held less: 0.01 without


def test_dead_columns_and_masked_bands_are_bridged() -> None:
    fixed, moving = pair()
    fixed[columns(1, 32)] = moving[columns(1, 32)] = np.nan
    assert corner_error(register(fixed, moving, "affine").matrix, TRUTH, SHAPE) < 0.02
    fixed, moving = pair()
    masks = ~columns(10, 33), ~columns(10, 33)[:, ::-1]
    result = register(fixed, moving, "affine", fixed_mask=masks[0], moving_mask=masks[1])
    assert result.status == "ok", result.reasons
    assert result.uncertainty is not None
    # Bands of 10 px hide more than half of what both could see, of waves as short as 7: it is found, and said how well.
    assert corner_error(result.matrix, TRUTH, SHAPE) < min(1.0, 3 * float(result.uncertainty.corners.max()))


def test_what_was_filled_in_counts_less_than_what_was_measured() -> None:
    """What lies between the ends of a gap is a guess: the predicted error grows as pixels are lost, and is true."""
    fixed, moving = pair(noise=0.2)
    gappy = fixed.copy(), moving.copy()
    gappy[0][rows(2, 6)] = gappy[1][rows(2, 6)] = np.nan
    whole, part = register(fixed, moving, "affine"), register(*gappy, "affine")
    assert part.status == "ok", part.reasons
    assert part.uncertainty is not None
    assert whole.uncertainty is not None
    assert part.uncertainty.rms > 1.2 * whole.uncertainty.rms  # four ninths of the pairs of pixels are left
    # The worst corner is off by two deviations or less; three are exceeded once in a hundred.
    assert corner_error(part.matrix, TRUTH, SHAPE) < 3 * float(part.uncertainty.corners.max())


def beads(count: int = 25) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Beads on a dark ground that move by 17 px, and 30 places in the frame."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:256, :256]
    images = []
    places, bright = rng.uniform(-20, 276, (count, 2)), 0.05 ** rng.uniform(size=count)
    for dx, dy in ((0, 0), (15, 8)):
        spots = np.exp(-((x - places[:, :1, None] - dx) ** 2 + (y - places[:, 1:, None] - dy) ** 2) / (2 * 1.3**2))
        images.append(0.1 + np.tensordot(bright, spots, 1) + 0.01 * rng.standard_normal((256, 256)))
    return images[0], images[1], tuple(rng.integers(1, 255, (2, 30)))  # type: ignore[return-value]


def test_hot_pixels_on_beads_are_left_out_and_said() -> None:
    fixed, moving, hot = beads()
    fixed[hot] = moving[hot] = np.random.default_rng(4).uniform(0.5, 3, 30)
    result = register(fixed, moving, "rigid")
    truth = np.array([[1.0, 0, 15], [0, 1, 8], [0, 0, 1]])
    assert result.status == "ok", result.reasons
    assert corner_error(result.matrix, truth, (256, 256)) < 0.2  # 25 beads hold a rotation to that
    (note,) = result.notes
    assert "single pixels stand out at the same places in both images" in note


def test_an_agreement_at_the_identity_that_rests_on_single_pixels_is_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if they had not been found."""
    monkeypatch.setattr(story, "hot_pixels", lambda *_: None)
    fixed, moving, hot = beads(12)
    fixed[hot] = moving[hot] = np.random.default_rng(4).uniform(0.5, 3, 30)
    result = register(fixed, moving, "translation", init=np.eye(3))
    assert np.abs(result.matrix[:2, 2]).max() < 1
    assert result.status is not Status.OK
    assert any("single pixels that stand out at the same places" in reason for reason in result.reasons)
    assert dataclasses.asdict(result.evidence)["single_pixel_ratio"] > 2


def test_no_gradient_anywhere_is_a_status_and_no_crash() -> None:
    """Two images whose only texture lies where they do not overlap."""
    fixed, moving = (np.zeros((64, 64)) for _ in "ab")
    fixed[:8, :8] = moving[-8:, -8:] = np.random.default_rng(0).normal(size=(8, 8))
    assert register(fixed, moving, "affine", init=np.eye(3), no_data="none").status is not Status.OK
