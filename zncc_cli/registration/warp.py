"""THE coordinate convention, and resampling by it.

(x, y) in pixels; the centre of the top-left pixel is (0, 0). A transform maps FIXED coordinates to MOVING
coordinates (pull-back): ``warped(x, y) = moving(T(x, y))``. This file alone converts to the normalised
coordinates of `torch.nn.functional.grid_sample`.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.registration.pyramid import convolve, fill_holes


class Interpolation(str, Enum):
    """How values between pixels are found."""

    LINEAR = "linear"
    CUBIC = "cubic"


# Coordinates are good to this many pixels: what lies less beyond the frame's edge is on it.
_EDGE = 1e-9
# Sampled validity this close to one, or by some roundings, means that every pixel it was interpolated from is valid.
_LACK = 1e-9
# Pole of the filter that turns pixels into knots, and where the filter is cut: 0.268^16 is 7e-10.
_SPLINE_POLE = 3**0.5 - 2
_SPLINE_REACH = 16
_ROWS = 256  # rows resampled at a time, which bounds memory on large frames


def level_matrix(matrix: Tensor, factor: float) -> Tensor:
    """Return ``matrix`` (3, 3), given in full-resolution pixels, in the pixels of a level ``factor`` times coarser.

    Level pixel (i, j) lies on full-resolution pixel (factor i, factor j).
    """
    scale = matrix.new_tensor([factor, factor, 1.0])
    return matrix * scale[None, :] / scale[:, None]


def map_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map (..., 2) points (x, y) by a (3, 3) matrix; points on or behind the horizon become NaN."""
    matrix = np.asarray(matrix, dtype=np.float64)
    points = np.asarray(points, dtype=np.float64)
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    depth = mapped[..., 2:]
    out: np.ndarray = mapped[..., :2] / np.where(depth > 0, depth, np.nan)
    return out


def corners(shape: tuple[int, int]) -> np.ndarray:
    """Return the (4, 2) corner pixel centres (x, y) of a frame of (H, W)."""
    h, w = shape[0] - 1, shape[1] - 1
    return np.array([[0, 0], [w, 0], [w, h], [0, h]], dtype=np.float64)


def area_scale(matrix: np.ndarray, shape: tuple[int, int]) -> float:
    """Return moving pixels per fixed pixel, by area, at the centre of the fixed frame (H, W): det J = det M / w^3."""
    depth = matrix[2] @ [(shape[1] - 1) / 2, (shape[0] - 1) / 2, 1.0]
    return float(np.linalg.det(matrix) / depth**3)


def coordinates(matrix: Tensor, shape: tuple[int, int], first_row: int = 0) -> tuple[Tensor, Tensor]:
    """Return the moving coordinates x, y, each (H, W), of every fixed pixel; differentiable in ``matrix`` (3, 3).

    Args:
        matrix: fixed -> moving; its dtype and device are those of the result.
        shape: (H, W) of the fixed frame, or of a strip of it that starts at ``first_row``.
    """
    x = torch.arange(shape[1], dtype=matrix.dtype, device=matrix.device)
    y = torch.arange(first_row, first_row + shape[0], dtype=matrix.dtype, device=matrix.device)[:, None]
    u = matrix[0, 0] * x + (matrix[0, 1] * y + matrix[0, 2])
    v = matrix[1, 0] * x + (matrix[1, 1] * y + matrix[1, 2])
    g, h = matrix[2, 0], matrix[2, 1]
    if not matrix.requires_grad and not bool(g) and not bool(h):
        return u / matrix[2, 2], v / matrix[2, 2]
    w = g * x + (h * y + matrix[2, 2])
    return u / w, v / w


def matrix_products(
    matrix: Tensor, x: Tensor, y: Tensor, gx: Tensor, gy: Tensor, weight: Tensor, first: int = 0
) -> Tensor:
    """Return sum over pixels of weight J^T J, (9, 9), with J = g . d(x, y)/d(matrix), row-major.

    Args:
        matrix: (3, 3), fixed -> moving.
        x, y: its coordinates, (H, W), see `coordinates`.
        gx, gy: the gradient of a function of the coordinates there, (H, W).
        weight: (H, W).
        first: row and column of the fixed frame where these H x W pixels begin.
    """
    root = weight.sqrt()
    rows = _by_matrix(matrix, x, y, gx * root, gy * root, first).reshape(9, -1)
    return rows @ rows.T


