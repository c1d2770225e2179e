"""Lines of a scan that are shifted one by one, which no smooth field follows.

A scanning microscope that drifts or shakes records each line at another place. What a fit leaves of that is common to
the whole line: two halves of it, which share no pixel, tell the same shift, and noise does not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zncc_cli.operators.field_metric import FieldMetric

_PIECE_PX = 32  # of a line: every second piece is of one half
_LEAST_LINES = 64
# Of the correlation of both halves, by chance; and pixels. What sampling and blur leave is alike along a line where the
# motion is: of 62 pairs with a known field and no such lines some had more by chance, none that much. Jitter of 0.6 px
# is told as 0.49, and what a fit leaves of a walk by 0.35 px a line as 0.29.
_SIGMAS, _LEAST_SHIFT_PX = 8.0, 0.15


def line_shift(metric: FieldMetric) -> float:
    """Return by how much lines, rows or columns, are still shifted one by one, RMS, pixels; 0 if not surely.

    It is the largest of both axes and both components. Lines are blurred by the smoothing of the images, so that it
    is rather too small.
    """
    across = [_shift(metric.scores[k], metric.curvature[2 * k]) for k in (0, 1)]
    down = [_shift(metric.scores[k].T, metric.curvature[2 * k].T) for k in (0, 1)]
    most = max(*across, *down)
    return most if most >= _LEAST_SHIFT_PX else 0.0


def _shift(score: Tensor, curvature: Tensor) -> float:
    """Return the same of the rows of one component, (H, W) each."""
    height, width = score.shape
    if height < _LEAST_LINES or width < 2 * _PIECE_PX:
        return 0.0
    first = (torch.arange(width, device=score.device) // _PIECE_PX % 2 == 0).to(score)
    halves = torch.stack((first, 1 - first), dim=1)
    told, known = score @ halves, curvature @ halves  # (H, 2)
    seen = (known > known.mean() / 10).all(dim=1)
    shifts = (told / known.clamp_min(1e-9)).double()
    # From line to line, so that what bends over many lines does not count.
    steps = (shifts[1:] - shifts[:-1])[seen[1:] & seen[:-1]]
    if len(steps) < _LEAST_LINES:
        return 0.0
    common = float((steps[:, 0] * steps[:, 1]).mean())
    both = math.sqrt(float(steps[:, 0].square().mean() * steps[:, 1].square().mean()))
    if not common * math.sqrt(len(steps)) > _SIGMAS * both:
        return 0.0
    # What is left of slow drifts is common to lines that follow each other.
    return math.sqrt(max(common / 2, float((shifts[seen, 0] * shifts[seen, 1]).mean())))
