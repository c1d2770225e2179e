"""Residual shifts of windows, their field over the frame, and the verdict on a pair that is aligned already."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from zncc_cli.registration.inputs.prepare import prepare
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.alignment_check import ComparedBy, check_alignment
from zncc_cli.registration.quality.block_consensus import significance
from zncc_cli.registration.quality.local_shifts import LocalShifts, WindowStatus, local_shifts
from zncc_cli.registration.quality.residual_field import ResidualField, residual_field
from zncc_cli.registration.quality.verdict import Status

SHAPE = (240, 300)
Pull = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def level(image: np.ndarray, mask: np.ndarray | None = None) -> Level:
    prepared = prepare("image", image, mask, torch.device("cpu"), "none")
    return Level(prepared.image, prepared.mask, 1)


def speckle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the values of a random texture at real coordinates: plane waves of 5 to 25 pixels."""
    random = np.random.default_rng(3)
    angle, wavelength, phase = (random.uniform(*span, 60) for span in ((0, 2 * np.pi), (5, 25), (0, 2 * np.pi)))
    waves = zip(2 * np.pi / wavelength * np.cos(angle), 2 * np.pi / wavelength * np.sin(angle), phase, strict=True)
    return np.asarray(sum(np.cos(along_x * x + along_y * y + start) for along_x, along_y, start in waves))


def pair(pull: Pull, noise: float = 0.02) -> list[np.ndarray]:
    """A scene, and what `pull` makes of it: the second image shows at (x, y) what lies at pull(x, y) in the first."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    images = [speckle(*place) for place in ((x, y), pull(x, y))]
    random = np.random.default_rng(5)
    return [image + random.normal(size=SHAPE) * noise * images[0].std() for image in images]


def by_shift(dx: float, dy: float) -> Pull:
    return lambda x, y: (x - dx, y - dy)


def by_scale(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Away from (150, 120) by one percent of the distance."""
    return 150 + (x - 150) / 1.01, 120 + (y - 120) / 1.01


def normalized(shifts: LocalShifts, truth: np.ndarray) -> np.ndarray:
    return ((shifts.shifts - truth) / shifts.sigmas)[shifts.ok]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.45), (-6.25, 9.5)])
def test_windows_find_a_known_shift_with_its_standard_deviation(shift: tuple[float, float]) -> None:
    shifts = local_shifts(*map(level, pair(by_shift(*shift), noise=0.05)))
    inside = shifts.status != WindowStatus.OUTSIDE
    assert shifts.ok[inside].mean() > 0.85  # what left the frame is not found
    errors = (shifts.shifts - shift)[shifts.ok]
    # The noise leaves 0.02 pixels in a window, and a tenth of that in the mean of 250, which overlap.
    assert np.abs(errors.mean(axis=0)).max() < 0.005
    assert np.square(normalized(shifts, np.array(shift))).mean() == pytest.approx(1, abs=0.4)


def test_the_standard_deviation_holds_where_few_places_have_texture() -> None:
    """One square of a window may hold most of it, and must not vouch for itself: errors are 1.4 times as large then."""
    random = np.random.default_rng(8)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    spots = random.uniform(0, 1, (160, 2)) * [SHAPE[1], SHAPE[0]]

    def image(dx: float, dy: float) -> np.ndarray:
        around = (np.exp(-((x - dx - a) ** 2 + (y - dy - b) ** 2) / 12) for a, b in spots)
        clean = np.asarray(sum(around))
        return clean + random.normal(size=SHAPE) * 0.1 * clean.std()

    shifts = local_shifts(level(image(0, 0)), level(image(0.24, -0.18)))
    assert shifts.ok.mean() > 0.7
    # The median of |z| is 0.6745 for normal errors; of 200 windows that share half of their pixels, within 0.2.
    ratio = np.median(np.abs(normalized(shifts, np.array([0.24, -0.18])))) / 0.6745
    assert ratio == pytest.approx(1, abs=0.2)


