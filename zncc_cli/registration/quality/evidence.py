"""What speaks for a result and what against it, gathered from the images.

Every figure is defined in `zncc_cli.registration.quality.verdict.Evidence`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from zncc_cli.config import Interpolation, Model, RegistrationConfig
from zncc_cli.registration.inputs.hot_pixels import without_single_pixels
from zncc_cli.registration.metric.level_metric import LevelMetric
from zncc_cli.registration.optimizer import safe_inverse
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.peak_ratio import peak_ratio
from zncc_cli.registration.quality.static_border import BorderCheck
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.quality.verdict import (
    MIN_APERTURE_AGREEMENT,
    MIN_BLOCK_SIGNIFICANCE,
    Evidence,
    block_significance,
)
from zncc_cli.registration.refine.refine import Refined
from zncc_cli.registration.refine.symmetric_metric import BLOCK, SymmetricMetric, local_metric
from zncc_cli.registration.transforms import TRANSFORMS, TransformFamily
from zncc_cli.registration.warp import area_scale, corners, in_front, level_scale, map_points

_FIELDS = 4  # of a chessboard, along the shorter side of the frame
_ROUND_TRIP = 128  # pixels on the shorter side of what is seen, where the roles are exchanged: a step there is cheap
_GRID = 9  # points along each side of what is seen, where motions are compared
_LEAST_CONDITION = 1e-6  # of the curvature: below it interpolation alone holds a parameter
RICHER = {
    Model.TRANSLATION: Model.AFFINE,
    Model.RIGID: Model.AFFINE,
    Model.SIMILARITY: Model.AFFINE,
    Model.AFFINE: Model.HOMOGRAPHY,
}
"""By which model it is told whether the motion is richer than a model."""

_STEPS = 3  # of the refinement by a richer model, whose sureness is that of where it leads: misfit passes for noise
CHANCE = 4.0  # standard deviations: a shorter step is nothing but noise
_STAYS = 5.0  # pixels at a corner: a result nearer to the identity may be that of a camera's own pixels
_SMALLEST = 1e-12  # of a variance: directions below it are not there


@dataclass(frozen=True)
class Seen:
    """The pyramids, the finest level first, of the same contrast."""

    fixed: list[Level]
    moving: list[Level]


@dataclass(frozen=True)
class Judging:
    """What a result is judged by.

    Attributes:
        seen: the images.
        fine, coarse: the objectives on the finest level, and on the one that is judged beside it (perhaps the same).
        judged: the index of that level.
    """

    seen: Seen
    fine: LevelMetric
    coarse: LevelMetric
    judged: int


def weigh(
    by: Judging,
    config: RegistrationConfig,
    border_check: BorderCheck,
    uncertainty: Uncertainty | None,
    start_ratio: float | None,
) -> Evidence:
    """Return the evidence for the result of ``config.model``."""
    refined, matrix, identity = border_check.refined, border_check.refined.matrix, np.eye(3)
    before, after = by.fine.similarity(identity), by.fine.similarity(matrix)
    # Noise hides on a coarser level what agrees, fine texture on the finest: the clearer of the two counts.
    looks = [after] if by.judged == 0 else [after, by.coarse.similarity(matrix)]
    found = [block_significance(look.blocks) for look in looks if look is not None]
    halves = _halves(refined, by.seen.fixed[0].shape, config)
    held_out = (None, None) if halves is None or after is None else _held_out(by.coarse, halves)
    frame = corners(by.seen.fixed[0].shape)
    stretch = _stretch(matrix, by.seen.fixed[0].shape)
    points = _overlap(matrix, by.seen.fixed[0], by.seen.moving[0])
    judged = None if after is None else _sight(by, by.judged, matrix, config)
    motion = float(np.linalg.norm(map_points(matrix, frame) - frame, axis=-1).max())
    stays = after is not None and motion < _STAYS and by.seen.fixed[0].shape == by.seen.moving[0].shape
    return Evidence(
        zncc_before=None if before is None else before.zncc,
        zncc_after=None if after is None else after.zncc,
        overlap=by.fine.overlap(matrix) if after is None else after.overlap,
        block_significance=max((a for a in found if a is not None), default=None),
        ending=refined.ending,
        motion=motion,
        single_pixel_ratio=_single_pixel_ratio(by.seen, matrix, config, found[0]) if stays else None,
        start_ratio=start_ratio,
        peak_ratio=None if after is None else peak_ratio(by.seen.fixed, by.seen.moving, matrix),
        zncc_coarse=None if looks[-1] is None else looks[-1].zncc,
        held_out_before=held_out[0],
        held_out_after=held_out[1],
        fold_distance=None
        if halves is None or not len(points)
        else _rms(*(map_points(half, points) for half in halves.both)),
        fold_distance_ratio=None if halves is None else halves.ratio,
        model_misfit=_richer(judged, config),
        aperture_agreement=None if after is None else _aperture_agreement(by, judged, matrix, config),
        round_trip=None if after is None else _round_trip(by, matrix, config),
        expected_error=None if uncertainty is None or not len(points) else _root_mean(uncertainty.at(points)),
        border_pull=border_check.pull,
        border_left_out=border_check.left_out,
        least_scale=stretch[0],
        most_scale=stretch[1],
        shear=stretch[2],
    )


def _single_pixel_ratio(
    seen: Seen, matrix: np.ndarray, config: RegistrationConfig, agreed: float | None
) -> float | None:
    """Return how many times as well the finest level agrees as it does without pixels that stand out by themselves."""
    if agreed is None or agreed < MIN_BLOCK_SIGNIFICANCE:  # what does not agree is held by nothing
        return None
    fixed, moving = (replace(one[0], image=without_single_pixels(one[0].image)) for one in (seen.fixed, seen.moving))
    linear = Interpolation.LINEAR  # of the moving image, which hardly moved
    got = LevelMetric(fixed, moving, fixed.shape, config.window_side, config.least_overlap, linear).similarity(matrix)
    left = None if got is None else block_significance(got.blocks)
    return agreed / left if left is not None and left > 0 else math.inf


@dataclass(frozen=True)
class _Halves:
    """What the black and the white fields of the frame alone would have the matrix be.

    Attributes:
        both: (3, 3) each.
        side: of the fields, pixels.
        ratio: see `Evidence.fold_distance_ratio`.
    """

    both: tuple[np.ndarray, np.ndarray]
    side: int
    ratio: float


def _halves(refined: Refined, shape: tuple[int, int], config: RegistrationConfig) -> _Halves | None:
    """Return the fits to the black and to the white fields of a chessboard, one Gauss-Newton step from the result.

    A half has half of the curvature, so that its own step is twice the sum of its blocks' influences.
    """
    u = refined.influences
    k, n = len(u), int(np.any(u != 0, axis=0).sum())
    if n <= 2 * k:
        return None
    family = TRANSFORMS[config.model](config.model, shape)
    wide = max(1, round(min(shape) / BLOCK / _FIELDS))  # blocks along the side of a field
    row, column = (np.arange(-(-length // BLOCK)) // wide for length in shape)
    black = ((row[:, None] + column) % 2 == 0).ravel()
    p = family.parameters(refined.matrix)
    steps = [2 * u[:, colour].sum(axis=1) for colour in (black, ~black)]
    apart = steps[0] - steps[1]
    matrices = [family.matrix(p + step) for step in steps]
    if not all(in_front(matrix, shape) for matrix in matrices):
        return None
    # The difference of the halves has four times the covariance of the whole.
    values, vectors = np.linalg.eigh(4 * n / (n - k) * u @ u.T)
    held = values > _SMALLEST
    ratio = float(np.square(apart @ vectors[:, held] / np.sqrt(values[held])).sum() / k)
    return _Halves((matrices[0], matrices[1]), wide * BLOCK, ratio)


def _held_out(objective: LevelMetric, halves: _Halves) -> tuple[float | None, float | None]:
    """Return the mean local ZNCC of windows at the identity, and where the fit to the other windows sends them."""
    side = halves.side // objective.factor
    # Black windows at the fit to the white ones, and the other way round.
    seen = [objective.similarity_by_fold(half, side) for half in reversed(halves.both)]
    identity = objective.similarity_by_fold(np.eye(3), side)
    after = None if seen[0] is None or seen[1] is None else _mean((seen[0][0], seen[1][1]))
    return None if identity is None else _mean(identity), after


def _mean(values: tuple[float, float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else None


def _round_trip(by: Judging, matrix: np.ndarray, config: RegistrationConfig) -> float | None:
    """Return the RMS over the moving frame of one refinement step with the roles exchanged, full-resolution pixels."""
    sides = [min(last - first + 1 for first, last in level.extent) for level in by.seen.fixed]
    level = max((k for k, side in enumerate(sides) if side >= _ROUND_TRIP), default=0)
    fixed, moving = by.seen.fixed[level], by.seen.moving[level]
    back = np.linalg.inv(matrix * level_scale(fixed.factor))
    back = back / back[2, 2]
    if not in_front(back, moving.shape):
        return None
    family = TRANSFORMS[config.model](config.model, moving.shape)
    influences = _influences(
        local_metric(moving, fixed, math.sqrt(area_scale(back, moving.shape)), config), family, back
    )
    if influences is None:
        return None
    there = family.matrix(family.parameters(back) + influences.sum(axis=1))
    apart = distance(there, back, moving, fixed)
    return None if apart is None else apart * fixed.factor


@dataclass(frozen=True)
class _Sight:
    """A level as it is looked at for its fine texture: the result's matrix there (3, 3), and the two images."""

    matrix: np.ndarray
    look: SymmetricMetric
    fixed: Level
    moving: Level


