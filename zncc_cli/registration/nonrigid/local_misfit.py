"""Where images differ more than elsewhere after a fit: what noise and misfit leave is not alike everywhere.

One temperature holds for a whole level. Where the field cannot follow (depth edges, cracks, things that only one image
shows) the images differ more than that, and the field is known less well.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zncc_cli.operators.field_metric import FieldMetric
from zncc_cli.registration.nonrigid.smoothing import box_means_at

# Of the ZNCC, less than usual. Of 75 pairs in whose truth nothing tears, one had more than a thousandth of such points
# (bright light on one side); beside cracks and depth edges 86 to 95 percent of them were off by more than a pixel.
_MUCH_LESS_ZNCC = 0.3
_KNOWN_SHARE = 0.1  # of the mean weight of a window: with less weight a window is held to be as all are


def local_misfit(metric: FieldMetric, side: int, step: int) -> Tensor:
    """Return the mean squared residual around some pixels over that of the whole frame, (h, w), one on average.

    Args:
        metric: of a field, with maps.
        side: of the window around a pixel, odd.
        step: of the pixels, of which the first is at step // 2.
    """
    assert metric.maps is not None
    residual, weights = metric.residual, metric.maps[1]

    def planes(rows: slice) -> Tensor:
        return torch.stack((residual[rows].square(), weights[rows]))

    squares, weight = box_means_at(planes, len(weights), side, step)
    usual = squares.double().mean() / weight.double().mean().clamp_min(1e-12)
    least = float(_KNOWN_SHARE * weight.double().mean())
    ratio: Tensor = (squares + least * usual) / ((weight + least) * usual).clamp_min(1e-30)
    return ratio


def unmatched(metric: FieldMetric, side: int, step: int, least_signal: float) -> Tensor:
    """Tell around which pixels both images show texture and do not agree though they do elsewhere, (h, w) bool.

    Args:
        metric: of a field, with maps.
        side: of the window around a pixel, odd.
        step: of the pixels, of which the first is at step // 2.
        least_signal: share of a window's variance that is no noise.
    """
    assert metric.maps is not None
    z, _, signal = metric.maps[:3]

    def planes(rows: slice) -> Tensor:
        return torch.stack(((1 - z[rows]) * signal[rows], signal[rows]))

    less, weight = box_means_at(planes, len(z), side, step)
    missing = less / weight.clamp_min(1e-6)
    seen: Tensor = signal[step // 2 :: step, step // 2 :: step] > least_signal
    if bool(seen.any()):
        seen = seen & (missing > missing[seen].median() + _MUCH_LESS_ZNCC)
    return seen
