"""ITK's text transform file, .tfm, which SimpleITK, 3D Slicer and ANTs read too.

ITK maps points of the FIXED image's physical space to the MOVING image's: our direction. Physical points are our
pixels where both images have spacing 1, origin 0 and no rotation; the origin is the centre of the first pixel.

    y = A (x - c) + c + t      A row-major and t in Parameters, c in FixedParameters
    y = x + b(x)               a BSplineTransform of order 3: the coefficients of x, then those of y, row by row, in
                               Parameters; columns, rows, first node, spacing and direction in FixedParameters

A B-spline holds no matrix: T(x) = M x + u(x) is written as a composite of x + M^-1 u(x), done first, and M. Beyond its
grid ITK's b is zero, while our u is that of the frame's nearest point.

https://itk.org/Doxygen/html/classitk_1_1MatrixOffsetTransformBase.html
https://itk.org/Doxygen/html/classitk_1_1CompositeTransform.html (the last of the queue is done first)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from zncc_cli.files.paths import MismatchError
from zncc_cli.files.transforms.bends import Chain, GridSpline, MatrixBend, grid_spline
from zncc_cli.files.transforms.linear import Bend, Linear, Matrix, as_matrix, decode_text, exact_text, parse_numbers
from zncc_cli.registration.transforms.spline_field import SplineField

MAGIC = b"#Insight Transform File"

_TYPE = re.compile(r"(\w+?)_(?:double|float)_2_2")


def _affine(a: float, b: float, c: float, d: float, tx: float, ty: float) -> list[list[float]]:
    return [[a, b, tx], [c, d, ty]]


def _similarity(scale: float, angle: float, tx: float, ty: float) -> list[list[float]]:
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return [[cos, -sin, tx], [sin, cos, ty]]


def _euler(angle: float, tx: float, ty: float) -> list[list[float]]:
    return _similarity(1.0, angle, tx, ty)


def _translation(tx: float, ty: float) -> list[list[float]]:
    return [[1.0, 0.0, tx], [0.0, 1.0, ty]]


# Number of parameters of each kind, and the function that makes (A t) of them.
_Kind = tuple[int, Callable[..., list[list[float]]]]
AFFINE: _Kind = (6, _affine)
SIMILARITY: _Kind = (4, _similarity)
EULER: _Kind = (3, _euler)
TRANSLATION: _Kind = (2, _translation)

_BSPLINE = "BSplineTransform"
_KINDS = {
    "AffineTransform": AFFINE,
    "MatrixOffsetTransformBase": AFFINE,
    "Similarity2DTransform": SIMILARITY,
    "Euler2DTransform": EULER,
    "TranslationTransform": TRANSLATION,
}
_EXPECTED = "a 2D transform (" + ", ".join([*_KINDS, _BSPLINE]) + ", or a CompositeTransform of these)"


def matrix_about_centre(kind: _Kind, parameters: Sequence[str], centre: Sequence[str]) -> Matrix:
    """Return the matrix (3, 3) of ITK's parameters and fixed parameters; translations have no centre.

    Raises:
        MismatchError: there are too many or too few parameters, or they are not numbers.
    """
    count, rows = kind
    matrix = np.array(rows(*parse_numbers(parameters, count, "its parameters")))
    if kind is not TRANSLATION:
        c = np.array(parse_numbers(centre, 2, "its centre"))
        matrix[:, 2] += c - matrix[:, :2] @ c
    return as_matrix(matrix)


def parse(content: bytes) -> Linear:
    """Read one linear 2D transform or cubic B-spline, or a composite of several."""
    found: list[Matrix | GridSpline] = []
    composite = False
    for name, parameters, centre in _records(decode_text(content, "an ITK transform file")):
        kind = _TYPE.fullmatch(name)
        if kind and kind[1] == "CompositeTransform" and not found and not composite:
            composite = True
        elif kind and kind[1] in _KINDS:
            found.append(matrix_about_centre(_KINDS[kind[1]], parameters, centre))
        elif kind and kind[1] == _BSPLINE:
            found.append(_spline(parameters, centre))
        else:
            raise MismatchError(_EXPECTED, name)
    if not found or (len(found) > 1 and not composite):
        raise MismatchError("one transform", f"{len(found)} that are not one CompositeTransform")
    return in_order(found[::-1])


def in_order(transforms: Sequence[Matrix | GridSpline]) -> Linear:
    """Return the transform that applies several ones after each other, the first one first."""
    matrix: Matrix = np.eye(3)
    bend: Bend | None = None
    for transform in transforms:
        own = transform.matrix if isinstance(transform, GridSpline) else transform
        if isinstance(bend, GridSpline) and not isinstance(transform, GridSpline):
            bend = bend.followed_by(own)
        elif isinstance(transform, GridSpline):
            before = bend or (None if np.array_equal(matrix, np.eye(3)) else MatrixBend(matrix))
            bend = transform if before is None else Chain(before, transform)
        elif bend is not None:
            bend = Chain(bend, MatrixBend(own))
        matrix = own @ matrix
    return Linear(as_matrix(matrix), bend=bend)


def _spline(parameters: Sequence[str], fixed: Sequence[str]) -> GridSpline:
    """Return the cubic B-spline of ITK's parameters and fixed parameters: size, origin, spacing and direction."""
    grid = parse_numbers(fixed, 10, "the grid of a B-spline")
    if grid[6:] != [1, 0, 0, 1]:
        raise MismatchError("a grid without rotation (direction 1 0 0 1)", exact_text(grid[6:]))
    return spline_of_grid(parameters, grid[:2], (grid[2], grid[3]), (grid[4], grid[5]))