def _sight(by: Judging, level: int, matrix: np.ndarray, config: RegistrationConfig) -> _Sight | None:
    """Return it for a full-resolution ``matrix`` (3, 3); None where its horizon lies in the frame."""
    fixed, moving = by.seen.fixed[level], by.seen.moving[level]
    at_level = matrix * level_scale(fixed.factor)
    if not in_front(at_level, fixed.shape):
        return None
    return _Sight(
        at_level, local_metric(fixed, moving, math.sqrt(area_scale(at_level, fixed.shape)), config), fixed, moving
    )


def _aperture_agreement(
    by: Judging, judged: _Sight | None, matrix: np.ndarray, config: RegistrationConfig
) -> float | None:
    """Return the agreement of the gradients along the motion that they tell least about, on the clearer level."""
    found = list[float]()
    for level in dict.fromkeys((by.judged, 0)):
        sight = judged if level == by.judged else _sight(by, level, matrix, config)
        if sight is None:
            continue
        family = TRANSFORMS[config.model](config.model, sight.fixed.shape)
        to_matrix = family.jacobian(family.parameters(sight.matrix))
        held = block_significance(sight.look.aperture_agreement(sight.matrix, to_matrix, family.projective))
        found += [] if held is None else [held]
        if found and found[-1] >= MIN_APERTURE_AGREEMENT:
            break
    return max(found, default=None)


