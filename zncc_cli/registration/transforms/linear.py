"""The linear models: translation, rigid, similarity, affine, homography.

Each maps FIXED coordinates to MOVING coordinates by a 3x3 matrix on (x, y, 1), pixels.

Parameters are lengths in pixels. Let c be the centre of the fixed frame, r half its diagonal and
d = (point - c) / r, so that |d| = 1 at the corners. With A the 2x2 linear part and t the motion of the centre,

    point -> c + t + A (point - c)

    translation   p = (tx, ty)                A = 1
    rigid         p = (tx, ty, r a)           A = R(a)
    similarity    p = (tx, ty, r a, r log s)  A = s R(a)
    affine        p = (tx, ty, r (A - 1))
    homography    p = (tx, ty, r (A - 1), r g), the point divided by 1 + g . d

A step of one in any entry therefore moves the corners by about one pixel (exactly one for t and, to first
order, r a and r log s; at most one for the others), which is what the optimiser's steps and tolerances are in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import Model

_SIZE = {Model.TRANSLATION: 2, Model.RIGID: 3, Model.SIMILARITY: 4, Model.AFFINE: 6, Model.HOMOGRAPHY: 8}


@dataclass(frozen=True)
class LinearFamily:
    """One linear model on one fixed frame.

    Attributes:
        model: which one.
        shape: (H, W) of the fixed frame, pixels.
    """

    model: Model
    shape: tuple[int, int]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return _SIZE[self.model]

    @property
    def _centre(self) -> tuple[float, float]:
        return (self.shape[1] - 1) / 2, (self.shape[0] - 1) / 2

    @property
    def _radius(self) -> float:
        return math.hypot(self.shape[1] - 1, self.shape[0] - 1) / 2

    def matrix(self, parameters: Tensor) -> Tensor:
        """Return the (3, 3) matrix, fixed -> moving, of (size,) parameters; differentiable."""
        zero, one = parameters.new_zeros(()), parameters.new_ones(())
        cx, cy = self._centre
        r = self._radius
        linear = _LINEAR_PART[self.model](parameters[2:] / r)
        gx, gy = (parameters[6] / r**2, parameters[7] / r**2) if self.model is Model.HOMOGRAPHY else (zero, zero)
        tx, ty = parameters[0], parameters[1]
        (a, b), (c, d) = linear
        inner = torch.stack([a, b, tx, c, d, ty, gx, gy, one]).reshape(3, 3)
        to_centre = parameters.new_tensor([[1, 0, -cx], [0, 1, -cy], [0, 0, 1]])
        back = parameters.new_tensor([[1, 0, cx], [0, 1, cy], [0, 0, 1]])
        matrix = back @ inner @ to_centre
        return matrix / matrix[2, 2]

    def parameters(self, matrix: np.ndarray) -> Tensor:
        """Return the float64 (size,) parameters of the member of the family that is nearest to ``matrix`` (3, 3).

        The motion of the centre is kept; the linear part is projected: on the nearest rotation in the Frobenius
        norm for rigid, the nearest scaled rotation for similarity.
        """
        cx, cy = self._centre
        r = self._radius
        back = np.array([[1, 0, -cx], [0, 1, -cy], [0, 0, 1]], dtype=np.float64)
        inner = back @ np.asarray(matrix, dtype=np.float64) @ np.array([[1, 0, cx], [0, 1, cy], [0, 0, 1]])
        inner = inner / inner[2, 2]
        (a, b, tx), (c, d, ty) = inner[0], inner[1]
        angle, scale = math.atan2(c - b, a + d), math.hypot(a + d, c - b) / 2
        rest: dict[Model, list[float]] = {
            Model.TRANSLATION: [],
            Model.RIGID: [r * angle],
            Model.SIMILARITY: [r * angle, r * math.log(max(scale, np.finfo(np.float64).tiny))],
            Model.AFFINE: [r * (a - 1), r * b, r * c, r * (d - 1)],
            Model.HOMOGRAPHY: [r * (a - 1), r * b, r * c, r * (d - 1), r**2 * inner[2, 0], r**2 * inner[2, 1]],
        }
        return torch.tensor([tx, ty, *rest[self.model]], dtype=torch.float64)


_Linear = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


def _identity(p: Tensor) -> _Linear:
    zero, one = p.new_zeros(()), p.new_ones(())
    return (one, zero), (zero, one)


def _rotation(p: Tensor) -> _Linear:
    cos, sin = torch.cos(p[0]), torch.sin(p[0])
    return (cos, -sin), (sin, cos)


def _scaled_rotation(p: Tensor) -> _Linear:
    s = torch.exp(p[1])
    (a, b), (c, d) = _rotation(p)
    return (s * a, s * b), (s * c, s * d)


def _general(p: Tensor) -> _Linear:
    return (1 + p[0], p[1]), (p[2], 1 + p[3])


_LINEAR_PART: dict[Model, Callable[[Tensor], _Linear]] = {
    Model.TRANSLATION: _identity,
    Model.RIGID: _rotation,
    Model.SIMILARITY: _scaled_rotation,
    Model.AFFINE: _general,
    Model.HOMOGRAPHY: _general,
}
