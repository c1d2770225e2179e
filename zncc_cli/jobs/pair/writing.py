"""The files of a pair, written into the staging folder: transform, images, maps, overlay and HTML report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from zncc_cli.config import Canvas, PairConfig, Product, ResamplingConfig
from zncc_cli.errors import ContentError, OptionError, OutputError
from zncc_cli.files.image_output import write_picture
from zncc_cli.files.transforms.side_files import EXPECTED_ERROR
from zncc_cli.files.transforms.transform_json import write_transform
from zncc_cli.jobs.budget import file_bytes, map_bytes
from zncc_cli.jobs.disk import check_disk
from zncc_cli.jobs.downsampling import Downsampled
from zncc_cli.jobs.pair.expected_error import write_expected_error, write_trusted
from zncc_cli.jobs.pair.inputs import DownsampledPair, PairViews
from zncc_cli.jobs.pair.jacobian import write_jacobian
from zncc_cli.jobs.pair.pictures import pair_layers, pair_overlay, pair_pictures, shows_pixels
from zncc_cli.jobs.pair.run_folder import (
    HTML,
    JACOBIAN,
    MAPS,
    MASK,
    OVERLAY,
    TRANSFORM,
    TRUSTED,
    RunFolder,
    aligned_name,
    fixed_name,
)
from zncc_cli.jobs.pair.strip_collector import StripCollector
from zncc_cli.jobs.resampled import write_resampled
from zncc_cli.jobs.threads import beside
from zncc_cli.registration.nonrigid.error_map import UNCERTAIN_PX, ErrorMap
from zncc_cli.registration.nonrigid.verdict import MAX_EXPECTED_ERROR_PX
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.resampling.canvas import Frame, frame_of
from zncc_cli.report.layers import Layers
from zncc_cli.report.pair_html import load_pair_html, write_pair_html

# The other products are made from the resampled image: all planes of the moving image at full resolution.
_WITHOUT_RESAMPLING = frozenset({Product.TRANSFORM, Product.REPORT, Product.OVERLAY})


@dataclass(frozen=True)
class ResampledPair:
    """What is known of the images that were written.

    Attributes:
        canvas: which pixels of the fixed plane they show.
        clipped: how many values were clipped to the range of the dtype; None where no image was resampled.
        filled: how many pixels of the canvas the moving image does not cover; None where no image was resampled.
        maps: what `write_maps` returned; empty where no map is asked for.
        layers: the images that the overlay and the HTML report show; None where neither is asked for, or they cannot be
            drawn.
        notes: a sentence for each thing that could not be written as it was asked for.
    """

    canvas: Frame
    clipped: int | None
    filled: int | None
    maps: Mapping[str, np.ndarray]
    layers: Layers | None
    notes: tuple[str, ...]


@contextmanager
def loading_for_pictures(config: PairConfig) -> Iterator[None]:
    """Load what the HTML report needs in a thread beside the block, which computes without the interpreter mostly."""
    with beside(load_pair_html) if Product.HTML in config.products else nullcontext():
        yield


def write_images(
    folder: RunFolder, views: PairViews, pair: DownsampledPair, result: RegistrationResult, config: PairConfig
) -> ResampledPair:
    """Write the transform, the aligned image, the overlay, the mask and the maps, as far as a product needs them.

    A picture, a mask or a map that cannot be written is missing; see `RunFolder.missing`.

    Raises:
        OptionError, ContentError: the result is good, and has no canvas of the kind that was asked for.
        ResourceError: the disk is too small for the images. OutputError: the transform or an image cannot be written.
    """
    folder.bent = result.field is not None
    canvas, notes = _canvas(result, config.resampling)
    _check_disk(folder, views, canvas, config)
    grid = views.fixed.image.metadata
    write_transform(
        folder.staging / TRANSFORM,
        model=str(result.model),
        matrix=result.matrix,
        fixed_shape=result.fixed_shape,
        moving_shape=result.moving_shape,
        model_asked=str(result.model_asked),
        grid=grid,
        status=result.status.value,
        field=result.field,
        with_expected_error=result.field is not None,
    )
    if result.field is not None:
        error, on_frame = _error_map(result), (result.field, result.moving_shape, grid)
        write_expected_error(folder.staging / EXPECTED_ERROR, error, *on_frame)
        if TRUSTED in folder.names:
            with folder.missing.on_failure(TRUSTED):
                write_trusted(folder.staging / TRUSTED, error, *on_frame, views.fixed.mask)
                notes += _trusted_note(error, result)
    if JACOBIAN in folder.names and result.field is not None:
        with folder.missing.on_failure(JACOBIAN):
            write_jacobian(folder.staging / JACOBIAN, result.field, result.moving_shape, canvas, grid)
    if config.products <= _WITHOUT_RESAMPLING:
        layers = _layers(folder, pair, result, None, config)
        with _overlay_writing(folder, pair, layers, result, canvas, config):
            return ResampledPair(canvas, None, None, {}, layers, notes)
    if config.resampling.canvas is not Canvas.FIXED:
        fixed_copy = folder.staging / fixed_name(config), views.fixed.image, np.eye(3), canvas, ResamplingConfig(), grid
        notes += write_resampled(*fixed_copy).notes
    aligned = (
        folder.staging / aligned_name(config),
        views.moving.image,
        result.transform,
        canvas,
        config.resampling,
        grid,
    )
    with StripCollector(folder, views.moving, result, canvas, config) as collector:
        try:
            written = write_resampled(*aligned, collector.collect)
        except OutputError as error:
            if not collector.discard(error):  # the disk may be full of the collected strips
                raise
            written = write_resampled(*aligned, collector.collect)
        layers = _layers(folder, pair, result, collector, config)
        with _overlay_writing(folder, pair, layers, result, canvas, config):
            maps = collector.write(views.fixed, (_standard_deviation(pair.fixed), _standard_deviation(pair.moving)))
    return ResampledPair(canvas, written.clipped, collector.filled, maps, layers, (*notes, *written.notes))


def _trusted_note(error: ErrorMap | None, result: RegistrationResult) -> tuple[str, ...]:
    """Return how to have the rest judged by itself, where ground without texture is all that speaks against it."""
    if error is None or result.status is Status.OK or not error.rms <= MAX_EXPECTED_ERROR_PX < error.rms_everywhere:
        return ()
    return (
        f"{TRUSTED} is white where {UNCERTAIN_PX:g} px or less is expected; as --fixed-mask of a second run it has "
        "that part judged by itself",
    )


def _error_map(result: RegistrationResult) -> ErrorMap | None:
    return None if result.bending is None else result.bending.expected_error


def _layers(
    folder: RunFolder,
    pair: DownsampledPair,
    result: RegistrationResult,
    collector: StripCollector | None,
    config: PairConfig,
) -> Layers | None:
    """Return what the overlay and the HTML report show, from the aligned image where that is shown as it is."""
    if not config.products & {Product.OVERLAY, Product.HTML}:
        return None
    with folder.missing.on_failure(OVERLAY, HTML):
        aligned = collector.aligned() if collector and shows_pixels(pair, result, collector.canvas) else None
        return pair_layers(pair, result, aligned)
    return None


@contextmanager
def _overlay_writing(
    folder: RunFolder,
    pair: DownsampledPair,
    layers: Layers | None,
    result: RegistrationResult,
    canvas: Frame,
    config: PairConfig,
) -> Iterator[None]:
    """Write before and after as one picture, if it is asked for, in a thread beside what is done in the block.

    Its compression takes as long as the maps, on one core without the interpreter.
    """
    if layers is None or Product.OVERLAY not in config.products:
        yield
        return
    with ThreadPoolExecutor(1) as thread:
        writing: Future[None] | None = None
        with folder.missing.on_failure(OVERLAY):
            picture = pair_overlay(pair, layers, result, canvas)
            writing = thread.submit(write_picture, folder.staging / OVERLAY, picture)
        yield
        if writing is not None:
            with folder.missing.on_failure(OVERLAY):
                writing.result()


def _canvas(result: RegistrationResult, settings: ResamplingConfig) -> tuple[Frame, tuple[str, ...]]:
    """Return which pixels are written, and a sentence where a result that is not ok has none but the fixed frame."""
    arguments = result.transform, result.fixed_shape, result.moving_shape
    try:
        return frame_of(settings.canvas, *arguments), ()
    except (OptionError, ContentError) as error:
        if result.status is Status.OK:
            raise
        return frame_of(Canvas.FIXED, *arguments), (f"written on the fixed frame: {error}",)


def _check_disk(folder: RunFolder, views: PairViews, canvas: Frame, config: PairConfig) -> None:
    """Raise `ResourceError` where the disk has no room for the images; the mask and maps are missing without room."""
    on_canvas = 0 if config.resampling.canvas is Canvas.FIXED else file_bytes(views.fixed.image, canvas)
    of_bend = 12 * math.prod(views.fixed.shape) if folder.bent else 0
    needed = file_bytes(views.moving.image, canvas) + on_canvas + of_bend
    check_disk(config.folder, needed)
    with folder.missing.on_failure(*MASK, *MAPS):
        check_disk(config.folder, needed + map_bytes(canvas))


def _standard_deviation(image: Downsampled) -> float:
    values = (image.grey if image.valid.all() else image.grey[image.valid]).astype(np.float64)
    if values.size == 0:
        return 0.0
    values -= values.mean()
    return math.sqrt(float(np.vdot(values, values)) / values.size)


def write_html(
    folder: RunFolder,
    report: Mapping[str, Any],
    pair: DownsampledPair,
    result: RegistrationResult,
    images: ResampledPair,
) -> None:
    """Write the HTML report, if it is one of the folder's files; it is missing where the maps that it shows are.

    Args:
        folder: where the report is written.
        report: what the report says.
        pair, result: as in `pair_layers`.
        images: what `write_images` returned.
    """
    if HTML not in folder.names:
        return
    folder.missing.follow(HTML, MAPS)
    if images.layers is None or HTML in folder.missing:
        return
    with folder.missing.on_failure(HTML):
        pictures = pair_pictures(pair, images.layers, result, images.maps)
        other_files = [name for name in folder.names if name != HTML and name not in folder.missing]
        write_pair_html(folder.staging / HTML, report, pictures, files=other_files)
