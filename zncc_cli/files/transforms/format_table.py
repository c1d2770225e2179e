"""The table of transform formats.

To add a format: a member of `config.TransformFormat`, a module with `recognizes`, `parse` and `serialize`, an entry
here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

from zncc_cli.config import TransformFormat
from zncc_cli.files.paths import MAX_SMALL_FILE_BYTES
from zncc_cli.files.transforms import (
    bare_matrix,
    bunwarpj,
    displacement_tiff,
    elastix,
    itk,
    metaimage,
    ome_zarr_field,
    opencv,
    turboreg,
)
from zncc_cli.files.transforms.linear import Linear
from zncc_cli.files.transforms.side_files import DISPLACEMENT, SPLINE, side_file
from zncc_cli.files.transforms.transform_json import (
    BSPLINE,
    TransformFile,
    parse_json,
    parse_rows,
    parse_transform,
    transform_content,
    write_side_files,
)
from zncc_cli.registration.transforms.matrices import model_of
from zncc_cli.registration.transforms.spline_field import SplineField


@dataclasses.dataclass(frozen=True)
class _Format:
    """One format.

    names: patterns, in small letters, of the file names that are written in this format.
    recognizes: tells whether a content is of this format; the first format of the table that does reads the file.
    parse: content, path -> Linear, or MismatchError; the path is that of the file, for what lies beside it.
    serialize: Linear, path -> content; or, of a format whose files are large, `write`, which writes them itself.
    needs: the fields of Linear, shapes of images, that it cannot be written without.
    perspective: whether it holds homographies.
    bends: whether it holds transforms that bend.
    max_bytes: of a file that is read before it is parsed; math.inf where the parser gets its first bytes alone.
    pixel_bytes: how many bytes are written for each pixel of the fixed frame, of a transform that bends or any.
    side_names: path -> the files that are written beside that of a transform that bends.
    write_beside: writes these.
    """

    names: tuple[str, ...]
    recognizes: Callable[[bytes], bool]
    parse: Callable[[bytes, Path], Linear]
    serialize: Callable[[Linear, Path], bytes] | None
    needs: tuple[str, ...] = ()
    perspective: bool = True
    bends: bool = False
    max_bytes: float = MAX_SMALL_FILE_BYTES
    pixel_bytes: int = 0
    side_names: Callable[[Path], tuple[Path, ...]] = lambda _: ()
    write_beside: Callable[[Linear, Path], None] = lambda *_: None
    write: Callable[[Linear, Path], None] | None = None


def _begins(magic: bytes) -> Callable[[bytes], bool]:
    """Return a function that tells whether a content begins with ``magic``."""
    return lambda content: content.startswith(magic)


def _alone(parse: Callable[[bytes], Linear]) -> Callable[[bytes, Path], Linear]:
    """Return the parser of a format whose files stand alone."""
    return lambda content, _: parse(content)


def _by_suffix(serialize: Callable[[Linear, str], bytes]) -> Callable[[Linear, Path], bytes]:
    """Return the writer of a format to which only the suffix of a file, in small letters, matters."""
    return lambda transform, path: serialize(transform, path.suffix.lower())


def _parse_own(content: bytes, path: Path) -> Linear:
    """Read a transform.json, or a JSON list of 3 rows of 3 numbers."""
    value = parse_json(content, "a transform.json, or a JSON list of 3 rows of 3 numbers")
    if isinstance(value, list):
        return Linear(parse_rows(value))
    own = parse_transform(value, path)
    shapes = own.fixed_shape, own.moving_shape
    return Linear(own.matrix, *shapes, own.model, own.grid, own.status, own.field, own.expected_error)


def _own(transform: Linear) -> TransformFile:
    """Return a transform as that of a transform.json; both shapes must be known."""
    assert transform.fixed_shape is not None
    assert transform.moving_shape is not None
    field = transform.transform if isinstance(transform.transform, SplineField) else None
    model = transform.model or (str(model_of(transform.matrix)) if field is None else BSPLINE)
    frames = transform.fixed_shape, transform.moving_shape
    return TransformFile(model, transform.matrix, *frames, transform.grid, transform.status, field)


_MAX_TEXT_BYTES = 2**27  # the nodes of a spline, or the places of all pixels, with 20 characters a number
_BOTH_SHAPES = ("fixed_shape", "moving_shape")

FORMATS: dict[TransformFormat, _Format] = {
    TransformFormat.ITK: _Format(
        ("*.tfm",),
        _begins(itk.MAGIC),
        _alone(itk.parse),
        _by_suffix(itk.serialize),
        perspective=False,
        bends=True,
        max_bytes=_MAX_TEXT_BYTES,
    ),
    TransformFormat.ELASTIX: _Format(
        ("transformparameters*.txt",),
        elastix.recognizes,
        elastix.parse,
        elastix.serialize,
        ("fixed_shape",),
        perspective=False,
        bends=True,
        side_names=lambda path: (elastix.initial_file(path),),
        write_beside=elastix.write_initial,
        max_bytes=_MAX_TEXT_BYTES,
    ),
    TransformFormat.TURBOREG: _Format(
        (),
        _begins(turboreg.TURBOREG_MAGIC),
        _alone(turboreg.parse_turboreg),
        _by_suffix(turboreg.serialize_turboreg),
        _BOTH_SHAPES,
        perspective=False,
    ),
    TransformFormat.MULTISTACKREG: _Format(
        (),
        _begins(turboreg.MULTISTACKREG_MAGIC),
        _alone(turboreg.parse_multistackreg),
        _by_suffix(turboreg.serialize_multistackreg),
        perspective=False,
    ),
    TransformFormat.NPY: _Format(
        ("*.npy",),
        _begins(bare_matrix.NPY_MAGIC),
        _alone(bare_matrix.parse_npy),
        _by_suffix(bare_matrix.serialize_npy),
    ),
    TransformFormat.OPENCV: _Format(
        ("*.yml", "*.yaml"), opencv.recognizes, _alone(opencv.parse), _by_suffix(opencv.serialize)
    ),
    TransformFormat.METAIMAGE: _Format(
        ("*.mha",),
        _begins(metaimage.MAGIC),
        metaimage.parse,
        None,
        ("fixed_shape",),
        bends=True,
        max_bytes=math.inf,
        pixel_bytes=16,
        write=metaimage.write,
    ),
    TransformFormat.BUNWARPJ: _Format(
        (),
        _begins(bunwarpj.MAGIC),
        _alone(bunwarpj.parse),
        None,
        ("fixed_shape",),
        bends=True,
        max_bytes=_MAX_TEXT_BYTES,
        pixel_bytes=44,
        write=bunwarpj.write,
    ),
    TransformFormat.TIFF: _Format(
        ("*.tif", "*.tiff"),
        displacement_tiff.recognizes,
        displacement_tiff.parse,
        None,
        ("fixed_shape",),
        bends=True,
        max_bytes=math.inf,
        pixel_bytes=8,
        write=displacement_tiff.write,
    ),
    TransformFormat.OME_ZARR: _Format(
        ("*.zarr",),
        lambda _: False,  # it is a folder
        ome_zarr_field.parse,
        None,
        ("fixed_shape",),
        bends=True,
        max_bytes=math.inf,
        pixel_bytes=16,
        write=ome_zarr_field.write,
    ),
    TransformFormat.ZNCC: _Format(
        ("*.json",),
        lambda content: content.lstrip()[:1] in (b"{", b"["),
        _parse_own,
        lambda transform, path: transform_content(_own(transform), path),
        _BOTH_SHAPES,
        bends=True,
        pixel_bytes=8,
        side_names=lambda path: (side_file(path, SPLINE), side_file(path, DISPLACEMENT)),
        write_beside=lambda transform, path: write_side_files(path, _own(transform)),
    ),
    TransformFormat.TEXT: _Format(
        ("*.txt", "*.csv"),
        bare_matrix.recognizes_text,
        _alone(bare_matrix.parse_text),
        _by_suffix(bare_matrix.serialize_text),
    ),
}