def spline_of_grid(
    parameters: Sequence[str], size: Sequence[float], origin: tuple[float, float], steps: tuple[float, float]
) -> GridSpline:
    """Return the cubic B-spline of a grid of ``size`` (columns, rows); the parameters of x stand before those of y.

    Raises:
        MismatchError: the numbers are no such grid.
    """
    if not all(4 <= n < 2**31 and n == int(n) for n in size) or not all(step > 0 for step in steps):
        raise MismatchError("a grid of 4 or more nodes along each axis", f"{exact_text(size)}, {exact_text(steps)}")
    columns, rows = map(int, size)
    values = parse_numbers(parameters, 2 * rows * columns, "the nodes of a B-spline")
    return GridSpline(np.eye(3), np.array(values).reshape(2, rows, columns), origin, steps)


def _records(text: str) -> list[tuple[str, list[str], list[str]]]:
    """Return (type, parameters, fixed parameters) of each transform in the file."""
    records: list[tuple[str, list[str], list[str]]] = []
    positions = {"Parameters": 1, "FixedParameters": 2}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if line.startswith("#") or not line.strip():
            continue
        if key == "Transform" and colon:
            records.append((value.strip(), [], []))
        elif key in positions and colon and records:
            values = records[-1][positions[key]]
            assert isinstance(values, list)
            values[:] = value.split()
        else:
            raise MismatchError("lines Transform:, Parameters: and FixedParameters:", repr(line))
    return records


def serialize(transform: Linear, suffix: str) -> bytes:
    """Write an AffineTransform about the origin, or a composite of a BSplineTransform and what follows it."""
    (a, b, tx), (c, d, ty) = transform.matrix[:2]
    affine = "AffineTransform_double_2_2", exact_text((a, b, c, d, tx, ty)), "0 0"
    field = transform.transform
    if not isinstance(field, SplineField):
        return _file([affine])
    # T(x) = M x + u(x) is M after x + M^-1 u(x).
    spline = grid_spline(field).followed_by(np.vstack([np.linalg.inv(transform.matrix)[:2], [0, 0, 1]]))
    if np.array_equal(transform.matrix, np.eye(3)):
        spline = grid_spline(field)
    rows, columns = spline.coefficients.shape[1:]
    grid = (columns, rows, *spline.origin, *spline.steps, 1, 0, 0, 1)
    bspline = f"{_BSPLINE}_double_2_2", exact_text(spline.coefficients.ravel()), exact_text(grid)
    if np.array_equal(transform.matrix, np.eye(3)):
        return _file([bspline])
    return _file([("CompositeTransform_double_2_2", None, None), affine, bspline])


def _file(records: Sequence[tuple[str, str | None, str | None]]) -> bytes:
    """Return the file of transforms, each a type, parameters and fixed parameters; of a composite it is done last."""
    lines = ["#Insight Transform File V1.0"]
    for number, (name, parameters, fixed) in enumerate(records):
        lines += [f"#Transform {number}", f"Transform: {name}"]
        if parameters is not None:
            lines += [f"Parameters: {parameters}", f"FixedParameters: {fixed}"]
    return ("\n".join(lines) + "\n").encode()
