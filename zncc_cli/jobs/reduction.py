"""Images too large to be registered as they are: means of blocks of pixels, and what they say of the pixels.

Block (i, j) of k x k pixels has its centre at the pixel coordinates (k i + (k-1)/2, k j + (k-1)/2).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from zncc_cli.config.spelling import as_options
from zncc_cli.jobs.views import ChannelView
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.resampling.resample import Read
from zncc_cli.report.grey import block_means as means_of_blocks
from zncc_cli.report.grey import reduced_shape

FULL = 2**24  # pixels up to which an image is registered as it is: about half a minute on two cores
_REDUCED = 2**23  # pixels of a reduced one, at most
_ROWS = 512  # about as many rows are read at a time


@dataclass(frozen=True, eq=False)
class Downsampled:
    """Grey values, float32 (h, w), and which of them count, bool (h, w); each of ``factor`` x ``factor`` pixels."""

    grey: np.ndarray
    valid: np.ndarray
    factor: int


def reduction_factor(*shapes: tuple[int, int], most: int = FULL) -> int:
    """Return the side of the blocks by which images (H, W) are reduced: 1 where none has more than ``most`` pixels."""
    pixels = max(height * width for height, width in shapes)
    if pixels <= most:
        return 1
    return int(np.ceil(np.sqrt(pixels / min(_REDUCED, most))))


def reduced(view: ChannelView, factor: int) -> Downsampled:
    """Return the means of whole blocks of a view's pixels, see `block_means`: those cut by the edge are left out.

    What is registered is the grid of the blocks' centres, and the mean of a cut block lies beside its centre.
    """
    if factor == 1:
        return Downsampled(*view.read(), 1)
    return block_means(view.read, (view.shape[0] // factor * factor, view.shape[1] // factor * factor), factor)


def block_means(read: Read, shape: tuple[int, int], factor: int) -> Downsampled:
    """Return the means of all blocks, `reduced_shape` of them; one counts when half of the pixels that it has do.

    Memory: the result, and some hundred rows of the image.

    Args:
        read: values (h, w) of some rows and columns, and which of them count, bool (h, w).
        shape: (H, W) of the image.
        factor: side of a block, pixels; the last blocks may be smaller.
    """
    height, width = shape
    size = reduced_shape(shape, factor)
    grey, valid = np.zeros(size, np.float32), np.zeros(size, np.bool_)
    step = max(1, _ROWS // factor)
    for first in range(0, size[0], step):
        last = min(first + step, size[0])
        strip = read(slice(first * factor, min(last * factor, height)), slice(0, width))
        means, there = means_of_blocks(*strip, factor)
        grey[first:last], valid[first:last] = np.where(there, means, 0), there
    return Downsampled(grey, valid, factor)


def full_matrix(matrix: np.ndarray, factor: int) -> np.ndarray:
    """Return the matrix (3, 3) between the pixels of two images from the one between their blocks."""
    return np.asarray(_pixels(factor) @ matrix @ np.linalg.inv(_pixels(factor)))


def reduced_matrix(matrix: np.ndarray, factor: int) -> np.ndarray:
    """Return the matrix (3, 3) between the blocks of two images from the one between their pixels."""
    return np.asarray(np.linalg.inv(_pixels(factor)) @ matrix @ _pixels(factor))


def _pixels(factor: int) -> np.ndarray:
    """Return what takes the coordinates of blocks to those of pixels."""
    middle = (factor - 1) / 2
    return np.array([[factor, 0, middle], [0, factor, middle], [0, 0, 1.0]])


def _of_blocks(sentences: tuple[str, ...], factor: int) -> tuple[str, ...]:
    return tuple(f"on means of {factor} x {factor} pixels, in these: {sentence}" for sentence in sentences)


def full_result(result: RegistrationResult, factor: int, fixed: ChannelView, moving: ChannelView) -> RegistrationResult:
    """Return the result of a registration of blocks in the pixels of the images; its words name options."""
    reasons, notes = (tuple(map(as_options, sentences)) for sentences in (result.reasons, result.notes))
    result = dataclasses.replace(result, reasons=reasons, notes=notes)
    if factor == 1:
        return result
    matrix = full_matrix(result.matrix, factor)
    sure = result.uncertainty
    return dataclasses.replace(
        result,
        matrix=matrix / matrix[2, 2],
        fixed_shape=fixed.shape,
        moving_shape=moving.shape,
        reasons=result.reasons if result.status is Status.OK else _of_blocks(result.reasons, factor),
        notes=_of_blocks(result.notes, factor),
        evidence=result.evidence.scaled(factor),
        uncertainty=None if sure is None else sure.conjugated(_pixels(factor), fixed.shape),
        levels=tuple(dataclasses.replace(level, factor=level.factor * factor) for level in result.levels),
    )
