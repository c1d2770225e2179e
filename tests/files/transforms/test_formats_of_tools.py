"""Transforms in other tools' files are read back as written; those that cannot be held or used are refused in one line.

That the other tools read the same from them is tested in test_formats_by_their_tools.py.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.files.transforms.transform_texts import FIXED, MATRICES, MOVING, linear, read_text, refused
from zncc_cli.config import Model, TransformFormat
from zncc_cli.errors import InputError, OptionError, OutputError
from zncc_cli.files.transforms.formats import FORMATS, Linear, format_for, read_linear, write_linear
from zncc_cli.registration.transforms.matrices import map_points, model_of

CORNERS = np.array([[0, 0], [639, 0], [639, 479], [0, 479]], dtype=float)
OTHERS = [kind for kind in FORMATS if kind is not TransformFormat.ZNCC]
LANDMARKS = (TransformFormat.TURBOREG, TransformFormat.MULTISTACKREG)
# A place or a displacement for every pixel.
DENSE = (TransformFormat.METAIMAGE, TransformFormat.BUNWARPJ, TransformFormat.TIFF, TransformFormat.OME_ZARR)


@pytest.mark.parametrize("model", MATRICES)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_written_transform_is_read_back_by_its_content(tmp_path: Path, kind: TransformFormat, model: Model) -> None:
    if model is Model.HOMOGRAPHY and not FORMATS[kind].perspective:
        with pytest.raises(OutputError, match="homography"):
            write_linear(tmp_path / "out", linear(model), kind)
        assert list(tmp_path.iterdir()) == []
        return
    write_linear(tmp_path / "out", linear(model), kind)
    result = read_linear(tmp_path / "out")
    if kind in DENSE:
        assert result.bend is not None
        pixels = np.stack(np.meshgrid(range(FIXED[1]), range(FIXED[0])), axis=-1).reshape(-1, 2).astype(float)
        want = map_points(linear(model).matrix, pixels)
        inside = ((want >= 0) & (want <= np.array(MOVING[::-1]) - 1)).all(axis=1)
        got = result.bend.map_points(pixels)
        # float32 displacements of up to 256 pixels in a TIFF, float64 places in the others.
        rounding = 1.6e-5 if kind is TransformFormat.TIFF else 1e-12
        np.testing.assert_allclose(got[inside], want[inside], rtol=0, atol=rounding)
    elif kind in LANDMARKS:
        # Landmarks are rounded to 1e-13 pixels, a third of the frame from its corners.
        np.testing.assert_allclose(
            map_points(result.matrix, CORNERS), map_points(linear(model).matrix, CORNERS), atol=1e-11
        )
        assert model_of(result.matrix) is model
    else:
        assert result.matrix.tobytes() == linear(model).matrix.tobytes()
    for frame in FORMATS[kind].needs:
        assert getattr(result, frame) == getattr(linear(), frame)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_missing_size_is_asked_for(tmp_path: Path, kind: TransformFormat) -> None:
    bare = Linear(linear().matrix)
    if FORMATS[kind].needs:
        with pytest.raises(OptionError, match="--fixed"):
            write_linear(tmp_path / "out", bare, kind)
    else:
        write_linear(tmp_path / "out", bare, kind)


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("matrix", [np.diag([1.0, 0, 1]), np.diag([1.0, 1, 0])])
def test_a_singular_matrix_is_not_written(tmp_path: Path, kind: TransformFormat, matrix: np.ndarray) -> None:
    with pytest.raises(OutputError, match="out: expected a matrix"):
        write_linear(tmp_path / "out", Linear(matrix, FIXED, MOVING), kind)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_factor_on_the_whole_matrix_changes_nothing(tmp_path: Path, kind: TransformFormat) -> None:
    write_linear(tmp_path / "out", Linear(4 * linear().matrix, FIXED, MOVING), kind)
    # The matrix of displacements is fitted to them; those of a TIFF are float32.
    rtol = 1e-3 if kind is TransformFormat.TIFF else 1e-10 if kind in DENSE else 1e-12
    np.testing.assert_allclose(read_linear(tmp_path / "out").matrix, linear().matrix, rtol=rtol)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("transform.json", TransformFormat.ZNCC),
        ("A.TFM", TransformFormat.ITK),
        ("TransformParameters.0.txt", TransformFormat.ELASTIX),
        ("matrix.txt", TransformFormat.TEXT),
        ("matrix.csv", TransformFormat.TEXT),
        ("matrix.npy", TransformFormat.NPY),
        ("matrix.yml", TransformFormat.OPENCV),
        ("matrix.yaml", TransformFormat.OPENCV),
        ("field.mha", TransformFormat.METAIMAGE),
        ("field.TIF", TransformFormat.TIFF),
        ("field.ome.zarr", TransformFormat.OME_ZARR),
    ],
)
def test_the_name_of_a_file_decides_its_format(name: str, kind: TransformFormat) -> None:
    assert format_for(Path(name)) is kind
    assert format_for(Path(name), TransformFormat.TURBOREG) is TransformFormat.TURBOREG


def test_a_name_of_no_format_is_refused() -> None:
    with pytest.raises(OptionError, match=r"a\.xml: expected a name like .*--format"):
        format_for(Path("a.xml"))


# ITK ------------------------------------------------------------------------------------------------------------------

ITK = "#Insight Transform File V1.0\n"


def itk(kind: str, parameters: str, centre: str = "") -> str:
    return f"#Transform 0\nTransform: {kind}\nParameters: {parameters}\nFixedParameters: {centre}\n"


@pytest.mark.parametrize(
    ("record", "matrix"),
    [
        (itk("TranslationTransform_double_2_2", "3 -4"), [[1, 0, 3], [0, 1, -4], [0, 0, 1]]),
        (itk("AffineTransform_double_2_2", "2 0 0 3 5 6", "10 20"), [[2, 0, -5], [0, 3, -34], [0, 0, 1]]),
        (itk("MatrixOffsetTransformBase_float_2_2", "2 0 0 3 5 6", "0 0"), [[2, 0, 5], [0, 3, 6], [0, 0, 1]]),
        (itk("Euler2DTransform_double_2_2", f"{math.pi / 2!r} 0 0", "1 2"), [[0, -1, 3], [1, 0, 1], [0, 0, 1]]),
        (itk("Similarity2DTransform_double_2_2", f"2 {math.pi / 2!r} 0 0", "1 2"), [[0, -2, 5], [2, 0, 0], [0, 0, 1]]),
    ],
)
def test_itk_transforms_turn_about_their_centre(tmp_path: Path, record: str, matrix: list[list[float]]) -> None:
    # cos(pi / 2) is 6e-17 in float64.
    np.testing.assert_allclose(read_text(tmp_path, ITK + record).matrix, matrix, atol=1e-14)
    np.testing.assert_allclose(read_text(tmp_path, (ITK + record).replace("\n", "\r\n")).matrix, matrix, atol=1e-14)


def test_an_itk_composite_does_its_last_transform_first(tmp_path: Path) -> None:
    text = ITK + "Transform: CompositeTransform_double_2_2\n"
    text += itk("AffineTransform_double_2_2", "2 0 0 2 0 0", "0 0") + itk("TranslationTransform_double_2_2", "3 4")
    np.testing.assert_array_equal(read_text(tmp_path, text).matrix, [[2, 0, 6], [0, 2, 8], [0, 0, 1]])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (ITK, "0 that"),
        (ITK + itk("AffineTransform_double_3_3", "1 0 0 0 1 0 0 0 1 0 0 0", "0 0 0"), "AffineTransform_double_3_3"),
        (ITK + itk("BSplineTransform_double_2_2", "1 2"), "the grid of a B-spline"),
        (ITK + itk("BSplineTransform_double_2_2", "1 2", "4 4 0 0 1 1 1 0 0 1"), "32 numbers for the nodes"),
        (ITK + itk("BSplineTransform_double_2_2", "1 2", "4e9 4e9 0 0 1 1 1 0 0 1"), "4 or more nodes"),
        (ITK + itk("BSplineTransform_double_2_2", "1 2", "4.5 4 0 0 1 1 1 0 0 1"), "4 or more nodes"),
        (ITK + itk("BSplineTransform_double_2_2", "1 2", "3 4 0 0 1 1 1 0 0 1"), "4 or more nodes"),
        (ITK + itk("BSplineTransform_double_2_2", "1 2", "4 4 0 0 0 1 1 0 0 1"), "4 or more nodes"),
        (ITK + itk("BSplineTransform_double_2_2", "1 2", "4 4 0 0 1 1 0 1 -1 0"), "without rotation"),
        (ITK + itk("AffineTransform_double_2_2", "1 0 0 1 0", "0 0"), "5"),
        (ITK + itk("AffineTransform_double_2_2", "1 0 0 1 0 nan", "0 0"), "nan"),
        (ITK + itk("AffineTransform_double_2_2", "1 0 0 0 0 0", "0 0"), "inverted"),
        (ITK + itk("AffineTransform_double_2_2", "1 0 0 1 0 0"), "its centre"),
        (ITK + itk("TranslationTransform_double_2_2", "3 4") * 2, "2 that are not one"),
        (ITK + itk("CompositeTransform_double_2_2", "") * 2, "CompositeTransform"),
        (ITK + "Parameters: 1 2\n", "Parameters"),
        (ITK + "import os\n", "import os"),
        (ITK.encode() + b"\xff\xfe", "no UTF-8"),
    ],
)
def test_unusable_itk_files_are_refused(tmp_path: Path, text: str | bytes, found: str) -> None:
    assert found in refused(tmp_path, text)


# elastix --------------------------------------------------------------------------------------------------------------


def elastix(kind: str = "EulerTransform", parameters: str = "0.5 1 2", **changes: str | None) -> str:
    keys = {"CenterOfRotationPoint": "10 20", "Size": "640 480", "Spacing": "1 1", "Origin": "0 0", "Index": "0 0"}
    keys |= {"Direction": "1 0 0 1", "InitialTransformParameterFileName": '"NoInitialTransform"', **changes}
    lines = [f"({key} {value})" for key, value in keys.items() if value is not None]
    return "\n".join([f'(Transform "{kind}")', f"(TransformParameters {parameters})", "", "// remark", *lines])


@pytest.mark.parametrize(
    ("kind", "itk_kind", "parameters"),
    [
        ("EulerTransform", "Euler2DTransform", "0.5 1 2"),
        ("SimilarityTransform", "Similarity2DTransform", "1.1 0.5 1 2"),
        ("AffineTransform", "AffineTransform", "1.1 0.2 0.3 0.9 1 2"),
    ],
)
def test_elastix_transforms_are_those_of_itk(tmp_path: Path, kind: str, itk_kind: str, parameters: str) -> None:
    result = read_text(tmp_path, elastix(kind, parameters))
    other = read_text(tmp_path, ITK + itk(f"{itk_kind}_double_2_2", parameters, "10 20"))
    assert result.matrix.tobytes() == other.matrix.tobytes()
    assert result.fixed_shape == FIXED
    assert result.moving_shape is None


def test_an_elastix_translation_has_no_centre(tmp_path: Path) -> None:
    result = read_text(tmp_path, elastix("TranslationTransform", "3 -4", CenterOfRotationPoint=None, Size=None))
    np.testing.assert_array_equal(result.matrix, [[1, 0, 3], [0, 1, -4], [0, 0, 1]])
    assert result.fixed_shape is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (elastix(Spacing="0.5 0.5"), "found 0.5 0.5"),
        (elastix(Origin="0 10"), "(Origin"),
        (elastix(Index="5 0"), "(Index"),
        (elastix(Direction="0 1 1 0"), "(Direction"),
        (elastix(Size="640 480 3"), "(Size W H)"),
        (elastix(Size="1e9 2"), "whole number"),
        (elastix(Size="0 2"), "whole number"),
        (elastix(Size="640 " + "9" * 5000), "whole number"),
        (elastix(FixedImageDimension="3"), "(FixedImageDimension 2)"),
        (elastix(InitialTransformParameterFileName='"TransformParameters.0.txt"'), "TransformParameters.0.txt"),
        (elastix("BSplineTransform"), "GridSize"),
        (elastix(parameters="0.5 1"), "2"),
        (elastix(parameters="0.5 1 1e999"), "1e999"),
        (elastix(CenterOfRotationPoint=None), "its centre"),
        (elastix() + "\n(Size 640 480)", "once"),
        (elastix() + "\n(Size 640", "lines (Name value ...)"),
        (elastix() + "\n(" + "a " * 100_000, "lines (Name value ...)"),
    ],
)
def test_unusable_elastix_files_are_refused(tmp_path: Path, text: str, found: str) -> None:
    assert found in refused(tmp_path, text)


# TurboReg and MultiStackReg -------------------------------------------------------------------------------------------

TURBOREG = """Transformation
{kind}

