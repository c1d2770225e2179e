"""The pair metric by its native kernels: local ZNCC of two images at a transform, scores and curvature.

The CPU computes it in one pass (csrc/cpu/pair_metric.h), CUDA in a dozen kernels (csrc/cuda/pair_metric_kernels.h).

Formulas, shapes and what each plane means: csrc/pair_metric.h. The same in plain torch, for any device:
`zncc_cli.registration.metric.torch_pair_metric`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from zncc_cli.operators import native_ops
from zncc_cli.operators.warp import Box

BLOCK = 32
"""Side of a block of scores, pixels: kScoreBlock in csrc/pair_metric_data.h."""
CELL_PLANES = 5


class MetricWeights(NamedTuple):
    """What is added to the variances of windows, and how much a window counts.

    Attributes:
        eps_fixed, eps_moving: added to N times the variances of a window of N pixels, in its local ZNCC.
        alpha, beta: a window of variance v (N times, of the fixed image) counts v / (alpha v + beta).
        second_fixed, second_moving: the eps of a second local ZNCC, which only cells hold.
        floor: of the moving window's variance in the curvature.
        kappa: 1 where a window's scores count by that, 0 where its eps make it count less already.
    """

    eps_fixed: float
    eps_moving: float
    alpha: float
    beta: float
    second_fixed: float
    second_moving: float
    floor: float
    kappa: float = 1.0


class CellGrid(NamedTuple):
    """A grid of cells over the windows of a frame, by the place of a window's first pixel.

    Attributes:
        top, left: row and column of the first cell's first window.
        height, width: of a cell, in windows.
        rows, columns: how many cells.
        inside: whether only windows count that lie wholly in a cell.
    """

    top: int
    left: int
    height: int
    width: int
    rows: int
    columns: int
    inside: bool = False


_NO_CELLS = CellGrid(0, 0, 1, 1, 0, 0)


@dataclass(frozen=True, eq=False)
class PairPlanes:
    """The two images of a pair metric, of one float dtype, contiguous.

    Attributes:
        fixed: (H, W), finite.
        knots: (Hm, Wm), of the moving image: its pixels, or the knots of its cubic spline.
        degree: 1 or 3, of the spline.
        box: the outermost columns and rows of the moving image that count.
        fixed_mask: (H, W) bool, valid pixels; None where all are.
        moving_mask: (Hm, Wm) float, one where valid, where that is no box; None where it is.
        fixed_measured: (H, W), the share of each pixel that was measured; None where all was.
        moving_measured: (Hm, Wm), likewise.
    """

    fixed: torch.Tensor
    knots: torch.Tensor
    degree: int
    box: Box
    fixed_mask: torch.Tensor | None = None
    moving_mask: torch.Tensor | None = None
    fixed_measured: torch.Tensor | None = None
    moving_measured: torch.Tensor | None = None


class Wanted(NamedTuple):
    """What of a pair metric is computed beside its sums."""

    cells: CellGrid | None = None
    scores: bool = False
    curvature: bool = False
    maps: bool = False
    pixels: bool = False


class Totals(NamedTuple):
    """Sums of a pair metric over the whole frame.

    Attributes:
        window_weight: the sum of W over all windows.
        weight: the sum of W e over them.
        zncc: the sum of W z.
        weighted_zncc: the sum of W e z.
        edge_weight: the sum over all pixels of how far they lie inside both images, each in [0, 1].
    """

    window_weight: float
    weight: float
    zncc: float
    weighted_zncc: float
    edge_weight: float


@dataclass(frozen=True, eq=False)
class PairSums:
    """A pair metric at one transform; None where it was not wanted.

    Sums are on the CPU, maps and pixels on the images' device.

    Attributes:
        totals: over the whole frame.
        cells: (5, rows, columns), the sums of W, W e, W z, W e z and W z with the second eps.
        scores: (9, n), by the entries of the matrix, of n blocks of `BLOCK` pixels a side, row by row.
        curvature: (9, 9), of all windows.
        z, w: (H-h+1, W-h+1), local ZNCC and W e.
        pixels: (5, H, W): scores by the moving coordinates x and y, and curvature by xx, xy, yy.
    """

    totals: Totals
    cells: torch.Tensor | None
    scores: torch.Tensor | None
    curvature: torch.Tensor | None
    z: torch.Tensor | None
    w: torch.Tensor | None
    pixels: torch.Tensor | None


def has_pair_metric(image: torch.Tensor, window: int) -> bool:
    """Return whether there is a native kernel for windows of this side, in pixels, on the image's device."""
    return native_ops.has_box(image, window)


