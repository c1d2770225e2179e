"""The story of a registration, from two images to a transform that can be judged."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import AUTO, GPU_PIXELS, Device, Model, RegistrationConfig, choose
from zncc_cli.errors import BackendError
from zncc_cli.operators import native
from zncc_cli.registration.attempt import Images, Task, found_of
from zncc_cli.registration.inputs.hot_pixels import hot_note, hot_pixels
from zncc_cli.registration.inputs.inpainting import inpaint
from zncc_cli.registration.inputs.no_data import gap_note
from zncc_cli.registration.inputs.prepare import Prepared, check_window, checked_init, prepare
from zncc_cli.registration.pyramid import Level, count_levels, pyramid
from zncc_cli.registration.quality.fitting_window import fitting_window
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.quality.verdict import Evidence, Status
from zncc_cli.registration.search.model_selection import Selection
from zncc_cli.registration.search.motion_bound import MotionBound
from zncc_cli.registration.search.multistart import LevelRecord

logger = logging.getLogger("zncc_cli.registration")

_COARSEST = 48  # pixels on the shorter side of the coarsest level


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
        window: side of the windows that the result was found and judged by, pixels.
        min_overlap: the least share of the smaller image that was looked for.
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
        init: (3, 3) matrix to start from, fixed -> moving, (x, y) pixels; without it the start is searched for. No
            result agrees less than it does.
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
    if config.window is not None:
        check_window(config.window, *(image.mask for image in ready))
    smaller = min(image.mask.shape[0] for image in ready), min(image.mask.shape[1] for image in ready)
    window = fitting_window(smaller) if config.window is None else config.window
    hot = hot_pixels(*(Level(image.image, image.mask, 1) for image in ready))
    images = Images(*_pyramids(ready, hot, window))
    start = None if init is None else checked_init(init, images.shape)
    origin = np.eye(3) if start is None else start
    bound = None if config.max_motion is None else MotionBound(origin, images.shape, config.max_motion)
    found = found_of(images, Task(config, start, bound), window)
    evidence, taken = found.evidence, found.taken
    return RegistrationResult(
        model=taken.model,
        model_asked=config.model,
        selection=taken.selection,
        matrix=taken.matrix,
        inverted=taken.inverted,
        fixed_shape=images.shape,
        moving_shape=images.moving[0].shape,
        status=found.verdict.status,
        reasons=found.verdict.reasons,
        evidence=evidence,
        uncertainty=found.uncertainty,
        levels=found.records,
        window=found.settings.window_side,
        min_overlap=found.settings.least_overlap,
        notes=(*_left_out(names, ready, hot, config), *found.notes),
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
        notes.append(hot_note(int(hot.sum()), "both images"))
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


def _pyramids(ready: tuple[Prepared, Prepared], hot: Tensor | None, window: int) -> tuple[list[Level], list[Level]]:
    """Return both pyramids, the finest level first, without ``hot`` pixels and with thin gaps filled."""
    shorter = min(min(image.mask.shape) for image in ready)
    levels = count_levels((shorter, shorter), max(_COARSEST, 3 * window))

    def of(image: Prepared) -> list[Level]:
        mask = image.mask if hot is None else image.mask & ~hot
        filled, usable = inpaint(image.image, mask, window)
        return pyramid(filled, usable, levels, mask.to(filled) if filled is not image.image else None)

    return of(ready[0]), of(ready[1])
