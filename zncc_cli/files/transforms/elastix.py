"""elastix's transform parameter file, TransformParameters.0.txt, which transformix applies.

elastix maps points of the FIXED image's physical space to the MOVING image's, as ITK does (see `itk`). Size, Spacing,
Origin, Index and Direction are those of the fixed image: the frame that transformix resamples on. With spacing 1,
origin 0 and no rotation, physical points are our pixels. The geometry of the moving image is not in the file, and is
taken to be the same. A file with another geometry is refused: without the images it cannot be converted to pixels.

A B-spline is added to a matrix that another file holds, its initial transform: (HowToCombineTransforms "Add"). Beyond
its grid elastix's spline is zero, while ours is that of the frame's nearest point.

https://elastix.dev (the manual, chapter "The transform parameter file")
https://github.com/SuperElastix/elastix/tree/main/Components/Transforms
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np

from zncc_cli.errors import InputError
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.paths import MismatchError, read_small_file
from zncc_cli.files.transforms import itk
from zncc_cli.files.transforms.bends import Chain, GridSpline, MatrixBend, Sum, grid_spline
from zncc_cli.files.transforms.linear import (
    Linear,
    Matrix,
    as_matrix,
    decode_text,
    exact_text,
    parse_length,
    parse_numbers,
)
from zncc_cli.registration.transforms.spline_field import SplineField

_EXPECTED = "an elastix transform parameter file"

_KINDS = {
    "AffineTransform": itk.AFFINE,
    "SimilarityTransform": itk.SIMILARITY,
    "EulerTransform": itk.EULER,
    "TranslationTransform": itk.TRANSLATION,
}

_SPLINES = ("BSplineTransform", "RecursiveBSplineTransform")
_GRID_KEYS = ("Size", "Origin", "Spacing")
_GRID_GEOMETRY = {"GridIndex": [0.0, 0.0], "GridDirection": [1.0, 0.0, 0.0, 1.0]}
_INITIAL_KEYS = ("InitialTransformParameterFileName", "InitialTransformParametersFileName")
_NO_INITIAL = "NoInitialTransform"
_MAX_INITIAL = 8  # one after the other

_KEY_LINE = re.compile(r'\((\w+)((?:[ \t]+(?:"[^"]*"|[^\s"()]+))*)[ \t]*\)[ \t]*(?://.*)?')
_VALUE = re.compile(r'"([^"]*)"|([^\s"]+)')

# The geometry in which physical points are pixels. A missing key is taken to have its value here.
_PIXEL_GEOMETRY = {"Spacing": [1.0, 1.0], "Origin": [0.0, 0.0], "Index": [0.0, 0.0], "Direction": [1.0, 0.0, 0.0, 1.0]}


def recognizes(content: bytes) -> bool:
    """Tell whether the content is of this format: parentheses and a key Transform."""
    return re.search(rb"^\(Transform[ \t]", content, re.MULTILINE) is not None


def parse(content: bytes, path: Path) -> Linear:
    """Read an affine, similarity, Euler or translation transform, or a cubic B-spline, of 2D images.

    The initial transform that it names is looked for beside ``path``, whatever folder it names.
    """
    return _parse(content, path, 0)


def _parse(content: bytes, path: Path, depth: int) -> Linear:
    """Read a file that is the initial one of ``depth`` others."""
    keys = _keys(decode_text(content, _EXPECTED))
    kind = " ".join(keys.get("Transform", ()))
    if kind not in (*_KINDS, *_SPLINES):
        raise MismatchError("(Transform ...) to be one of " + ", ".join((*_KINDS, *_SPLINES)), kind or "none")
    for key in ("FixedImageDimension", "MovingImageDimension"):
        if keys.get(key, ["2"]) != ["2"]:
            raise MismatchError(f"({key} 2)", " ".join(keys[key]))
    for key, expected in _PIXEL_GEOMETRY.items():
        if key in keys and parse_numbers(keys[key], len(expected), key) != expected:
            raise MismatchError(f"an image in pixels, ({key} {exact_text(expected)})", " ".join(keys[key]))
    parameters, centre = keys.get("TransformParameters", []), keys.get("CenterOfRotationPoint", [])
    own = _spline(keys, parameters) if kind in _SPLINES else itk.matrix_about_centre(_KINDS[kind], parameters, centre)
    transform = _after_initial(own, keys, path, depth)
    if "Size" not in keys:
        return transform
    size = [parse_length(text) for text in keys["Size"]]
    if len(size) != 2:
        raise MismatchError("(Size W H)", " ".join(keys["Size"]))
    return dataclasses.replace(transform, fixed_shape=(size[1], size[0]))


def _spline(keys: dict[str, list[str]], parameters: list[str]) -> GridSpline:
    """Return the cubic B-spline of the keys of its grid."""
    if keys.get("BSplineTransformSplineOrder", ["3"]) != ["3"]:
        raise MismatchError("(BSplineTransformSplineOrder 3)", " ".join(keys["BSplineTransformSplineOrder"]))
    if keys.get("UseCyclicTransform", ["false"]) != ["false"]:
        raise MismatchError('(UseCyclicTransform "false")', " ".join(keys["UseCyclicTransform"]))
    for key, expected in _GRID_GEOMETRY.items():
        if key in keys and parse_numbers(keys[key], len(expected), key) != expected:
            raise MismatchError(f"a grid in pixels, ({key} {exact_text(expected)})", " ".join(keys[key]))
    size, origin, steps = (parse_numbers(keys.get(f"Grid{key}", []), 2, f"Grid{key}") for key in _GRID_KEYS)
    return itk.spline_of_grid(parameters, size, (origin[0], origin[1]), (steps[0], steps[1]))


def _after_initial(own: Matrix | GridSpline, keys: dict[str, list[str]], path: Path, depth: int) -> Linear:
    """Return a transform together with the initial one that its file names, if it names one."""
    names = [" ".join(keys[key]) for key in _INITIAL_KEYS if keys.get(key, [_NO_INITIAL]) != [_NO_INITIAL]]
    if not names:
        return itk.in_order([own])
    how = " ".join(keys.get("HowToCombineTransforms", ["Compose"]))
    if how not in ("Compose", "Add"):
        raise MismatchError('(HowToCombineTransforms "Compose") or "Add"', how)
    if depth == _MAX_INITIAL:
        raise MismatchError(f"at most {_MAX_INITIAL} initial transforms", "more, or a circle")
    # Of a path of another machine, too, the name is what is after the last separator.
    beside = path.with_name(re.split(r"[/\\]", names[0])[-1] or "initial transform")
    try:
        content = read_small_file(beside, expected=_EXPECTED, advice="put it beside the file that names it")
    except InputError as error:
        raise MismatchError(f"the initial transform {beside.name} beside it", str(error)) from error
    initial = _parse(content, beside, depth + 1)
    first = initial.bend or MatrixBend(initial.matrix)
    if how == "Compose":
        if isinstance(first, GridSpline | MatrixBend):
            return itk.in_order([first if isinstance(first, GridSpline) else first.matrix, own])
        later = own if isinstance(own, GridSpline) else MatrixBend(own)
        return Linear(as_matrix(later.matrix @ initial.matrix), bend=Chain(first, later))
    if isinstance(own, GridSpline):
        is_matrix = isinstance(first, MatrixBend)
        bend = dataclasses.replace(own, matrix=initial.matrix) if is_matrix else Sum(first, own)
        return Linear(initial.matrix, bend=bend)
    matrix = as_matrix(initial.matrix + own - np.eye(3))
    return Linear(matrix, bend=None if initial.bend is None else Sum(first, MatrixBend(own)))


def _keys(text: str) -> dict[str, list[str]]:
    """Return the values of each key; comments and blank lines are skipped."""
    keys: dict[str, list[str]] = {}
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("//"):
            continue
        match = _KEY_LINE.fullmatch(line)
        if not match:
            raise MismatchError("lines (Name value ...)", repr(line))
        if match[1] in keys:
            raise MismatchError(f"({match[1]} ...) once", "a second one")
        keys[match[1]] = [quoted or bare for quoted, bare in _VALUE.findall(match[2])]
    return keys


def initial_file(path: Path) -> Path:
    """Return where the matrix upon which a B-spline bends is written, beside the file ``path`` of the spline."""
    return path.with_name(f"{path.stem}.initial.txt")


def write_initial(transform: Linear, path: Path) -> None:
    """Write the matrix upon which a B-spline bends, beside the file ``path`` of the spline."""
    with atomic_write(initial_file(path)) as file:
        file.write(serialize(dataclasses.replace(transform, bend=None), path))


def serialize(transform: Linear, path: Path) -> bytes:
    """Write an AffineTransform about the origin, or a B-spline that is added to that of the `initial_file`.

    The file has all that transformix needs: a cubic spline, float pixels.
    """
    assert transform.fixed_shape is not None
    height, width = transform.fixed_shape
    field = transform.transform
    own = _spline_keys(field, path) if isinstance(field, SplineField) else _affine_keys(field)
    return f"""\
{own}
(FixedImageDimension 2)
(MovingImageDimension 2)
(FixedInternalImagePixelType "float")
(MovingInternalImagePixelType "float")
(Size {width} {height})
(Index 0 0)
(Spacing 1 1)
(Origin 0 0)
(Direction 1 0 0 1)
(UseDirectionCosines "true")
(ResampleInterpolator "FinalBSplineInterpolator")
(FinalBSplineInterpolationOrder 3)
(Resampler "DefaultResampler")
(DefaultPixelValue 0)
(ResultImageFormat "mhd")
(ResultImagePixelType "float")
(CompressResultImage "false")
""".encode()


def _affine_keys(matrix: Matrix) -> str:
    (a, b, tx), (c, d, ty) = matrix[:2]
    return f"""\
(Transform "AffineTransform")
(NumberOfParameters 6)
(TransformParameters {exact_text((a, b, c, d, tx, ty))})
(CenterOfRotationPoint 0 0)
(InitialTransformParameterFileName "{_NO_INITIAL}")
(HowToCombineTransforms "Compose")"""


def _spline_keys(field: SplineField, path: Path) -> str:
    spline = grid_spline(field)
    rows, columns = spline.coefficients.shape[1:]
    return f"""\
(Transform "BSplineTransform")
(NumberOfParameters {spline.coefficients.size})
(TransformParameters {exact_text(spline.coefficients.ravel())})
(InitialTransformParameterFileName "{initial_file(path).name}")
(HowToCombineTransforms "Add")
(GridSize {columns} {rows})
(GridIndex 0 0)
(GridSpacing {exact_text(spline.steps)})
(GridOrigin {exact_text(spline.origin)})
(GridDirection 1 0 0 1)
(BSplineTransformSplineOrder 3)
(UseCyclicTransform "false")"""
