"""The pair metric in plain torch, for any device: the twin of the native kernel. Formulas: csrc/pair_metric.h."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zncc_cli.operators.pair_metric import BLOCK, CellGrid, MetricWeights, PairPlanes, PairSums, Totals, Wanted
from zncc_cli.registration.metric.local_zncc import variance_and_covariance
from zncc_cli.registration.metric.matrix_gradient import MatrixGradient
from zncc_cli.registration.metric.windows import over_windows, pixel_sums, window_sums, window_variance
from zncc_cli.registration.warp import applied, coordinates, sampled_cubic, sampled_linear

_MIN_WINDOW_SHARE = 0.6  # kMinWindowShare in csrc/pair_metric.h
_FAR = 1e9  # pixels: kMaxCoordinate in csrc/cpu/warp.h
_TILE_SHAPE = 64, 128  # kStepRows and kStepColumns in csrc/pair_metric_data.h


def torch_pair_metric(
    planes: PairPlanes,
    transform: Tensor,
    window: int,
    weights: MetricWeights,
    wanted: Wanted,
    *,
    weight: Tensor | None = None,
    tile_step: int = 1,
    projective: bool = False,
) -> PairSums:
    """Return what `zncc_cli.operators.pair_metric.pair_metric` returns; arguments as there."""
    f, n = planes.fixed, window**2
    shape = int(f.shape[0]), int(f.shape[1])
    x, y = _coordinates(transform, f, shape)
    m = (sampled_cubic if planes.degree == 3 else sampled_linear)(planes.knots[None, None], x, y)[0, 0]
    edge, measured = _edge_weight(planes, x, y), _measured(planes, x, y)
    W = over_windows(edge, window, torch.minimum)
    W = W if weight is None else W * weight
    v_f = window_variance(f, window)
    v_m, covariance = variance_and_covariance(f, v_f, m, window)
    variance = v_f.clamp_min(0)
    e = variance / (weights.alpha * variance + weights.beta)
    v_f, v_m = variance + weights.eps_fixed, v_m.clamp_min(0) + weights.eps_moving
    root = (v_f * v_m).sqrt()
    z = covariance / root
    own = _tiles(shape, tile_step, f.device)
    own_windows = own[: W.shape[0], : W.shape[1]]
    counted = W * own_windows
    sums = [float((counted * plane).double().sum()) for plane in (torch.ones_like(z), e, z, e * z)]
    sums.append(float((edge * own).double().sum()))
    cells = None
    if wanted.cells is not None:
        second = (v_f - weights.eps_fixed + weights.second_fixed) * (v_m - weights.eps_moving + weights.second_moving)
        z2 = covariance / second.sqrt()
        stacked = torch.stack((counted, counted * e, counted * z, counted * e * z, counted * z2))
        cells = _cell_sums(stacked, wanted.cells, window)
    z_map, w_map = (z, counted * e) if wanted.maps else (None, None)
    if not (wanted.scores or wanted.curvature or wanted.pixels):
        return PairSums(Totals(*sums), cells, None, None, z_map, w_map, None)
    gx, gy = _pulled(transform, x, y, *gradients((f + m) / 2))
    c = W * (1 + weights.kappa * (e - 1)) * z.clamp_min(0)
    by_f, by_m = c / root, c / v_m
    means = (by_m * window_sums(m, window) - by_f * window_sums(f, window)) / n
    used = pixel_sums((W > 0).to(f), window) / n
    difference = f * pixel_sums(by_f, window) - m * pixel_sums(by_m, window) + pixel_sums(means, window)
    difference = difference / used.clamp_min(_MIN_WINDOW_SHARE)
    difference = difference if measured is None else difference * measured
    share = by_m * z
    matrix = torch.eye(3, dtype=torch.float64) if transform.dim() == 3 else transform
    scores = curvature = pixels = None
    if wanted.scores:
        scores = MatrixGradient.of(matrix, gx, gy, projective, at=(x, y)).scores(difference * own, BLOCK)
    if wanted.curvature:
        curvature = _curvature(
            matrix, (x, y), m, (gx, gy), share, v_m, window, weights.floor, projective, measured, own
        )
    if wanted.pixels:
        sum_share = pixel_sums(share, window)
        sum_share = sum_share if measured is None else sum_share * measured
        pixels = torch.stack(
            (difference * gx, difference * gy, sum_share * gx * gx, sum_share * gx * gy, sum_share * gy * gy)
        )
    return PairSums(Totals(*sums), cells, scores, curvature, z_map, w_map, pixels)


def gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return d/dx and d/dy of ``image`` (H, W) by central differences, per pixel; zero along a single pixel."""
    y, x = (torch.gradient(image, dim=k)[0] if image.shape[k] > 1 else torch.zeros_like(image) for k in (0, 1))
    return x, y


