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

The transforms of a mirrored moving image are S A with S = diag(-1, 1) in place of A: its columns are reversed.

A step of one in any entry therefore moves the corners by about one pixel (exactly one for t and, to first
order, r a and r log s; at most one for the others), which is what the optimiser's steps and tolerances are in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from zncc_cli.config import Model

_SIZE = {Model.TRANSLATION: 2, Model.RIGID: 3, Model.SIMILARITY: 4, Model.AFFINE: 6, Model.HOMOGRAPHY: 8}


@dataclass(frozen=True)
class LinearTransform:
    """A linear model on one fixed frame: what its parameters are, and the matrix that they stand for.

    Attributes:
        model: translation, rigid, similarity, affine or homography.
        shape: (H, W) of the fixed frame, pixels.
        mirrored: whether the transforms map to a mirror image.
    """

    model: Model
    shape: tuple[int, int]
    mirrored: bool = False

    @property
    def size(self) -> int:
        """Number of parameters."""
        return _SIZE[self.model]

    @property
    def projective(self) -> bool:
        """Whether the last row of the matrix changes with the parameters."""
        return self.model is Model.HOMOGRAPHY

    @property
    def _centre(self) -> tuple[float, float]:
        return (self.shape[1] - 1) / 2, (self.shape[0] - 1) / 2

    @property
    def _radius(self) -> float:
        return math.hypot(self.shape[1] - 1, self.shape[0] - 1) / 2

    def matrix(self, parameters: np.ndarray) -> np.ndarray:
        """Return the (3, 3) matrix, fixed -> moving, for (size,) parameters; its last entry is 1."""
        uncentred = self._about_origin @ self._inner(parameters)[0]
        return np.asarray(uncentred / uncentred[8]).reshape(3, 3)

    def jacobian(self, parameters: np.ndarray) -> np.ndarray:
        """Return the derivatives (9, size) of the entries of `matrix`, row-major, by the (size,) parameters."""
        inner, by_parameters = self._inner(parameters)
        uncentred, change = self._about_origin @ inner, self._about_origin @ by_parameters
        return np.asarray((change - np.outer(uncentred / uncentred[8], change[8])) / uncentred[8])

    def _inner(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the matrix (9,) in coordinates about the centre, and its derivatives (9, size)."""
        r, inner, change = self._radius, np.zeros(9), np.zeros((9, self.size))
        inner[[2, 5, 8]] = p[0], p[1], 1
        change[[2, 5], [0, 1]] = 1
        linear = slice(2, 6)
        inner[_A], by_rest = _LINEAR_PART[self.model](p[linear] / r)
        if self.mirrored:
            inner[_FIRST_ROW] *= -1
            by_rest[:2] *= -1
        change[_A, linear] = by_rest / r
        if self.projective:
            inner[_G] = p[6:] / r**2
            change[_G, [6, 7]] = 1 / r**2
        return inner, change

    @property
    def _about_origin(self) -> np.ndarray:
        return _about_origin(*self._centre)

    def parameters(self, matrix: np.ndarray) -> np.ndarray:
        """Return the (size,) parameters of the model's transform that is nearest to ``matrix`` (3, 3).

        The motion of the centre is kept; the linear part is projected: on the nearest rotation in the Frobenius
        norm for rigid, the nearest scaled rotation for similarity.
        """
        cx, cy = self._centre
        r = self._radius
        to_centre = np.array([[1, 0, -cx], [0, 1, -cy], [0, 0, 1]], dtype=np.float64)
        inner = to_centre @ np.asarray(matrix, dtype=np.float64) @ np.array([[1, 0, cx], [0, 1, cy], [0, 0, 1]])
        inner = inner / inner[2, 2]
        if self.mirrored:
            inner[0, :2] *= -1
        (a, b, tx), (c, d, ty) = inner[0], inner[1]
        angle, scale = math.atan2(c - b, a + d), math.hypot(a + d, c - b) / 2
        rest: dict[Model, list[float]] = {
            Model.TRANSLATION: [],
            Model.RIGID: [r * angle],
            Model.SIMILARITY: [r * angle, r * math.log(max(scale, np.finfo(np.float64).tiny))],
            Model.AFFINE: [r * (a - 1), r * b, r * c, r * (d - 1)],
            Model.HOMOGRAPHY: [r * (a - 1), r * b, r * c, r * (d - 1), r**2 * inner[2, 0], r**2 * inner[2, 1]],
        }
        return np.array([tx, ty, *rest[self.model]], dtype=np.float64)

    def unwrapped(self, path: np.ndarray) -> np.ndarray:
        """Return the parameters (n, size) of a path of n transforms with angles that continue beyond half a turn.

        From each transform to the next the angle changes by the shorter way round.
        """
        out: np.ndarray = path.copy()
        if self.model in (Model.RIGID, Model.SIMILARITY):
            out[:, _ANGLE] = np.unwrap(path[:, _ANGLE], period=2 * math.pi * self._radius)
        return out


@lru_cache(maxsize=64)
def _about_origin(cx: float, cy: float) -> np.ndarray:
    """Return the matrix (9, 9) that turns a row-major matrix (9,) about a centre into the one about the origin."""
    to_centre = np.array([[1, 0, -cx], [0, 1, -cy], [0, 0, 1]])
    back = np.array([[1, 0, cx], [0, 1, cy], [0, 0, 1]])
    about_origin = np.kron(back, to_centre.T)
    about_origin.setflags(write=False)
    return about_origin


_ANGLE = 2  # index of the parameter r a

# Indices of A = (a, b, c, d), of its first row and of g in a row-major matrix (9,).
_A, _FIRST_ROW, _G = [0, 1, 3, 4], [0, 1], [6, 7]

# Returns A and its derivatives (4, n) by the n parameters that it depends on, all over r.
_LinearPart = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _identity(_: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.array([1.0, 0.0, 0.0, 1.0]), np.zeros((4, 0))


def _rotation(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cos, sin = math.cos(p[0]), math.sin(p[0])
    return np.array([cos, -sin, sin, cos]), np.array([[-sin], [-cos], [cos], [-sin]])


def _scaled_rotation(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rotation, by_angle = _rotation(p)
    scaled = math.exp(p[1]) * rotation
    return scaled, np.column_stack((math.exp(p[1]) * by_angle, scaled))


def _general(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.array([1.0, 0.0, 0.0, 1.0]) + p, np.eye(4)


_LINEAR_PART: dict[Model, _LinearPart] = {
    Model.TRANSLATION: _identity,
    Model.RIGID: _rotation,
    Model.SIMILARITY: _scaled_rotation,
    Model.AFFINE: _general,
    Model.HOMOGRAPHY: _general,
}
