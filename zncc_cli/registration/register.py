"""The story of a registration, from two images to a transform that can be judged."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import Device, Model, RegistrationConfig, choose
from zncc_cli.errors import BackendError, ContentError, OptionError, WindowError
from zncc_cli.operators import native
from zncc_cli.registration.initialization import Start, find_starts, significance
from zncc_cli.registration.objective import LevelObjective
from zncc_cli.registration.optimizer import Ending, minimize
from zncc_cli.registration.pyramid import Level, count_levels, pyramid
from zncc_cli.registration.refinement import refine
from zncc_cli.registration.transforms import TRANSFORMS, WARM_START
from zncc_cli.registration.verdict import Evidence, Status, agreement, judge
from zncc_cli.registration.warp import Interpolation, corners, in_front, map_points

SMALLEST_IMAGE = 16  # pixels on the shorter side; below it no window has room to move
_COARSEST = 48  # pixels on the shorter side of the coarsest level
_SEARCH = 128  # the ends of the starts are compared on the coarsest level with at least this shorter side
# The significance that ends the search: a ZNCC of 0.76 over the whole. A texture a period off has reached 0.7.
_GOOD_START = 1.0
_JUDGED = 256  # and the coarsest with at least this one is judged, beside the finest
# Two ends are at different places when half of the overlap, at these points a side, moves by this share of a diagonal.
_POINTS, _ELSEWHERE = 17, 1 / 16
_SMALLEST_SCALE = 1e-3  # of --init: below it a whole frame falls on a pixel or two
_FARTHEST = 1e7  # pixels; float32 knows no coordinate beyond to a pixel
# Lengths in level pixels: the first trial step, the longest step, and the step that ends all but the finest level.
_FIRST_STEP, _MAX_STEP, _COARSE_TOLERANCE = 0.25, 2.0, 0.03


@dataclass(frozen=True)
class LevelRecord:
    """What happened to one model on one level.

    Attributes:
        model: the model that was fitted.
        factor: full-resolution pixels per level pixel.
        loss: what was minimised, at the end (`zncc_cli.registration.objective`); NaN without enough overlap.
        ending: why the optimiser stopped.
        iterations, evaluations, seconds: how much it took.
    """

    model: Model
    factor: int
    loss: float
    ending: Ending
    iterations: int
    evaluations: int
    seconds: float


@dataclass(frozen=True)
class RegistrationResult:
    """A transform and all that is known about it.

    Attributes:
        model: the model asked for.
        matrix: (3, 3) float64, row-major, maps FIXED to MOVING coordinates, (x, y) pixels, the centre of the
            top-left pixel is (0, 0); its last entry is 1.
        inverted: bright in one image is dark in the other; the evidence is of the moving image's negative then.
        fixed_shape, moving_shape: (H, W).
        status, reasons: the verdict.
        evidence: what it rests on.
        levels: what each level did, the coarsest first.
        backend: which arithmetic ran, and why.
        device: where.
        seconds: images in memory to transform.
    """

    model: Model
    matrix: np.ndarray
    inverted: bool
    fixed_shape: tuple[int, int]
    moving_shape: tuple[int, int]
    status: Status
    reasons: tuple[str, ...]
    evidence: Evidence
    levels: tuple[LevelRecord, ...]
    backend: native.Loaded
    device: str
    seconds: float


def register(
    fixed: np.ndarray | Tensor,
    moving: np.ndarray | Tensor,
    model: Model | str = Model.AFFINE,
    *,
    fixed_mask: np.ndarray | Tensor | None = None,
    moving_mask: np.ndarray | Tensor | None = None,
    init: np.ndarray | None = None,
    **options: Any,
) -> RegistrationResult:
    """Find the transform that puts ``moving`` on ``fixed``.

    Args:
        fixed, moving: (H, W) grey images of any real dtype, not necessarily of one shape.
        model: translation, rigid, similarity, affine or homography.
        fixed_mask, moving_mask: (H, W), true where pixels may be used; pixels that are not finite never are.
        init: (3, 3) matrix to start from, fixed -> moving, (x, y) pixels; without it the start is searched for.
        options: further fields of `RegistrationConfig`.

    Returns:
        The result; its ``status`` says whether it is to be trusted. A registration that found nothing is no
        exception but ``status == "failed"``.

    Raises:
        OptionError: an option or a shape makes no sense.
        ContentError: an image is too small, constant, or has no valid pixels.
        BackendError: the device or the native kernels that were asked for are not there.
    """
    config = RegistrationConfig(model=choose(Model, model, "model"), **options)
    return register_images(fixed, moving, config, fixed_mask, moving_mask, init)


def register_images(
    fixed: np.ndarray | Tensor,
    moving: np.ndarray | Tensor,
    config: RegistrationConfig,
    fixed_mask: np.ndarray | Tensor | None = None,
    moving_mask: np.ndarray | Tensor | None = None,
    init: np.ndarray | None = None,
) -> RegistrationResult:
    """Do what `register` does, with the settings of ``config``."""
    device = resolve_device(config.device)
    with native.selected(config.backend):
        return _register(fixed, moving, config, fixed_mask, moving_mask, init, device)


def _register(
    fixed: np.ndarray | Tensor,
    moving: np.ndarray | Tensor,
    config: RegistrationConfig,
    fixed_mask: np.ndarray | Tensor | None,
    moving_mask: np.ndarray | Tensor | None,
    init: np.ndarray | None,
    device: torch.device,
) -> RegistrationResult:
    began = time.perf_counter()
    backend = native.load(device)
    f, f_mask = _prepare("fixed", fixed, fixed_mask, device)
    m, m_mask = _prepare("moving", moving, moving_mask, device)
    _check_window(config.window, f_mask, m_mask)
    init = None if init is None else _checked_init(init, _shape(f_mask))

    fixed_levels, moving_levels = _pyramids(f, f_mask, m, m_mask, config.window)

    def compared(level: int, inverted: bool) -> tuple[Level, Level]:
        moving = moving_levels[level]
        return fixed_levels[level], moving.negative if inverted else moving

    @cache
    def objective(level: int, inverted: bool) -> LevelObjective:
        a, b = compared(level, inverted)
        interpolation = Interpolation.CUBIC if a.factor == 1 else Interpolation.LINEAR
        return LevelObjective(a, b, _shape(f_mask), config.window, config.min_overlap, interpolation)

    ends = _ends(fixed_levels, moving_levels, objective, config, init)
    start, records = ends[0].start, list(ends[0].records)
    objectives = [objective(level, start.inverted) for level in range(len(fixed_levels))]
    matrix = start.matrix
    for level in reversed(range(1, len(objectives) - 1)):
        matrix, record = _descend(objectives[level], config.model, matrix, config)
        records.append(record)
    refining = time.perf_counter()
    refined = refine(*compared(0, start.inverted), matrix, config)
    matrix, took, count = refined.matrix, time.perf_counter() - refining, refined.iterations
    records.append(LevelRecord(config.model, 1, refined.loss, refined.ending, count, count, took))

    evidence = _weigh(objectives, fixed_levels, matrix, records[-1].ending, _distinctness(ends, _shape(f_mask), m_mask))
    verdict = judge(evidence)
    return RegistrationResult(
        model=config.model,
        matrix=matrix,
        inverted=start.inverted,
        fixed_shape=_shape(f_mask),
        moving_shape=_shape(m_mask),
        status=verdict.status,
        reasons=verdict.reasons,
        evidence=evidence,
        levels=tuple(records),
        backend=backend,
        device=str(device),
        seconds=time.perf_counter() - began,
    )


def resolve_device(device: Device) -> torch.device:
    """Return the torch device of a choice; raise `BackendError` when a GPU was asked for and there is none."""
    if device is Device.CUDA and not torch.cuda.is_available():
        raise BackendError("--device cuda: expected a CUDA GPU that torch can use, found none; run 'zncc doctor'")
    if device is Device.AUTO:
        device = Device.CUDA if torch.cuda.is_available() else Device.CPU
    return torch.device(device.value)


def _shape(mask: Tensor) -> tuple[int, int]:
    return int(mask.shape[0]), int(mask.shape[1])


def _prepare(
    name: str, image: np.ndarray | Tensor, mask: np.ndarray | Tensor | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the image as (1, 1, H, W) float32 of mean zero and variance one over its (H, W) bool mask."""
    # A copy of its own, in native byte order and without negative strides, is what torch takes.
    pixels = image if isinstance(image, Tensor) else torch.from_numpy(np.array(image, dtype=np.float64))
    if pixels.ndim != 2:
        raise OptionError(f"{name}: expected a grey image (H, W), got an array of shape {tuple(pixels.shape)}")
    if min(pixels.shape) < SMALLEST_IMAGE:
        raise ContentError(
            f"{name}: expected at least {SMALLEST_IMAGE} x {SMALLEST_IMAGE} pixels, "
            f"found {pixels.shape[1]} x {pixels.shape[0]}; there is nothing to align in so small an image"
        )
    pixels = pixels.to(device, torch.float64)
    valid = pixels.isfinite()
    if mask is not None:
        given = (mask if isinstance(mask, Tensor) else torch.from_numpy(np.array(np.asarray(mask) > 0))).to(device) > 0
        if given.shape != valid.shape:
            raise OptionError(
                f"{name} mask: expected the image's own {valid.shape[1]} x {valid.shape[0]} pixels, "
                f"got {given.shape[-1]} x {given.shape[0]}"
            )
        valid &= given
    count = int(valid.sum())
    if count == 0:
        raise ContentError(f"{name}: expected valid pixels, found none that are finite and inside the mask")
    if bool(pixels[valid].min() == pixels[valid].max()):
        raise ContentError(f"{name}: expected texture, found {count} valid pixels that are all equal")
    pixels = torch.where(valid, pixels, 0)
    pixels = torch.where(valid, pixels - pixels.sum() / count, 0)
    return (pixels / (pixels.square().sum() / count).sqrt()).float()[None, None], valid