def matrix_scores(matrix: Tensor, x: Tensor, y: Tensor, gx: Tensor, gy: Tensor, block: int) -> Tensor:
    """Return g . d(x, y)/d(matrix), row-major, summed over blocks of ``block`` x ``block`` pixels: (9, n).

    The arguments are those of `matrix_products`.
    """
    rows = _by_matrix(matrix, x, y, gx, gy, 0)[None]
    return F.avg_pool2d(rows, block, ceil_mode=True, divisor_override=1).reshape(9, -1)


def _by_matrix(matrix: Tensor, x: Tensor, y: Tensor, gx: Tensor, gy: Tensor, first: int) -> Tensor:
    """Return g . d(x, y)/d(matrix), row-major, (9, H, W)."""
    height, width = x.shape
    fx = torch.arange(first, first + width, dtype=x.dtype, device=x.device)
    fy = torch.arange(first, first + height, dtype=x.dtype, device=x.device)[:, None]
    depth = matrix[2, 0] * fx + (matrix[2, 1] * fy + matrix[2, 2])
    a, b = gx / depth, gy / depth
    c = -(a * x + b * y)
    return torch.stack([a * fx, a * fy, a, b * fx, b * fy, b, c * fx, c * fy, c])


class Sampler:
    """Values of an image between its pixels.

    Args:
        image: (1, C, H, W) float.
        interpolation: LINEAR, or CUBIC: the cubic spline through the pixels (Unser 1999, doi:10.1109/79.799930).
            Beyond the frame the image is mirrored at its edge pixels; `inside` tells where that happened.
    """

    def __init__(self, image: Tensor, interpolation: Interpolation) -> None:
        self._knots = _spline_knots(image) if interpolation is Interpolation.CUBIC else image
        self._at = self._cubic if interpolation is Interpolation.CUBIC else self._linear

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return (1, C, h, w) values at moving coordinates x, y (h, w); differentiable in both."""
        return self._at(x, y)

    def _linear(self, x: Tensor, y: Tensor) -> Tensor:
        height, width = self._knots.shape[-2:]
        grid = torch.stack((x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1), dim=-1)
        grid = grid[None].to(self._knots.dtype)
        return F.grid_sample(self._knots, grid, mode="bilinear", padding_mode="reflection", align_corners=True)

    def _cubic(self, x: Tensor, y: Tensor) -> Tensor:
        # A cubic spline is a weighted mean of four linear interpolations of its knots, two along each axis
        # (Ruijters and Thevenaz 2012, doi:10.1093/comjnl/bxq086).
        (left, x0, x1), (top, y0, y1) = _linear_pair(x), _linear_pair(y)
        above = left * self._linear(x0, y0) + (1 - left) * self._linear(x1, y0)
        below = left * self._linear(x0, y1) + (1 - left) * self._linear(x1, y1)
        return top * above + (1 - top) * below


def _linear_pair(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weight of the first of two linear interpolations that make the cubic B-spline at x, and where."""
    floor = x.detach().floor()
    t = x - floor
    w1, w3 = (4 + t * t * (3 * t - 6)) / 6, t * t * t / 6
    first = (1 - t) ** 3 / 6 + w1
    return first, floor - 1 + w1 / first, floor + 1 + w3 / (1 - first)


def _spline_knots(image: Tensor) -> Tensor:
    """Return the knots (1, C, H, W) of the cubic spline through ``image``, by its two-sided exponential filter."""
    for axis in (-2, -1):
        reach = min(_SPLINE_REACH, image.shape[axis] - 1)
        offsets = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
        kernel = -6 * _SPLINE_POLE / (1 - _SPLINE_POLE**2) * _SPLINE_POLE ** offsets.abs()
        # A short image cuts the filter: the cut off rest must not change the image's mean.
        kernel = kernel / kernel.sum()
        pad = (0, 0, reach, reach) if axis == -2 else (reach, reach, 0, 0)
        kernel = kernel.view((1, 1, -1, 1) if axis == -2 else (1, 1, 1, -1))
        planes = F.pad(image, pad, mode="reflect").transpose(0, 1)
        image = convolve(planes, kernel).transpose(0, 1)
    return image


def inside(mask: Tensor | None, shape: tuple[int, int], x: Tensor, y: Tensor) -> Tensor:
    """Return (H, W) bool: the point lies in the moving frame and between valid pixels only.

    Args:
        mask: (Hm, Wm) bool of valid moving pixels; None when all are.
        shape: (Hm, Wm).
        x, y: moving coordinates, (H, W), float.
    """
    held = (x >= -_EDGE) & (x <= shape[1] - 1 + _EDGE) & (y >= -_EDGE) & (y <= shape[0] - 1 + _EDGE)
    if mask is None:
        return held
    weight = Sampler(mask[None, None].to(x.dtype), Interpolation.LINEAR)(x, y)[0, 0]
    return held & (weight >= 1 - max(_LACK, 16 * torch.finfo(weight.dtype).eps))