def test_ce90_of_a_shift_under_strong_noise_is_that_of_the_shift() -> None:
    """A shift of 0.3 pixels everywhere, of which windows tell 0.03 to 0.05: within 5 percent, as on other pairs."""
    for seed in (21, 22):
        random = np.random.default_rng(seed)
        images = [image + random.normal(size=SHAPE) * 0.3 * image.std() for image in pair(by_shift(0.24, -0.18), 0.0)]
        field = residual_field(local_shifts(*map(level, images)), SHAPE)
        assert field.ce90 == pytest.approx(0.3, rel=0.05)


def test_the_edge_of_what_is_known_is_smooth() -> None:
    """Halfway between places that are known and others, and values from the known ones alone."""
    shifts = np.ones((5, 5, 2)) * [3.0, 4.0]
    shifts[:, 3:], shifts[4, :] = np.nan, np.nan
    places = np.linspace(0, 32, 5)
    field = ResidualField(places, places, shifts, np.ones((5, 5)))
    lengths = field.at(np.arange(33.0), np.arange(33.0))
    known = np.isfinite(lengths)
    np.testing.assert_array_equal(lengths[known], 5.0)
    assert known[:12, :21].all()
    assert not known[:, 21:].any()
    assert not known[29:].any()
    np.testing.assert_array_equal(known[20:29].sum(axis=1), [21, 21, 21, 21, 21, 20, 19, 18, 17])  # a rounded corner


def test_the_field_is_known_at_windows_beside_a_part_that_was_not_measured() -> None:
    """The corner of an L of windows has two neighbours; places between windows have more, and were known alone."""
    places = np.array([(x, y) for y in range(6) for x in range(6) if x < 2 or y > 3], dtype=float) * 16 + 16
    count = len(places)
    shifts = np.tile([0.5, 0.0], (count, 1))
    covariances, status = np.tile(np.eye(2) * 1e-4, (count, 1, 1)), np.full(count, WindowStatus.OK, object)
    windows = LocalShifts(32, 16.0, places, shifts, covariances, np.ones(count), status, 9.0)
    lengths = residual_field(windows, (113, 113)).at(np.unique(places[:, 0]), np.unique(places[:, 1]))
    at_windows = lengths[(places[:, 1] / 16 - 1).astype(int), (places[:, 0] / 16 - 1).astype(int)]
    np.testing.assert_allclose(at_windows, 0.5, atol=1e-9)


def test_a_scale_is_found_window_by_window() -> None:
    shifts = local_shifts(*map(level, pair(by_scale)))
    truth = 0.01 * (shifts.centres - [150, 120])
    assert np.abs((shifts.shifts - truth)[shifts.ok]).max() < 0.1  # texture that lies to one side of a window


