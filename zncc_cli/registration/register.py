"""A registration from top to bottom: from two images to a transform that is judged."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import AUTO, GPU_PIXELS, Device, Flip, Model, RegistrationConfig, choose
from zncc_cli.errors import BackendError, OptionError
from zncc_cli.operators import native
from zncc_cli.registration.attempt import Task
from zncc_cli.registration.bent import Bent, bend_pair, bend_where_no_matrix_explains
from zncc_cli.registration.found import Found, held_against_its_parts, with_agreeing_share
from zncc_cli.registration.inputs.hot_pixels import hot_note, hot_pixels
from zncc_cli.registration.inputs.no_data import gap_note
from zncc_cli.registration.inputs.prepare import Prepared, check_window, checked_init, prepare
from zncc_cli.registration.nonrigid.bending import Bending
from zncc_cli.registration.nonrigid.node_grid import check_spacing
from zncc_cli.registration.nonrigid.verdict import bending_probability
from zncc_cli.registration.pair_pyramid import LevelMetrics
from zncc_cli.registration.pair_variant import Images
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.evidence import Evidence
from zncc_cli.registration.quality.probability import probability_right
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.quality.verdict import MOST_PROBABLE, Status
from zncc_cli.registration.search.model_selection import Selection
from zncc_cli.registration.search.motion_bound import MotionBound
from zncc_cli.registration.search.multistart import LevelRecord
from zncc_cli.registration.stop_search import search_within_stops
from zncc_cli.registration.transforms.bending import largest_displacement
from zncc_cli.registration.transforms.matrices import is_mirrored
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.registration.variant_search import search_variants

logger = logging.getLogger("zncc_cli.registration")

# Of the evidence on a transform that bends, what is of the field or of the images; the rest is of the matrix alone.
OF_FIELD = frozenset(
    (
        *("zncc_before", "zncc_after", "overlap", "motion", "peak_ratio", "held_out_before", "held_out_after"),
        *("expected_error", "border_pull", "border_left_out", "distance_beyond_bound"),
    )
)
# Of the matrix that a transform that bends begins with: the field takes up what is left, and where the motion bends no
# matrix is better to a hundredth of a pixel.
_MATRIX_TOLERANCE_PX = 0.25


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
        by_texture: the images were compared by their local texture, not their brightness; the evidence is of that.
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
        field: the transform where it bends, upon ``matrix``; None where the matrix is all.
        bending: what is known about a transform that bends; None where the matrix is all. Of ``evidence``, ZNCC after,
            held-out figures, peak ratio, motion and expected error are of it, see `OF_FIELD`.
    """

    model: Model
    model_asked: Model
    selection: Selection | None
    matrix: np.ndarray
    inverted: bool
    by_texture: bool
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
    field: SplineField | None = None
    bending: Bending | None = None

    @property
    def transform(self) -> np.ndarray | SplineField:
        """The transform, fixed -> moving: the matrix, or the spline upon it."""
        return self.matrix if self.field is None else self.field

    @property
    def mirrored(self) -> bool:
        """Whether the moving image shows the scene mirrored, so that the matrix reverses it."""
        return is_mirrored(self.matrix)

    @property
    def probability(self) -> float:
        """The probability that the result is right: off by less than a pixel, RMS over the overlap.

        Where the blocks judged it (`Evidence.consensus`), by at most what they tell (`consensus_tolerance`). A verdict
        in doubt leaves no more than `MOST_PROBABLE`: its reason may be one that the probability does not weigh.
        """
        if self.bending is not None:
            return bending_probability(self.bending, self.status)
        return min(probability_right(self.evidence), MOST_PROBABLE[self.status])


