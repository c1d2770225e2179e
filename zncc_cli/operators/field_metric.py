"""The field metric: local ZNCC of a fixed image and of a moving one that a matrix and a B-spline warp.

Formulas: csrc/field_metric.h. By native kernels on a CPU and on CUDA, elsewhere in plain torch; all agree to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.operators.native_ops import is_native
from zncc_cli.operators.spline_system import basis

_NATIVE = torch.ops.zncc
# As in csrc/field_metric.h.
_MIN_VARIANCE, _MIN_SHARE, _MIN_DETERMINANT, _MIN_GRADIENT_SUM, _MIN_CORRELATION = 1e-6, 0.25, 0.05, 1e-8, 0.02


@dataclass(frozen=True, eq=False)
class FieldPlanes:
    """The images of a field metric; float32, contiguous.

    Attributes:
        fixed: (H, W), of about unit variance, finite.
        gradient: (2, H, W), of the fixed image, by x and y.
        knots: (Hm, Wm), of the moving image's cubic spline.
        box: left, top, right, bottom: the outermost columns and rows of the moving image that count.
        fixed_mask: (H, W) bool; None where all pixels are valid.
        moving_mask: (Hm, Wm), one where valid, where that is no box; None where it is.
    """

    fixed: Tensor
    gradient: Tensor
    knots: Tensor
    box: tuple[int, int, int, int]
    fixed_mask: Tensor | None = None
    moving_mask: Tensor | None = None


@dataclass(frozen=True)
class FieldWindows:
    """How windows are compared.

    Attributes:
        side: of the windows of the local ZNCC, pixels, odd.
        wide: of the windows in which both gradients are correlated.
        eps_fixed, eps_moving: variances at which a window counts half as much as one without noise.
        least_determinant: of the Jacobian; a pixel with less counts as folded.
    """

    side: int
    wide: int
    eps_fixed: float
    eps_moving: float
    least_determinant: float


@dataclass(frozen=True, eq=False)
class FieldMetric:
    """The field metric at one transform.

    Attributes:
        pixels: (9, H, W) float32: see the properties.
        maps: (5, H, W) float32: the local ZNCC z, the weight c, and the signal fraction e times the share that is
            valid, of the window around each pixel; the warped moving image, and one where both images are valid, zero
            elsewhere. None where they were not wanted.
        weight: the sum of c.
        zncc: the sum of c z.
        information: the trace of the curvature, summed over all pixels, without rho and with it.
        folded, valid: how many valid pixels are folded, and how many there are.
    """

    pixels: Tensor
    maps: Tensor | None
    weight: float
    zncc: float
    information: tuple[float, float]
    folded: int
    valid: int

    @property
    def scores(self) -> Tensor:
        """(2, H, W), by x and y of the moving image."""
        return self.pixels[:2]

    @property
    def curvature(self) -> Tensor:
        """(3, H, W), by xx, xy and yy."""
        return self.pixels[2:5]

    @property
    def residual(self) -> Tensor:
        """(H, W), the difference of the images in the units of their windows, times the root of c."""
        return self.pixels[5]

    @property
    def weighted_gradient(self) -> Tensor:
        """(2, H, W), of the fixed image."""
        return self.pixels[6:8]

    @property
    def determinant(self) -> Tensor:
        """(H, W), of the Jacobian of the transform, also where the images do not overlap."""
        return self.pixels[8]


def field_metric(
    planes: FieldPlanes,
    matrix: np.ndarray,
    coefficients: Tensor,
    spacing: float,
    windows: FieldWindows,
    *,
    weight: Tensor | None = None,
    with_maps: bool = False,
) -> FieldMetric:
    """Return the field metric of two images.

    Args:
        planes: the images.
        matrix: (3, 3), fixed -> moving, pixels.
        coefficients: (2, rows, columns), of the displacements upon it, pixels of the moving image.
        spacing: of their nodes, pixels.
        windows: how windows are compared.
        weight: (H, W) float32, of the window around each pixel; None for one.
        with_maps: whether the maps are wanted.
    """
    if not is_native(planes.fixed):
        return _reference(planes, matrix, coefficients, spacing, windows, weight, with_maps)
    height, width = planes.fixed.shape
    pixels = planes.fixed.new_empty((9, height, width))
    maps = planes.fixed.new_empty((5, height, width)) if with_maps else None
    # On CUDA one kernel adds up what the others leave.
    strips = _NATIVE.field_metric_strips(height, width, windows.wide) if planes.fixed.is_cpu else 1
    sums = planes.fixed.new_empty((strips, 6), dtype=torch.float64)
    numbers = (spacing, windows.eps_fixed, windows.eps_moving, windows.least_determinant)
    _NATIVE.field_metric(
        planes.fixed,
        planes.gradient,
        planes.knots,
        torch.tensor(planes.box, dtype=torch.float64),
        None if planes.fixed_mask is None else planes.fixed_mask.contiguous().view(torch.uint8),
        planes.moving_mask,
        torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float64)),
        coefficients.to(torch.float32).contiguous(),
        weight,
        windows.side,
        windows.wide,
        torch.tensor(numbers, dtype=torch.float64),
        sums,
        pixels,
        maps,
    )
    return _metric(pixels, maps, sums.sum(dim=0).tolist())


def _metric(pixels: Tensor, maps: Tensor | None, sums: list[float]) -> FieldMetric:
    weight, zncc, without, with_rho, folded, valid = sums
    return FieldMetric(pixels, maps, weight, zncc, (without, with_rho), round(folded), round(valid))


def _reference(
    planes: FieldPlanes,
    matrix: np.ndarray,
    coefficients: Tensor,
    spacing: float,
    windows: FieldWindows,
    weight: Tensor | None,
    with_maps: bool,
) -> FieldMetric:
    f, (fx, fy) = planes.fixed.double(), planes.gradient.double()
    (x, y), ((x_x, x_y), (y_x, y_y)), depth = _warped(matrix, coefficients.to(f), spacing, f)
    x, y, valid = _inside(planes, x, y, depth)
    if planes.fixed_mask is not None:
        valid &= planes.fixed_mask
    k = valid.double()
    determinant = x_x * y_y - x_y * y_x
    inverse = 1 / torch.where(determinant.abs() < _MIN_DETERMINANT, _MIN_DETERMINANT, determinant)
    px, py = (y_y * fx - y_x * fy) * inverse, (x_x * fy - x_y * fx) * inverse
    m, qx, qy = (k * plane for plane in _sampled(planes.knots.double(), x, y))

    n = _box(k, windows.side)
    by = 1 / n.clamp_min(1e-3 / windows.side**2)
    mean_f, mean_m = _box(k * f, windows.side) * by, _box(m, windows.side) * by
    signal_f = (_box(k * f * f, windows.side) * by - mean_f**2).clamp_min(0)
    signal_m = (_box(m * m, windows.side) * by - mean_m**2).clamp_min(0)
    v_f, v_m = signal_f + _MIN_VARIANCE, signal_m + _MIN_VARIANCE
    z = (_box(f * m, windows.side) * by - mean_f * mean_m) / (v_f * v_m).sqrt()
    e = (signal_f * signal_m / ((signal_f + windows.eps_fixed) * (signal_m + windows.eps_moving))).sqrt()
    pp, qq = _box(k * (px**2 + py**2), windows.wide), _box(qx**2 + qy**2, windows.wide)
    pq = _box(px * qx + py * qy, windows.wide)
    rho = (pq / ((pp + _MIN_GRADIENT_SUM) * (qq + _MIN_GRADIENT_SUM)).sqrt()).clamp(0, 1)
    share = torch.where(n >= _MIN_SHARE, n, 0)
    c = e * z.clamp_min(0) * share * rho**2
    c = c if weight is None else c * weight

    by_f, by_m = v_f.rsqrt(), v_m.rsqrt()
    t = c * (mean_f * by_f - mean_m * by_m)
    a, b, d = (k * _box(c * each, windows.side) for each in (by_f**2, by_f * by_m, by_m**2))
    r_f = f * a - m * b - k * _box(t * by_f, windows.side)
    r_m = f * b - m * d - k * _box(t * by_m, windows.side)
    xx = a * px**2 + 2 * b * px * qx + d * qx**2
    xy = a * px * py + b * (px * qy + py * qx) + d * qx * qy
    yy = a * py**2 + 2 * b * py * qy + d * qy**2
    told = rho.clamp_min(_MIN_CORRELATION) / 4
    root = a.clamp_min(0).sqrt()
    residual = torch.where(a > 1e-9, r_f / root.clamp_min(1e-6) * c.sqrt(), 0)
    scores = (r_f * px + r_m * qx) / 2, (r_f * py + r_m * qy) / 2
    pixels = torch.stack((*scores, told * xx, told * xy, told * yy, residual, root * px, root * py, determinant))
    maps = torch.stack((z, c, e * share, m, k)).float() if with_maps else None
    folded = valid & (determinant < windows.least_determinant)
    sums = (c.sum(), (c * z).sum(), (xx + yy).sum() / 4, (told * (xx + yy)).sum(), folded.sum(), k.sum())
    return _metric(pixels.float(), maps, [float(each) for each in sums])


_Pair = tuple[Tensor, Tensor]


def _warped(
    matrix: np.ndarray, coefficients: Tensor, spacing: float, frame: Tensor
) -> tuple[_Pair, tuple[_Pair, _Pair], Tensor]:
    """Return where the pixels of a frame (H, W) lie, (x, y), their derivatives by x and y, and the matrix's depth."""
    height, width = frame.shape
    axes = (height, coefficients.shape[1]), (width, coefficients.shape[2])
    down, across = (basis(n, nodes, spacing, like=frame) for n, nodes in axes)
    slope_down, slope_across = (basis(n, nodes, spacing, slope=True, like=frame) for n, nodes in axes)
    bend = down @ coefficients @ across.T
    by_x, by_y = down @ coefficients @ slope_across.T, slope_down @ coefficients @ across.T
    column = torch.arange(width, dtype=frame.dtype, device=frame.device)
    row = torch.arange(height, dtype=frame.dtype, device=frame.device)[:, None]
    M = np.asarray(matrix, dtype=np.float64).tolist()
    u, v, depth = (line[0] * column + line[1] * row + line[2] for line in M)
    to_x, to_y = u / depth, v / depth
    places = to_x + bend[0], to_y + bend[1]
    jacobian = [
        tuple((M[axis][k] - to * M[2][k]) / depth + by[axis] for k, by in enumerate((by_x, by_y)))
        for axis, to in enumerate((to_x, to_y))
    ]
    return places, ((jacobian[0][0], jacobian[0][1]), (jacobian[1][0], jacobian[1][1])), depth


