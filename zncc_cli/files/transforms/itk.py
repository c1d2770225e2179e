"""ITK's text transform file, .tfm, which SimpleITK, 3D Slicer and ANTs read too.

ITK maps points of the FIXED image's physical space to the MOVING image's: our direction. Physical points are our
pixels where both images have spacing 1, origin 0 and no rotation; the origin is the centre of the first pixel.

    y = A (x - c) + c + t      A row-major and t in Parameters, c in FixedParameters

https://itk.org/Doxygen/html/classitk_1_1MatrixOffsetTransformBase.html
https://itk.org/Doxygen/html/classitk_1_1CompositeTransform.html (the last of the queue is done first)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from zncc_cli.files.paths import MismatchError
from zncc_cli.files.transforms.linear import Linear, Matrix, as_matrix, decode_text, exact_text, parse_numbers

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

_KINDS = {
    "AffineTransform": AFFINE,
    "MatrixOffsetTransformBase": AFFINE,
    "Similarity2DTransform": SIMILARITY,
    "Euler2DTransform": EULER,
    "TranslationTransform": TRANSLATION,
}
_EXPECTED = "a 2D transform (" + ", ".join(_KINDS) + ", or a CompositeTransform of these)"


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
    """Read one linear 2D transform, or a composite of several."""
    matrices: list[Matrix] = []
    composite = False
    for name, parameters, centre in _records(decode_text(content, "an ITK transform file")):
        kind = _TYPE.fullmatch(name)
        if kind and kind[1] == "CompositeTransform" and not matrices and not composite:
            composite = True
        elif kind and kind[1] in _KINDS:
            matrices.append(matrix_about_centre(_KINDS[kind[1]], parameters, centre))
        else:
            raise MismatchError(_EXPECTED, name)
    if not matrices or (len(matrices) > 1 and not composite):
        raise MismatchError("one transform", f"{len(matrices)} that are not one CompositeTransform")
    composed = matrices[0]
    for matrix in matrices[1:]:
        composed = composed @ matrix
    return Linear(as_matrix(composed))


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
    """Write an AffineTransform about the origin."""
    (a, b, tx), (c, d, ty) = transform.matrix[:2]
    return (
        "#Insight Transform File V1.0\n"
        "#Transform 0\n"
        "Transform: AffineTransform_double_2_2\n"
        f"Parameters: {exact_text((a, b, c, d, tx, ty))}\n"
        "FixedParameters: 0 0\n"
    ).encode()
