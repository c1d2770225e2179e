"""The pictures of a pair, for the overlay and the HTML report: small, all in the plane of the fixed image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from zncc_cli.config import Interpolation
from zncc_cli.jobs.downsampling import Downsampled, downsampled_matrix, downsampled_transform, read_block_means
from zncc_cli.jobs.pair.gaps import filled_gaps
from zncc_cli.jobs.pair.inputs import DownsampledPair
from zncc_cli.jobs.pair.run_folder import MAPS
from zncc_cli.registration.inputs.texture_map import texture_map
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.resampling.resample import array_reader, resample
from zncc_cli.registration.transforms.bending import Transform
from zncc_cli.report.grey import reduced_shape
from zncc_cli.report.layers import Layers
from zncc_cli.report.overlay import overlay
from zncc_cli.report.pair_figures import DrawnBend, PairFigures

_UNCERTAINTY_POINTS = 33  # along each side; in between, the map, which is smooth, is interpolated
_MAX_SIDE = 1024  # pixels; what a screen shows of a picture


def shows_pixels(pair: DownsampledPair, result: RegistrationResult, canvas: Frame) -> bool:
    """Tell whether the pictures show the pixels of the canvas as they are: it is the fixed frame, and small."""
    return canvas == _fixed_frame(result) and _factor(pair, result.fixed_shape) == 1


def _fixed_frame(result: RegistrationResult) -> Frame:
    return Frame(0, 0, result.fixed_shape[1], result.fixed_shape[0])


def pair_layers(
    pair: DownsampledPair, result: RegistrationResult, aligned: tuple[np.ndarray, np.ndarray] | None
) -> Layers:
    """Return the images of a pair on the fixed frame, as means of blocks of pixels, at most about a thousand a side.

    Args:
        pair: the images as they were registered.
        result: in the pixels of the images.
        aligned: the moving image on the fixed frame and which of its pixels count, where it is known already and shown
            as it is (`shows_pixels`); None where it is not.
    """
    factor = _factor(pair, result.fixed_shape)
    return _layers(pair, result, factor, *map(range, reduced_shape(result.fixed_shape, factor)), aligned=aligned)


def pair_pictures(
    pair: DownsampledPair, layers: Layers, result: RegistrationResult, maps: Mapping[str, np.ndarray]
) -> PairFigures:
    """Return the pictures of the HTML report.

    Args:
        pair, result: as in `pair_layers`.
        layers: what that returned.
        maps: what `write_maps` returned, all of `MAPS`.
    """
    factor = _factor(pair, result.fixed_shape)
    std_fixed, std_aligned, zncc = (maps[name] for name in MAPS)
    return PairFigures(
        layers=layers,
        matrix=downsampled_matrix(result.matrix, factor),
        expected_error=_uncertainty(result, zncc.shape),
        pixel=factor,
        zncc=zncc,
        std_fixed=std_fixed,
        std_aligned=std_aligned,
        bend=_drawn_bend(result),
        compared=_texture_maps(layers) if result.by_texture else None,
    )


def _texture_maps(layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """Return the texture maps of both images as they are shown, (H, W), NaN where there is none."""
    shown = (layers.fixed, layers.fixed_known), (layers.after, layers.after_known)
    return _texture_map(*shown[0]), _texture_map(*shown[1])


def _texture_map(grey: np.ndarray, known: np.ndarray) -> np.ndarray:
    values = grey[known].astype(np.float64)
    deviation = float(values.std()) if values.size else 0.0
    scaled = (grey - values.mean()) / deviation if deviation > 0 else np.zeros_like(grey)
    image = torch.from_numpy(np.where(known, scaled, 0).astype(np.float32))
    texture, usable = texture_map(image[None, None], torch.from_numpy(known))
    return np.where(usable.numpy(), texture[0, 0].numpy(), np.float32(np.nan))


def _drawn_bend(result: RegistrationResult) -> DrawnBend | None:
    if result.field is None:
        return None
    error = None if result.bending is None else result.bending.expected_error
    return DrawnBend(result.field, result.moving_shape, error)


def pair_overlay(pair: DownsampledPair, layers: Layers, result: RegistrationResult, canvas: Frame) -> np.ndarray:
    """Return before and after in colours on the canvas, which is extended to whole blocks; see `overlay`.

    ``layers`` are those of `pair_layers`, on the fixed frame. On another canvas, pixels that only one image has are
    shown as well.
    """
    if canvas != _fixed_frame(result):
        factor = _factor(pair, canvas.shape)
        rows, columns = (range(n.start // factor, -(-n.stop // factor)) for n in (canvas.rows, canvas.columns))
        layers = replace(_layers(pair, result, factor, rows, columns), alone=True)
    return overlay(layers)


def _factor(pair: DownsampledPair, shape: tuple[int, int]) -> int:
    """Return the side in image pixels of the blocks by which ``shape`` (H, W) becomes at most `_MAX_SIDE`."""
    return pair.factor * math.ceil(max(shape) / (pair.factor * _MAX_SIDE))


def _layers(
    pair: DownsampledPair,
    result: RegistrationResult,
    factor: int,
    rows: range,
    columns: range,
    *,
    aligned: tuple[np.ndarray, np.ndarray] | None = None,
) -> Layers:
    """Return both images on some rows and columns of the fixed plane, counted in blocks; thin gaps are filled.

    ``aligned`` is what the moving image becomes there, if it is known already; see `pair_layers`.
    """
    fixed, moving = (
        _smaller(_inpainted(image, result.window), factor // image.factor) for image in (pair.fixed, pair.moving)
    )
    sign = np.float32(-1 if result.inverted else 1)

    def moved(image: Downsampled, transform: Transform) -> tuple[np.ndarray, np.ndarray]:
        reader = array_reader(image.grey, image.valid)
        grey, counts = resample(reader, image.grey.shape, transform, rows, columns, Interpolation.CUBIC)
        return grey.astype(np.float32, copy=False), counts

    def unmoved(image: Downsampled) -> tuple[np.ndarray, np.ndarray]:
        if (rows, columns) == tuple(map(range, image.grey.shape)):
            return image.grey, image.valid
        return moved(image, np.eye(3))

    (fixed_grey, valid), (before, valid_before) = unmoved(fixed), unmoved(moving)
    if aligned is None:
        after, valid_after = moved(moving, downsampled_transform(result.transform, factor, fixed.grey.shape))
        aligned = sign * after, valid_after
    after, valid_after = aligned
    return Layers(
        fixed=fixed_grey if valid.all() else np.where(valid, fixed_grey, np.float32(np.nan)),
        before=sign * before,
        after=after,
        valid_before=valid_before,
        valid_after=valid_after,
    )


def _uncertainty(result: RegistrationResult, shape: tuple[int, int]) -> np.ndarray | None:
    """Return the standard deviation of the position on the fixed frame, (H, W): smooth, known from a few points."""
    if result.uncertainty is None:
        return None
    ys, xs = (np.linspace(0, n - 1, _UNCERTAINTY_POINTS) for n in result.fixed_shape)
    values = result.uncertainty.at(np.stack(np.meshgrid(xs, ys), axis=-1))
    by_rows, by_columns = (_linear_interpolation(count) for count in shape)
    smooth: np.ndarray = by_rows @ values @ by_columns.T
    return smooth


def _linear_interpolation(count: int) -> np.ndarray:
    """Return the weights (count, `_UNCERTAINTY_POINTS`) of equally spaced points at ``count`` equally spaced places."""
    points = np.arange(_UNCERTAINTY_POINTS)
    places = np.linspace(0, _UNCERTAINTY_POINTS - 1, count)
    weights: np.ndarray = np.maximum(0, 1 - np.abs(places[:, None] - points))
    return weights


def _inpainted(image: Downsampled, window: int) -> Downsampled:
    grey, valid = filled_gaps(image.grey, image.valid, window)
    return replace(image, grey=grey, valid=valid)


def _smaller(image: Downsampled, factor: int) -> Downsampled:
    return image if factor == 1 else read_block_means(array_reader(image.grey, image.valid), image.grey.shape, factor)