def _inside(planes: FieldPlanes, x: Tensor, y: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return points (H, W) moved into the moving image, and which of them lay there between valid pixels."""
    left, top, right, bottom = planes.box
    valid = (depth > 0) & (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    x, y = torch.where(valid, x, left), torch.where(valid, y, top)
    if planes.moving_mask is not None:
        valid &= _between_valid(planes.moving_mask, x, y)
    return x, y, valid


def _between_valid(mask: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Tell which points lie between valid pixels of a mask (Hm, Wm) only, (H, W) bool."""
    columns = x.floor().long(), x.ceil().long()
    return torch.stack(
        [mask[rows, column] > 0 for rows in (y.floor().long(), y.ceil().long()) for column in columns]
    ).all(dim=0)


def _sampled(knots: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the value of the cubic spline with ``knots`` (Hm, Wm) at points (H, W), and its derivatives by x and y."""
    padded = F.pad(knots[None, None], (2, 2, 2, 2), mode="reflect")[0, 0]
    columns, rows = x.floor().long(), y.floor().long()
    (across, slope_across), (down, slope_down) = _cubic(x - columns), _cubic(y - rows)
    value = by_x = by_y = torch.zeros_like(x)
    for j in range(4):
        for i in range(4):
            knot = padded[rows + j + 1, columns + i + 1]
            value = value + knot * down[j] * across[i]
            by_x = by_x + knot * down[j] * slope_across[i]
            by_y = by_y + knot * slope_down[j] * across[i]
    return value, by_x, by_y


def _cubic(t: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the weights of the four knots around points at t in [0, 1], and their derivatives."""
    weights = [(1 - t) ** 3 / 6, t**3 / 2 - t**2 + 2 / 3, (-(t**3) + t**2 + t) / 2 + 1 / 6, t**3 / 6]
    return weights, [-((1 - t) ** 2) / 2, 1.5 * t**2 - 2 * t, -1.5 * t**2 + t + 0.5, t**2 / 2]


def _box(plane: Tensor, side: int) -> Tensor:
    """Return the sums over the windows around the pixels of a plane (H, W), over their number of pixels."""
    return F.avg_pool2d(plane[None, None], side, stride=1, padding=side // 2)[0, 0]
