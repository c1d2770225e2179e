"""Images too large to be registered as they are: means of blocks of pixels, and results in pixels again.

Block (i, j) of k x k pixels has its centre at the pixel coordinates (k i + (k-1)/2, k j + (k-1)/2).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from zncc_cli.jobs.channel_view import ChannelView
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.resampling.resample import Read
from zncc_cli.registration.transforms.bending import Transform, composed
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.report.grey import block_means, reduced_shape

MAX_FULL_RESOLUTION_PIXELS = 2**24  # of an image that is registered as it is: about half a minute on two cores
_MAX_DOWNSAMPLED_PIXELS = 2**23
_STRIP_ROWS = 512  # about as many rows are read at a time
_CHECKED_SIDE = 256  # of a level's pixels, in the middle
_MAX_LEVEL_SHIFT = 0.1  # of a level's pixel: of blocks four times as large, a fortieth
_MAX_LEVEL_DIFFERENCE = 0.5  # of the standard deviation: noise of a lossy compression, and sharper kernels


@dataclass(frozen=True, eq=False)
class Downsampled:
    """An image by the means of its blocks.

    Attributes:
        grey: means, float32 (h, w).
        valid: which of them count, bool (h, w).
        factor: side of a block, pixels; with 1 the means are the pixels themselves.
    """

    grey: np.ndarray
    valid: np.ndarray
    factor: int


def downsampling_factor(*shapes: tuple[int, int], max_pixels: int = MAX_FULL_RESOLUTION_PIXELS) -> int:
    """Return the side of the blocks by which images (H, W) are downsampled: 1 where none exceeds ``max_pixels``."""
    pixels = max(height * width for height, width in shapes)
    if pixels <= max_pixels:
        return 1
    return int(np.ceil(np.sqrt(pixels / min(_MAX_DOWNSAMPLED_PIXELS, max_pixels))))


def downsampled(view: ChannelView, factor: int) -> Downsampled:
    """Return the means of whole blocks of a view's pixels, see `read_block_means`; blocks cut by the edge are left out.

    What is registered is the grid of the blocks' centres, and the mean of a cut block lies beside its centre. A level
    of the file's pyramid is read instead of all pixels where it shows the same.
    """
    if factor == 1:
        return Downsampled(*view.read(), 1)
    height, width = view.shape
    level, step = _level_for(view, factor)
    shape = height // factor * factor // step, width // factor * factor // step
    return dataclasses.replace(read_block_means(level.read, shape, factor // step), factor=factor)


def read_block_means(read: Read, shape: tuple[int, int], factor: int) -> Downsampled:
    """Read an image and return the means of all its blocks, `reduced_shape` of them.

    A block counts when half of its pixels do; its mean is that of the pixels that count. Memory: the result, and some
    hundred rows of the image.

    Args:
        read: returns values (h, w) of some rows and columns, and which of them count, bool (h, w).
        shape: (H, W) of the image.
        factor: side of a block, pixels; the last blocks may be smaller.
    """
    height, width = shape
    size = reduced_shape(shape, factor)
    grey, valid = np.zeros(size, np.float32), np.zeros(size, np.bool_)
    step = max(1, _STRIP_ROWS // factor)
    for first in range(0, size[0], step):
        last = min(first + step, size[0])
        strip = read(slice(first * factor, min(last * factor, height)), slice(0, width))
        means, counts = block_means(*strip, factor)
        grey[first:last], valid[first:last] = np.where(counts, means, 0), counts
    return Downsampled(grey, valid, factor)


def _level_for(view: ChannelView, factor: int) -> tuple[ChannelView, int]:
    """Return the smallest level of the image's pyramid that blocks of ``factor`` can be made of, and its step, pixels.

    A level is used that shows the same places: programs make levels in several ways, and one that is off by half of its
    pixels would move the result. Without such a level, or where some pixels do not count, it is the view itself.
    """
    image = view.image
    counts_all = view.mask is None and image.mask is None and not view.no_data and image.metadata.nodata is None
    for level in image.levels[::-1] if counts_all else ():
        (height, width), (h, w) = image.shape, level.shape[len(level.leading) :][:2]
        step = round(width / w)
        has_all_blocks = h >= height // factor * factor // step and w >= width // factor * factor // step
        is_of_step = max(abs(height - h * step), abs(width - w * step)) < step
        if step < 2 or factor % step or not has_all_blocks or not is_of_step:
            continue
        smaller = dataclasses.replace(view, image=dataclasses.replace(image, data=level, levels=()))
        if _is_in_place(view, smaller, step):
            return smaller, step
    return view, 1


def _is_in_place(view: ChannelView, level: ChannelView, step: int) -> bool:
    """Tell whether the middle of a level shows what blocks of ``step`` pixels of the image show.

    The shift (x, y) of the level by which it differs least is the least-squares solution of
    difference = gradient shift.
    """
    height, width = level.shape
    side = min(_CHECKED_SIDE, height // 2, width // 2)
    if side < 8:
        return False
    top, left = (height - side) // 2, (width - side) // 2
    shown, counts = level.read(slice(top, top + side), slice(left, left + side))
    whole = view.read(slice(top * step, (top + side) * step), slice(left * step, (left + side) * step))
    means, valid = block_means(*whole, step)
    if not (counts.all() and valid.all()):
        return False
    along_y, along_x = np.gradient(means.astype(np.float64))
    gradient = np.stack([along_x.ravel(), along_y.ravel()], axis=1)
    difference = (shown - means).astype(np.float64).ravel()
    shift, *_ = np.linalg.lstsq(gradient, difference - difference.mean(), rcond=None)
    rest = difference - difference.mean() - gradient @ shift
    return bool(np.abs(shift).max() < _MAX_LEVEL_SHIFT and rest.std() < _MAX_LEVEL_DIFFERENCE * means.std())


def full_resolution_matrix(matrix: np.ndarray, factor: int) -> np.ndarray:
    """Return the matrix (3, 3) between the pixels of two images, from the one between their blocks."""
    return np.asarray(_blocks_to_pixels(factor) @ matrix @ np.linalg.inv(_blocks_to_pixels(factor)))


def downsampled_matrix(matrix: np.ndarray, factor: int) -> np.ndarray:
    """Return the matrix (3, 3) between the blocks of two images, from the one between their pixels."""
    return np.asarray(np.linalg.inv(_blocks_to_pixels(factor)) @ matrix @ _blocks_to_pixels(factor))


def full_resolution_field(field: SplineField, factor: int, fixed_shape: tuple[int, int]) -> SplineField:
    """Return the field between the pixels of two images, from the one between their blocks: a spline that is near it.

    ``fixed_shape`` (H, W) is that of the fixed image in pixels.
    """
    to_pixels = _blocks_to_pixels(factor)
    moved = composed(np.linalg.inv(to_pixels), field, fixed_shape).field
    return composed(moved, to_pixels, None).field


def downsampled_transform(transform: Transform, factor: int, shape: tuple[int, int]) -> Transform:
    """Return the transform between the blocks of two images, from the one between their pixels.

    ``shape`` (h, w) is that of the fixed image in blocks. A field becomes a spline that is near it.
    """
    if not isinstance(transform, SplineField):
        return downsampled_matrix(transform, factor)
    to_pixels = _blocks_to_pixels(factor)
    return (
        transform
        if factor == 1
        else composed(composed(to_pixels, transform, shape).field, np.linalg.inv(to_pixels), None).field
    )


def _blocks_to_pixels(factor: int) -> np.ndarray:
    """Return the matrix (3, 3) that maps the coordinates of blocks to those of pixels."""
    middle = (factor - 1) / 2
    return np.array([[factor, 0, middle], [0, factor, middle], [0, 0, 1.0]])


def full_resolution_result(
    result: RegistrationResult, factor: int, fixed_shape: tuple[int, int], moving_shape: tuple[int, int]
) -> RegistrationResult:
    """Return the result of a registration of blocks in the pixels of the images, whose shapes are (H, W)."""
    if factor == 1:
        return result
    matrix = full_resolution_matrix(result.matrix, factor)
    uncertainty, bending = result.uncertainty, result.bending
    field = None if result.field is None else full_resolution_field(result.field, factor, fixed_shape)
    return dataclasses.replace(
        result,
        matrix=matrix / matrix[2, 2],
        field=field,
        bending=None if bending is None or field is None else bending.between(field, factor, factor),
        fixed_shape=fixed_shape,
        moving_shape=moving_shape,
        reasons=result.reasons if result.status is Status.OK else _in_blocks(result.reasons, factor),
        notes=_in_blocks(result.notes, factor),
        evidence=result.evidence.scaled(factor),
        uncertainty=None if uncertainty is None else uncertainty.conjugated(_blocks_to_pixels(factor), fixed_shape),
        levels=tuple(dataclasses.replace(level, factor=level.factor * factor) for level in result.levels),
    )


def _in_blocks(sentences: tuple[str, ...], factor: int) -> tuple[str, ...]:
    """Return sentences on a registration of blocks, each with the unit of its lengths."""
    blocks = f"on means of {factor} x {factor} pixels, with lengths in units of these"
    return tuple(f"{blocks}: {sentence}" for sentence in sentences)
