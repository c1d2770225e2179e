"""Registration by a transform that bends, on scenes whose motion is known at every pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene
from zncc_cli import register
from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.errors import OptionError
from zncc_cli.operators import native
from zncc_cli.registration.nonrigid.bending import bend
from zncc_cli.registration.nonrigid.error_map import ErrorMap
from zncc_cli.registration.nonrigid.verdict import judge_bending
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.verdict import Status, Verdict
from zncc_cli.registration.register import RegistrationResult

SHAPE = (160, 176)
ALL = torch.ones(64, 72, dtype=torch.bool)


def waves(amplitude: float = 2.5, wavelength: float = 90.0) -> np.ndarray:
    """Return displacements (H, W, 2) that are sines along both axes."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    k = 2 * np.pi / wavelength
    return amplitude * np.stack([np.sin(k * y + 0.4), np.sin(k * x + 1.0) * np.cos(k * y)], axis=-1)


def pair(displacements: np.ndarray, seed: int = 1, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return fixed and moving with moving(p + displacement) = fixed(p), under noise of a share of the deviation."""
    scene = Scene(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    fixed, moving = scene(np.stack([x, y], axis=-1) + displacements), scene.image(SHAPE)
    random = np.random.default_rng(seed)
    return tuple(image + noise * moving.std() * random.standard_normal(SHAPE) for image in (fixed, moving))


def errors(result: RegistrationResult, displacements: np.ndarray) -> np.ndarray:
    """Return how far the result is off, (H, W) pixels; NaN where the truth leaves the moving frame."""
    assert result.field is not None
    found = result.field.displacements(range(SHAPE[0]), range(SHAPE[1]))
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    u, v = x + displacements[..., 0], y + displacements[..., 1]
    inside = (u >= 3) & (u <= SHAPE[1] - 4) & (v >= 3) & (v <= SHAPE[0] - 4)
    return np.where(inside, np.linalg.norm(found - displacements, axis=-1), np.nan)


def rms(lengths: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(lengths**2)))


def expected_error(result: RegistrationResult) -> ErrorMap:
    assert result.bending is not None
    assert result.bending.expected_error is not None
    return result.bending.expected_error


def test_recovers_a_known_smooth_field() -> None:
    truth = waves()
    result = register(*pair(truth), model="bspline")
    # An affine transform leaves 2 px; the frame's edge, where half of a window is seen, some hundredths.
    assert rms(errors(result, truth)) < 0.06
    assert result.status == "ok"
    assert result.model == "bspline"


def test_recovers_a_field_upon_an_affine_motion() -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    affine = np.stack([0.05 * (x - 88) - 0.04 * (y - 80) + 6, 0.03 * (x - 88) - 0.03 * (y - 80) - 4], axis=-1)
    truth = affine + waves(1.5)
    assert rms(errors(register(*pair(truth), model="bspline"), truth)) < 0.08


def test_images_that_are_the_same_do_not_bend() -> None:
    result = register(*pair(np.zeros((*SHAPE, 2)), noise=0.05), model="bspline")
    assert rms(errors(result, np.zeros((*SHAPE, 2)))) < 0.03
    assert result.status == "ok"


def test_finds_the_field_of_a_negative() -> None:
    truth = waves()
    fixed, moving = pair(truth)
    result = register(fixed, -moving, model="bspline")
    assert result.inverted
    assert rms(errors(result, truth)) < 0.06


def test_finds_the_field_of_a_mirror_image() -> None:
    truth = waves(1.5)
    fixed, moving = pair(truth)
    result = register(fixed, moving[:, ::-1].copy(), model="bspline")
    mirrored = truth.copy()
    x = np.arange(SHAPE[1])
    # x + dx is where the point lies in the image as it was; the other way round it is at W - 1 - (x + dx).
    mirrored[..., 0] = SHAPE[1] - 1 - (x + truth[..., 0]) - x
    assert result.field is not None
    assert result.mirrored
    found = result.field.displacements(range(SHAPE[0]), range(SHAPE[1]))
    inside = ~np.isnan(errors(result, truth))
    assert rms(np.linalg.norm(found - mirrored, axis=-1)[inside]) < 0.08


def test_masked_pixels_do_not_move_the_field() -> None:
    truth = waves()
    fixed, moving = pair(truth)
    masks = []
    for image, rows in ((fixed, slice(20, 60)), (moving, slice(90, 130))):
        mask = np.ones(SHAPE, dtype=bool)
        mask[rows, 40:90] = False
        image[~mask] = np.random.default_rng(5).normal(0, 3, int((~mask).sum()))
        masks.append(mask)
    result = register(fixed, moving, model="bspline", fixed_mask=masks[0], moving_mask=masks[1])
    off = errors(result, truth)
    away = np.ones(SHAPE, dtype=bool)
    away[8:142, 28:102] = False  # but for the windows that reach into a mask
    assert rms(off[away]) < 0.08
    error = expected_error(result)
    # Under the mask only the smoothness tells: the expected error says so.
    hidden = error.error[np.ix_((error.rows > 30) & (error.rows < 50), (error.columns > 55) & (error.columns < 75))]
    assert hidden.min() > 3 * np.median(error.error)


def test_no_pixel_folds_where_the_images_ask_for_it() -> None:
    """Beside a fixed part lies one that was moved by more than its distance."""
    truth = np.zeros((*SHAPE, 2))
    truth[:, 88:, 0] = -9.0
    result = register(*pair(truth), model="bspline")
    assert result.field is not None
    assert result.bending is not None
    jacobians = result.field.jacobians(range(SHAPE[0]), range(SHAPE[1]))
    assert float(np.linalg.det(jacobians).min()) > 0
    assert result.bending.folded == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_unrelated_images_are_not_ok(seed: int) -> None:
    fixed, moving = Scene(seed).image(SHAPE), Scene(seed + 100).image(SHAPE)
    result = register(fixed, moving, model="bspline")
    assert result.status != "ok"
    assert result.reasons


def test_the_expected_error_is_that_of_noisy_images() -> None:
    truth = waves()
    result = register(*pair(truth, noise=0.3), model="bspline")
    off = errors(result, truth)
    said = expected_error(result)
    inside = ~np.isnan(off[np.ix_(said.rows, said.columns)]) & said.overlap
    ratio = rms(said.error[inside]) / rms(off)
    assert 0.5 < ratio < 2.0


def test_plain_torch_finds_the_same_field() -> None:
    fixed, moving = (Level(torch.from_numpy(image[:64, :72]).float()[None, None], ALL, 1) for image in pair(waves(1.0)))
    fields = []
    for backend in ("native", "reference"):
        with native.selected(backend):
            bending = bend(fixed, moving, [np.eye(3)], RegistrationConfig(model=Model.BSPLINE), 11)
        fields.append(bending.field.displacements(range(64), range(72)))
    # Sums of float32 pixels, in another order, over some twenty steps.
    assert rms(np.linalg.norm(fields[0] - fields[1], axis=-1)) < 1e-3


def test_the_expected_error_is_told_between_its_points() -> None:
    told = ErrorMap(
        np.array([4, 12]), np.array([4, 12, 20]), np.array([[1.0, 3, 3], [2, 4, 4]]), *np.ones((3, 2, 3), bool)
    )
    found = told.at(range(16), range(24))
    assert found.shape == (16, 24)
    assert (found[4, 4], found[4, 8], found[8, 12], found[0, 0], found[15, 23]) == (1, 2, 3.5, 1, 4)


def test_a_stiffer_field_follows_less() -> None:
    truth = waves(1.5, wavelength=50)
    images = pair(truth, noise=0.2)
    results = [register(*images, model="bspline", smoothness=s) for s in (1.0, 1000.0)]
    usual, stiff = (float(np.abs(r.field.coefficients).mean()) for r in results if r.field is not None)
    assert stiff < 0.7 * usual


@pytest.mark.parametrize("options", [{"smoothness": 1e6}, {"spacing": 500.0}])
def test_a_field_that_is_forced_to_be_stiff_is_not_ok(options: dict[str, float]) -> None:
    truth = waves()
    result = register(*pair(truth), model="bspline", **options)
    assert rms(errors(result, truth)) > 1
    assert result.status is not Status.OK
    assert any("too stiff to follow the images" in reason for reason in result.reasons)
    assert result.probability <= 0.5


@pytest.mark.parametrize("options", [{"smoothness": 3.0}, {"spacing": 12.0}])
def test_a_stiffer_field_that_follows_all_the_same_is_ok(options: dict[str, float]) -> None:
    truth = waves()
    result = register(*pair(truth), model="bspline", **options)
    assert rms(errors(result, truth)) < 0.1
    assert result.status is Status.OK


def test_the_spacing_is_the_one_asked_for() -> None:
    truth = waves()
    result = register(*pair(truth), model="bspline", spacing=12.0)
    assert result.field is not None
    assert result.field.spacing == 12
    assert rms(errors(result, truth)) < 0.08


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "affine", "spacing": 8.0}, "`spacing`: expected with `model` bspline"),
        ({"model": "affine", "smoothness": 2.0}, "`smoothness`: expected with `model` bspline"),
        ({"model": "bspline", "spacing": 1.0}, "`spacing`: expected a number of pixels at least 2"),
        ({"model": "bspline", "smoothness": 0.0}, "`smoothness`: expected a number above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        register(*pair(waves()), **options)  # type: ignore[arg-type]


def test_a_field_that_moves_a_corner_beyond_max_motion_is_refused() -> None:
    images = pair(waves(1.5, wavelength=50))
    assert register(*images, model="bspline").status == "ok"
    result = register(*images, model="bspline", max_motion=0.2)
    assert result.status == "failed"
    assert any("max_motion" in reason for reason in result.reasons)


@pytest.mark.parametrize(("of_matrix", "expected"), [(Status.OK, Status.SUSPECT), (Status.FAILED, Status.FAILED)])
def test_a_bend_that_held_out_windows_do_not_confirm_is_in_doubt(of_matrix: Status, expected: Status) -> None:
    """The images agree as far as the matrix does."""
    result = register(*pair(waves()), model="bspline")
    assert result.bending is not None
    assert result.bending.held_out is not None
    told = replace(result.bending.held_out, after=0.0, blocks=np.tile([-0.1, 0.1], 10))
    verdict = judge_bending(replace(result.bending, held_out=told), result.evidence, Verdict(of_matrix, ("a reason",)))
    assert verdict.status is expected
    assert any("does not put the other half in place" in reason for reason in verdict.reasons)
