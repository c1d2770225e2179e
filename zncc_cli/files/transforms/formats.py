"""The table of transform formats, and transforms of any format read and written.

    read_linear("warp.tfm") -> Linear(matrix, ...) -> write_linear("TransformParameters.0.txt", linear)

The content of a file decides how it is read. Its name decides how it is written, unless a format is given. What a
format cannot hold is refused. A matrix is read back bit for bit, but from the landmarks of TurboReg to rounding.

To add a format: a member of `config.TransformFormat`, a module with `recognizes`, `parse` and `serialize`, an entry in
`FORMATS`.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import os
from collections.abc import Callable
from pathlib import Path

from zncc_cli.config import TransformFormat
from zncc_cli.errors import OptionError, OutputError
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.paths import MismatchError, read_small_file, refusal
from zncc_cli.files.transforms import bare_matrix, elastix, itk, opencv, turboreg
from zncc_cli.files.transforms.linear import Linear, as_matrix
from zncc_cli.files.transforms.transform_json import (
    TransformFile,
    parse_json,
    parse_rows,
    parse_transform,
    transform_content,
)
from zncc_cli.registration.transforms.matrices import model_of
from zncc_cli.text import one_line, shown

__all__ = ["FORMATS", "Linear", "format_for", "read_linear", "write_linear"]


@dataclasses.dataclass(frozen=True)
class _Format:
    """One format.

    names: patterns, in small letters, of the file names that are written in this format.
    recognizes: tells whether a content is of this format; the first format of the table that does reads the file.
    parse: content -> Linear, or MismatchError.
    serialize: Linear, suffix in small letters -> content.
    needs: the fields of Linear, shapes of images, that it cannot be written without.
    perspective: whether it holds homographies.
    """

    names: tuple[str, ...]
    recognizes: Callable[[bytes], bool]
    parse: Callable[[bytes], Linear]
    serialize: Callable[[Linear, str], bytes]
    needs: tuple[str, ...] = ()
    perspective: bool = True


def _begins(magic: bytes) -> Callable[[bytes], bool]:
    """Return a function that tells whether a content begins with ``magic``."""
    return lambda content: content.startswith(magic)


def _parse_own(content: bytes) -> Linear:
    """Read a transform.json, or a JSON list of 3 rows of 3 numbers."""
    value = parse_json(content, "a transform.json, or a JSON list of 3 rows of 3 numbers")
    if isinstance(value, list):
        return Linear(parse_rows(value))
    own = parse_transform(value)
    return Linear(own.matrix, own.fixed_shape, own.moving_shape, own.model, own.grid, own.status)


def _serialize_own(transform: Linear, suffix: str) -> bytes:
    """Write a transform.json; both shapes must be known."""
    assert transform.fixed_shape is not None
    assert transform.moving_shape is not None
    model = transform.model or str(model_of(transform.matrix))
    frames = transform.fixed_shape, transform.moving_shape
    return transform_content(TransformFile(model, transform.matrix, *frames, transform.grid, transform.status))


_BOTH_SHAPES = ("fixed_shape", "moving_shape")

FORMATS: dict[TransformFormat, _Format] = {
    TransformFormat.ITK: _Format(("*.tfm",), _begins(itk.MAGIC), itk.parse, itk.serialize, perspective=False),
    TransformFormat.ELASTIX: _Format(
        ("transformparameters*.txt",),
        elastix.recognizes,
        elastix.parse,
        elastix.serialize,
        ("fixed_shape",),
        perspective=False,
    ),
    TransformFormat.TURBOREG: _Format(
        (),
        _begins(turboreg.TURBOREG_MAGIC),
        turboreg.parse_turboreg,
        turboreg.serialize_turboreg,
        _BOTH_SHAPES,
        perspective=False,
    ),
    TransformFormat.MULTISTACKREG: _Format(
        (),
        _begins(turboreg.MULTISTACKREG_MAGIC),
        turboreg.parse_multistackreg,
        turboreg.serialize_multistackreg,
        perspective=False,
    ),
    TransformFormat.NPY: _Format(
        ("*.npy",), _begins(bare_matrix.NPY_MAGIC), bare_matrix.parse_npy, bare_matrix.serialize_npy
    ),
    TransformFormat.OPENCV: _Format(("*.yml", "*.yaml"), opencv.recognizes, opencv.parse, opencv.serialize),
    TransformFormat.ZNCC: _Format(
        ("*.json",), lambda content: content.lstrip()[:1] in (b"{", b"["), _parse_own, _serialize_own, _BOTH_SHAPES
    ),
    TransformFormat.TEXT: _Format(
        ("*.txt", "*.csv"), bare_matrix.recognizes_text, bare_matrix.parse_text, bare_matrix.serialize_text
    ),
}

_EXPECTED = "a transform (" + ", ".join(FORMATS) + ")"
_ADVICE = "check the file, or name its format to zncc convert (--from)"


def read_linear(path: str | os.PathLike[str], kind: TransformFormat | None = None) -> Linear:
    """Read a transform of the format ``kind``, by default of the format that its content is recognised as.

    Raises:
        InputError: the file cannot be read, is of no known format, or holds no usable 2D matrix.
    """
    path = Path(path)
    content = read_small_file(path, expected=_EXPECTED, advice=_ADVICE)
    kind = kind or next((kind for kind, entry in FORMATS.items() if entry.recognizes(content)), None)
    if kind is None:
        raise refusal(path, expected=_EXPECTED, found=f"content that begins with {content[:12]!r}", advice=_ADVICE)
    try:
        return FORMATS[kind].parse(content)
    except MismatchError as problem:
        expected = f"{problem.expected} (read as {kind})"
        raise refusal(path, expected=expected, found=problem.found, advice=_ADVICE) from None


def format_for(path: Path, kind: TransformFormat | None = None) -> TransformFormat:
    """Return ``kind``, by default the format that files of the name of ``path`` are written in.

    Raises:
        OptionError: the name is of no format.
    """
    name = path.name.lower()
    named = kind or next(
        (k for k, entry in FORMATS.items() if any(fnmatch.fnmatchcase(name, pattern) for pattern in entry.names)), None
    )
    if named is None:
        patterns = ", ".join(pattern for entry in FORMATS.values() for pattern in entry.names)
        raise OptionError(f"{shown(path)}: expected a name like {patterns}; use one, or name the format with --format")
    return named


def write_linear(path: str | os.PathLike[str], transform: Linear, kind: TransformFormat | None = None) -> None:
    """Write a transform in the format ``kind``, by default in the one of the name of ``path``.

    Raises:
        OptionError: the name is of no format, or the size of an image that the format needs is not known.
        OutputError: the format cannot hold this transform, or the file cannot be written.
    """
    path = Path(path)
    kind = format_for(path, kind)
    entry = FORMATS[kind]
    for shape in entry.needs:
        if getattr(transform, shape) is None:
            option = shape.removesuffix("_shape")
            raise OptionError(
                f"--{option}: expected the {option} image or its size WxH in pixels, width first, which {kind} files "
                "hold and the transform read does not; give it"
            )
    if transform.matrix[2, :2].any() and not entry.perspective:
        raise OutputError(
            f"{shown(path)}: expected a transform without perspective, which is all that {kind} files hold, found a "
            "homography; choose json, yml, npy, csv or txt"
        )
    if kind is not TransformFormat.ZNCC:
        try:
            transform = dataclasses.replace(transform, matrix=as_matrix(transform.matrix))
        except MismatchError as problem:
            found = one_line(problem.found)
            raise OutputError(f"{shown(path)}: expected {problem.expected}, found {found}; align again") from None
    with atomic_write(path) as file:
        file.write(entry.serialize(transform, path.suffix.lower()))
