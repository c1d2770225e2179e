"""Transform files: convert, invert, compose, and map points. No torch: these commands answer at once."""

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
from zncc_cli.files.folder import atomic_write, refuse_existing
from zncc_cli.files.images import read_image
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
    """A transform file: where, in which format, and the simplest model that its matrix belongs to."""

    out: Path
    format: TransformFormat
    model: str


def convert(config: ConvertConfig) -> Written:
    """Write the transform, or its inverse, in another format.

    Raises:
        InputError: it cannot be read, or has no inverse. OptionError: a size is missing or contradicts the file.
        OutputError: the format cannot hold it, or it cannot be written.
    """
    transform = read_linear(config.transform, config.source_format)
    refuse_existing(config.out, overwrite=config.overwrite)
    warn_of_status(config.transform, transform.status)
    if config.inverse:
        # Nothing is known of the grid of the moving image, which is the fixed one now.
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
        fixed_shape=_frame("--fixed", config.fixed, transform.fixed_shape),
        moving_shape=_frame("--moving", config.moving, transform.moving_shape),
    )
    return _write(config.out, transform, kind)


def compose_files(config: ComposeConfig) -> Written:
    """Write the transform that does the first, then the second: fixed of the first -> moving of the second.

    Raises:
        InputError: one cannot be read, or the first does not end on the frame that the second starts from.
        OptionError: a size is missing. OutputError: the format cannot hold it, or it cannot be written.
    """
    first, second = read_linear(config.first), read_linear(config.second)
    refuse_existing(config.out, overwrite=config.overwrite)
    statuses = [first.status, second.status]
    for path, known in zip((config.first, config.second), statuses, strict=True):
        warn_of_status(path, known)
    if None not in (first.moving_shape, second.fixed_shape) and first.moving_shape != second.fixed_shape:
        raise InputError(
            f"{shown(config.second)}: expected a fixed image of {_spelled(first.moving_shape)} pixels, as is the "
            f"moving image of {shown(config.first)}, found {_spelled(second.fixed_shape)}; name the one that is done "
            "first first"
        )
    matrix = compose(first.matrix, second.matrix)
    # The whole is as good as the worse part, and unknown where one part is.
    alike = first.status if first.status == second.status else None
    status = next((bad for bad in (Status.FAILED, Status.SUSPECT) if bad in statuses), alike)
    whole = Linear(matrix, first.fixed_shape, second.moving_shape, grid=first.grid, status=status)
    return _write(config.out, whole, format_for(config.out, config.target_format))


def points(config: PointsConfig, stdout: BinaryIO) -> int:
    """Map the points of a table into a file, or to ``stdout``, when all are mapped; return how many there were.

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
    with tempfile.TemporaryFile() as whole:
        count = _map(config.points, matrix, whole)
        whole.seek(0)
        shutil.copyfileobj(whole, stdout)
    stdout.flush()
    return count


def _map(table: Path, matrix: NDArray[np.float64], out: BinaryIO) -> int:
    total = 0
    for count, text in mapped_table(table, lambda xy: map_points(matrix, xy)):
        out.write(text)
        total += count
    return total


def warn_of_status(path: Path, status: str | None) -> None:
    """Say in a line, ``--quiet`` or not, that the registration which found the transform is not to be trusted."""
    if status not in (None, Status.OK):
        logger.warning("%s: of a registration that was judged %s; check what comes of it", shown(path), status)


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


def _frame(option: str, text: str | None, known: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the size (H, W) that the file knows, or that ``text`` says: WxH, or the name of an image of that size."""
    if text is None:
        return known
    size = _SIZE.fullmatch(text)
    shape = (int(size[2]), int(size[1])) if size else read_image(Path(text)).shape
    if known is not None and shape != known:
        raise OptionError(
            f"{option}: expected {_spelled(known)} pixels (width first), which the transform was made for, got "
            f"{_spelled(shape)}; leave it out"
        )
    return shape


def _spelled(shape: tuple[int, int] | None) -> str:
    return " x ".join(map(str, reversed(shape or ())))
