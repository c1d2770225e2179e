"""An image as a map of the orientations of its edges, which different sensors, bands and stains have in common.

    o = G * g^2 / (G * |g|^2 + floor)        g = gx + i gy the gradient as a complex number, G * a Gaussian

Squared, the gradient of an edge from dark to bright is that of one from bright to dark (the double angle of Granlund
1978 and of Bigun and Granlund 1987); divided by its strength, a faint edge counts as a strong one. |o| tells how far
the edges around a pixel are parallel. How an edge lies changes from one side of a corner to the other, so that it tells
a place more sharply than how much texture there is (`texture_map`); but it turns with the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F

from zncc_cli.operators import filters
from zncc_cli.registration.metric.block_surfaces import (
    BlockAgreement,
    BlockShifts,
    Channels,
    block_agreement,
    block_shifts,
)
from zncc_cli.registration.metric.windows import full_windows
from zncc_cli.registration.pyramid import Level, fill_holes, gaussian
from zncc_cli.registration.warp import corners, level_scale, map_points

_GRADIENT_SIGMA_PX, _MEAN_SIGMA_PX = 1.0, 1.0
_FLOOR = 0.05  # of the mean strength: what is fainter is flat
_MARGIN_PX = 8  # of the Gaussians' reaches
_REACH_PX = 3  # a pixel nearer to one that does not count does not count: most of the Gaussians fall within


def orientation_map(level: Level) -> Channels:
    """Return the orientation map of a level, of two channels: its real and imaginary part, in [-1, 1]."""
    image, mask = level.image, level.mask
    # Around the frame the image goes on as it is at the edge: zeros would be an edge.
    framed = F.pad(fill_holes(image, mask), (_MARGIN_PX + 1,) * 4, mode="replicate")
    smoothed = filters.blur(framed, gaussian(_GRADIENT_SIGMA_PX))
    gx = smoothed[..., 1:-1, 2:] - smoothed[..., 1:-1, :-2]
    gy = smoothed[..., 2:, 1:-1] - smoothed[..., :-2, 1:-1]
    squares = torch.cat((gx * gx - gy * gy, 2 * gx * gy, gx * gx + gy * gy))
    means = filters.blur(squares, gaussian(_MEAN_SIGMA_PX))
    real, imaginary, strength = means[..., _MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX].split(1)
    side = 2 * _REACH_PX + 1
    usable = torch.zeros_like(mask)
    usable[_REACH_PX:-_REACH_PX, _REACH_PX:-_REACH_PX] = full_windows(mask, side)
    floor = _FLOOR * strength[0, 0][usable].mean() if bool(usable.any()) else strength.new_ones(())
    out = torch.cat((real, imaginary), dim=1) / (strength + floor).clamp_min(torch.finfo(strength.dtype).tiny)
    return Channels(torch.where(usable, out, 0), usable)


@dataclass(frozen=True, eq=False)
class OrientedPair:
    """Both images of a pair as orientation maps, by which parts of images of any contrast are compared.

    Attributes:
        fixed, moving: of one level.
        factor: full-resolution pixels per pixel of the level.
        finer_levels: the next finer level of both images; None for none.
    """

    fixed: Channels
    moving: Channels
    factor: int
    finer_levels: tuple[Level, Level] | None = None

    @classmethod
    def of(cls, fixed: Level, moving: Level, finer: tuple[Level, Level] | None = None) -> OrientedPair:
        """Return the orientation maps of a level of both images; ``finer`` is the next finer one."""
        return cls(orientation_map(fixed), orientation_map(moving), fixed.factor, finer)

    @cached_property
    def finer(self) -> OrientedPair | None:
        """The orientation maps of the next finer level; None without one."""
        return None if self.finer_levels is None else OrientedPair.of(*self.finer_levels)

    def at_level(self, matrix: np.ndarray) -> np.ndarray:
        """Return a matrix (3, 3), fixed -> moving, full-resolution pixels, in pixels of the level."""
        return np.asarray(matrix * level_scale(self.factor))

    def shifts(self, matrix: np.ndarray, reach: int, step: int) -> BlockShifts:
        """Return the `block_shifts` at a ``matrix`` (3, 3), fixed -> moving, pixels of the level."""
        return block_shifts(self.fixed, self._turned(matrix), matrix, reach, step)

    def agreement(self, matrix: np.ndarray, reach: int, step: int) -> BlockAgreement:
        """Return the `block_agreement` at a ``matrix`` (3, 3), fixed -> moving, pixels of the level."""
        return block_agreement(self.fixed, self._turned(matrix), matrix, reach, step)

    def _turned(self, matrix: np.ndarray) -> Channels:
        """Return the moving image with its orientations turned back by twice the rotation of a matrix (3, 3)."""
        shape = self.fixed.mask.shape[0], self.fixed.mask.shape[1]
        centre = corners(shape).mean(axis=0)
        here, right, below = map_points(matrix, centre + np.array([[0, 0], [1, 0], [0, 1]]))
        (a, c), (b, d) = right - here, below - here
        angle = 2 * math.atan2(c - b, a + d)
        (real, imaginary), cosine, sine = self.moving.image.split(1, dim=1), math.cos(angle), math.sin(angle)
        turned = torch.cat((cosine * real + sine * imaginary, cosine * imaginary - sine * real), dim=1)
        return Channels(turned, self.moving.mask)
