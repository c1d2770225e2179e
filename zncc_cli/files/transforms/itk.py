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
from zncc_cli.files.transforms.linear import Linear, Matrix, numbers, spelled, text_of, usable

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


# Number of parameters of each kind, and what makes (A t) of them.
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


def centred(kind: _Kind, parameters: Sequence[str], centre: Sequence[str]) -> Matrix:
    """Return the matrix (3, 3) of ITK's parameters and fixed parameters; translations have no centre.

    Raises:
        MismatchError: too many or too few of them, or no numbers.
    """
    count, rows = kind
    matrix = np.array(rows(*numbers(parameters, count, "its parameters")))
    if kind is not TRANSLATION:
        c = np.array(numbers(centre, 2, "its centre"))
        matrix[:, 2] += c - matrix[:, :2] @ c
    return usable(matrix)


def parse(content: bytes) -> Linear:
    """Read one linear 2D transform, or a composite of several."""
    matrices: list[Matrix] = []
    composite = False
    for name, parameters, centre in _records(text_of(content, "an ITK transform file")):
        kind = _TYPE.fullmatch(name)
        if kind and kind[1] == "CompositeTransform" and not matrices and not composite:
            composite = True
        elif kind and kind[1] in _KINDS:
            matrices.append(centred(_KINDS[kind[1]], parameters, centre))
        else:
            raise MismatchError(_EXPECTED, name)
    if not matrices or (len(matrices) > 1 and not composite):
        raise MismatchError("one transform", f"{len(matrices)} that are not one CompositeTransform")
    whole = matrices[0]
    for matrix in matrices[1:]:
        whole = whole @ matrix
    return Linear(usable(whole))


def _records(text: str) -> list[tuple[str, list[str], list[str]]]:
    """Return (type, parameters, fixed parameters) of each transform in the file."""
    records: list[tuple[str, list[str], list[str]]] = []
    places = {"Parameters": 1, "FixedParameters": 2}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if line.startswith("#") or not line.strip():
            continue
        if key == "Transform" and colon:
            records.append((value.strip(), [], []))
        elif key in places and colon and records:
            values = records[-1][places[key]]
            assert isinstance(values, list)
            values[:] = value.split()
        else:
            raise MismatchError("lines Transform:, Parameters: and FixedParameters:", repr(line))
    return records


def form(transform: Linear, suffix: str) -> bytes:
    """Write an AffineTransform about the origin."""
    (a, b, tx), (c, d, ty) = transform.matrix[:2]
    return (
        "#Insight Transform File V1.0\n"
        "#Transform 0\n"
        "Transform: AffineTransform_double_2_2\n"
        f"Parameters: {spelled((a, b, c, d, tx, ty))}\n"
        "FixedParameters: 0 0\n"
    ).encode()