def _coordinates(transform: Tensor, like: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the moving coordinates x, y (H, W) of every fixed pixel, by a matrix or by displacements.

    What is no number, or too large for one, lies far beyond every image.
    """
    if transform.dim() == 2:
        x, y = coordinates(transform.to(like), shape)
    else:
        y, x = (torch.arange(n, dtype=like.dtype, device=like.device) for n in shape)
        x, y = x + transform[..., 0], y[:, None] + transform[..., 1]
    return x.nan_to_num(_FAR, _FAR, -_FAR), y.nan_to_num(_FAR, _FAR, -_FAR)


def _edge_weight(planes: PairPlanes, x: Tensor, y: Tensor) -> Tensor:
    """Return how far each pixel lies inside both images, (H, W), in [0, 1]."""
    left, top, right, bottom = planes.box
    inside = torch.minimum(torch.minimum(x - left, right - x), torch.minimum(y - top, bottom - y)).clamp(0, 1)
    if planes.moving_mask is not None:
        inside = torch.minimum(inside, sampled_linear(planes.moving_mask[None, None], x, y)[0, 0])
    return inside if planes.fixed_mask is None else torch.where(planes.fixed_mask, inside, 0)


def _measured(planes: PairPlanes, x: Tensor, y: Tensor) -> Tensor | None:
    """Return the product of both images' measured shares, (H, W); None where all was measured."""
    if planes.moving_measured is None:
        return planes.fixed_measured
    warped = sampled_linear(planes.moving_measured[None, None], x, y)[0, 0].clamp(0, 1)
    return warped if planes.fixed_measured is None else planes.fixed_measured * warped


def _pulled(transform: Tensor, x: Tensor, y: Tensor, fx: Tensor, fy: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient (fx, fy) of an image on the fixed frame in moving coordinates: (d(x, y))^-T (fx, fy)."""
    if transform.dim() == 3:
        (a, b), (c, d) = gradients(x), gradients(y)
        determinant = a * d - b * c
        by = torch.where(determinant != 0, 1 / determinant, 0)
        return (d * fx - c * fy) * by, (a * fy - b * fx) * by
    return pulled(transform, fx, fy)


def pulled(matrix: Tensor, fx: Tensor, fy: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient (fx, fy) of an image on the fixed frame, in moving coordinates: (dT/dx)^-T (fx, fy).

    ``matrix`` is (3, 3) float64 on the CPU.
    """
    if not bool(matrix[2, :2].any()):
        (a, b), (c, d) = torch.linalg.inv(matrix[:2, :2] / matrix[2, 2]).T.tolist()
        return a * fx + b * fy, c * fx + d * fy
    shape = int(fx.shape[0]), int(fx.shape[1])
    pull = matrix.to(fx)
    x, y = coordinates(pull, shape)
    # dT/dx times the depth, which the factor takes out again.
    (a, b, _), (c, d, _), (g, h, _) = pull
    a, b, c, d = a - x * g, b - x * h, c - y * g, d - y * h
    factor = applied(pull[2], shape) / (a * d - b * c)
    return (d * fx - c * fy) * factor, (a * fy - b * fx) * factor


def _curvature(
    matrix: Tensor,
    at: tuple[Tensor, Tensor],
    m: Tensor,
    gradient: tuple[Tensor, Tensor],
    share: Tensor,
    v_m: Tensor,
    window: int,
    floor: float,
    projective: bool,
    measured: Tensor | None,
    own: Tensor,
) -> Tensor:
    """Return the curvature (9, 9); ``share`` (H-w+1, W-w+1) is s, ``own`` (H, W) which pixels and windows count."""
    gx, gy = gradient
    sum_share = pixel_sums(share, window) * own
    sum_share = sum_share if measured is None else sum_share * measured
    all_pixels = MatrixGradient.of(matrix, gx, gy, projective, at=at).products(sum_share)
    height, width = share.shape
    centre = window // 2
    middle = slice(centre, centre + height), slice(centre, centre + width)
    share = share * own[:height, :width] if measured is None else share * own[:height, :width] * measured[middle]
    S_m, S_x, S_y = (window_sums(plane, window) for plane in (m, gx, gy))
    cov_x, cov_y = (window_sums(g * m, window) - S * S_m / window**2 for g, S in ((gx, S_x), (gy, S_y)))
    at_centre = at[0][middle], at[1][middle]
    by_mean = MatrixGradient.of(matrix, S_x, S_y, projective, centre, at_centre).products(share / window**2)
    by_contrast = MatrixGradient.of(matrix, cov_x, cov_y, projective, centre, at_centre).products(
        share / v_m.clamp_min(floor)
    )
    return all_pixels - by_mean - by_contrast


def _cell_sums(planes: Tensor, cells: CellGrid, window: int) -> Tensor:
    """Return the sums of planes (C, h, w) over the windows of each cell, (C, rows, columns) float64."""
    sums = planes.new_zeros((len(planes), cells.rows, cells.columns), dtype=torch.float64)
    for axis, (first, side, count) in enumerate(
        ((cells.top, cells.height, cells.rows), (cells.left, cells.width, cells.columns))
    ):
        place = torch.arange(planes.shape[axis + 1], device=planes.device) - first
        index = place.div(side, rounding_mode="floor")
        outside = (index < 0) | (index >= count)
        if cells.inside:
            outside = outside | (place % side > side - window)
        index = torch.where(outside, count, index)
        shape = list(planes.shape)
        shape[axis + 1] = count + 1
        planes = planes.double().new_zeros(shape).index_add_(axis + 1, index, planes.double())
        planes = planes.narrow(axis + 1, 0, count)
    return sums.copy_(planes).cpu()


def tile_shift(tile_step: int) -> int:
    """Return by how many tiles those that count are shifted from a row of tiles to the next.

    The shift is near the golden section of the step and has no divisor in common with it, so that every row and every
    column of tiles has its turn: tile_shift in csrc/pair_metric_data.h.
    """
    shift = (tile_step * 618 + 500) // 1000
    while math.gcd(shift, tile_step) != 1:
        shift += 1
    return shift


def _tiles(shape: tuple[int, int], tile_step: int, device: torch.device) -> Tensor:
    """Return one for the pixels of every ``tile_step``-th tile, zero for others, (H, W) float."""
    if tile_step == 1:
        return torch.ones(shape, device=device)
    rows, columns = (torch.arange(n, device=device) // side for n, side in zip(shape, _TILE_SHAPE, strict=True))
    return ((columns + rows[:, None] * tile_shift(tile_step)) % tile_step == 0).float()
