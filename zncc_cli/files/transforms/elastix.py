"""elastix's transform parameter file, TransformParameters.0.txt, which transformix applies.

elastix maps points of the FIXED image's physical space to the MOVING image's, as ITK does (see `itk`). Size, Spacing,
Origin, Index and Direction are those of the fixed image: the frame that transformix resamples on. With spacing 1,
origin 0 and no rotation, physical points are our pixels. The geometry of the moving image is not in the file, and is
taken to be the same. A file with another geometry is refused: without the images it cannot be converted to pixels.

https://elastix.dev (the manual, chapter "The transform parameter file")
https://github.com/SuperElastix/elastix/tree/main/Components/Transforms
"""

from __future__ import annotations

import re

from zncc_cli.files.paths import MismatchError
from zncc_cli.files.transforms import itk
from zncc_cli.files.transforms.linear import Linear, decode_text, exact_text, parse_length, parse_numbers

_EXPECTED = "an elastix transform parameter file"

_KINDS = {
    "AffineTransform": itk.AFFINE,
    "SimilarityTransform": itk.SIMILARITY,
    "EulerTransform": itk.EULER,
    "TranslationTransform": itk.TRANSLATION,
}

_KEY_LINE = re.compile(r'\((\w+)((?:[ \t]+(?:"[^"]*"|[^\s"()]+))*)[ \t]*\)[ \t]*(?://.*)?')
_VALUE = re.compile(r'"([^"]*)"|([^\s"]+)')

# The geometry in which physical points are pixels. A missing key is taken to have its value here.
_PIXEL_GEOMETRY = {"Spacing": [1.0, 1.0], "Origin": [0.0, 0.0], "Index": [0.0, 0.0], "Direction": [1.0, 0.0, 0.0, 1.0]}


def recognizes(content: bytes) -> bool:
    """Tell whether the content is of this format: parentheses and a key Transform."""
    return re.search(rb"^\(Transform[ \t]", content, re.MULTILINE) is not None


def parse(content: bytes) -> Linear:
    """Read an affine, similarity, Euler or translation transform of 2D images."""
    keys = _keys(decode_text(content, _EXPECTED))
    kind = " ".join(keys.get("Transform", ()))
    if kind not in _KINDS:
        raise MismatchError("(Transform ...) to be one of " + ", ".join(_KINDS), kind or "none")
    for key in ("FixedImageDimension", "MovingImageDimension"):
        if keys.get(key, ["2"]) != ["2"]:
            raise MismatchError(f"({key} 2)", " ".join(keys[key]))
    for key in ("InitialTransformParameterFileName", "InitialTransformParametersFileName"):
        if keys.get(key, ["NoInitialTransform"]) != ["NoInitialTransform"]:
            raise MismatchError("a transform without an initial one", f"one that continues {' '.join(keys[key])}")
    for key, expected in _PIXEL_GEOMETRY.items():
        if key in keys and parse_numbers(keys[key], len(expected), key) != expected:
            raise MismatchError(f"an image in pixels, ({key} {exact_text(expected)})", " ".join(keys[key]))
    parameters, centre = keys.get("TransformParameters", []), keys.get("CenterOfRotationPoint", [])
    matrix = itk.matrix_about_centre(_KINDS[kind], parameters, centre)
    if "Size" not in keys:
        return Linear(matrix)
    size = [parse_length(text) for text in keys["Size"]]
    if len(size) != 2:
        raise MismatchError("(Size W H)", " ".join(keys["Size"]))
    return Linear(matrix, fixed_shape=(size[1], size[0]))


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


def serialize(transform: Linear, suffix: str) -> bytes:
    """Write an AffineTransform about the origin, with all that transformix needs: a cubic spline, float pixels."""
    assert transform.fixed_shape is not None
    height, width = transform.fixed_shape
    (a, b, tx), (c, d, ty) = transform.matrix[:2]
    return f"""\
(Transform "AffineTransform")
(NumberOfParameters 6)
(TransformParameters {exact_text((a, b, c, d, tx, ty))})
(CenterOfRotationPoint 0 0)
(InitialTransformParameterFileName "NoInitialTransform")
(HowToCombineTransforms "Compose")
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
