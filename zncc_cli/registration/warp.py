"""The coordinate convention, and the values of an image under a transform.

(x, y) in pixels; the centre of the top-left pixel is (0, 0). A transform maps FIXED coordinates to MOVING
coordinates (pull-back): ``warped(x, y) = moving(T(x, y))``. This file alone converts to the normalised
coordinates of `torch.nn.functional.grid_sample`.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.operators.filters import rectangle
from zncc_cli.operators.warp import Place, has_warp, spline_knots, warp
from zncc_cli.registration.pyramid import convolve
from zncc_cli.registration.transforms.matrices import map_points as map_points  # here for all that resample

# Coordinates are good to this many pixels: a point that lies less beyond the frame's edge is on it.
EDGE = 1e-9
# A mask sampled to within this of one, or within some roundings, was interpolated from valid pixels only.
_VALIDITY_ROUNDING = 1e-9
# Pole of the filter that turns pixels into knots, and pixels after which the filter is cut: 0.268^16 is 7e-10.
SPLINE_POLE = 3**0.5 - 2
_SPLINE_REACH = 16


def level_scale(factor: float) -> np.ndarray:
    """Return the factors (3, 3) that turn the entries of a matrix in full-resolution pixels into those of a level.

    Pixel (i, j) of a level ``factor`` times coarser lies on full-resolution pixel (factor i, factor j).
    """
    scale = np.array([factor, factor, 1.0])
    return np.asarray(scale[None, :] / scale[:, None])


def corners(shape: tuple[int, int]) -> np.ndarray:
    """Return the (4, 2) corner pixel centres (x, y) of a frame of (H, W)."""
    h, w = shape[0] - 1, shape[1] - 1
    return np.array([[0, 0], [w, 0], [w, h], [0, h]], dtype=np.float64)


def area_scale(matrix: np.ndarray, shape: tuple[int, int]) -> float:
    """Return how many moving pixels a fixed pixel covers at the centre of the fixed frame (H, W), by area.

    The determinant of the transform's Jacobian is det M / d^3, with d the third entry of M (x, y, 1).
    """
    g, h, last = matrix[2].tolist()
    depth = g * (shape[1] - 1) / 2 + h * (shape[0] - 1) / 2 + last
    # A power of a plain number that is too large raises an error; a product is infinite.
    return float(np.float64(_determinant(matrix)) / (depth * depth * depth))


def coordinates(matrix: Tensor, shape: tuple[int, int], at: Place = (0, 0)) -> tuple[Tensor, Tensor]:
    """Return the moving coordinates x, y of every fixed pixel, (H, W) each.

    Args:
        matrix: (3, 3), fixed -> moving; its dtype and device are those of the result.
        shape: (H, W) of the fixed frame, or of a part of it.
        at: the part's first pixel. A pixel's coordinates are the same, bit for bit, in every part.
    """
    if not bool(matrix[2, :2].any()):
        return applied(matrix[0] / matrix[2, 2], shape, at), applied(matrix[1] / matrix[2, 2], shape, at)
    w = applied(matrix[2], shape, at)
    return applied(matrix[0], shape, at) / w, applied(matrix[1], shape, at) / w


def applied(row: Tensor, shape: tuple[int, int], at: Place = (0, 0)) -> Tensor:
    """Return row . (x, y, 1) at every pixel of a part of a frame, (H, W).

    Args:
        row: (3,), of a matrix; the last row's values are those by which the others' are divided.
        shape, at: as for `coordinates`.
    """
    x = torch.arange(at[0], at[0] + shape[1], dtype=row.dtype, device=row.device)
    y = torch.arange(at[1], at[1] + shape[0], dtype=row.dtype, device=row.device)[:, None]
    return row[0] * x + (row[1] * y + row[2])


class Sampler:
    """Samples an image between its pixels: on a CPU by the native kernels where there are any, else by plain torch.

    Args:
        image: (1, C, H, W) float, without holes that a spline would ring at (`fill_holes`).
        interpolation: LINEAR, or CUBIC: the cubic spline through the pixels (Unser 1999, doi:10.1109/79.799930).
            Beyond the frame the image is mirrored at its edge pixels; edge weight and `inside` tell where.
        mask: (H, W) bool of valid pixels, for the edge weight; None when all are.

    Attributes:
        shape: (H, W).
        knots: (1, C, H, W): the image, or the knots of its cubic spline.
        degree: 1 or 3, of the spline.
        box: left, top, right, bottom: the outermost columns and rows of valid pixels.
        mask: (1, H, W) float, one on valid pixels, where these are no box; else None.
    """

    def __init__(self, image: Tensor, interpolation: Interpolation, mask: Tensor | None = None) -> None:
        whole = slice(0, image.shape[-2]), slice(0, image.shape[-1])
        valid = whole if mask is None else rectangle(mask)
        # A rectangle of valid pixels is a box; any other mask is sampled beside the image.
        self.mask = None if mask is None or valid is not None else mask[None].to(image.dtype)
        rows, columns = valid or whole
        self.box = columns.start, rows.start, columns.stop - 1, rows.stop - 1
        self.shape = int(image.shape[-2]), int(image.shape[-1])
        self._native = has_warp(image)
        assert interpolation in (Interpolation.LINEAR, Interpolation.CUBIC)
        self.degree = 3 if interpolation is Interpolation.CUBIC else 1
        self.knots = image.contiguous() if self.degree == 1 else _knots(image)

    def warped(self, matrix: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the values (C, H, W) of the image on a frame, and the edge weights (H, W) of its pixels.

        The edge weight is zero on the outermost valid pixels and beyond them, and one from a pixel further in (the
        operator calls it depth); at the border of a hole it is the interpolated mask. A loss that is weighted by it has
        no jumps where pixels enter or leave the overlap.

        Args:
            matrix: (3, 3) float64 on the CPU, frame -> image.
            shape: (H, W) of the frame.
        """
        if self._native:
            values, edge_weight = warp(self.knots[0], matrix, shape, self.degree, self.box)
            valid = None if self.mask is None else warp(self.mask, matrix, shape, 1, self.box)[0]
        else:
            x, y = coordinates(matrix.to(self.knots.device, self.knots.dtype), shape)
            left, top, right, bottom = self.box
            values = self(x, y)[0]
            to_edge = torch.minimum(torch.minimum(x - left, right - x), torch.minimum(y - top, bottom - y))
            edge_weight = to_edge.clamp(0, 1)
            valid = None if self.mask is None else sampled_linear(self.mask[None], x, y)[0]
        return values, edge_weight if valid is None else torch.minimum(edge_weight, valid[0])

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return (1, C, h, w) values at coordinates x, y (h, w), by plain torch."""
        return sampled_linear(self.knots, x, y) if self.degree == 1 else sampled_cubic(self.knots, x, y)


# The cubic spline stands here for registration on any device; as native kernels
# (`zncc_cli.operators.warp`), with a recursive filter; and for resampling (`resampling.interpolators`), where each knot
# is one sum of float64 in one order, so that no part of an image differs by a bit from the whole. The three differ in
# their last bits, so that none can serve for another without a change of results.


def sampled_linear(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return (1, C, h, w) bilinear values of ``image`` (1, C, H, W), mirrored at its edge pixels, at x, y (h, w)."""
    height, width = image.shape[-2:]
    grid = torch.stack((x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1), dim=-1)
    grid = grid[None].to(image.dtype)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=True)


