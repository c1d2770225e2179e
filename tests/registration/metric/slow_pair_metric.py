"""The pair metric by its definition (csrc/pair_metric.h), window by window and pixel by pixel, in NumPy and float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from zncc_cli.operators.pair_metric import MetricWeights, PairPlanes

_MIN_WINDOW_SHARE = 0.6


@dataclass(frozen=True)
class SlowMetric:
    """What the pair metric is; shapes as in `PairSums`, but scores of single pixels.

    Attributes:
        W, e, z, z2: (H-h+1, W-h+1), edge weight, signal, local ZNCC, and that with the second eps.
        edge: (H, W), how far each pixel lies inside both images.
        scores: (9, H, W).
        curvature: (9, 9).
        pixels: (5, H, W).
    """

    W: np.ndarray
    e: np.ndarray
    z: np.ndarray
    z2: np.ndarray
    edge: np.ndarray
    scores: np.ndarray
    curvature: np.ndarray
    pixels: np.ndarray


def slow_pair_metric(
    planes: PairPlanes,
    transform: torch.Tensor,
    h: int,
    by: MetricWeights,
    weight: torch.Tensor | None,
    projective: bool,
) -> SlowMetric:
    """Return the pair metric; arguments as of `pair_metric`."""
    f = planes.fixed.double().numpy()
    shape, windows = f.shape, (f.shape[0] - h + 1, f.shape[1] - h + 1)
    u, v, of_matrix, slope = _motion(transform.double().numpy(), shape)
    m, valid, of_moving = (
        np.ones(shape) if plane is None else _sampled(plane.double().numpy(), degree, u, v)
        for plane, degree in ((planes.knots, planes.degree), (planes.moving_mask, 1), (planes.moving_measured, 1))
    )
    left, top, right, bottom = planes.box
    edge = np.clip(np.min([u - left, right - u, v - top, bottom - v], axis=0), 0, 1)
    edge = np.minimum(edge, valid)
    if planes.fixed_mask is not None:
        edge = np.where(planes.fixed_mask.numpy(), edge, 0)
    of_fixed = 1.0 if planes.fixed_measured is None else planes.fixed_measured.double().numpy()
    q = np.clip(of_moving, 0, 1) * of_fixed
    across, down = _slopes((f + m) / 2)
    g = np.empty((*shape, 2))
    for at in np.ndindex(shape):
        g[at] = np.linalg.solve(slope[at].T, [across[at], down[at]])
    G = np.einsum("yxi,yxij->yxj", g, of_matrix)  # derivatives by the entries of the matrix
    if not projective:
        G[..., 6:] = 0
        of_matrix = of_matrix.copy()
        of_matrix[..., 6:] = 0
    W, e, z, z2 = (np.empty(windows) for _ in range(4))
    curvature = np.zeros((9, 9))
    difference, used, share = (np.zeros(shape) for _ in range(3))
    for y, x in np.ndindex(windows):
        part = slice(y, y + h), slice(x, x + h)
        centre = y + h // 2, x + h // 2
        fw, mw, gw = f[part] - f[part].mean(), m[part] - m[part].mean(), g[part]
        plain_f, plain_m, covariance = (fw**2).sum(), (mw**2).sum(), (fw * mw).sum()
        v_f, v_m = plain_f + by.eps_fixed, plain_m + by.eps_moving
        z[y, x] = covariance / np.sqrt(v_f * v_m)
        z2[y, x] = covariance / np.sqrt((plain_f + by.second_fixed) * (plain_m + by.second_moving))
        e[y, x] = plain_f / (by.alpha * plain_f + by.beta)
        W[y, x] = edge[part].min() * (1 if weight is None else float(weight[y, x]))
        c = W[y, x] * (1 + by.kappa * (e[y, x] - 1)) * max(0, z[y, x])
        # A f - B m + C is the difference of the two, each less its mean.
        difference[part] += c / np.sqrt(v_f * v_m) * fw - c / v_m * mw
        used[part] += W[y, x] > 0
        s = c * z[y, x] / v_m
        share[part] += s
        mean = gw.sum(axis=(0, 1)) @ of_matrix[centre]
        contrast = np.einsum("yx,yxi->i", mw, gw - gw.mean(axis=(0, 1))) @ of_matrix[centre]
        curvature -= q[centre] * s * (np.outer(mean, mean) / h**2 + np.outer(contrast, contrast) / max(v_m, by.floor))
    difference = difference / np.maximum(used / h**2, _MIN_WINDOW_SHARE) * q
    share = share * q
    curvature += np.einsum("yx,yxi,yxj->ij", share, G, G)
    gx, gy = g[..., 0], g[..., 1]
    pixels = np.array([difference * gx, difference * gy, share * gx * gx, share * gx * gy, share * gy * gy])
    return SlowMetric(W, e, z, z2, edge, np.moveaxis(difference[..., None] * G, -1, 0), curvature, pixels)


def _motion(transform: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return u, v (H, W), d(u, v) / dM (H, W, 2, 9) and d(u, v) / d(x, y) (H, W, 2, 2)."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    place = np.stack([x, y, np.ones(shape)], axis=-1)
    field = transform.ndim == 3
    M = np.eye(3) if field else transform
    along_u, along_v, depth = np.moveaxis(place @ M.T, -1, 0)
    u, v = along_u / depth, along_v / depth
    if field:
        u, v = x + transform[..., 0], y + transform[..., 1]
    unit = place / depth[..., None]
    zero = np.zeros_like(unit)
    by_matrix = np.stack(
        [
            np.concatenate([unit, zero, -u[..., None] * unit], axis=-1),
            np.concatenate([zero, unit, -v[..., None] * unit], axis=-1),
        ],
        axis=-2,
    )
    if field:
        slope = np.stack([np.stack(_slopes(plane), axis=-1) for plane in (u, v)], axis=-2)
    else:
        slope = np.stack(
            [np.stack([(M[i, j] - at * M[2, j]) / depth for j in (0, 1)], axis=-1) for i, at in ((0, u), (1, v))],
            axis=-2,
        )
    return u, v, by_matrix, slope


def _slopes(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return d/dx and d/dy (H, W) by central differences, one-sided ones at the borders; zero along a single pixel."""
    across, down = (np.gradient(plane, axis=axis) if plane.shape[axis] > 1 else np.zeros_like(plane) for axis in (1, 0))
    return across, down


def _sampled(knots: np.ndarray, degree: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the sum over all knots, mirrored at the outermost ones, of the knots times their B-splines."""
    values = np.empty(u.shape)
    for at in np.ndindex(u.shape):
        rows, by_row = _knots(v[at], degree, knots.shape[0])
        columns, by_column = _knots(u[at], degree, knots.shape[1])
        values[at] = by_row @ knots[np.ix_(rows, columns)] @ by_column
    return values


def _knots(at: float, degree: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the knots around a point on an axis of n knots, and the values of their B-splines there."""
    places = int(np.floor(at)) + np.arange(-1, 3)
    d = np.abs(at - places)
    if degree == 1:
        values = np.maximum(1 - d, 0)
    else:
        values = np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.maximum(2 - d, 0) ** 3 / 6)
    period = max(2 * (n - 1), 1)
    folded = np.mod(places, period)
    return np.minimum(folded, period - folded) if n > 1 else np.zeros(4, int), values
