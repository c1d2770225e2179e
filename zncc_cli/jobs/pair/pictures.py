"""The pictures of a pair that a person looks at: small, and all on the fixed image's frame."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from zncc_cli.config import Interpolation
from zncc_cli.files.images import read_image
from zncc_cli.jobs.pair.maps import beyond
from zncc_cli.jobs.reduction import Downsampled, block_means, reduced_matrix
from zncc_cli.jobs.views import ChannelView
from zncc_cli.registration.inputs.inpainting import inpaint
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.resampling.resample import array_reader, resample
from zncc_cli.report.grey import reduced_shape
from zncc_cli.report.overlay import overlay
from zncc_cli.report.pair_figures import PairFigures

_POINTS = 33  # along a side, between which a smooth map is interpolated
_SIDE = 1024  # pixels; what a screen shows of a picture


Layers = dict[str, np.ndarray]
"""Both images on one frame, by the names that `PairFigures` gives them."""


def pair_layers(pair: tuple[Downsampled, Downsampled], result: RegistrationResult) -> Layers:
    """Return the images of a pair on the fixed frame by means of blocks of pixels, at most about a thousand a side.

    Args:
        pair: the images as they were registered.
        result: in the pixels of the images.
    """
    factor = _factor(pair, result.fixed_shape)
    return _layers(pair, result, factor, *map(range, reduced_shape(result.fixed_shape, factor)))


def pair_pictures(
    folder: Path, pair: tuple[Downsampled, Downsampled], layers: Layers, result: RegistrationResult, frame: Frame
) -> PairFigures:
    """Return the pictures of a pair, as small as ``layers``.

    Args:
        folder: where std_fixed.tif, std_aligned.tif and zncc.tif are.
        pair, result: as in `pair_layers`.
        layers: what that returns.
        frame: what the maps cover, in pixels of the fixed image.
    """
    factor = _factor(pair, result.fixed_shape)
    maps = {
        name: _map(folder / f"{name}.tif", frame, result.fixed_shape, factor)
        for name in ("zncc", "std_fixed", "std_aligned")
    }
    return PairFigures(
        **layers,
        matrix=reduced_matrix(result.matrix, factor),
        expected_error=_uncertainty(result, layers["fixed"].shape),
        pixel=factor,
        **maps,
    )


def pair_overlay(
    pair: tuple[Downsampled, Downsampled], layers: Layers, result: RegistrationResult, frame: Frame
) -> np.ndarray:
    """Return before and after in colours on the frame of the aligned image, to the whole block; see `overlay`.

    ``layers`` are those on the fixed frame. On another one, what only one image has is shown too.
    """
    elsewhere = frame != Frame(0, 0, result.fixed_shape[1], result.fixed_shape[0])
    if elsewhere:
        factor = _factor(pair, frame.shape)
        rows, columns = (range(n.start // factor, -(-n.stop // factor)) for n in (frame.rows, frame.columns))
        layers = _layers(pair, result, factor, rows, columns)
    images = layers["fixed"], layers["before"], layers["after"], layers["valid_before"], layers["valid_after"]
    return overlay(*images, alone=elsewhere)


def _factor(pair: tuple[Downsampled, Downsampled], shape: tuple[int, int]) -> int:
    """Return the side of the blocks of image pixels by which ``shape`` (H, W) becomes small."""
    return pair[0].factor * math.ceil(max(shape) / (pair[0].factor * _SIDE))


def _layers(
    pair: tuple[Downsampled, Downsampled], result: RegistrationResult, factor: int, rows: range, columns: range
) -> Layers:
    """Return both images on some rows and columns of the fixed plane, counted in blocks; thin gaps are filled."""
    fixed, moving = (_smaller(_without_gaps(image, result.window), factor // image.factor) for image in pair)
    sign = np.float32(-1 if result.inverted else 1)
    (shown, valid), (before, valid_before), (after, valid_after) = (
        resample(array_reader(image.grey, image.valid), image.grey.shape, matrix, rows, columns, Interpolation.CUBIC)
        for image, matrix in (
            (fixed, np.eye(3)),
            (moving, np.eye(3)),
            (moving, reduced_matrix(result.matrix, factor)),
        )
    )
    return {
        "fixed": np.where(valid, shown, np.nan),
        "before": sign * before.astype(np.float32),
        "after": sign * after.astype(np.float32),
        "valid_before": valid_before,
        "valid_after": valid_after,
    }


def _uncertainty(result: RegistrationResult, shape: tuple[int, int]) -> np.ndarray | None:
    """Return the standard deviation of the position on the fixed frame, (H, W): smooth, known from a few points."""
    if result.uncertainty is None:
        return None
    known = [np.linspace(0, n - 1, _POINTS) for n in result.fixed_shape]
    at = np.stack(np.meshgrid(known[1], known[0]), axis=-1)
    values = result.uncertainty.at(at)
    rows, columns = (np.linspace(0, n - 1, count) for n, count in zip(result.fixed_shape, shape, strict=True))
    across = np.array([np.interp(columns, known[1], row) for row in values])
    return np.column_stack([np.interp(rows, known[0], column) for column in across.T])


def _without_gaps(image: Downsampled, window: int) -> Downsampled:
    grey, valid = inpaint(torch.from_numpy(image.grey), torch.from_numpy(image.valid), window)
    return replace(image, grey=grey.numpy(), valid=valid.numpy())


def _smaller(image: Downsampled, factor: int) -> Downsampled:
    return image if factor == 1 else block_means(array_reader(image.grey, image.valid), image.grey.shape, factor)


def _map(path: Path, frame: Frame, shape: tuple[int, int], factor: int) -> np.ndarray:
    """Return a map on the fixed image's frame (H, W) by means of blocks; NaN where half of one has no value."""
    view, (x, y) = ChannelView(read_image(path), ()), frame.offset

    def read(rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        return beyond(view, slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))

    means = block_means(read, shape, factor)
    return np.where(means.valid, means.grey, np.float32(np.nan))