def sampled_cubic(knots: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return (1, C, h, w) values of the cubic spline with ``knots`` (1, C, H, W) at x, y (h, w)."""
    # A cubic spline is a weighted mean of four linear interpolations of its knots, two along each axis
    # (Ruijters and Thevenaz 2012, doi:10.1093/comjnl/bxq086).
    (left, x0, x1), (top, y0, y1) = _linear_pair(x), _linear_pair(y)
    above = left * sampled_linear(knots, x0, y0) + (1 - left) * sampled_linear(knots, x1, y0)
    below = left * sampled_linear(knots, x0, y1) + (1 - left) * sampled_linear(knots, x1, y1)
    return top * above + (1 - top) * below


def _linear_pair(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weight of the first of the two linear interpolations that make a cubic B-spline, and both places."""
    floor = x.floor()
    t = x - floor
    w1, w3 = (4 + t * t * (3 * t - 6)) / 6, t * t * t / 6
    first = (1 - t) ** 3 / 6 + w1
    return first, floor - 1 + w1 / first, floor + 1 + w3 / (1 - first)


def _knots(image: Tensor) -> Tensor:
    """Return the knots (1, C, H, W) of the cubic spline through ``image``, by its two-sided exponential filter."""
    if has_warp(image):
        return spline_knots(image[0])[None]
    for axis in (-2, -1):
        reach = min(_SPLINE_REACH, image.shape[axis] - 1)
        offsets = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
        kernel = -6 * SPLINE_POLE / (1 - SPLINE_POLE**2) * SPLINE_POLE ** offsets.abs()
        # A short image cuts the filter off: that must not change the image's mean.
        kernel = kernel / kernel.sum()
        pad = (0, 0, reach, reach) if axis == -2 else (reach, reach, 0, 0)
        kernel = kernel.view((1, 1, -1, 1) if axis == -2 else (1, 1, 1, -1))
        planes = F.pad(image, pad, mode="reflect").transpose(0, 1)
        image = convolve(planes, kernel).transpose(0, 1)
    return image


def inside(mask: Tensor | None, shape: tuple[int, int], x: Tensor, y: Tensor) -> Tensor:
    """Tell which points lie in the moving frame and between valid pixels only, (H, W) bool.

    Args:
        mask: (Hm, Wm) bool of valid moving pixels; None when all are.
        shape: (Hm, Wm).
        x, y: moving coordinates, (H, W), float.
    """
    in_frame = (x >= -EDGE) & (x <= shape[1] - 1 + EDGE) & (y >= -EDGE) & (y <= shape[0] - 1 + EDGE)
    if mask is None:
        return in_frame
    weight = Sampler(mask[None, None].to(x.dtype), Interpolation.LINEAR)(x, y)[0, 0]
    return in_frame & (weight >= 1 - max(_VALIDITY_ROUNDING, 16 * torch.finfo(weight.dtype).eps))


def in_front(matrix: np.ndarray, shape: tuple[int, int]) -> bool:
    """Tell whether the whole fixed frame (H, W) lies before the horizon of a homography, orientation kept."""
    g, h, last = np.asarray(matrix)[2].tolist()
    depths = [g * x + h * y + last for x in (0, shape[1] - 1) for y in (0, shape[0] - 1)]
    return min(depths) > 0.05 * max(depths) and _determinant(matrix) > 0


def _determinant(matrix: np.ndarray) -> float:
    """Return the determinant of a matrix (3, 3): in plain numbers it takes a tenth of the time of a library's call."""
    (a, b, c), (d, e, f), (g, h, i) = np.asarray(matrix, dtype=np.float64).tolist()
    return float(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))