def register(
    fixed: np.ndarray | Tensor,
    moving: np.ndarray | Tensor,
    model: Model | str = Model.AFFINE,
    *,
    fixed_mask: np.ndarray | Tensor | None = None,
    moving_mask: np.ndarray | Tensor | None = None,
    init: np.ndarray | None = None,
    pixel_sizes: tuple[float, float] | None = None,
    **options: Any,
) -> RegistrationResult:
    """Find the transform that puts ``moving`` on ``fixed``.

    Args:
        fixed, moving: (H, W) grey images of any real dtype, not necessarily of one shape; of masked arrays, pixels that
            are masked are not used. Gradients do not flow through a registration.
        model: translation, rigid, similarity, affine or homography; or bspline, displacements by a cubic B-spline upon
            a matrix, see the result's ``field``; or auto, the simplest of them all that explains the pair.
        fixed_mask, moving_mask: (H, W), true where pixels may be used; pixels that are not finite never are.
        init: (3, 3) matrix to start from, fixed -> moving, (x, y) pixels (of landmarks: `fit_landmarks`); without
            it the start is searched for. The result never agrees less well than this start. One that mirrors starts
            from the mirror image of ``moving``.
        pixel_sizes: lengths of a fixed and of a moving pixel in one unit. Where one is 2 to 10 times the other their
            ratio is the first scale that is searched, by models that have one.
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
    return register_images(fixed, moving, config, fixed_mask, moving_mask, init, pixel_sizes=pixel_sizes)


def register_images(
    fixed: np.ndarray | Tensor,
    moving: np.ndarray | Tensor,
    config: RegistrationConfig,
    fixed_mask: np.ndarray | Tensor | None = None,
    moving_mask: np.ndarray | Tensor | None = None,
    init: np.ndarray | None = None,
    names: tuple[str, str] = ("fixed", "moving"),
    pixel_sizes: tuple[float, float] | None = None,
    start: SplineField | None = None,
) -> RegistrationResult:
    """Do what `register` does, with the settings of ``config``; errors call the images by their ``names``.

    ``start`` is a field, fixed -> moving, from whose matrix and bend model bspline begins.
    """
    device = resolve_device(config.device, max(_pixels(fixed), _pixels(moving)))
    init = init if start is None else start.matrix
    request = (fixed, moving), (fixed_mask, moving_mask), (init, start), pixel_sizes, config, names
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
    pixels: tuple[np.ndarray | Tensor, np.ndarray | Tensor],
    masks: tuple[np.ndarray | Tensor | None, np.ndarray | Tensor | None],
    starts: tuple[np.ndarray | None, SplineField | None],
    pixel_sizes: tuple[float, float] | None,
    config: RegistrationConfig,
    names: tuple[str, str],
    device: torch.device,
) -> RegistrationResult:
    (init, field), began = starts, time.perf_counter()
    backend = native.load(device)
    fixed, moving = (prepare(*each, device, config.no_data) for each in zip(names, pixels, masks, strict=True))
    if config.window is not None:
        check_window(config.window, fixed.mask, moving.mask)
    if config.spacing is not None:
        check_spacing(config.spacing, (fixed.mask.shape[0], fixed.mask.shape[1]))
    hot = hot_pixels(*(Level(each.image, each.mask, 1) for each in (fixed, moving)))
    # A transform that bends begins as an affine one.
    of_matrix = dataclasses.replace(
        config, model=Model.AFFINE, spacing=None, smoothness=1.0, tolerance=max(config.tolerance, _MATRIX_TOLERANCE_PX)
    )
    images = Images(_without(fixed, hot), _without(moving, hot), of_matrix if config.model is Model.BSPLINE else config)
    task, scale = _task(images.config, init, images.shapes), _scale(pixel_sizes)
    bent: Bent | None
    if config.model is Model.BSPLINE:
        bent = bend_pair(images, task, scale, config, field)
        found = bent.found
    else:
        images, found = search_within_stops(images, task, scale, search_variants(images, task, scale))
        bent = bend_where_no_matrix_explains(images, task, scale, found) if config.model is Model.AUTO else None
        judged = held_against_its_parts(images, task, found)
        found = with_agreeing_share(images, judged) if bent is None else bent.found
    notes = _notes_of_inputs(names, (fixed, moving), hot, config), _note_of_window(config, images, found), found.notes
    all_notes = *itertools.chain(*notes), *found.solution.notes
    result = _result(images, found, all_notes, backend, device, time.perf_counter() - began)
    return result if bent is None else _with_bending(result, bent, config.model)


def _without(prepared: Prepared, hot: Tensor | None) -> Prepared:
    """Return an image of which hot pixels (H, W) do not count."""
    return prepared if hot is None else dataclasses.replace(prepared, mask=prepared.mask & ~hot)


def _scale(pixel_sizes: tuple[float, float] | None) -> float | None:
    """Return how many moving pixels a fixed pixel spans, by the pixel sizes of both images.

    Raises:
        OptionError: they are no sizes.
    """
    if pixel_sizes is None:
        return None
    if len(pixel_sizes) != 2 or not all(math.isfinite(size) and size > 0 for size in pixel_sizes):
        raise OptionError(f"`pixel_sizes`: expected two numbers above 0, of fixed and moving, got {pixel_sizes!r}")
    scale = pixel_sizes[0] / pixel_sizes[1]
    return scale if 0 < scale < math.inf else None  # beyond what a number holds it is no scale of images either


def _task(config: RegistrationConfig, init: np.ndarray | None, shapes: tuple[tuple[int, int], tuple[int, int]]) -> Task:
    """Return what is asked for, of a fixed and a moving image (H, W).

    Raises:
        OptionError: ``init`` is no matrix to start from.
    """
    shape, moving_shape = shapes
    init = None if init is None else checked_init(init, shape, moving_shape[1] if config.flip is Flip.AUTO else None)
    if config.max_motion is None:
        return Task(config, init, None)
    return Task(config, init, MotionBound(np.eye(3) if init is None else init, shape, config.max_motion))


def _result(
    images: Images,
    found: Found,
    notes: tuple[str, ...],
    backend: native.Loaded,
    device: torch.device,
    seconds: float,
) -> RegistrationResult:
    variant, solution, fit = found.variant, found.solution, found.solution.fit
    as_they_are = variant.by_texture or (not variant.mirrored and variant.reductions == (1, 1))
    matrix, evidence, uncertainty = fit.matrix, solution.evidence, solution.uncertainty
    if not as_they_are:
        matrix = variant.matrix(matrix)
        evidence = variant.evidence(evidence, matrix, _zncc_before(images, fit.inverted))
        uncertainty = None if uncertainty is None else variant.uncertainty(uncertainty)
    return RegistrationResult(
        model=variant.model(fit.model),
        model_asked=images.config.model,
        selection=fit.selection,
        matrix=matrix,
        inverted=fit.inverted,
        by_texture=variant.by_texture,
        fixed_shape=images.shapes[0],
        moving_shape=images.shapes[1],
        status=solution.verdict.status,
        reasons=found.reasons,
        evidence=evidence,
        uncertainty=uncertainty,
        levels=tuple(
            dataclasses.replace(record, factor=record.factor * variant.reductions[0]) for record in solution.records
        ),
        window=solution.config.window_side,
        min_overlap=solution.config.first_min_overlap,
        notes=notes,
        backend=backend,
        device=str(device),
        seconds=seconds,
    )


def _with_bending(result: RegistrationResult, bent: Bent, asked: Model) -> RegistrationResult:
    """Return the result of a matrix as that of the transform that bends upon it.

    What the evidence says of the end result is of the field; the other figures stay those of the matrix.
    """
    bending = bent.bending
    evidence = dataclasses.replace(
        result.evidence,
        zncc_after=bending.zncc,
        expected_error=None if bending.expected_error is None else bending.expected_error.rms,
        held_out_before=None if bending.held_out is None else bending.held_out.before,
        held_out_after=None if bending.held_out is None else bending.held_out.after,
        peak_ratio=bending.peak_ratio,
        motion=largest_displacement(bending.field),
    )
    return dataclasses.replace(
        result,
        evidence=evidence,
        uncertainty=None,
        model=Model.BSPLINE,
        model_asked=asked,
        matrix=bending.field.matrix,
        status=bent.verdict.status,
        reasons=bent.verdict.reasons,
        field=bending.field,
        bending=bending,
    )


def _zncc_before(images: Images, inverted: bool) -> float | None:
    """Return the ZNCC of the images as they came, in either contrast; None where they do not overlap."""
    pair = images.as_they_are.pair
    metrics = LevelMetrics(pair.in_contrast(inverted), images.fitted(images.shapes))
    similarity = metrics[0].similarity(np.eye(3), by_tiles=pair.judged > 0)
    return None if similarity is None else similarity.zncc


def _notes_of_inputs(
    names: tuple[str, str], inputs: tuple[Prepared, Prepared], hot: Tensor | None, config: RegistrationConfig
) -> Iterator[str]:
    """Yield a sentence for each kind of pixels that were left out though nobody said so."""
    if config.no_data == AUTO:
        for name, prepared in zip(names, inputs, strict=True):
            yield from (gap_note(name, value) for value in prepared.no_data)
    if hot is not None:
        yield hot_note(int(hot.sum()), "both images")


def _note_of_window(config: RegistrationConfig, images: Images, found: Found) -> Iterator[str]:
    """Yield a sentence where the window is smaller than the usual one though nobody said so."""
    settings = images.fitted((found.variant.pair.shape, found.variant.pair.moving_shape))
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