def _richer(judged: _Sight | None, config: RegistrationConfig) -> float | None:
    """Return the RMS over the overlap of `_STEPS` refinement steps by a richer model, full-resolution pixels.

    An affine model for the simpler ones, a homography for an affine one, on the judged level; less than what chance
    explains is zero.
    """
    model = RICHER.get(config.model)
    if model is None or judged is None:
        return None
    shape = judged.fixed.shape
    family = TRANSFORMS[model](model, shape)
    points = _overlap(judged.matrix, judged.fixed, judged.moving)
    there, influences = judged.matrix, _influences(judged.look, family, judged.matrix)
    for _ in range(_STEPS):
        if influences is None or not len(points):
            return None
        there = family.matrix(family.parameters(there) + influences.sum(axis=1))
        influences = _influences(judged.look, family, there)
    sure = None if influences is None else Uncertainty.of_blocks(model, there, shape, influences)
    step = _rms(map_points(there, points), map_points(judged.matrix, points))
    if sure is None or step < CHANCE * _root_mean(sure.at(points)):
        return 0.0
    return step * judged.fixed.factor


def _influences(look: SymmetricMetric, family: TransformFamily, matrix: np.ndarray) -> np.ndarray | None:
    """Return by how much each block moves the parameters in one refinement step from ``matrix``, (k, blocks)."""
    at = look.linearized(matrix, family.projective, with_curvature=True)
    to_matrix = family.jacobian(family.parameters(matrix))
    inverse = None if at is None else safe_inverse(to_matrix.T @ at.curvature @ to_matrix, _LEAST_CONDITION)
    return None if at is None or inverse is None else inverse @ (to_matrix.T @ at.scores)


def _stretch(matrix: np.ndarray, shape: tuple[int, int]) -> tuple[float, float, float]:
    """Return least and most moving pixels per fixed pixel in any direction anywhere in the frame, and most shear."""
    points = np.vstack((corners(shape), corners(shape).mean(axis=0)))
    depth = points @ matrix[2, :2] + matrix[2, 2]
    to = map_points(matrix, points)
    by = (matrix[None, :2, :2] - to[:, :, None] * matrix[2, :2]) / depth[:, None, None]
    scales = np.linalg.svd(by, compute_uv=False) * np.sign(np.linalg.det(by))[:, None]
    return float(scales.min()), float(scales.max()), float(np.abs(scales[:, 0] / scales[:, 1]).max())


def distance(a: np.ndarray, b: np.ndarray, fixed: Level, moving: Level) -> float | None:
    """Return the RMS over the overlap at ``b`` of how far two matrices (3, 3) send a point apart; None without one."""
    points = _overlap(b, fixed, moving)
    return _rms(map_points(a, points), map_points(b, points)) if len(points) else None


def _overlap(matrix: np.ndarray, fixed: Level, moving: Level) -> np.ndarray:
    """Return points (n, 2), (x, y), of a grid over what is seen of ``fixed`` that lie within what is of ``moving``."""
    y, x = np.meshgrid(*(np.linspace(*ends, _GRID) for ends in fixed.extent), indexing="ij")
    points = np.column_stack((x.ravel(), y.ravel()))
    first, last = np.array(moving.extent[::-1]).T
    there = map_points(matrix, points)
    return np.asarray(points[((there >= first) & (there <= last)).all(axis=-1)])


def _rms(a: np.ndarray, b: np.ndarray) -> float:
    return _root_mean(np.linalg.norm(a - b, axis=-1))


def _root_mean(lengths: np.ndarray) -> float:
    return float(np.sqrt(np.square(lengths).mean()))
