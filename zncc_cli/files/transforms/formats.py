"""Transforms of any format, by the table of formats, read and written.

    read_linear("warp.tfm") -> Linear(matrix, ...) -> write_linear("TransformParameters.0.txt", linear)

The content of a file decides how it is read. Its name decides how it is written, unless a format is given. What a
format cannot hold is refused. A matrix is read back bit for bit, but from the landmarks of TurboReg to rounding; a
transform that bends, as the other tool's own spline or displacements (`bends`), which `fitted` turns into ours.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import os
from pathlib import Path

from zncc_cli.config import TransformFormat
from zncc_cli.errors import InputError, OptionError, OutputError
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.paths import MAX_SMALL_FILE_BYTES, MismatchError, is_zarr, refusal, regular_file_size, unreadable
from zncc_cli.files.transforms.format_table import FORMATS
from zncc_cli.files.transforms.linear import Linear, as_matrix
from zncc_cli.text import described_start, one_line, shown

__all__ = ["FORMATS", "Linear", "format_for", "read_linear", "write_linear", "written_bytes", "written_files"]

_EXPECTED = "a transform (" + ", ".join(FORMATS) + ")"
_ADVICE = "check the file, or name its format to zncc convert (--from)"


def read_linear(path: str | os.PathLike[str], kind: TransformFormat | None = None) -> Linear:
    """Read a transform of the format ``kind``, by default of the format that its content is recognised as.

    Raises:
        InputError: the file cannot be read, is of no known format, or holds no usable 2D matrix.
    """
    path = Path(path)
    kind, content = _content(path, kind)
    try:
        return FORMATS[kind].parse(content, path)
    except MismatchError as problem:
        expected = f"{problem.expected} (read as {kind})"
        raise refusal(path, expected=expected, found=problem.found, advice=_ADVICE) from None


def _content(path: Path, kind: TransformFormat | None) -> tuple[TransformFormat, bytes]:
    """Return the format of a file, by its content where ``kind`` is None, and the content."""
    if is_zarr(path):
        return TransformFormat.OME_ZARR, b""
    size = regular_file_size(path, expected=_EXPECTED)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SMALL_FILE_BYTES)
            kind = kind or next((kind for kind, entry in FORMATS.items() if entry.recognizes(content)), None)
            if size > (MAX_SMALL_FILE_BYTES if kind is None else FORMATS[kind].max_bytes):
                raise refusal(path, expected=_EXPECTED, found=f"{size} bytes", advice=_ADVICE)
            if kind is None:
                found = described_start(content[:64])
                raise refusal(path, expected=_EXPECTED, found=found, advice=_ADVICE)
            rest = size - len(content) if FORMATS[kind].max_bytes < math.inf else 0
            return kind, content + file.read(max(0, rest))
    except InputError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error


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
    if transform.bend is not None and not entry.bends:
        formats = ", ".join(other for other, entry in FORMATS.items() if entry.bends)
        raise OutputError(
            f"{shown(path)}: expected a matrix, which is all that {kind} files hold, found a transform that bends; "
            f"choose one of {formats}"
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
    if transform.bend is not None:
        entry.write_beside(transform, path)
    if entry.write is not None:
        entry.write(transform, path)
        return
    assert entry.serialize is not None
    with atomic_write(path) as file:
        file.write(entry.serialize(transform, path))


def written_bytes(kind: TransformFormat, transform: Linear) -> int:
    """Return about how many bytes `write_linear` writes for the pixels of the fixed frame, as far as that is known."""
    if transform.fixed_shape is None or (transform.bend is None and FORMATS[kind].write is None):
        return 0
    return FORMATS[kind].pixel_bytes * transform.fixed_shape[0] * transform.fixed_shape[1]


def written_files(path: Path, kind: TransformFormat, transform: Linear) -> tuple[Path, ...]:
    """Return the files that `write_linear` writes for a transform: that at ``path``, and those beside it."""
    return (path, *(() if transform.bend is None else FORMATS[kind].side_names(path)))