Source size
700\t500

Target size
640\t480

Refined source landmarks
{source}

Target landmarks
{target}
"""
MULTISTACKREG = "MultiStackReg Transformation File\nFile Version 1.0\n0\n"
BLOCK = "{kind}\nSource img: 2 Target img: 1\n{source}\n\n{target}\n\n"

TRIANGLE = "256.0\t128.0\n128.0\t384.0\n384.0\t384.0"
MOVED = "266.0\t123.0\n138.0\t379.0\n394.0\t379.0"


def test_landmarks_go_from_the_target_to_the_source(tmp_path: Path) -> None:
    shift = [[1, 0, 10], [0, 1, -5], [0, 0, 1]]
    for kind, count in (
        ("TRANSLATION", 1),
        ("RIGID_BODY", 3),
        ("RIGID BODY", 3),
        ("SCALED_ROTATION", 2),
        ("AFFINE", 3),
    ):
        source, target = ("\n".join(points.split("\n")[:count]) for points in (MOVED, TRIANGLE))
        result = read_text(tmp_path, TURBOREG.format(kind=kind, source=source, target=target))
        np.testing.assert_allclose(result.matrix, shift, atol=1e-12)
        assert (result.fixed_shape, result.moving_shape) == (FIXED, MOVING)
        stack = read_text(tmp_path, MULTISTACKREG + BLOCK.format(kind=kind, source=MOVED, target=TRIANGLE))
        np.testing.assert_allclose(stack.matrix, shift, atol=1e-12)


def test_rigid_landmarks_shift_by_the_first_and_turn_by_the_others(tmp_path: Path) -> None:
    # The line from the second to the third landmark turns from +y to -x: by a quarter.
    text = TURBOREG.format(kind="RIGID_BODY", source="5\t5\n0\t0\n-20\t0", target="1\t2\n0\t10\n0\t20")
    result = read_text(tmp_path, text).matrix
    np.testing.assert_allclose(result, [[0, -1, 7], [1, 0, 4], [0, 0, 1]], atol=1e-14)


def test_a_turboreg_file_is_written_as_its_loader_wants_it(tmp_path: Path) -> None:
    write_linear(tmp_path / "landmarks.txt", linear(Model.TRANSLATION), TransformFormat.TURBOREG)
    source = f"{320 + 1 / 3!r}\t240.0"
    want = TURBOREG.format(kind="TRANSLATION", source=source, target="320.0\t240.0")
    assert (tmp_path / "landmarks.txt").read_text() == want


def test_a_multistackreg_file_has_three_landmarks_always(tmp_path: Path) -> None:
    write_linear(tmp_path / "m.txt", linear(Model.SIMILARITY), TransformFormat.MULTISTACKREG)
    lines = (tmp_path / "m.txt").read_text().split("\n")
    assert lines[:5] == [*MULTISTACKREG.split("\n")[:3], "SCALED_ROTATION", "Source img: 2 Target img: 1"]
    assert [len(line.split("\t")) for line in lines[5:13]] == [2, 2, 2, 1, 2, 2, 2, 1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TURBOREG.format(kind="BILINEAR", source=MOVED, target=TRIANGLE), "BILINEAR"),
        (TURBOREG.format(kind="AFFINE", source=MOVED, target="1\t1\n2\t2\n3\t3"), "one line"),
        (TURBOREG.format(kind="AFFINE", source="1\t1\n2\t2\n3\t3", target=TRIANGLE), "inverted"),
        (TURBOREG.format(kind="SCALED_ROTATION", source="1\t1\n2\t2", target="3\t3\n3\t3"), "different"),
        (TURBOREG.format(kind="AFFINE", source=MOVED, target="1\t1"), "the end of the file"),
        (TURBOREG.format(kind="AFFINE", source=MOVED, target=TRIANGLE) + "\nRefined source landmarks", "more lines"),
        (TURBOREG.format(kind="TRANSLATION", source="NaN\t1", target="1\t1"), "NaN"),
        (TURBOREG.replace("700", "7e2").format(kind="AFFINE", source=MOVED, target=TRIANGLE), "7e2"),
        ("Transformation\n", "the end of the file"),
        (MULTISTACKREG + BLOCK.format(kind="AFFINE", source=MOVED, target=TRIANGLE) * 3, "3 pairs"),
        (MULTISTACKREG + BLOCK.format(kind="BILINEAR", source=MOVED, target=TRIANGLE), "BILINEAR"),
        (MULTISTACKREG.replace("0\n", "7\n"), "File Version"),
    ],
)
def test_unusable_landmarks_are_refused(tmp_path: Path, text: str, found: str) -> None:
    assert found in refused(tmp_path, text)


# What is none ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [None, *FORMATS])
@pytest.mark.parametrize("content", [b"", b"\0\1\2\3", b"hello", b"{}", b"[]", b"3", b"%YAML", b"\n" * 1000])
def test_what_is_no_transform_is_refused(tmp_path: Path, content: bytes, kind: TransformFormat | None) -> None:
    refused(tmp_path, content, kind)


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match="1099511627776 bytes"):
        read_linear(tmp_path / "file")
