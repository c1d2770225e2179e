"""A registration from top to bottom: from two images to a transform that is judged."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import AUTO, GPU_PIXELS, Device, Model, RegistrationConfig, choose
from zncc_cli.errors import BackendError
from zncc_cli.operators import native
from zncc_cli.registration.attempt import Solution, Task, find, solve
from zncc_cli.registration.inputs.hot_pixels import hot_note, hot_pixels
from zncc_cli.registration.inputs.inpainting import inpaint
from zncc_cli.registration.inputs.no_data import gap_note
from zncc_cli.registration.inputs.prepare import Prepared, check_window, checked_init, prepare
from zncc_cli.registration.pair_pyramid import PairPyramid
from zncc_cli.registration.pyramid import Level, count_levels, pyramid
from zncc_cli.registration.quality.evidence import Evidence
from zncc_cli.registration.quality.fitting_window import fitting_window
from zncc_cli.registration.quality.probability import probability_right
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.retry import with_smaller_overlap, with_smaller_windows
from zncc_cli.registration.search.model_selection import Selection
from zncc_cli.registration.search.motion_bound import MotionBound
from zncc_cli.registration.search.multistart import LevelRecord

logger = logging.getLogger("zncc_cli.registration")

_COARSEST_SIDE_PX = 48  # of the shorter side of the coarsest level, at least


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
        uncertainty: what the matrix may be off by; None where texture does not determine every
            parameter of the model.
        levels: what each level did, the coarsest first.
        window: side of the windows that the result was found and judged by, pixels.
        min_overlap: the least share of the smaller image that the search accepted.
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
    window: int
    min_overlap: float
    notes: tuple[str, ...]
    backend: native.Loaded
    device: str
    seconds: float

    @property
    def probability(self) -> float:
        """The probability that the result is right: off by less than a pixel, RMS over the overlap."""
        return probability_right(self.evidence)


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
        init: (3, 3) matrix to start from, fixed -> moving, (x, y) pixels; without it the start is searched for. The
            result never agrees less well than this start.
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
    request = (fixed, moving), (fixed_mask, moving_mask), init, config, names
    with native.selected(config.backend):
        try:
            return _register(*request, device)
        except torch.OutOfMemoryError:
            if config.device is not Device.AUTO or device.type == "cpu":
                raise
        # Here, where nothing of the first attempt is held any more.
        logger.warning("the GPU has not enough memory free for these images; they are registered on the CPU")
        return _register(*request, torch.device("cpu"))


def _register(
    images: tuple[np.ndarray | Tensor, np.ndarray | Tensor],
    masks: tuple[np.ndarray | Tensor | None, np.ndarray | Tensor | None],
    init: np.ndarray | None,
    config: RegistrationConfig,
    names: tuple[str, str],
    device: torch.device,
) -> RegistrationResult:
    start = time.perf_counter()
    backend = native.load(device)
    fixed, moving = (prepare(*each, device, config.no_data) for each in zip(names, images, masks, strict=True))
    settings = _fitted_to(config, fixed, moving)
    hot = hot_pixels(*(Level(each.image, each.mask, 1) for each in (fixed, moving)))
    pair = _pair_pyramid(fixed, moving, hot, settings.window_side)
    task = _task(config, init, pair.shape)
    solution = solve(pair, task, settings, find(pair, task, settings))
    solution = with_smaller_overlap(pair, task, solution)
    solution = with_smaller_windows(pair, task, solution)
    notes = *_notes_of_inputs(names, (fixed, moving), hot, config), *_note_of_window(config, settings), *solution.notes
    return _result(pair, config, solution, notes, backend, device, time.perf_counter() - start)


def _fitted_to(config: RegistrationConfig, fixed: Prepared, moving: Prepared) -> RegistrationConfig:
    """Return the settings with a window that fits the images, and the least overlap that is searched for at first.

    Raises:
        WindowError: the window that was asked for is too large.
    """
    if config.window is not None:
        check_window(config.window, fixed.mask, moving.mask)
    smaller = min(fixed.mask.shape[0], moving.mask.shape[0]), min(fixed.mask.shape[1], moving.mask.shape[1])
    window = fitting_window(smaller) if config.window is None else config.window
    return dataclasses.replace(config, window=window, min_overlap=config.first_min_overlap)


def _pair_pyramid(fixed: Prepared, moving: Prepared, hot: Tensor | None, window: int) -> PairPyramid:
    """Return both pyramids, without ``hot`` pixels and with gaps filled that are no wider than a window."""
    shorter = min(*fixed.mask.shape, *moving.mask.shape)
    levels = count_levels((shorter, shorter), max(_COARSEST_SIDE_PX, 3 * window))

    def levels_of(prepared: Prepared) -> list[Level]:
        mask = prepared.mask if hot is None else prepared.mask & ~hot
        filled, usable = inpaint(prepared.image, mask, window)
        return pyramid(filled, usable, levels, mask.to(filled) if filled is not prepared.image else None)

    return PairPyramid(levels_of(fixed), levels_of(moving))


def _task(config: RegistrationConfig, init: np.ndarray | None, shape: tuple[int, int]) -> Task:
    """Return what is asked for, of a fixed image (H, W).

    Raises:
        OptionError: ``init`` is no matrix to start from.
    """
    init = None if init is None else checked_init(init, shape)
    if config.max_motion is None:
        return Task(config, init, None)
    return Task(config, init, MotionBound(np.eye(3) if init is None else init, shape, config.max_motion))


def _result(
    pair: PairPyramid,
    config: RegistrationConfig,
    solution: Solution,
    notes: tuple[str, ...],
    backend: native.Loaded,
    device: torch.device,
    seconds: float,
) -> RegistrationResult:
    fit = solution.fit
    return RegistrationResult(
        model=fit.model,
        model_asked=config.model,
        selection=fit.selection,
        matrix=fit.matrix,
        inverted=fit.inverted,
        fixed_shape=pair.shape,
        moving_shape=pair.moving_shape,
        status=solution.verdict.status,
        reasons=solution.verdict.reasons,
        evidence=solution.evidence,
        uncertainty=solution.uncertainty,
        levels=solution.records,
        window=solution.config.window_side,
        min_overlap=solution.config.first_min_overlap,
        notes=notes,
        backend=backend,
        device=str(device),
        seconds=seconds,
    )


def _notes_of_inputs(
    names: tuple[str, str], inputs: tuple[Prepared, Prepared], hot: Tensor | None, config: RegistrationConfig
) -> Iterator[str]:
    """Yield a sentence for each kind of pixels that were left out though nobody said so."""
    if config.no_data == AUTO:
        for name, prepared in zip(names, inputs, strict=True):
            yield from (gap_note(name, value) for value in prepared.no_data)
    if hot is not None:
        yield hot_note(int(hot.sum()), "both images")


def _note_of_window(config: RegistrationConfig, settings: RegistrationConfig) -> Iterator[str]:
    """Yield a sentence where the window is smaller than the usual one though nobody said so."""
    if settings.window_side < config.window_side:
        side, usual = settings.window_side, config.window_side
        yield f"windows of {side} pixels are used: images this small hold too few of {usual} pixels to judge by"


def _pixels(image: np.ndarray | Tensor) -> int:
    """Return the number of pixels of an image; one that lies on a GPU counts as large enough for it."""
    return GPU_PIXELS if isinstance(image, Tensor) and image.is_cuda else math.prod(np.shape(image))


def resolve_device(device: Device, pixels: int = GPU_PIXELS) -> torch.device:
    """Return the torch device of a choice, for images of up to ``pixels`` pixels.

    Raises:
        BackendError: a GPU was asked for and there is none.
    """
    if device is Device.CUDA and not torch.cuda.is_available():
        raise BackendError("`device` cuda: expected a CUDA GPU that torch can use, found none; run 'zncc doctor'")
    if device is Device.AUTO:
        device = Device.CUDA if pixels >= GPU_PIXELS and torch.cuda.is_available() else Device.CPU
    return torch.device(device.value)