def _check_window(window: int, *masks: Tensor) -> None:
    most = min(min(mask.shape) for mask in masks) // 2
    if window > most:
        raise WindowError(
            f"--window: expected at most {most} pixels, half the shorter side of the smaller image, got {window}"
        )


def _checked_init(init: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return ``init`` with a last entry of one, or raise `OptionError` where no fixed frame (H, W) can be mapped."""
    matrix = np.asarray(init, dtype=np.float64)
    if matrix.shape != (3, 3):
        raise OptionError(f"--init: expected a 3 x 3 matrix, got an array of shape {matrix.shape}")
    with np.errstate(all="ignore"):
        matrix = matrix / matrix[2, 2]
        usable = np.isfinite(matrix).all() and in_front(matrix, shape)
        usable = usable and np.abs(map_points(matrix, corners(shape))).max() < _FARTHEST
        usable = usable and np.linalg.svd(matrix[:2, :2], compute_uv=False).min() > _SMALLEST_SCALE
    if not usable:
        raise OptionError(
            "--init: expected an invertible matrix that takes every fixed pixel (x, y) to a moving one, not mirrored, "
            f"got {np.asarray(init).tolist()}"
        )
    return np.ascontiguousarray(matrix)


def _pyramids(f: Tensor, f_mask: Tensor, m: Tensor, m_mask: Tensor, window: int) -> tuple[list[Level], list[Level]]:
    shorter = min(min(f_mask.shape), min(m_mask.shape))
    levels = count_levels((shorter, shorter), max(_COARSEST, 3 * window))
    return pyramid(f, f_mask, levels), pyramid(m, m_mask, levels)


def _coarsest_of(levels: list[Level], side: int) -> int:
    """Return the index of the coarsest level whose shorter side is at least ``side`` pixels, or of the finest."""
    return max((k for k, level in enumerate(levels) if min(level.shape) >= side), default=0)


@dataclass(frozen=True)
class _End:
    """Where a start led on the coarsest level, how significant that is on the search level, and what it took."""

    start: Start
    score: float
    records: tuple[LevelRecord, ...]


def _ends(
    fixed: list[Level],
    moving: list[Level],
    objective: Callable[[int, bool], LevelObjective],
    config: RegistrationConfig,
    init: np.ndarray | None,
) -> list[_End]:
    """Return where the starts led, the most significant end first.

    The identity, in either contrast, and the most significant starts of the global search are each followed on the
    coarsest level, model by model, and looked at on the search level. A good end ends the search. ``init`` takes the
    identity's place, and nothing is searched.
    """

    def starts() -> Iterator[Start]:
        first = np.eye(3) if init is None else init
        yield from (Start(first), Start(first, inverted=True))
        if init is None:
            yield from find_starts(fixed, moving, config.model, config.min_overlap)

    coarsest, search = len(fixed) - 1, _coarsest_of(fixed, _SEARCH)
    ends = list[_End]()
    for start in starts():
        matrix, records = start.matrix, []
        for model in _warm_start(config.model, matrix, _shape(fixed[0].mask)):
            matrix, record = _descend(objective(coarsest, start.inverted), model, matrix, config)
            records.append(record)
        got = objective(search, start.inverted).zncc(matrix)
        score = -math.inf if got is None else float(significance(*torch.tensor(got)))
        ends.append(_End(Start(matrix, start.inverted), score, tuple(records)))
        if score > _GOOD_START:
            break
    return sorted(ends, key=lambda end: -end.score)


def _distinctness(ends: list[_End], shape: tuple[int, int], moving_mask: Tensor) -> float | None:
    """Return the significance of the best end over that of the next one elsewhere; None where there is none above zero.

    Elsewhere is judged inside the overlap: beyond it, ends that agree may be far apart.
    """
    best = ends[0].start
    steps = [np.linspace(0, n - 1, _POINTS) for n in shape]
    points = np.stack(np.meshgrid(*reversed(steps)), axis=-1).reshape(-1, 2)
    there = map_points(best.matrix, points)
    inside = ((there >= 0) & (there <= np.array(_shape(moving_mask)[::-1]) - 1)).all(axis=-1)
    back = np.linalg.inv(best.matrix)

    def elsewhere(other: Start) -> bool:
        moved = np.linalg.norm(map_points(back @ other.matrix, points[inside]) - points[inside], axis=-1)
        near = bool(inside.any()) and float(np.median(moved)) < _ELSEWHERE * math.hypot(*shape)
        return other.inverted != best.inverted or not near

    other = next((end.score for end in ends[1:] if elsewhere(end.start)), 0.0)
    return ends[0].score / other if other > 0 else None


def _warm_start(model: Model, matrix: np.ndarray, shape: tuple[int, int]) -> list[Model]:
    """Return ``model`` and the simpler ones before it that ``matrix`` is a member of: others would throw it away."""
    families = {simpler: TRANSFORMS[simpler](simpler, shape) for simpler in WARM_START[model][:-1]}
    kept = [m for m, family in families.items() if np.allclose(family.matrix(family.parameters(matrix)), matrix)]
    return [*kept, model]


def _descend(
    objective: LevelObjective, model: Model, matrix: np.ndarray, config: RegistrationConfig
) -> tuple[np.ndarray, LevelRecord]:
    """Return the matrix after gradient descent with ``model`` on one level, and what it took."""
    began = time.perf_counter()
    family = TRANSFORMS[model](model, objective.shape)
    factor = objective.factor
    start = family.parameters(matrix).numpy()
    got = minimize(
        lambda p: objective.of(family, p),
        start,
        curvature=objective.curvature(family, start),
        first_step=_FIRST_STEP * factor,
        max_step=_MAX_STEP * factor,
        tolerance=config.tolerance if factor == 1 else _COARSE_TOLERANCE * factor,
        max_iterations=config.max_iterations,
    )
    took = time.perf_counter() - began
    record = LevelRecord(model, factor, got.value, got.ending, got.iterations, got.evaluations, took)
    return family.matrix(torch.from_numpy(got.parameters)).numpy(), record


def _weigh(
    objectives: list[LevelObjective],
    levels: list[Level],
    matrix: np.ndarray,
    ending: Ending,
    distinctness: float | None,
) -> Evidence:
    """Return the evidence for ``matrix``."""
    before, after = objectives[0].zncc(np.eye(3)), objectives[0].zncc(matrix)
    # Noise hides on a coarser level what agrees, fine texture on the finest: the clearer of the two counts.
    looks = {0, _coarsest_of(levels, _JUDGED)}
    found = [agreement(objectives[k].block_zncc(matrix)) for k in looks]
    frame = corners(_shape(levels[0].mask))
    return Evidence(
        zncc_before=None if before is None else before[0],
        zncc_after=None if after is None else after[0],
        overlap=0.0 if after is None else after[1],
        agreement=max((a for a in found if a is not None), default=None),
        ending=ending,
        motion=float(np.linalg.norm(map_points(matrix, frame) - frame, axis=-1).max()),
        distinctness=distinctness,
    )
