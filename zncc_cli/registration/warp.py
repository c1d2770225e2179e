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


class Interpolation(str, Enum):
    """How values between pixels are found; the names are those of `grid_sample`."""

    LINEAR = "bilinear"
    CUBIC = "bicubic"


# A coordinate this close to the frame's edge is on it: rounding in float32 must not cost a row of pixels.
_EDGE = {torch.float32: 1e-3, torch.float64: 1e-9}
# Sampled validity this close to one means that every pixel it was interpolated from is valid.
_ALL_VALID = 1 - 1e-3
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


def sample(image: Tensor, x: Tensor, y: Tensor, interpolation: Interpolation) -> Tensor:
    """Return (1, C, H, W) values of ``image`` (1, C, Hm, Wm) at moving coordinates x, y (H, W).

    Beyond the frame the value of the nearest edge pixel; `inside` tells where that happened.
    """
    height, width = image.shape[-2:]
    grid = torch.stack((x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1), dim=-1)
    return F.grid_sample(
        image, grid[None].to(image.dtype), mode=interpolation.value, padding_mode="border", align_corners=True
    )


def inside(mask: Tensor | None, shape: tuple[int, int], x: Tensor, y: Tensor) -> Tensor:
    """Return (H, W) bool: the point lies in the moving frame and between valid pixels only.

    Args:
        mask: (Hm, Wm) bool of valid moving pixels; None when all are.
        shape: (Hm, Wm).
        x, y: moving coordinates, (H, W).
    """
    edge = _EDGE[x.dtype]
    x, y = x.detach(), y.detach()
    held = (x >= -edge) & (x <= shape[1] - 1 + edge) & (y >= -edge) & (y <= shape[0] - 1 + edge)
    if mask is None:
        return held
    weight = sample(mask[None, None].to(x.dtype), x, y, Interpolation.LINEAR)[0, 0]
    return held & (weight >= _ALL_VALID)


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
        tensor = torch.from_numpy(np.ascontiguousarray(np.where(mask[..., None], planes, 0).transpose(2, 0, 1), float))
        moving_mask = None if mask.all() else torch.from_numpy(mask)
        pull = torch.from_numpy(np.asarray(matrix, dtype=np.float64))
        for row in range(0, shape[0], _ROWS):
            x, y = coordinates(pull, (min(_ROWS, shape[0] - row), shape[1]), row)
            held = inside(moving_mask, image.shape[:2], x, y).numpy()
            values = sample(tensor[None], x, y, interpolation)[0].numpy().transpose(1, 2, 0)
            out[row : row + _ROWS] = np.where(held[..., None], values, 0)
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