def test_ce90_of_a_scale_is_that_of_the_whole_frame() -> None:
    """Windows end within the frame, the shifts do not."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    truth = np.percentile(0.01 * np.hypot(x - 150, y - 120), 90)
    field = residual_field(local_shifts(*map(level, pair(by_scale, noise=0.05))), SHAPE)
    assert field.known > 0.97
    assert field.ce90 == pytest.approx(truth, rel=0.05)
    lengths = field.at_rows(range(100, 140), SHAPE[1])
    assert lengths.shape == (40, SHAPE[1])
    assert lengths[20, 10] == pytest.approx(1.4, abs=0.05)


def test_ce90_of_aligned_images_is_not_that_of_noise() -> None:
    field = residual_field(local_shifts(*map(level, pair(by_shift(0, 0), noise=0.1))), SHAPE)
    assert field.ce90 is not None
    assert field.ce90 < 0.03  # windows alone scatter by 0.05


def test_masked_parts_take_no_part() -> None:
    fixed, aligned = pair(by_shift(0.5, 0))
    mask = np.ones(SHAPE, bool)
    mask[:, 180:] = False
    aligned[:, 180:] = np.random.default_rng(1).normal(size=(SHAPE[0], 120))
    shifts = local_shifts(level(fixed), level(aligned, mask))
    outside = shifts.centres[:, 0] > 180
    assert (shifts.status[outside] == WindowStatus.OUTSIDE).all()
    assert np.abs(shifts.shifts[shifts.ok] - [0.5, 0]).max() < 0.05
    assert residual_field(shifts, SHAPE).known == pytest.approx(190 / 300, abs=0.1)


def test_a_part_that_moved_by_itself_is_an_outlier() -> None:
    fixed, aligned = pair(by_shift(0, 0))
    aligned[96:128, 96:128] = pair(by_shift(5, 0))[1][96:128, 96:128]
    shifts = local_shifts(level(fixed), level(aligned))
    ((part,),) = np.nonzero((np.abs(shifts.centres - 111.5) < 2).all(axis=1))
    assert shifts.status[part] == WindowStatus.OUTLIER
    assert shifts.shifts[part] == pytest.approx([5, 0], abs=1)
    field = residual_field(shifts, SHAPE)
    assert field.ce90 is not None
    assert field.ce90 < 0.2


def test_the_verdict_on_aligned_and_on_shifted_images() -> None:
    good = check_alignment(*map(level, pair(by_shift(0.2, 0.1))), 32, 1.0)
    assert (good.verdict.status, good.by) == (Status.OK, ComparedBy.BRIGHTNESS)
    bad = check_alignment(*map(level, pair(by_shift(3, 4))), 32, 1.0)
    assert bad.verdict.status is Status.FAILED
    assert bad.field.ce90 == pytest.approx(5, abs=0.02)
    assert "CE90 5.0" in bad.verdict.reasons[0]


def test_images_whose_contrast_is_inverted_are_compared() -> None:
    fixed, aligned = pair(by_shift(0.2, 0))
    check = check_alignment(level(fixed), level(-aligned), 32, 1.0)
    assert (check.verdict.status, check.by) == (Status.OK, ComparedBy.INVERTED)


def test_unrelated_images_have_no_places() -> None:
    fixed, _ = pair(by_shift(0, 0))
    _, other = pair(by_shift(4000, 100))
    check = check_alignment(level(fixed), level(other), 32, 1.0)
    assert check.verdict.status is Status.FAILED
    assert "find no places that fit together" in check.verdict.reasons[0]
    noise = (level(np.random.default_rng(seed).normal(size=SHAPE)) for seed in range(2))
    assert check_alignment(*noise, 32, 1.0).verdict.status is Status.FAILED


def test_a_frame_of_which_little_is_measured_is_suspect() -> None:
    fixed, aligned = pair(by_shift(0, 0))
    random = np.random.default_rng(2)
    for image in (fixed, aligned):
        image[:, 100:] = random.normal(size=(SHAPE[0], 200))
    check = check_alignment(level(fixed), level(aligned), 32, 1.0)
    assert check.verdict.status is Status.SUSPECT
    assert "of the frame could be measured" in check.verdict.reasons[0]


def test_lengths_of_blocks_are_in_pixels_of_the_images() -> None:
    check = check_alignment(*map(level, pair(by_shift(0.5, 0))), 32, 1.0)
    scaled = check.scaled(4)
    assert scaled.field.ce90 == pytest.approx(4 * check.field.ce90)
    np.testing.assert_allclose(scaled.shifts.centres[0], 4 * check.shifts.centres[0] + 1.5)
    np.testing.assert_allclose(scaled.shifts.sigmas[scaled.shifts.ok], 4 * check.shifts.sigmas[check.shifts.ok])


def test_the_consensus_of_many_windows_is_finite() -> None:
    """That a thousand windows agree by chance has a probability below what float64 holds."""
    assert significance(250, 250, 0.03) == pytest.approx(-250 * math.log10(0.03), rel=1e-9)
