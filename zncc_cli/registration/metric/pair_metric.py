"""The pair metric of two images: the one metric of descents, refinement and verdict. Formulas: csrc/pair_metric.h.

A native kernel computes it in one pass where there is one; else plain torch does.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from zncc_cli.operators.filters import is_full
from zncc_cli.operators.pair_metric import MetricWeights, PairPlanes, PairSums, Wanted, has_pair_metric, pair_metric
from zncc_cli.registration.metric.torch_pair_metric import torch_pair_metric
from zncc_cli.registration.warp import Sampler, in_front


class PairMetric:
    """Two images and how their windows count: what does not change from one transform to the next.

    Args:
        fixed: (H, W) float, of about unit variance, finite where it is not valid, too.
        fixed_mask: (H, W) bool, valid pixels; None where all are.
        moving: the moving image with its mask.
        window: side of the windows, pixels.
        weights: how a window counts by what it holds.
        measured: the share of each pixel of fixed (H, W) and of moving that was measured; None where all was.
    """

    def __init__(
        self,
        fixed: Tensor,
        fixed_mask: Tensor | None,
        moving: Sampler,
        window: int,
        weights: MetricWeights,
        measured: tuple[Tensor | None, Sampler | None] = (None, None),
    ) -> None:
        self.shape = int(fixed.shape[0]), int(fixed.shape[1])
        self.moving_shape = moving.shape
        self.window, self.weights, self.sampler = window, weights, moving
        of_fixed, of_moving = measured
        self.planes = PairPlanes(
            fixed.contiguous(),
            moving.knots[0, 0],
            moving.degree,
            moving.box,
            None if fixed_mask is None or is_full(fixed_mask) else fixed_mask,
            None if moving.mask is None else moving.mask[0],
            None if of_fixed is None else of_fixed.contiguous(),
            None if of_moving is None else of_moving.knots[0, 0],
        )
        self._window_weight: Tensor | None = None

    def at(
        self, transform: np.ndarray | Tensor, wanted: Wanted, *, projective: bool = False, tile_step: int = 1
    ) -> PairSums | None:
        """Return the metric at a transform; None where the horizon crosses the frame.

        Args:
            transform: (3, 3), fixed -> moving, pixels; or a tensor (H, W, 2) of the displacements (x, y).
            wanted: what is computed beside the sums.
            projective: whether the last row of the matrix may change.
            tile_step: only every which tile of the frame counts; 1 for all.
        """
        if isinstance(transform, np.ndarray):
            if not in_front(transform, self.shape):
                return None
            transform = torch.from_numpy(np.ascontiguousarray(transform, dtype=np.float64))
        compute = pair_metric if has_pair_metric(self.planes.fixed, self.window) else torch_pair_metric
        return compute(
            self.planes,
            transform,
            self.window,
            self.weights,
            wanted,
            weight=self._window_weight,
            tile_step=tile_step,
            projective=projective,
        )

    def among(self, windows: Tensor) -> PairMetric:
        """Return the metric of some windows only, (H-w+1, W-w+1) bool."""
        part = copy.copy(self)
        part._window_weight = windows.to(self.planes.fixed)
        return part
