"""Transform files: convert, invert, compose, and map points. Torch is not imported, so these commands start fast."""

from __future__ import annotations

import dataclasses
import logging
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from zncc_cli.config import TransformFormat
from zncc_cli.config.transforms import ComposeConfig, ConvertConfig, PointsConfig
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.images import read_image
from zncc_cli.files.output_folder import atomic_write, refuse_existing
from zncc_cli.files.paths import regular_file_size
from zncc_cli.files.transforms.formats import FORMATS, Linear, format_for, read_linear, write_linear
from zncc_cli.files.transforms.points import EXPECTED, mapped_table
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.transforms.matrices import compose, invert, map_points, model_of
from zncc_cli.text import shown

logger = logging.getLogger("zncc_cli.transforms")

_SIZE = re.compile(r"([1-9][0-9]{0,8})x([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Written:
    """A transform file that was written: its path, its format, and the simplest model that its matrix belongs to."""

    out: Path
    format: TransformFormat
    model: str


def convert(config: ConvertConfig) -> Written:
    """Write a transform, or its inverse, in another format.

    Raises:
        InputError: it cannot be read, or has no inverse. OptionError: a size is missing or contradicts the file.
        OutputError: the format cannot hold the transform, or the file cannot be written.
    """
    transform = read_linear(config.transform, config.source_format)
    refuse_existing(config.out, overwrite=config.overwrite)
    warn_of_status(config.transform, transform.status)
    if config.inverse:
        # The moving image is the fixed one now, and the file does not know its pixel size.
        transform = Linear(
            inverse_of(config.transform, transform.matrix),
            transform.moving_shape,
            transform.fixed_shape,
            transform.model,
            status=transform.status,
        )
    kind = format_for(config.out, config.target_format)
    for option, text in (("fixed", config.fixed), ("moving", config.moving)):
        if text is not None and f"{option}_shape" not in FORMATS[kind].needs:
            raise OptionError(f"--{option}: expected a format that holds this size, got {kind}; leave it out")
    transform = dataclasses.replace(
        transform,
        fixed_shape=_shape("--fixed", config.fixed, transform.fixed_shape),
        moving_shape=_shape("--moving", config.moving, transform.moving_shape),
    )
    return _write(config.out, transform, kind)


def compose_files(config: ComposeConfig) -> Written:
    """Write the transform that applies the first, then the second: fixed of the first -> moving of the second.

    Raises:
        InputError: a transform cannot be read, or the moving image of the first is not of the size of the fixed image
            of the second.
        OptionError: a size is missing. OutputError: the format cannot hold it, or the file cannot be written.
    """
    first, second = read_linear(config.first), read_linear(config.second)
    refuse_existing(config.out, overwrite=config.overwrite)
    statuses = [first.status, second.status]
    for path, status in zip((config.first, config.second), statuses, strict=True):
        warn_of_status(path, status)
    if None not in (first.moving_shape, second.fixed_shape) and first.moving_shape != second.fixed_shape:
        raise InputError(
            f"{shown(config.second)}: expected a fixed image of {_size(first.moving_shape)} pixels, as is the "
            f"moving image of {shown(config.first)}, found {_size(second.fixed_shape)}; name first the transform that "
            "is applied first"
        )
    matrix = compose(first.matrix, second.matrix)
    # The composition is as good as the worse transform; without a bad one it is unknown if one of both is.
    common = first.status if first.status == second.status else None
    worse = next((bad for bad in (Status.FAILED, Status.SUSPECT) if bad in statuses), common)
    composed = Linear(matrix, first.fixed_shape, second.moving_shape, grid=first.grid, status=worse)
    return _write(config.out, composed, format_for(config.out, config.target_format))


def points(config: PointsConfig, stdout: BinaryIO) -> int:
    """Map the points of a table, and write them to a file or to ``stdout`` when all are mapped; return their number.

    Raises:
        InputError: the transform or the table cannot be used. OutputError: the file cannot be written.
    """
    transform = read_linear(config.transform)
    regular_file_size(config.points, expected=EXPECTED)
    if config.out is not None:
        refuse_existing(config.out, overwrite=config.overwrite)
    warn_of_status(config.transform, transform.status)
    matrix = inverse_of(config.transform, transform.matrix) if config.inverse else transform.matrix
    if config.out is not None:
        with atomic_write(config.out) as file:
            return _map(config.points, matrix, file)
    with tempfile.TemporaryFile() as mapped:
        count = _map(config.points, matrix, mapped)
        mapped.seek(0)
        shutil.copyfileobj(mapped, stdout)
    stdout.flush()
    return count


def _map(table: Path, matrix: NDArray[np.float64], out: BinaryIO) -> int:
    """Write the mapped points of a table, and return their number."""
    total = 0
    for count, text in mapped_table(table, lambda xy: map_points(matrix, xy)):
        out.write(text)
        total += count
    return total


def warn_of_status(path: Path, status: str | None) -> None:
    """Warn, even under ``--quiet``, where the registration that a transform is from is not to be trusted."""
    if status not in (None, Status.OK):
        logger.warning("%s: of a registration that was judged %s; check the result", shown(path), status)


def inverse_of(path: Path, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of a matrix (3, 3) that was read from ``path``, or raise `InputError`."""
    try:
        return invert(matrix)
    except ValueError:
        raise InputError(
            f"{shown(path)}: expected a matrix that can be inverted, found a singular one; align again"
        ) from None


def _write(out: Path, transform: Linear, kind: TransformFormat) -> Written:
    write_linear(out, transform, kind)
    return Written(out, kind, transform.model or str(model_of(transform.matrix)))


def _shape(option: str, text: str | None, file_shape: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return an image's (H, W): of the transform file, or of ``text``, which is WxH or names an image of that size."""
    if text is None:
        return file_shape
    match = _SIZE.fullmatch(text)
    shape = (int(match[2]), int(match[1])) if match else read_image(Path(text)).shape
    if file_shape is not None and shape != file_shape:
        raise OptionError(
            f"{option}: expected {_size(file_shape)} pixels (width first), which the transform was made for, got "
            f"{_size(shape)}; leave it out"
        )
    return shape


def _size(shape: tuple[int, int] | None) -> str:
    """Return a shape (H, W) as people read it, width first."""
    return " x ".join(map(str, reversed(shape or ())))
