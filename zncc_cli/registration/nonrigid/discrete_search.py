"""Large motions, found by comparing the windows of a coarse level at all shifts of some pixels.

Every window votes for the shift at which it agrees best, less and less by itself and more and more by what its
neighbours say, over some rounds (as in Heinrich et al. 2014, doi:10.1007/978-3-319-10404-1_73, with one smooth field).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.operators import filters
from zncc_cli.operators.spline_system import SHIFT_STRIDE, shift_products
from zncc_cli.registration.nonrigid.field_level import FieldLevel
from zncc_cli.registration.nonrigid.smoothing import box_means, gaussian_taps

_ROUNDS = 5
_FIRST_COUPLING, _COUPLING_GROWTH = 0.008, 4.0  # of the squared distance to what the neighbours say, level pixels
_FIRST_SIGMA, _SIGMA_FALL, _LEAST_SIGMA = 6.0, 1.6, 1.0  # of the neighbourhood, strides
_MEDIAN_SIDE = 7  # of the first round, strides


def discrete_residual(level: FieldLevel, coefficients: Tensor, reach: int) -> Tensor:
    """Return the displacement (2, H, W) that is still missing at coefficients (2, rows, columns), level pixels.

    Args:
        level: of the pair.
        coefficients: of the field so far.
        reach: the largest shift along either axis, level pixels.
    """
    maps = level.at(coefficients, with_maps=True).maps
    assert maps is not None
    f, (m, valid) = level.planes.fixed, maps[3:5]
    side, count = level.windows.side, 2 * reach + 1
    mean_f, variance_f = (_sampled(plane) for plane in _moments(f, side))
    mean_m, variance_m = _moments(m, side)
    agreement = shift_products(f, m, side, reach)
    mean, variance, counts = (_at_all_shifts(plane, reach) for plane in (mean_m, variance_m, valid))
    scale = ((variance_f + level.windows.eps_fixed) * (variance + level.windows.eps_moving)).rsqrt_().mul_(counts)
    windows = agreement.view(count, count, *mean_f.shape)
    windows.div_(side**2).addcmul_(mean_f, mean, value=-1).mul_(scale)
    shifts = torch.tensor([(k % count - reach, k // count - reach) for k in range(count**2)], device=f.device)
    field = _coupled(agreement, shifts.to(f), variance_f / (variance_f + level.windows.eps_fixed))
    return F.interpolate(field[None], size=tuple(f.shape), mode="bilinear")[0]


def _coupled(agreement: Tensor, shifts: Tensor, signal: Tensor) -> Tensor:
    """Return the smooth field (2, h, w) that the windows agree on.

    Args:
        agreement: (shifts, h, w).
        shifts: (shifts, 2).
        signal: (h, w), the share of each window's variance that is no noise.
    """
    field = torch.zeros((2, *signal.shape), dtype=agreement.dtype, device=agreement.device)
    far = shifts.square().sum(dim=1)[:, None]
    for k in range(_ROUNDS):
        if k == 0:
            value, best = agreement.max(dim=0)
        else:
            coupling = _FIRST_COUPLING * _COUPLING_GROWTH ** (k - 1)
            # Less the squared distance between shift and field, but for the field's own square.
            held = torch.addmm(agreement.flatten(1), shifts, field.flatten(1), alpha=2 * coupling) - coupling * far
            best = held.argmax(dim=0).view(signal.shape)
            value = agreement.gather(0, best[None])[0]
        vote = shifts[best].permute(2, 0, 1)
        vote = _median(vote) if k == 0 else vote
        weight = value.clamp_min(0) ** 4 * signal + 1e-6
        sigma = max(_LEAST_SIGMA, _FIRST_SIGMA / _SIGMA_FALL**k)
        sums = filters.blur(torch.cat((vote * weight, weight[None]))[:, None], gaussian_taps(sigma))[:, 0]
        field = sums[:2] / sums[2]
    return field


def _moments(plane: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return mean and variance of the windows around the pixels of a plane (H, W)."""
    mean, square = box_means(torch.stack((plane, plane * plane)), side)
    return mean, (square - mean * mean).clamp_min(0)


def _sampled(plane: Tensor) -> Tensor:
    """Return a plane (H, W) at the windows of `shift_products`."""
    return plane[SHIFT_STRIDE // 2 :: SHIFT_STRIDE, SHIFT_STRIDE // 2 :: SHIFT_STRIDE]


def _at_all_shifts(plane: Tensor, reach: int) -> Tensor:
    """Return a plane (H, W) at the windows of `shift_products` and all of its shifts, zero beyond the frame.

    The result is a view (2 reach + 1, 2 reach + 1, rows, columns), by the shifts down and across.
    """
    height, width = ((n + 1) // SHIFT_STRIDE for n in plane.shape)
    count = 2 * reach + 1
    around = F.pad(plane, (reach,) * 4)
    stride = around.shape[1]
    first = (stride + 1) * (SHIFT_STRIDE // 2)
    return around.as_strided(
        (count, count, height, width), (stride, 1, SHIFT_STRIDE * stride, SHIFT_STRIDE), storage_offset=first
    )


def _median(planes: Tensor) -> Tensor:
    """Return the medians over windows of planes (2, h, w)."""
    reach = _MEDIAN_SIDE // 2
    padded = F.pad(planes[:, None], (reach,) * 4, mode="replicate")
    windows = F.unfold(padded, _MEDIAN_SIDE)
    return windows.median(dim=1).values.view(planes.shape)
