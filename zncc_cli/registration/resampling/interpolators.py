"""Values between pixels: a weighted sum of the knots around a point, the same to the bit in every part of an image.

    value(u, v) = sum over j, i of b(v - j) b(u - i) knots[j, i]

    linear    the knots are the pixels
    cubic     the knots of the cubic spline through the pixels (Unser 1999, doi:10.1109/79.799930): another weighted
              sum, of the pixels up to 20 away, beyond which the weights add up to 1e-11
    lanczos   the knots are the pixels; b(d) = sinc(d) sinc(d / 3) for |d| < 3, over the sum of the six weights

All is float64. Where a spline or a Lanczos weight reaches into a hole, the hole's pixels take the mean of the valid
ones around them, each of which counts less by a factor of 0.6 a pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.operators.warp import LANCZOS, Place, warp_part, weighted_sums
from zncc_cli.registration.warp import EDGE, SPLINE_POLE

_SPLINE_REACH = 20
_SPLINE_FILTER = -6 * SPLINE_POLE / (1 - SPLINE_POLE**2) * SPLINE_POLE ** torch.arange(_SPLINE_REACH + 1).double()
_SPLINE_FILTER /= 2 * _SPLINE_FILTER.sum() - _SPLINE_FILTER[0]  # what was cut off must not change the mean
_FILL_DECAY = 0.6  # about as wide as a Gaussian of two pixels, but near pixels prevail at any distance from them
_LANCZOS = 3
_LANCZOS_DEGREE = 17  # of the polynomials for Lanczos weights, which are off by less than 1e-15
_BLOCK_POINTS = 2**16  # evaluated at a time by plain torch, so that they stay in the cache


@dataclass(frozen=True)
class Interpolator:
    """One kind of interpolation.

    Attributes:
        before, after: the knots of a point, along each axis: so many before the last one that is not beyond the point,
            that one itself, and so many after it.
        weights: of these knots, from the distance of the point to that one, in [0, 1).
        kernel: the native kernel of the same interpolation, as `operators.warp.warp_part` takes it.
        settle: pixels as far away as this count for a knot.
        fill: invalid pixels as far as this from a valid one matter.
    """

    before: int
    after: int
    weights: Callable[[Tensor], list[Tensor]]
    kernel: int
    settle: int = 0
    fill: int = 0

    @property
    def margin(self) -> int:
        """Number of pixels beyond its knots that a point depends on."""
        return self.settle + self.fill

    def knots(self, pixels: np.ndarray, valid: np.ndarray) -> Tensor:
        """Return the knots (S, h, w) of a part of an image.

        Args:
            pixels: (h + 2 margin, w + 2 margin, S).
            valid: (h + 2 margin, w + 2 margin) bool; the others may hold anything.
        """
        fill = self.fill
        if valid.all():
            planes = _planes(pixels[fill : len(pixels) - fill, fill : pixels.shape[1] - fill])
        else:
            planes = _planes(np.where(valid[..., None], pixels, 0))
            planes = _filled(planes, torch.from_numpy(valid), fill) if fill else planes
        return weighted_sums(planes, _SPLINE_FILTER) if self.settle else planes

    def at_pixels(
        self,
        knots: Tensor,
        at: Place,
        matrix: Tensor,
        shape: tuple[int, int],
        frame_at: Place,
        moving_shape: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        """Return the values (S, H, W) at the pixels of a part of a frame, by the native kernels.

        Args:
            knots: (S, h, w), a part of the moving image's; ``at`` is the place of the first one.
            matrix: (3, 3) float64, frame -> moving.
            shape: (H, W) of the part; ``frame_at`` is the place of its first pixel.
            moving_shape: (H, W) of the moving image.

        Returns:
            The values, and which pixels lie in the moving frame, (H, W) bool.
        """
        box = -1, -1, moving_shape[1], moving_shape[0]  # a pixel beyond the frame: one deep inside it is the frame
        values, depth = warp_part(knots, matrix, shape, self.kernel, box, frame_at, at)
        return values, depth >= 1 - EDGE

    def at_points(self, knots: Tensor, at: Place, x: Tensor, y: Tensor) -> Tensor:
        """Return the values (S, *) at points x, y (*) in the moving frame; knots as for `at_pixels`."""
        out = knots.new_empty((len(knots), x.numel()))
        pairs = zip(x.flatten().split(_BLOCK_POINTS), y.flatten().split(_BLOCK_POINTS), strict=True)
        for block, (u, v) in zip(out.split(_BLOCK_POINTS, dim=1), pairs, strict=True):
            self._add_weighted(knots, at, u, v, block)
        return out.view(len(knots), *x.shape)

    def _add_weighted(self, knots: Tensor, at: Place, x: Tensor, y: Tensor, out: Tensor) -> None:
        count, stride = self.before + 1 + self.after, knots.shape[2]
        left, top = x.floor(), y.floor()
        across, down = self.weights(x - left), self.weights(y - top)
        # Defined points lie between the knots; the others must not read outside the memory.
        column = (left.long() - (at[0] + self.before)).clamp_(0, stride - count)
        row = (top.long() - (at[1] + self.before)).clamp_(0, knots.shape[1] - count)
        first = row * stride + column
        for plane, values in zip(knots.flatten(1), out, strict=True):
            values.zero_()
            for j in range(count):
                line = torch.zeros_like(values)
                for i in range(count):
                    # Not addcmul: that rounds once or twice, depending on where in memory a point lies.
                    line += plane[j * stride + i :].index_select(0, first) * across[i]
                values += line * down[j]


def between_valid(valid: Tensor, at: Place, x: Tensor, y: Tensor, rounding: float) -> Tensor:
    """Tell which points have only valid pixels around them, (*) bool.

    Args:
        valid: (h, w) bool, a part of the moving image's mask; ``at`` is the place of its first pixel.
        x, y: (*), points in the moving frame.
        rounding: pixels; a point as near as this to a pixel lies on it.
    """
    height, width = valid.shape
    columns = [((x + rounding).floor().long() - at[0]).clamp_(0, width - 1)]
    columns.append(((x - rounding).ceil().long() - at[0]).clamp_(0, width - 1))
    between = torch.ones_like(x, dtype=torch.bool)
    for line in ((y + rounding).floor(), (y - rounding).ceil()):
        row = (line.long() - at[1]).clamp_(0, height - 1) * width
        for column in columns:
            between &= valid.flatten()[row + column]
    return between


def _planes(pixels: np.ndarray) -> Tensor:
    """Return pixels (h, w, S) as planes (S, h, w), float64."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 0), dtype=np.float64))


