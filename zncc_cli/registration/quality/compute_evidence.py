"""Computes the evidence for a result from the images: `zncc_cli.registration.quality.evidence` defines each figure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from zncc_cli.config import Interpolation, Model, RegistrationConfig
from zncc_cli.operators.pair_metric import BLOCK
from zncc_cli.registration.geometry import black_fields, chessboard_fields, overlap_points
from zncc_cli.registration.inputs.hot_pixels import without_single_pixels
from zncc_cli.registration.metric.level_metric import LevelMetric
from zncc_cli.registration.optimizer import safe_inverse
from zncc_cli.registration.pair_pyramid import LevelMetrics, PairPyramid
from zncc_cli.registration.pyramid import Level, coarsest_of
from zncc_cli.registration.quality.aperture_agreement import aperture_agreement
from zncc_cli.registration.quality.bounds import (
    MIN_APERTURE_AGREEMENT,
    MIN_BLOCK_SIGNIFICANCE,
    NOISY_CEILING,
    PROMISING_SHARE,
    block_significance,
    min_block_significance,
)
from zncc_cli.registration.quality.evidence import Evidence
from zncc_cli.registration.quality.peak_ratio import peak_ratio
from zncc_cli.registration.quality.static_border import BorderCheck
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.refine.refine import Refined
from zncc_cli.registration.refine.symmetric_metric import SymmetricMetric, local_metric, whitened_metric
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.warp import area_scale, corners, in_front, level_scale, map_points

_FIELDS = 4  # of a chessboard, along the shorter side of the frame
# On the shorter side of the level on which the roles are exchanged: a step is cheap there, and noise hides less.
_COARSE_SIDE_PX = 128
_GRID = 9  # points along each side of the valid pixels, where motions are compared
_MIN_CONDITION = 1e-6  # of the curvature: below it interpolation alone holds a parameter
RICHER_MODEL = {
    Model.TRANSLATION: Model.AFFINE,
    Model.RIGID: Model.AFFINE,
    Model.SIMILARITY: Model.AFFINE,
    Model.AFFINE: Model.HOMOGRAPHY,
}
"""The model that tells whether the motion is richer than a model."""

_MISFIT_STEPS = 3  # of the refinement by a richer model; its expected error is that of where they lead, misfit left out
CHANCE_DEVIATIONS = 4.0  # standard deviations: a shorter step may be nothing but noise
_STATIC_PX = 5.0  # at a corner: a result nearer to the identity may be that of a camera's own pixels
# Where only the filtered images agree: results were off by up to 1.6 times what was expected then, and twice that is to
# be less than a pixel. Of 31 unrelated pairs under noise none came below 2 px that agreed so.
_MAX_FILTERED_ERROR_PX = 0.3
_MIN_VARIANCE = 1e-12  # directions of a smaller variance are not there


def may_agree(metrics: LevelMetrics, matrix: np.ndarray, start_ratio: float | None, config: RegistrationConfig) -> bool:
    """Tell whether the images agree at ``matrix`` (3, 3) by so much that a refinement may lead to a result.

    The blocks of the judged or of the finest level tell, where there are enough of them, and under noise those of the
    filtered images. ``start_ratio`` as in `Evidence`; the window of ``config`` is used.
    """
    pair, least = metrics.pair, PROMISING_SHARE * min_block_significance(start_ratio)
    for index in dict.fromkeys((pair.judged, 0)):
        similarity = metrics[index].similarity(matrix, by_tiles=index != pair.judged)
        significance = None if similarity is None else block_significance(similarity.blocks)
        if similarity is not None and (significance is None or significance >= least):
            return True
    significance = _filtered_significance(metrics, matrix, config)
    return significance is not None and significance >= least


def _filtered_significance(metrics: LevelMetrics, matrix: np.ndarray, config: RegistrationConfig) -> float | None:
    """Return the block significance of the judged level's images at ``matrix`` (3, 3), filtered as for the refinement.

    In small windows of pixels as they are noise hides what the fit rests on. None where noise does not rule, or too few
    blocks hold what both images show.
    """
    level = None if metrics[metrics.pair.judged].ceiling >= NOISY_CEILING else metrics.pair.level(metrics.pair.judged)
    here = None if level is None else matrix * level_scale(level[0].factor)
    if level is None or here is None or not in_front(here, level[0].shape):
        return None
    metric = whitened_metric(*level, here, math.sqrt(area_scale(here, level[0].shape)), config)
    return None if metric is None else block_significance(metric.blocks(here))


def compute_evidence(
    metrics: LevelMetrics,
    border: BorderCheck,
    config: RegistrationConfig,
    uncertainty: Uncertainty | None,
    start_ratio: float | None,
) -> Evidence:
    """Return the evidence for the result of ``config.model``.

    Args:
        metrics: of the pair in the result's contrast.
        border: the result.
        config: model, window and least overlap are used.
        uncertainty, start_ratio: of the result, see `Evidence`.
    """
    pair, refined, matrix, identity = metrics.pair, border.refined, border.refined.matrix, np.eye(3)
    fine, coarse = metrics[0], metrics[pair.judged]
    by_tiles = pair.judged > 0
    before, after = fine.similarity(identity, by_tiles=by_tiles), fine.similarity(matrix, by_tiles=by_tiles)
    # Noise hides on a coarser level what agrees, fine texture on the finest: the clearer of the two counts.
    similarities = [after] if pair.judged == 0 else [after, coarse.similarity(matrix)]
    tiled = after is not None and after.tile_step > 1
    if tiled and similarities[-1] is None:  # too little overlap, which tiles do not tell
        after = None
    significances = [None if each is None else block_significance(each.blocks) for each in similarities]
    significance = max((each for each in significances if each is not None), default=None)
    with_overlap = similarities[-1] if tiled else after
    of_pixels = significance, significances[0]
    folds = _folds(refined, pair.shape, config)
    held_out = (None, None) if folds is None or after is None else _held_out(coarse, folds)
    scales = _scales(matrix, pair.shape)
    points = overlap_points(matrix, pair.fixed[0].extent, pair.moving[0].extent, _GRID)
    judged = None if after is None else _at_level(pair, pair.judged, matrix, config)
    expected_error = None if uncertainty is None or not len(points) else _rms(uncertainty.at(points))
    # Where noise rules, unrelated images may agree by a few slow waves; these determine no place.
    determined = expected_error is not None and expected_error <= _MAX_FILTERED_ERROR_PX
    if determined and significance is not None and significance < min_block_significance(start_ratio):
        significance = max(significance, _filtered_significance(metrics, matrix, config) or 0)
    frame = corners(pair.shape)
    motion = float(np.linalg.norm(map_points(matrix, frame) - frame, axis=-1).max())
    static = after is not None and motion < _STATIC_PX and pair.shape == pair.moving_shape
    return Evidence(
        zncc_before=None if before is None else before.zncc,
        zncc_after=None if after is None else after.zncc,
        overlap=fine.overlap(matrix) if with_overlap is None else with_overlap.overlap,
        block_significance=significance,
        ending=refined.ending,
        motion=motion,
        single_pixel_ratio=_single_pixel_ratio(pair, matrix, config, of_pixels) if static else None,
        start_ratio=start_ratio,
        peak_ratio=None if after is None else _peak_ratio(pair, matrix),
        signal_agreement=_signal_agreement(metrics, matrix),
        zncc_coarse=None if similarities[-1] is None else similarities[-1].zncc,
        zncc_ceiling=coarse.ceiling,
        held_out_before=held_out[0],
        held_out_after=held_out[1],
        fold_distance=None if folds is None or not len(points) else _rms_distance(*folds.matrices, points),
        fold_distance_ratio=None if folds is None else folds.ratio,
        model_misfit=_model_misfit(judged, config),
        aperture_agreement=None if after is None else _aperture_agreement(pair, judged, matrix, config),
        round_trip=None if after is None else _round_trip(pair, matrix, config),
        expected_error=expected_error,
        border_pull=border.pull,
        border_left_out=border.left_out,
        least_scale=scales[0],
        most_scale=scales[1],
        shear=scales[2],
    )


def _signal_agreement(metrics: LevelMetrics, matrix: np.ndarray) -> float | None:
    agreement = metrics.agreement(coarsest_of(metrics.pair.fixed, _COARSE_SIDE_PX), matrix)
    return None if agreement is None else agreement.zncc


def _peak_ratio(pair: PairPyramid, matrix: np.ndarray) -> float | None:
    fixed, moving = zip(*(pair.level(index) for index in range(len(pair))), strict=True)
    return peak_ratio(list(fixed), list(moving), matrix)


def _single_pixel_ratio(
    pair: PairPyramid, matrix: np.ndarray, config: RegistrationConfig, significances: tuple[float | None, float | None]
) -> float | None:
    """Return how many times as well the finest level agrees as it does without pixels that stand out by themselves.

    ``significances``: of the clearer level, and of the finest one.
    """
    clearer, finest = significances
    if clearer is None or finest is None or clearer < MIN_BLOCK_SIGNIFICANCE:  # no pixels hold what does not agree
        return None
    fixed, moving = (replace(level, image=without_single_pixels(level.image)) for level in pair.level(0))
    linear = Interpolation.LINEAR  # of the moving image, which hardly moved
    metric = LevelMetric(fixed, moving, fixed.shape, config.window_side, config.first_min_overlap, linear)
    similarity = metric.similarity(matrix, by_tiles=pair.judged > 0)
    without = None if similarity is None else block_significance(similarity.blocks)
    return finest / without if without is not None and without > 0 else math.inf


@dataclass(frozen=True)
class _Folds:
    """The fits to the black fields and to the white fields of a chessboard over the frame.

    Attributes:
        matrices: (3, 3) each.
        side: of the fields, pixels.
        ratio: see `Evidence.fold_distance_ratio`.
    """

    matrices: tuple[np.ndarray, np.ndarray]
    side: int
    ratio: float


def _folds(refined: Refined, shape: tuple[int, int], config: RegistrationConfig) -> _Folds | None:
    """Return both fits, one Gauss-Newton step from the result.

    A half has half of the curvature, so that its own step is twice the sum of its blocks' influences.
    """
    u = refined.influences
    k, n = len(u), int(np.any(u != 0, axis=0).sum())
    if n <= 2 * k:
        return None
    transform = LinearTransform(config.model, shape)
    field = max(1, round(min(shape) / BLOCK / _FIELDS))  # blocks along the side of a field
    rows, columns = (chessboard_fields(-(-length // BLOCK), field) for length in shape)
    black = black_fields(rows, columns).flatten().numpy()
    p = transform.parameters(refined.matrix)
    steps = [2 * u[:, colour].sum(axis=1) for colour in (black, ~black)]
    difference = steps[0] - steps[1]
    matrices = [transform.matrix(p + step) for step in steps]
    if not all(in_front(matrix, shape) for matrix in matrices):
        return None
    # The difference of the halves has four times the covariance of the whole.
    values, vectors = np.linalg.eigh(4 * n / (n - k) * u @ u.T)
    determined = values > _MIN_VARIANCE
    ratio = float(np.square(difference @ vectors[:, determined] / np.sqrt(values[determined])).sum() / k)
    return _Folds((matrices[0], matrices[1]), field * BLOCK, ratio)


def _held_out(metric: LevelMetric, folds: _Folds) -> tuple[float | None, float | None]:
    """Return the mean local ZNCC of windows at the identity, and where the fit to the other windows sends them."""
    side = folds.side // metric.factor
    # Black windows at the fit to the white ones, and the other way round.
    crossed = [metric.similarity_by_fold(matrix, side) for matrix in reversed(folds.matrices)]
    identity = metric.similarity_by_fold(np.eye(3), side)
    after = None if crossed[0] is None or crossed[1] is None else _mean((crossed[0][0], crossed[1][1]))
    return None if identity is None else _mean(identity), after


def _mean(values: tuple[float, float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def _round_trip(pair: PairPyramid, matrix: np.ndarray, config: RegistrationConfig) -> float | None:
    """Return the RMS over the moving frame of one refinement step with the roles exchanged, full-resolution pixels."""
    sides = [min(last - first + 1 for first, last in level.extent) for level in pair.fixed]
    fixed, moving = pair.level(max((k for k, side in enumerate(sides) if side >= _COARSE_SIDE_PX), default=0))
    back = np.linalg.inv(matrix * level_scale(fixed.factor))
    back = back / back[2, 2]
    if not in_front(back, moving.shape):
        return None
    transform = LinearTransform(config.model, moving.shape)
    exchanged = local_metric(moving, fixed, math.sqrt(area_scale(back, moving.shape)), config)
    influences = _influences(exchanged, transform, back)
    if influences is None:
        return None
    stepped = transform.matrix(transform.parameters(back) + influences.sum(axis=1))
    distance = overlap_distance(stepped, back, moving, fixed)
    return None if distance is None else distance * fixed.factor


@dataclass(frozen=True)
class _AtLevel:
    """The result's matrix (3, 3) in the pixels of a level, the level's images, and their local metric."""

    matrix: np.ndarray
    metric: SymmetricMetric
    fixed: Level
    moving: Level


def _at_level(pair: PairPyramid, index: int, matrix: np.ndarray, config: RegistrationConfig) -> _AtLevel | None:
    """Return a full-resolution ``matrix`` (3, 3) with a level; None where its horizon lies in the frame."""
    fixed, moving = pair.level(index)
    matrix = matrix * level_scale(fixed.factor)
    if not in_front(matrix, fixed.shape):
        return None
    metric = local_metric(fixed, moving, math.sqrt(area_scale(matrix, fixed.shape)), config)
    return _AtLevel(matrix, metric, fixed, moving)


def _aperture_agreement(
    pair: PairPyramid, judged: _AtLevel | None, matrix: np.ndarray, config: RegistrationConfig
) -> float | None:
    """Return the agreement of the gradients along the motion that they tell least about, on the clearer level."""
    significances = list[float]()
    for index in dict.fromkeys((pair.judged, 0)):
        level = judged if index == pair.judged else _at_level(pair, index, matrix, config)
        if level is None:
            continue
        transform = LinearTransform(config.model, level.fixed.shape)
        to_matrix = transform.jacobian(transform.parameters(level.matrix))
        blocks = aperture_agreement(level.metric, level.matrix, to_matrix, transform.projective)
        significance = block_significance(blocks)
        significances += [] if significance is None else [significance]
        if significances and significances[-1] >= MIN_APERTURE_AGREEMENT:
            break
    return max(significances, default=None)


def _model_misfit(judged: _AtLevel | None, config: RegistrationConfig) -> float | None:
    """Return the RMS over the overlap of some refinement steps by a richer model, full-resolution pixels.

    An affine model for the simpler ones, a homography for an affine one, on the judged level; less than what chance
    explains is zero.
    """
    model = RICHER_MODEL.get(config.model)
    if model is None or judged is None:
        return None
    shape = judged.fixed.shape
    transform = LinearTransform(model, shape)
    points = overlap_points(judged.matrix, judged.fixed.extent, judged.moving.extent, _GRID)
    matrix, influences = judged.matrix, _influences(judged.metric, transform, judged.matrix)
    for _ in range(_MISFIT_STEPS):
        if influences is None or not len(points):
            return None
        matrix = transform.matrix(transform.parameters(matrix) + influences.sum(axis=1))
        influences = _influences(judged.metric, transform, matrix)
    uncertainty = None if influences is None else Uncertainty.of_blocks(model, matrix, shape, influences)
    distance = _rms_distance(matrix, judged.matrix, points)
    if uncertainty is None or distance < CHANCE_DEVIATIONS * _rms(uncertainty.at(points)):
        return 0.0
    return distance * judged.fixed.factor


def _influences(metric: SymmetricMetric, transform: LinearTransform, matrix: np.ndarray) -> np.ndarray | None:
    """Return by how much each block moves the parameters in one refinement step from ``matrix``, (k, blocks)."""
    linearized = metric.linearized(matrix, transform.projective, with_curvature=True)
    if linearized is None:
        return None
    to_matrix = transform.jacobian(transform.parameters(matrix))
    inverse = safe_inverse(to_matrix.T @ linearized.curvature @ to_matrix, _MIN_CONDITION)
    return None if inverse is None else inverse @ (to_matrix.T @ linearized.scores)


def _scales(matrix: np.ndarray, shape: tuple[int, int]) -> tuple[float, float, float]:
    """Return least and most moving pixels per fixed pixel in any direction anywhere in the frame, and most shear."""
    points = np.vstack((corners(shape), corners(shape).mean(axis=0)))
    depth = points @ matrix[2, :2] + matrix[2, 2]
    targets = map_points(matrix, points)
    jacobians = (matrix[None, :2, :2] - targets[:, :, None] * matrix[2, :2]) / depth[:, None, None]
    scales = np.linalg.svd(jacobians, compute_uv=False) * np.sign(np.linalg.det(jacobians))[:, None]
    return float(scales.min()), float(scales.max()), float(np.abs(scales[:, 0] / scales[:, 1]).max())


def overlap_distance(a: np.ndarray, b: np.ndarray, fixed: Level, moving: Level) -> float | None:
    """Return the RMS over the overlap at ``b`` of how far two matrices (3, 3) send a point apart; None without one."""
    points = overlap_points(b, fixed.extent, moving.extent, _GRID)
    return _rms_distance(a, b, points) if len(points) else None


def _rms_distance(a: np.ndarray, b: np.ndarray, points: np.ndarray) -> float:
    """Return the RMS distance between where two matrices (3, 3) send ``points`` (n, 2)."""
    return _rms(np.linalg.norm(map_points(a, points) - map_points(b, points), axis=-1))


def _rms(lengths: np.ndarray) -> float:
    return float(np.sqrt(np.square(lengths).mean()))
