"""The story of a registration, from two images to a transform that can be judged."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import AUTO, GPU_PIXELS, NESTED_MODELS, Device, Interpolation, Model, RegistrationConfig, choose
from zncc_cli.errors import BackendError
from zncc_cli.operators import native
from zncc_cli.registration.border import without_pull
from zncc_cli.registration.descent import LevelRecord, descend, distinctness, follow_starts
from zncc_cli.registration.evidence import Judging, Seen, weigh
from zncc_cli.registration.hot_pixels import hot_pixels
from zncc_cli.registration.inpainting import inpaint
from zncc_cli.registration.inputs import Prepared, check_window, checked_init, prepare
from zncc_cli.registration.no_data import gap_note
from zncc_cli.registration.objective import LevelObjective
from zncc_cli.registration.pyramid import Level, coarsest_of, count_levels, pyramid
from zncc_cli.registration.refinement import refine
from zncc_cli.registration.selection import Selection, select_model
from zncc_cli.registration.uncertainty import Uncertainty
from zncc_cli.registration.verdict import Evidence, Status, judge

logger = logging.getLogger("zncc_cli.registration")

_COARSEST = 48  # pixels on the shorter side of the coarsest level
_JUDGED = 256  # the coarsest level with at least this shorter side is judged, beside the finest


@dataclass(frozen=True)
class RegistrationResult:
    """A transform and all that is known about it.

    Attributes:
        model: the model that was fitted.
        model_asked: the one that was asked for, `Model.AUTO` perhaps.
        selection: why that one, where the choice was left to the pair (`Model.AUTO`); else None.
        matrix: (3, 3) float64, row-major, maps FIXED to MOVING coordinates, (x, y) pixels, the centre of the
            top-left pixel is (0, 0); its last entry is 1.
        inverted: bright in one image is dark in the other; the evidence is of the moving image's negative then.
        fixed_shape, moving_shape: (H, W).
        status, reasons: the verdict.
        evidence: what it rests on.
        uncertainty: what the matrix may be off by; None where texture does not hold every parameter of the model.
        levels: what each level did, the coarsest first.
        notes: a sentence for each thing that was done and not asked for.
        backend: which arithmetic ran, and why.
        device: where.
        seconds: images in memory to transform.
    """

    model: Model
    model_asked: Model
    selection: Selection | None
    matrix: np.ndarray
    inverted: bool
    fixed_shape: tuple[int, int]
    moving_shape: tuple[int, int]
    status: Status
    reasons: tuple[str, ...]
    evidence: Evidence
    uncertainty: Uncertainty | None
    levels: tuple[LevelRecord, ...]
    notes: tuple[str, ...]
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
        fixed, moving: (H, W) grey images of any real dtype, not necessarily of one shape; of masked arrays, pixels that
            are masked are not used. Gradients do not flow through a registration.
        model: translation, rigid, similarity, affine or homography; or auto, the simplest that explains the pair.
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
    names: tuple[str, str] = ("fixed", "moving"),
) -> RegistrationResult:
    """Do what `register` does, with the settings of ``config``; errors call the images by their ``names``."""
    device = resolve_device(config.device, max(_pixels(fixed), _pixels(moving)))
    given = fixed, moving, config, fixed_mask, moving_mask, init, names
    with native.selected(config.backend):
        try:
            return _register(*given, device)
        except torch.OutOfMemoryError:
            if config.device is not Device.AUTO or device.type == "cpu":
                raise
        # Here, where nothing of the first attempt is held any more.
        logger.warning("the GPU has not enough memory free for these images; they are registered on the CPU")
        return _register(*given, torch.device("cpu"))


def _register(
    fixed: np.ndarray | Tensor,
    moving: np.ndarray | Tensor,
    config: RegistrationConfig,
    fixed_mask: np.ndarray | Tensor | None,
    moving_mask: np.ndarray | Tensor | None,
    init: np.ndarray | None,
    names: tuple[str, str],
    device: torch.device,
) -> RegistrationResult:
    began = time.perf_counter()
    backend = native.load(device)
    ready = (
        prepare(names[0], fixed, fixed_mask, device, config.no_data),
        prepare(names[1], moving, moving_mask, device, config.no_data),
    )
    check_window(config.window, *(image.mask for image in ready))
    hot = hot_pixels(*(Level(image.image, image.mask, 1) for image in ready))
    fixed_levels, moving_levels = _pyramids(ready, hot, config.window)
    init = None if init is None else checked_init(init, fixed_levels[0].shape)

    def compared(level: int, inverted: bool) -> tuple[Level, Level]:
        moving = moving_levels[level]
        return fixed_levels[level], moving.negative if inverted else moving

    @cache
    def objective(level: int, inverted: bool) -> LevelObjective:
        return _objective(*compared(level, inverted), fixed_levels[0].shape, config)

    ends = follow_starts(fixed_levels, moving_levels, objective, config, init)
    start, records = ends[0].start, list(ends[0].records)
    objectives = [objective(level, start.inverted) for level in range(len(fixed_levels))]
    matrix = start.matrix
    richest = NESTED_MODELS[-1] if config.model is Model.AUTO else config.model
    # From below the level that was reached; from that again where the end is of a simpler model.
    last = [level.factor for level in fixed_levels].index(records[-1].factor) + (records[-1].model is not richest)
    judged = coarsest_of(fixed_levels, _JUDGED)
    for level in reversed(range(min(max(1, judged), len(objectives) - 1), last)):
        matrix, record = descend(objectives[level], richest, matrix, config)
        records.append(record)
    selection = None
    if config.model is Model.AUTO:
        selection = select_model(*compared(judged, start.inverted), matrix, config)
        matrix = selection.matrix
    fitted = dataclasses.replace(config, model=richest if selection is None else selection.model)
    for level in reversed(range(1, min(judged, len(objectives) - 1))):
        matrix, record = descend(objectives[level], fitted.model, matrix, config)
        records.append(record)
    refining = time.perf_counter()
    refined = refine(*compared(0, start.inverted), matrix, fitted)
    matrix, took = refined.matrix, time.perf_counter() - refining
    counts = refined.iterations, refined.evaluations
    records.append(LevelRecord(fitted.model, 1, refined.loss, refined.ending, *counts, took))

    # A border that both have is no part of what is judged.
    unhindered = without_pull(*compared(0, start.inverted), refined, fitted)
    refined, matrix, shape = unhindered.refined, unhindered.refined.matrix, fixed_levels[0].shape
    uncertainty = Uncertainty.of_blocks(fitted.model, matrix, shape, refined.influences)
    seen = Seen(fixed_levels, [compared(level, start.inverted)[1] for level in range(len(moving_levels))])
    if unhindered.levels[0] is not fixed_levels[0]:
        levels = len(fixed_levels)
        seen = Seen(*(pyramid(level.image, level.mask, levels, level.measured) for level in unhindered.levels))
        objectives = [_objective(*pair, shape, config) for pair in zip(seen.fixed, seen.moving, strict=True)]
    stands_out = distinctness(ends, shape, moving_levels[0].shape)
    judging = Judging(seen, objectives[0], objectives[judged], judged)
    evidence = weigh(judging, fitted, unhindered, uncertainty, stands_out)
    verdict = judge(evidence, config)
    return RegistrationResult(
        model=fitted.model,
        model_asked=config.model,
        selection=selection,
        matrix=matrix,
        inverted=start.inverted,
        fixed_shape=fixed_levels[0].shape,
        moving_shape=moving_levels[0].shape,
        status=verdict.status,
        reasons=verdict.reasons,
        evidence=evidence,
        uncertainty=uncertainty,
        levels=tuple(records),
        notes=_left_out(names, ready, hot, config),
        backend=backend,
        device=str(device),
        seconds=time.perf_counter() - began,
    )


def _left_out(
    names: tuple[str, str], ready: tuple[Prepared, Prepared], hot: Tensor | None, config: RegistrationConfig
) -> tuple[str, ...]:
    """Return a sentence for each kind of pixels that were left out though nobody said so."""
    notes = list[str]()
    if config.no_data == AUTO:
        notes = [gap_note(name, value) for name, image in zip(names, ready, strict=True) for value in image.no_data]
    if hot is not None:
        notes.append(
            f"{int(hot.sum())} single pixels stand out at the same places in both images, as hot pixels of a camera "
            "do; they are left out"
        )
    return tuple(notes)


def _pixels(image: np.ndarray | Tensor) -> int:
    """Return how large an image is; one that lies on a GPU is large enough for it."""
    return GPU_PIXELS if isinstance(image, Tensor) and image.is_cuda else math.prod(np.shape(image))


def resolve_device(device: Device, pixels: int = GPU_PIXELS) -> torch.device:
    """Return the torch device of a choice, for images of up to so many pixels.

    Raises:
        BackendError: a GPU was asked for and there is none.
    """
    if device is Device.CUDA and not torch.cuda.is_available():
        raise BackendError("--device cuda: expected a CUDA GPU that torch can use, found none; run 'zncc doctor'")
    if device is Device.AUTO:
        device = Device.CUDA if pixels >= GPU_PIXELS and torch.cuda.is_available() else Device.CPU
    return torch.device(device.value)


def _objective(fixed: Level, moving: Level, shape: tuple[int, int], config: RegistrationConfig) -> LevelObjective:
    interpolation = Interpolation.CUBIC if fixed.factor == 1 else Interpolation.LINEAR
    return LevelObjective(fixed, moving, shape, config.window, config.min_overlap, interpolation)


def _pyramids(ready: tuple[Prepared, Prepared], hot: Tensor | None, window: int) -> tuple[list[Level], list[Level]]:
    """Return both pyramids, the finest level first, without ``hot`` pixels and with thin gaps filled."""
    shorter = min(min(image.mask.shape) for image in ready)
    levels = count_levels((shorter, shorter), max(_COARSEST, 3 * window))

    def of(image: Prepared) -> list[Level]:
        mask = image.mask if hot is None else image.mask & ~hot
        filled, usable = inpaint(image.image, mask, window)
        return pyramid(filled, usable, levels, mask.to(filled) if filled is not image.image else None)

    return of(ready[0]), of(ready[1])
