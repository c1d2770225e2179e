"""The pictures of a pair, for the overlay and the HTML report: small, all in the plane of the fixed image."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from zncc_cli.config import Interpolation
from zncc_cli.files.images import read_image
from zncc_cli.jobs.channel_view import ChannelView
from zncc_cli.jobs.downsampling import Downsampled, downsampled_matrix, read_block_means
from zncc_cli.jobs.pair.inputs import DownsampledPair
from zncc_cli.jobs.pair.maps import read_padded
from zncc_cli.registration.inputs.inpainting import inpaint
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.resampling.resample import array_reader, resample
from zncc_cli.report.grey import reduced_shape
from zncc_cli.report.overlay import overlay
from zncc_cli.report.pair_figures import PairFigures

_UNCERTAINTY_POINTS = 33  # along each side; in between, the map, which is smooth, is interpolated
_MAX_SIDE = 1024  # pixels; what a screen shows of a picture


Layers = dict[str, np.ndarray]
"""Both images, (H, W) each, on the same pixels, by the names that `PairFigures` gives them."""


def pair_layers(pair: DownsampledPair, result: RegistrationResult) -> Layers:
    """Return the images of a pair on the fixed frame, as means of blocks of pixels, at most about a thousand a side.

    Args:
        pair: the images as they were registered.
        result: in the pixels of the images.
    """
    factor = _factor(pair, result.fixed_shape)
    return _layers(pair, result, factor, *map(range, reduced_shape(result.fixed_shape, factor)))


def pair_pictures(
    folder: Path, pair: DownsampledPair, layers: Layers, result: RegistrationResult, canvas: Frame
) -> PairFigures:
    """Return the pictures of the HTML report, as small as ``layers``.

    Args:
        folder: where std_fixed.tif, std_aligned.tif and zncc.tif are.
        pair, result: as in `pair_layers`.
        layers: what that returned.
        canvas: what the maps cover, in pixels of the fixed image.
    """
    factor = _factor(pair, result.fixed_shape)
    maps = {
        name: _map(folder / f"{name}.tif", canvas, result.fixed_shape, factor)
        for name in ("zncc", "std_fixed", "std_aligned")
    }
    return PairFigures(
        **layers,
        matrix=downsampled_matrix(result.matrix, factor),
        expected_error=_uncertainty(result, layers["fixed"].shape),
        pixel=factor,
        **maps,
    )


def pair_overlay(pair: DownsampledPair, layers: Layers, result: RegistrationResult, canvas: Frame) -> np.ndarray:
    """Return before and after in colours on the canvas, which is extended to whole blocks; see `overlay`.

    ``layers`` are those of `pair_layers`, on the fixed frame. On another canvas, pixels that only one image has are
    shown as well.
    """
    is_other_canvas = canvas != Frame(0, 0, result.fixed_shape[1], result.fixed_shape[0])
    if is_other_canvas:
        factor = _factor(pair, canvas.shape)
        rows, columns = (range(n.start // factor, -(-n.stop // factor)) for n in (canvas.rows, canvas.columns))
        layers = _layers(pair, result, factor, rows, columns)
    images = layers["fixed"], layers["before"], layers["after"], layers["valid_before"], layers["valid_after"]
    return overlay(*images, alone=is_other_canvas)


def _factor(pair: DownsampledPair, shape: tuple[int, int]) -> int:
    """Return the side in image pixels of the blocks by which ``shape`` (H, W) becomes at most `_MAX_SIDE`."""
    return pair.factor * math.ceil(max(shape) / (pair.factor * _MAX_SIDE))


def _layers(pair: DownsampledPair, result: RegistrationResult, factor: int, rows: range, columns: range) -> Layers:
    """Return both images on some rows and columns of the fixed plane, counted in blocks; thin gaps are filled."""
    fixed, moving = (
        _smaller(_inpainted(image, result.window), factor // image.factor) for image in (pair.fixed, pair.moving)
    )
    sign = np.float32(-1 if result.inverted else 1)
    (fixed_grey, valid), (before, valid_before), (after, valid_after) = (
        resample(array_reader(image.grey, image.valid), image.grey.shape, matrix, rows, columns, Interpolation.CUBIC)
        for image, matrix in (
            (fixed, np.eye(3)),
            (moving, np.eye(3)),
            (moving, downsampled_matrix(result.matrix, factor)),
        )
    )
    return {
        "fixed": np.where(valid, fixed_grey, np.nan),
        "before": sign * before.astype(np.float32),
        "after": sign * after.astype(np.float32),
        "valid_before": valid_before,
        "valid_after": valid_after,
    }


def _uncertainty(result: RegistrationResult, shape: tuple[int, int]) -> np.ndarray | None:
    """Return the standard deviation of the position on the fixed frame, (H, W): smooth, known from a few points."""
    if result.uncertainty is None:
        return None
    ys, xs = (np.linspace(0, n - 1, _UNCERTAINTY_POINTS) for n in result.fixed_shape)
    values = result.uncertainty.at(np.stack(np.meshgrid(xs, ys), axis=-1))
    rows, columns = (np.linspace(0, n - 1, count) for n, count in zip(result.fixed_shape, shape, strict=True))
    along_rows = np.array([np.interp(columns, xs, row) for row in values])
    return np.column_stack([np.interp(rows, ys, column) for column in along_rows.T])


def _inpainted(image: Downsampled, window: int) -> Downsampled:
    grey, valid = inpaint(torch.from_numpy(image.grey), torch.from_numpy(image.valid), window)
    return replace(image, grey=grey.numpy(), valid=valid.numpy())


def _smaller(image: Downsampled, factor: int) -> Downsampled:
    return image if factor == 1 else read_block_means(array_reader(image.grey, image.valid), image.grey.shape, factor)


def _map(path: Path, canvas: Frame, shape: tuple[int, int], factor: int) -> np.ndarray:
    """Return a map on the fixed image's frame (H, W), as means of blocks; NaN where half of a block has no value."""
    view, (x, y) = ChannelView(read_image(path), ()), canvas.offset

    def read(rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        return read_padded(view, slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))

    means = read_block_means(read, shape, factor)
    return np.where(means.valid, means.grey, np.float32(np.nan))