def _cropped(planes: Tensor, margin: int) -> Tensor:
    return planes[..., margin : planes.shape[-2] - margin, margin : planes.shape[-1] - margin]


def _filled(planes: Tensor, valid: Tensor, reach: int) -> Tensor:
    """Return planes (S, h, w) without a margin of ``reach``, invalid pixels filled from valid ones within it."""
    weights = _FILL_DECAY ** torch.arange(reach + 1, dtype=planes.dtype)
    sums, total = weighted_sums(torch.cat((planes, valid[None].to(planes.dtype))), weights).split((len(planes), 1))
    means = torch.where(total > 0, sums / total.clamp_min(torch.finfo(planes.dtype).tiny), 0)
    return torch.where(_cropped(valid, reach), _cropped(planes, reach), means)


def _linear_weights(t: Tensor) -> list[Tensor]:
    return [1 - t, t]


def _cubic_weights(t: Tensor) -> list[Tensor]:
    """Return the four pieces of the cubic B-spline."""
    s = 1 - t
    return [s * s * s / 6, (t * t * (3 * t - 6) + 4) / 6, (s * s * (3 * s - 6) + 4) / 6, t * t * t / 6]


@cache
def _lanczos_polynomials() -> tuple[np.ndarray, np.ndarray]:
    """Return the even and odd coefficients (3, n) of polynomials for the weights of the knots up to a point.

    They are polynomials in the point's offset from the middle between two knots. The weights of the knots after the
    point are the same at the opposite offset. Polynomials, because torch's sine is not the same to the last bit
    everywhere in an array.
    """

    def weight(offset: np.ndarray, knot: int) -> np.ndarray:
        distance = offset + 0.5 - knot
        return np.sinc(distance) * np.sinc(distance / _LANCZOS)

    interpolate = np.polynomial.Chebyshev.interpolate
    series = [interpolate(weight, _LANCZOS_DEGREE, domain=[-0.5, 0.5], args=(knot,)) for knot in range(1 - _LANCZOS, 1)]
    powers = np.array([polynomial.convert(kind=np.polynomial.Polynomial).coef for polynomial in series])
    return powers[:, ::2], powers[:, 1::2]


def _lanczos_weights(t: Tensor) -> list[Tensor]:
    offset = t - 0.5
    square = offset * offset
    up_to, after = [], []
    for even, odd in zip(*_lanczos_polynomials(), strict=True):
        a, b = _horner(even, square), _horner(odd, square) * offset
        up_to.append(a + b)
        after.append(a - b)
    weights = up_to + after[::-1]
    total = sum(weights[1:], start=weights[0])
    return [weight / total for weight in weights]


def _horner(coefficients: np.ndarray, x: Tensor) -> Tensor:
    """Return the polynomial with ``coefficients`` (n,), the constant first, at x."""
    value = torch.full_like(x, float(coefficients[-1]))
    for coefficient in coefficients[-2::-1]:
        value.mul_(x).add_(float(coefficient))
    return value


# The inside of a hole matters to a spline as far as a knot reaches, to Lanczos weights two pixels from the hole's edge,
# diagonally, and to linear weights not at all.
INTERPOLATORS = {
    Interpolation.LINEAR: Interpolator(0, 1, _linear_weights, kernel=1),
    Interpolation.CUBIC: Interpolator(1, 2, _cubic_weights, settle=_SPLINE_REACH, fill=_SPLINE_REACH, kernel=3),
    Interpolation.LANCZOS: Interpolator(_LANCZOS - 1, _LANCZOS, _lanczos_weights, fill=_LANCZOS, kernel=LANCZOS),
}