def depth_inside(mask: Tensor | None, shape: tuple[int, int], x: Tensor, y: Tensor) -> Tensor:
    """Return (H, W) in [0, 1]: how safely the point lies among valid moving pixels; differentiable in x, y.

    Zero on the frame's edge and beyond it, one from a pixel further in; likewise at the border of the mask. A loss
    that is weighed by it has no jumps where pixels enter or leave the overlap.
    """
    depth = torch.minimum(torch.minimum(x, shape[1] - 1 - x), torch.minimum(y, shape[0] - 1 - y)).clamp(0, 1)
    if mask is None:
        return depth
    return torch.minimum(depth, Sampler(mask[None, None].to(x.dtype), Interpolation.LINEAR)(x, y)[0, 0])


def in_front(matrix: np.ndarray, shape: tuple[int, int]) -> bool:
    """Tell whether the whole fixed frame (H, W) lies before the horizon of a homography, orientation kept."""
    depth = np.column_stack([corners(shape), np.ones(4)]) @ np.asarray(matrix)[2]
    return bool(depth.min() > 0.05 * depth.max() and np.linalg.det(matrix) > 0)


def resample(
    image: np.ndarray, mask: np.ndarray, matrix: np.ndarray, shape: tuple[int, int], interpolation: Interpolation
) -> tuple[np.ndarray, np.ndarray]:
    """Put ``image`` on the fixed frame, in float64 strip by strip.

    Args:
        image: (Hm, Wm) or (Hm, Wm, C), any real dtype.
        mask: (Hm, Wm) bool of valid pixels; the values of the others are not used.
        matrix: (3, 3), fixed -> moving.
        shape: (H, W) of the fixed frame.
        interpolation: a shift by whole pixels copies values exactly, whatever the interpolation.

    Returns:
        The image on the fixed frame, float64, (H, W) or (H, W, C), and the (H, W) bool mask of pixels that are
        defined. Undefined pixels hold zero.
    """
    planes = image if image.ndim == 3 else image[..., None]
    out = np.zeros((*shape, planes.shape[2]))
    valid = np.zeros(shape, dtype=bool)
    exact = _whole_shift(matrix)
    if exact is not None:
        _copy_shifted(planes, mask, exact, out, valid)
    else:
        pixels = torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1), dtype=np.float64))
        sampler = Sampler(fill_holes(pixels[None], torch.from_numpy(mask)), interpolation)
        moving_mask = None if mask.all() else torch.from_numpy(mask)
        pull = torch.from_numpy(np.asarray(matrix, dtype=np.float64))
        for row in range(0, shape[0], _ROWS):
            x, y = coordinates(pull, (min(_ROWS, shape[0] - row), shape[1]), row)
            held = inside(moving_mask, image.shape[:2], x, y).numpy()
            out[row : row + _ROWS] = np.where(held[..., None], sampler(x, y)[0].numpy().transpose(1, 2, 0), 0)
            valid[row : row + _ROWS] = held
    return (out if image.ndim == 3 else out[..., 0]), valid


def _whole_shift(matrix: np.ndarray) -> tuple[int, int] | None:
    """Return (dx, dy) when the matrix is a shift by whole pixels and nothing else."""
    shift = np.asarray(matrix)[:2, 2]
    whole = np.rint(shift)
    pure = np.array([[1, 0, whole[0]], [0, 1, whole[1]], [0, 0, 1]])
    return (int(whole[0]), int(whole[1])) if np.array_equal(matrix, pure) else None


def _copy_shifted(
    planes: np.ndarray, mask: np.ndarray, shift: tuple[int, int], out: np.ndarray, valid: np.ndarray
) -> None:
    dx, dy = shift
    rows = slice(max(0, -dy), max(0, min(out.shape[0], planes.shape[0] - dy)))
    columns = slice(max(0, -dx), max(0, min(out.shape[1], planes.shape[1] - dx)))
    there = (slice(rows.start + dy, rows.stop + dy), slice(columns.start + dx, columns.stop + dx))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    valid[rows, columns] = mask[there]
    out[rows, columns] = np.where(mask[there][..., None], planes[there], 0)
