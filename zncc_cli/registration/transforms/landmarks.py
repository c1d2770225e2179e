"""The transform that takes landmarks of the fixed image to the same landmarks of the moving image.

Landmarks are clicked by hand, some pixels beside the place. The fit is a start for a registration, which does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zncc_cli.config import NESTED_MODELS, Model, choose
from zncc_cli.errors import OptionError
from zncc_cli.registration.transforms.matrices import map_points

_Points = NDArray[np.float64]

# Landmarks that determine a model.
_COUNTS = {Model.TRANSLATION: 1, Model.RIGID: 2, Model.SIMILARITY: 2, Model.AFFINE: 3, Model.HOMOGRAPHY: 4}
_MIN_SPREAD_PX = 1.0  # root of the summed squared distances from their mean: nearer ones are one landmark
# Landmarks whose spread across a line is a smaller share of that along it do not determine a stretch across it: beside
# clicks that are off by a hundredth of the line's length it would be off by a fifth and more.
_MIN_SPREAD_RATIO = 0.05
# Smallest over largest singular value of the equations of a homography: 0.3 for the corners of a square, 0 where three
# of four landmarks lie on one line.
_MIN_SINGULAR_RATIO = 0.05
# Of the landmarks' depths, the largest over the smallest: a horizon is not near.
_MAX_DEPTH_RATIO = 4.0
_MAX_COORDINATE_PX = 1e9  # no image is as large
# A landmark this far from where the others put it, in multiples of the most that they are off, and at least so many
# pixels, is of another place. Others can tell where they are two more than the model needs; of very many, one does no
# harm.
_OUTLIER_RATIO, _MIN_OUTLIER_PX, _SPARE_LANDMARKS, _MANY_LANDMARKS = 10.0, 50.0, 2, 1000


@dataclass(frozen=True, eq=False)
class LandmarkFit:
    """The transform of least squared distances between landmarks.

    Attributes:
        matrix: (3, 3) float64, maps FIXED to MOVING coordinates, (x, y) pixels; its last entry is 1.
        model: the model that was fitted: at most the one that was asked for.
        distances: (N,) pixels of the moving image, from where the matrix takes each landmark to where it is.
        outlier: index of the landmark that was left out, since it contradicts all others; None where there is none.
    """

    matrix: _Points
    model: Model
    distances: _Points
    outlier: int | None = None

    @property
    def rms(self) -> float:
        """Root mean square of the distances of the landmarks that were fitted, pixels."""
        kept = self.distances if self.outlier is None else np.delete(self.distances, self.outlier)
        return float(np.sqrt(np.mean(kept**2)))


def fit_landmarks(fixed_points: ArrayLike, moving_points: ArrayLike, model: Model | str = Model.AFFINE) -> LandmarkFit:
    """Fit a transform to pairs of landmarks, for the ``init`` of `register`.

    Args:
        fixed_points: (N, 2) coordinates (x, y) in pixels, the centre of the top-left pixel is (0, 0).
        moving_points: (N, 2) the same landmarks in the moving image.
        model: the richest model; the one that is fitted is the richest up to it that the landmarks determine: a
            translation by 1, a similarity by 2, an affine transform by 3, a homography by 4 of which no 3 lie on one
            line. For ``auto`` and ``bspline`` it is affine at most: a perspective of a few clicks is mostly their
            error.

    Returns:
        The fit; its ``matrix`` is the start.

    Raises:
        OptionError: there are no landmarks, or not as many in both images, coordinates are not finite, or the landmarks
            lie at one place, or three and more on one line where the model needs others.
    """
    fixed, moving = _checked(fixed_points, moving_points)
    asked = choose(Model, model, "model")
    richest = asked if asked in NESTED_MODELS else Model.AFFINE
    models = [m for m in NESTED_MODELS[: NESTED_MODELS.index(richest) + 1] if _COUNTS[m] <= len(fixed)]
    _check_spread(fixed, moving, models[-1])
    fit = _fit(fixed, moving, models[-1])
    if fit is None and models[-1] is Model.HOMOGRAPHY:
        fit = _fit(fixed, moving, Model.AFFINE)
    if fit is None:
        raise OptionError(
            "landmarks: expected some that a transform takes from one image to the other, got others; check that both "
            "images have them in the same order"
        )
    return fit


def _checked(fixed_points: ArrayLike, moving_points: ArrayLike) -> tuple[_Points, _Points]:
    """Return both lists of points, float64 (N, 2), or raise `OptionError`."""
    try:
        fixed, moving = (np.asarray(points, dtype=np.float64) for points in (fixed_points, moving_points))
    except (TypeError, ValueError) as error:
        raise OptionError(f"landmarks: expected numbers (x, y), {error}") from None
    if fixed.ndim != 2 or moving.ndim != 2 or fixed.shape[1] != 2 or moving.shape[1] != 2:
        raise OptionError(f"landmarks: expected arrays of shape (N, 2), got {fixed.shape} and {moving.shape}")
    if len(fixed) != len(moving):
        raise OptionError(
            f"landmarks: expected as many in the moving image as in the fixed one, got {len(fixed)} in the fixed and "
            f"{len(moving)} in the moving image; mark each place in both"
        )
    if len(fixed) == 0:
        raise OptionError("landmarks: expected at least one pair, got none; mark one place in both images")
    for name, points in (("fixed", fixed), ("moving", moving)):
        if not (np.abs(points) < _MAX_COORDINATE_PX).all():
            raise OptionError(f"landmarks: expected finite coordinates in pixels, got others in the {name} image")
    return fixed, moving


def _check_spread(fixed: _Points, moving: _Points, model: Model) -> None:
    """Raise `OptionError` where the landmarks of an image lie too close to a point, or to a line, for ``model``."""
    for name, points in (("fixed", fixed), ("moving", moving)):
        if not _are_apart(points, model):
            raise OptionError(
                f"landmarks: expected several places, got {len(points)} landmarks at one place of the {name} image; "
                "mark others, or choose `model` translation"
            )
        if not _are_beside_a_line(points, model):
            raise OptionError(
                f"landmarks: expected some beside the line through the others, got {len(points)} nearly on one line in "
                f"the {name} image, which do not determine the model {model}; mark one beside it, or choose `model` "
                "similarity"
            )


def _are_apart(points: _Points, model: Model) -> bool:
    """Tell whether points lie far enough from one another for ``model``."""
    return model is Model.TRANSLATION or _spread(points)[0] >= _MIN_SPREAD_PX


def _are_beside_a_line(points: _Points, model: Model) -> bool:
    """Tell whether points lie far enough from any line for ``model``."""
    along, across = _spread(points)
    return model not in (Model.AFFINE, Model.HOMOGRAPHY) or across >= _MIN_SPREAD_RATIO * along


def _spread(points: _Points) -> tuple[float, float]:
    """Return the root of the summed squared distances from the mean, along the line of most spread and across it."""
    singular = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return float(singular[0]), float(singular[-1])


def _fit(fixed: _Points, moving: _Points, model: Model) -> LandmarkFit | None:
    """Return the fit of one model, without a landmark that contradicts all others; None where there is no such fit."""
    fit = _fit_all(fixed, moving, model)
    if fit is None or not _COUNTS[model] + _SPARE_LANDMARKS <= len(fixed) <= _MANY_LANDMARKS:
        return fit
    without = [_fit_rest(fixed, moving, model, k) for k in range(len(fixed))]
    worst = [np.inf if each is None else each.distances.max() for each in without]
    outlier = int(np.argmin(worst))
    rest = without[outlier]
    if rest is None:
        return fit
    distances = _distances(rest.matrix, fixed, moving)
    if not distances[outlier] > max(_OUTLIER_RATIO * worst[outlier], _MIN_OUTLIER_PX):
        return fit
    return LandmarkFit(rest.matrix, model, distances, outlier)


def _fit_rest(fixed: _Points, moving: _Points, model: Model, left_out: int) -> LandmarkFit | None:
    """Return the fit of all landmarks but one; None where the others do not determine the model."""
    fixed, moving = (np.delete(points, left_out, axis=0) for points in (fixed, moving))
    determined = all(_are_apart(points, model) and _are_beside_a_line(points, model) for points in (fixed, moving))
    return _fit_all(fixed, moving, model) if determined else None


def least_squares(fixed: _Points, moving: _Points, model: Model) -> _Points | None:
    """Return the matrix (3, 3) of a model of least squared distances, fixed -> moving; None where there is none.

    ``fixed``, ``moving``: (N, 2), as many as determine the model.
    """
    return _SOLVERS[model](fixed, moving)


def _fit_all(fixed: _Points, moving: _Points, model: Model) -> LandmarkFit | None:
    matrix = least_squares(fixed, moving, model)
    if matrix is None:
        return None
    distances = _distances(matrix, fixed, moving)
    return LandmarkFit(matrix, model, distances) if np.isfinite(distances).all() else None


def _distances(matrix: _Points, fixed: _Points, moving: _Points) -> _Points:
    return np.asarray(np.linalg.norm(map_points(matrix, fixed) - moving, axis=1))


def _translation(fixed: _Points, moving: _Points) -> _Points:
    return _matrix(np.eye(2), fixed, moving)


def _rigid(fixed: _Points, moving: _Points) -> _Points | None:
    factor = _complex_factor(fixed, moving)
    return _matrix(_scaled_rotation(factor / abs(factor)), fixed, moving) if abs(factor) > 0 else None


def _similarity(fixed: _Points, moving: _Points) -> _Points | None:
    factor = _complex_factor(fixed, moving)
    return _matrix(_scaled_rotation(factor), fixed, moving) if abs(factor) > 0 else None


def _affine(fixed: _Points, moving: _Points) -> _Points | None:
    linear = np.linalg.lstsq(fixed - fixed.mean(axis=0), moving - moving.mean(axis=0), rcond=None)[0].T
    return _matrix(linear, fixed, moving)


def _homography(fixed: _Points, moving: _Points) -> _Points | None:
    """Return the homography of least algebraic error in normalised coordinates; None where it is not determined.

    Hartley 1997, "In defense of the eight-point algorithm", doi:10.1109/34.601246.
    """
    to_unit, from_unit = _normalisation(fixed), np.linalg.inv(_normalisation(moving))
    (x, y), (u, v) = map_points(to_unit, fixed).T, map_points(np.linalg.inv(from_unit), moving).T
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows_u = np.stack([x, y, one, zero, zero, zero, -u * x, -u * y, -u], axis=1)
    rows_v = np.stack([zero, zero, zero, x, y, one, -v * x, -v * y, -v], axis=1)
    # A row of zeros, so that of four landmarks there is a ninth singular vector.
    _, singular, right = np.linalg.svd(np.concatenate([rows_u, rows_v, np.zeros((1, 9))]), full_matrices=False)
    if singular[7] < _MIN_SINGULAR_RATIO * singular[0]:
        return None
    matrix = from_unit @ right[8].reshape(3, 3) @ to_unit
    if not abs(matrix[2, 2]) > 0:
        return None
    matrix = matrix / matrix[2, 2]
    depths = fixed @ matrix[2, :2] + 1
    return matrix if depths.min() > 0 and depths.max() < _MAX_DEPTH_RATIO * depths.min() else None


_SOLVERS: dict[Model, Callable[[_Points, _Points], _Points | None]] = {
    Model.TRANSLATION: _translation,
    Model.RIGID: _rigid,
    Model.SIMILARITY: _similarity,
    Model.AFFINE: _affine,
    Model.HOMOGRAPHY: _homography,
}


def _matrix(linear: _Points, fixed: _Points, moving: _Points) -> _Points:
    """Return the matrix (3, 3) of a linear part (2, 2) that takes the mean of one list to that of the other."""
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = moving.mean(axis=0) - linear @ fixed.mean(axis=0)
    return matrix


def _complex_factor(fixed: _Points, moving: _Points) -> complex:
    """Return the scale and rotation of least squares as a complex number: m = factor f, points about their means."""
    f, m = ((points - points.mean(axis=0)) @ np.array([1, 1j]) for points in (fixed, moving))
    return complex(np.vdot(f, m) / np.vdot(f, f))


def _scaled_rotation(factor: complex) -> _Points:
    return np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])


def _normalisation(points: _Points) -> _Points:
    """Return the matrix (3, 3) that moves the points' mean to the origin, their mean distance from it to sqrt 2."""
    mean = points.mean(axis=0)
    scale = np.sqrt(2) / np.linalg.norm(points - mean, axis=1).mean()
    return np.array([[scale, 0, -scale * mean[0]], [0, scale, -scale * mean[1]], [0, 0, 1]])