def pair_metric(
    planes: PairPlanes,
    transform: torch.Tensor,
    window: int,
    weights: MetricWeights,
    wanted: Wanted,
    *,
    weight: torch.Tensor | None = None,
    tile_step: int = 1,
    projective: bool = False,
) -> PairSums:
    """Return the pair metric of two images at a transform.

    Args:
        planes: the images.
        transform: (3, 3) float64 on the CPU, fixed -> moving, pixels; or (H, W, 2) of the images' dtype, the moving
            less the fixed coordinates (x, y) of every fixed pixel.
        window: side of the windows, pixels.
        weights: of the windows, by what they hold.
        wanted: what is computed.
        weight: (H-h+1, W-h+1), of the windows by their place.
        tile_step: only every which tile of the frame counts; 1 for all.
        projective: whether the last row of the matrix may change.
    """
    fixed = planes.fixed
    height, width = fixed.shape
    field = transform.contiguous() if transform.dim() == 3 else None
    matrix = torch.eye(3, dtype=torch.float64) if field is not None else transform.contiguous()
    grid = wanted.cells or _NO_CELLS
    empty = fixed.new_zeros if tile_step > 1 else fixed.new_empty
    blocks = -(-height // BLOCK) * -(-width // BLOCK)
    maps = height - window + 1, width - window + 1
    shapes: list[tuple[int, ...] | None] = [
        (len(Totals._fields),),
        (CELL_PLANES, grid.rows, grid.columns) if wanted.cells is not None else None,
        (9, blocks) if wanted.scores else None,
        (9, 9) if wanted.curvature else None,
    ]
    # In one tensor, which comes from the device in one copy.
    numbers = fixed.new_zeros(sum(_numel(shape) for shape in shapes), dtype=torch.float64)
    sums, cells, scores, curvature = _parts(numbers, shapes)
    z, w = (empty(maps), empty(maps)) if wanted.maps else (None, None)
    pixels = empty((5, height, width)) if wanted.pixels else None
    mask = None if planes.fixed_mask is None else planes.fixed_mask.contiguous().view(torch.uint8)
    torch.ops.zncc.pair_metric(
        fixed,
        planes.knots,
        matrix,
        field,
        planes.degree,
        _numbers(planes.box, torch.int64),
        mask,
        planes.moving_mask,
        planes.fixed_measured,
        planes.moving_measured,
        weight,
        window,
        _numbers(weights, torch.float64),
        _numbers(grid, torch.int64),
        tile_step,
        projective,
        sums,
        cells,
        scores,
        curvature,
        z,
        w,
        pixels,
    )
    if numbers.device.type != "cpu":
        sums, cells, scores, curvature = _parts(numbers.cpu(), shapes)
    assert sums is not None
    return PairSums(Totals(*sums.tolist()), cells, scores, curvature, z, w, pixels)


@functools.lru_cache(maxsize=64)
def _numbers(values: tuple[float, ...], dtype: torch.dtype) -> torch.Tensor:
    """Return numbers (n,) on the CPU, which are only read: a pair is compared many times by the same ones."""
    return torch.tensor(values, dtype=dtype)


def _numel(shape: tuple[int, ...] | None) -> int:
    return 0 if shape is None else math.prod(shape)


def _parts(numbers: torch.Tensor, shapes: list[tuple[int, ...] | None]) -> list[torch.Tensor | None]:
    """Return the parts of numbers (n,) that follow upon each other, in these shapes; None for None."""
    parts = numbers.split([_numel(shape) for shape in shapes])
    return [None if shape is None else part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
