"""The tone curve between two images that show the same scene with different contrast: gamma, saturation, clipping.

Local ZNCC forgives gain and offset, not a curve: where one image is saturated, its edges lie elsewhere. Once the images
lie on each other to about a pixel, the mean of the one image over all pixels of a value of the other one is that curve
(the regression behind the correlation ratio; Roche et al. 1998, doi:10.1007/BFb0056301). The image that determines the
other one the better is taken through it, and shows what the other one can show.

Legend: x, y two images; eta2 = 1 - var(y | x) / var(y), the correlation ratio; r2 the squared correlation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.registration.pair_pyramid import PairPyramid
from zncc_cli.registration.pyramid import Level, fill_holes, pyramid
from zncc_cli.registration.warp import Sampler, level_scale

_PIXELS = 2**14  # about so many tell the curve
_BINS = 64  # of about equally many pixels
_MIN_PIXELS = 32 * _BINS  # a curve through fewer follows the noise
# The curve must leave little of the other image unexplained, since shading and occlusion are no curve, and less than a
# straight line by this factor: interpolation of thin lines comes to 1.8. And a line that leaves little is good enough.
MAX_UNEXPLAINED, _MIN_GAIN, _MIN_BENDING = 0.1, 2.0, 0.01
_ROUNDING = 1e-7  # of a share, in float32


@dataclass(frozen=True, eq=False)
class ToneCurve:
    """The mean of y over pixels of about one value of x.

    Attributes:
        x, y: (n,) float64, x rising; between them the curve is straight.
        unexplained: 1 - eta2, the share of the variance of y that it leaves.
        gain: (1 - r2) / (1 - eta2), how much less that is than what a straight line leaves.
    """

    x: np.ndarray
    y: np.ndarray
    unexplained: float
    gain: float

    def matters(self, max_unexplained: float) -> bool:
        """Tell whether it is more than a straight line, and leaves less than a share of the variance unexplained."""
        bends = self.gain > _MIN_GAIN and self.gain * self.unexplained > _MIN_BENDING
        return bends and self.unexplained < max_unexplained

    def of(self, level: Level) -> Tensor:
        """Return the image of a level through the curve, (1, 1, H, W), of mean zero and variance one where valid."""
        x, y = (torch.from_numpy(values).to(level.image) for values in (self.x, self.y))
        place = torch.searchsorted(x, level.image.contiguous()).clamp(1, len(x) - 1)
        share = ((level.image - x[place - 1]) / (x[place] - x[place - 1])).clamp(0, 1)
        image = torch.lerp(y[place - 1], y[place], share)
        valid = image[0, 0][level.mask].double()
        image = (image - valid.mean()) / valid.std().clamp_min(torch.finfo(image.dtype).eps)
        return torch.where(level.mask, image, 0).to(level.image)


def tone_curve(x: np.ndarray, y: np.ndarray) -> ToneCurve | None:
    """Return the curve from values ``x`` to ``y`` (n,) of the same pixels; None where they are too few, or constant."""
    if len(x) < _MIN_PIXELS:
        return None
    edges = np.unique(np.quantile(x, np.linspace(0, 1, _BINS + 1)))
    bins = np.searchsorted(edges[1:-1], x, side="right")
    counts = np.bincount(bins)
    used = counts > 0
    places, means = (np.bincount(bins, values)[used] / counts[used] for values in (x, y))
    variance = float(np.var(y))
    if len(places) < 3 or not variance > 0 or not np.var(x) > 0:
        return None
    unexplained = max(float(np.square(y - np.interp(x, places, means)).mean()) / variance, _ROUNDING)
    return ToneCurve(places, means, unexplained, _left_by_line(x, y) / unexplained)


def _left_by_line(x: np.ndarray, y: np.ndarray) -> float:
    """Return 1 - r2 of values (n,) that vary: the share of the variance of either that a straight line leaves."""
    return 1 - float(np.corrcoef(x, y)[0, 1]) ** 2


def _samples(fixed: Level, moving: Level, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of both images at some pixels of the fixed one, (n,) float64 each.

    ``matrix``: (3, 3), fixed -> moving, full-resolution pixels.
    """
    step = max(1, math.isqrt(fixed.mask.numel() // _PIXELS))
    f, mask = fixed.image[0, 0, ::step, ::step], fixed.mask[::step, ::step]
    every = np.diag([step, step, 1.0])
    sampler = Sampler(fill_holes(moving.image, moving.mask), Interpolation.LINEAR, moving.mask)
    warped, edge = sampler.warped(torch.from_numpy(matrix * level_scale(fixed.factor) @ every), (len(f), f.shape[1]))
    both = (edge > 0) & mask
    return f[both].double().cpu().numpy(), warped[0][both].double().cpu().numpy()


def with_one_tone(pair: PairPyramid, matrix: np.ndarray, max_unexplained: float = MAX_UNEXPLAINED) -> PairPyramid:
    """Return the pair with one image taken through the tone curve to the other one, where that is more than a line.

    Args:
        pair: the images.
        matrix: (3, 3), fixed -> moving, full-resolution pixels, good to about a pixel of the judged level.
        max_unexplained: the share of the variance of the one image that the curve may leave unexplained.
    """
    f, m = _samples(*pair.level(pair.judged), matrix)
    # What a straight line leaves comes to the same both ways round: so little, and no curve matters.
    if len(f) > 1 and f.std() > 0 and m.std() > 0 and _left_by_line(f, m) <= _MIN_BENDING:
        return pair
    curves = tone_curve(f, m), tone_curve(m, f)
    if curves[0] is None or curves[1] is None:
        return pair
    of_fixed = curves[0].unexplained <= curves[1].unexplained
    curve = curves[0] if of_fixed else curves[1]
    if not curve.matters(max_unexplained):
        return pair
    level = pair.level(0)[0 if of_fixed else 1]
    levels = pyramid(curve.of(level), level.mask, len(pair), level.measured)
    if of_fixed:
        return PairPyramid(levels, pair.moving, pair.inverted)
    # The moving image is kept in the contrast of its file.
    return PairPyramid(pair.fixed, [each.negative for each in levels] if pair.inverted else levels, pair.inverted)
