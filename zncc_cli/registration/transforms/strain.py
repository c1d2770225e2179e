"""Strain from displacements: the gradient of a plane fitted in a window around each pixel, and what follows from it.

    u(x) = T(x) - x                      displacement of a fixed pixel, (x, y) in pixels, y downwards
    F = I + grad u                       deformation gradient; grad u is that of the plane that fits best, by least
                                         squares, in a square window of ``gauge`` pixels a side: the gauge length
    E = (F^T F - I) / 2                  Green-Lagrange strain
    F = R U,  e = U - I                  engineering strain: change of length over length, after the rotation R
    e1 >= e2                             principal engineering strains, the eigenvalues of e
    rotation = atan2(F_yx - F_xy, F_xx + F_yy)   radians, from x towards y: clockwise on a screen
    det F                                ratio of areas

Strains are of the fixed image's frame (Lagrangian), and free of rotation. Pan, Asundi, Xie and Gao 2009, "Digital image
correlation using iterative least squares and pointwise least squares for displacement field and strain field
measurements", doi:10.1016/j.optlaseng.2008.10.014; Bonet and Wood 2008, "Nonlinear continuum mechanics for finite
element analysis", doi:10.1017/CBO9780511755446.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]

_MIN_SHARE = 0.5  # of a window's pixels: a plane through fewer extrapolates


@dataclass(frozen=True, eq=False)
class Strain:
    """Strains of pixels, (...) float64 each; NaN where they are not known, and where the transform folds.

    Attributes:
        exx, eyy, exy: engineering strain, e of the module; exy is half of the shear angle's tangent.
        e1, e2: its principal values, the larger one first.
        rotation: radians, from x towards y.
        green_exx, green_eyy, green_exy: Green-Lagrange strain.
        determinant: ratio of areas; known where the transform folds, too.
    """

    exx: _Floats
    eyy: _Floats
    exy: _Floats
    e1: _Floats
    e2: _Floats
    rotation: _Floats
    green_exx: _Floats
    green_eyy: _Floats
    green_exy: _Floats
    determinant: _Floats


def strain_of(gradients: _Floats) -> Strain:
    """Return the strain of displacement gradients (..., 2, 2): entry (i, j) is the derivative of u_i by x_j."""
    f = gradients + np.eye(2)
    xx, xy, yx, yy = f[..., 0, 0], f[..., 0, 1], f[..., 1, 0], f[..., 1, 1]
    determinant = xx * yy - xy * yx
    area = np.where(determinant > 0, determinant, np.nan)  # the square root of det C
    cxx, cyy, cxy = xx**2 + yx**2, xy**2 + yy**2, xx * xy + yx * yy  # C = F^T F
    # The square root of a 2 x 2 matrix: U = (C + det U I) / tr U, by Cayley and Hamilton.
    trace = np.sqrt(cxx + cyy + 2 * area)
    spread = np.hypot((cxx - cyy) / 2, cxy) / trace  # half the difference of the principal stretches
    known = area / area  # one, or NaN at folds
    return Strain(
        exx=(cxx + area) / trace - 1,
        eyy=(cyy + area) / trace - 1,
        exy=cxy / trace,
        e1=trace / 2 + spread - 1,
        e2=trace / 2 - spread - 1,
        rotation=np.arctan2(yx - xy, xx + yy) * known,
        green_exx=(cxx - 1) / 2 * known,
        green_eyy=(cyy - 1) / 2 * known,
        green_exy=cxy / 2 * known,
        determinant=determinant,
    )


def plane_gradients(displacements: _Floats, gauge: int) -> tuple[_Floats, _Floats]:
    """Return the gradients of the planes that fit displacements best in a square window around each pixel.

    Args:
        displacements: (h, w, 2), pixels; NaN where they are not known. Such pixels are left out of the windows, and
            windows end at the edge of the array.
        gauge: side of the windows, an odd number of pixels, at least 3.

    Returns:
        Gradients (h, w, 2, 2), as for `strain_of`, NaN where less than half of the window is known or the pixel itself
        is not; and the share of each window that is known, (h, w).
    """
    height, width = displacements.shape[:2]
    known = np.asarray(np.isfinite(displacements).all(axis=-1))
    u = np.where(known[..., None], displacements, 0.0)
    weight = known.astype(np.float64)
    # Counted from the middle, so that the products stay small.
    x = np.arange(width) - (width - 1) / 2
    y = (np.arange(height) - (height - 1) / 2)[:, None]
    count = _window_sums(weight, gauge)
    enough = known & (count >= _MIN_SHARE * gauge**2)
    n = np.where(enough, count, np.nan)
    mean_x, mean_y = (_window_sums(weight * along, gauge) / n for along in (x, y))
    sxx = _window_sums(weight * x**2, gauge) - n * mean_x**2
    syy = _window_sums(weight * y**2, gauge) - n * mean_y**2
    sxy = _window_sums(weight * x * y, gauge) - n * mean_x * mean_y
    determinant = sxx * syy - sxy**2
    gradients = np.empty((height, width, 2, 2))
    for axis in range(2):
        values = u[..., axis]
        total = _window_sums(values, gauge)
        by_x = _window_sums(values * x, gauge) - total * mean_x
        by_y = _window_sums(values * y, gauge) - total * mean_y
        gradients[..., axis, 0] = (by_x * syy - by_y * sxy) / determinant
        gradients[..., axis, 1] = (by_y * sxx - by_x * sxy) / determinant
    return gradients, count / gauge**2


def _window_sums(values: _Floats, side: int) -> _Floats:
    """Return the sums (h, w) over the square window of ``side`` pixels around each pixel, cut at the edges."""
    for axis in (0, 1):
        ends = np.arange(values.shape[axis])
        first, last = np.maximum(ends - side // 2, 0), np.minimum(ends + side // 2 + 1, len(ends))
        sums = np.insert(np.cumsum(values, axis=axis), 0, 0.0, axis=axis)
        values = np.asarray(np.take(sums, last, axis=axis) - np.take(sums, first, axis=axis))
    return values
