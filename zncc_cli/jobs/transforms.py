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
from zncc_cli.files.paths import MismatchError, refusal, regular_file_size
from zncc_cli.files.transforms import imagej_regions, regions
from zncc_cli.files.transforms.fitted import fitted
from zncc_cli.files.transforms.formats import (
    FORMATS,
    Linear,
    format_for,
    read_linear,
    write_linear,
    written_bytes,
    written_files,
)
from zncc_cli.files.transforms.points import EXPECTED, HORIZON, NO_INVERSE, mapped_table
from zncc_cli.files.transforms.transform_json import BSPLINE
from zncc_cli.jobs.disk import check_disk
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.transforms.bending import composed, inverse_field, inverse_points
from zncc_cli.registration.transforms.matrices import compose, invert, map_points, model_of
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.registration.transforms.spline_fit import Fitted, Mapping
from zncc_cli.text import shown

logger = logging.getLogger("zncc_cli.transforms")

_SIZE = re.compile(r"([1-9][0-9]{0,8})x([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Written:
    """A transform file that was written.

    Attributes:
        out: its path.
        format: its format.
        model: the simplest model that it belongs to.
        error: where a spline stands for what is no spline, the largest error, pixels; else None.
    """

    out: Path
    format: TransformFormat
    model: str
    error: float | None = None


def convert(config: ConvertConfig) -> Written:
    """Write a transform, or its inverse, in another format.

    Raises:
        InputError: it cannot be read, or has no inverse. OptionError: a size is missing or contradicts the file.
        OutputError: the format cannot hold the transform, or the file cannot be written. ResourceError: the disk is too
            small for it.
    """
    transform = read_linear(config.transform, config.source_format)
    refuse_existing(config.out, overwrite=config.overwrite)
    warn_of_status(config.transform, transform.status)
    if config.inverse:
        transform = dataclasses.replace(
            transform, fixed_shape=transform.moving_shape, moving_shape=transform.fixed_shape
        )
    kind = format_for(config.out, config.target_format)
    for option, text in (("fixed", config.fixed), ("moving", config.moving)):
        if text is not None and f"{option}_shape" not in FORMATS[kind].needs and transform.bend is None:
            raise OptionError(f"--{option}: expected a format that holds this size, got {kind}; leave it out")
    shapes = (
        _shape("--fixed", config.fixed, transform.fixed_shape),
        _shape("--moving", config.moving, transform.moving_shape),
    )
    if config.inverse:
        transform = dataclasses.replace(transform, fixed_shape=shapes[1], moving_shape=shapes[0])
        transform, error = _inverse(config.transform, as_spline(config.transform, transform))
    else:
        transform = dataclasses.replace(transform, fixed_shape=shapes[0], moving_shape=shapes[1])
        transform, error = as_spline(config.transform, transform)
    return _write(config.out, transform, kind, error, overwrite=config.overwrite)


def _inverse(path: Path, fit: _Fit) -> _Fit:
    """Return the inverse of a transform that was read from ``path``, or raise `InputError`.

    The moving image is the fixed one then, and the file does not know its pixel size.
    """
    transform, error = fit
    swapped = transform.moving_shape, transform.fixed_shape
    field = transform.transform
    if not isinstance(field, SplineField):
        matrix = inverse_of(path, field)
        return Linear(matrix, *swapped, transform.model, status=transform.status), error
    if transform.moving_shape is None:
        raise InputError(
            f"{shown(path)}: expected a transform with the size of its moving image, on which its inverse is fitted, "
            "found none; give it as --fixed of the inverse"
        )
    inverse = inverse_spline(path, field, transform.moving_shape)
    total = inverse.error + (error or 0.0)
    bent = Linear(inverse.field.matrix, *swapped, transform.model, status=transform.status, bend=inverse.field)
    return bent, total


def inverse_spline(path: Path, field: SplineField, moving_shape: tuple[int, int]) -> Fitted:
    """Return the `inverse_field` of a field that was read from ``path``, or raise `InputError`."""
    try:
        return inverse_field(field, moving_shape)
    except ValueError as problem:
        raise InputError(
            f"{shown(path)}: expected a transform that can be inverted, found {problem}; align again"
        ) from None


_Fit = tuple[
    Linear, float | None
]  # a transform whose bend is a `SplineField` or None, and the largest error of the fit


def as_spline(path: Path, transform: Linear) -> _Fit:
    """Return a transform that was read from ``path`` with a spline of ours, or raise `InputError`."""
    try:
        fit = fitted(transform)
    except MismatchError as problem:
        raise refusal(path, expected=problem.expected, found=problem.found, advice="check the file") from None
    return fit.transform, fit.error


def compose_files(config: ComposeConfig) -> Written:
    """Write the transform that applies the first, then the second: fixed of the first -> moving of the second.

    Raises:
        InputError: a transform cannot be read, or the moving image of the first is not of the size of the fixed image
            of the second, or both have no composition.
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
    # The composition is as good as the worse transform; without a bad one it is unknown if one of both is.
    common = first.status if first.status == second.status else None
    worse = next((bad for bad in (Status.FAILED, Status.SUSPECT) if bad in statuses), common)
    transform, error = _composed(config, first, second)
    transform = dataclasses.replace(transform, grid=first.grid, status=worse)
    kind = format_for(config.out, config.target_format)
    return _write(config.out, transform, kind, error, overwrite=config.overwrite)


def _composed(config: ComposeConfig, first: Linear, second: Linear) -> _Fit:
    shapes = first.fixed_shape, second.moving_shape
    if first.bend is None and second.bend is None:
        return Linear(compose(first.matrix, second.matrix), *shapes), None
    if first.moving_shape is not None and second.fixed_shape is None:
        second = dataclasses.replace(second, fixed_shape=first.moving_shape)
    (first, first_error), (second, second_error) = as_spline(config.first, first), as_spline(config.second, second)
    try:
        fit = composed(first.transform, second.transform, first.fixed_shape)
    except ValueError as problem:
        raise InputError(
            f"{shown(config.first)}: expected a transform that {shown(config.second)} can follow, found {problem}; "
            "check both transforms"
        ) from None
    errors = [error for error in (first_error, second_error, fit.error) if error]
    return Linear(fit.field.matrix, *shapes, bend=fit.field), sum(errors)


def points(config: PointsConfig, stdout: BinaryIO) -> int:
    """Map the points of a table or of regions, and write them to a file or to ``stdout`` when all are mapped.

    Returns:
        The number of points.

    Raises:
        InputError: the transform or the points cannot be used. OutputError: the file cannot be written.
    """
    transform = read_linear(config.transform)
    regular_file_size(config.points, expected=EXPECTED)
    if config.out is not None:
        refuse_existing(config.out, overwrite=config.overwrite)
    warn_of_status(config.transform, transform.status)
    mapping = _mapping(config, transform)
    nowhere = HORIZON if transform.bend is None or not config.inverse else NO_INVERSE
    if config.out is not None:
        with atomic_write(config.out) as file:
            return _map(config.points, mapping, nowhere, file)
    with tempfile.TemporaryFile() as mapped:
        count = _map(config.points, mapping, nowhere, mapped)
        mapped.seek(0)
        shutil.copyfileobj(mapped, stdout)
    stdout.flush()
    return count


def _mapping(config: PointsConfig, transform: Linear) -> Mapping:
    """Return the function (N, 2) -> (N, 2) that maps points; NaN for those that have no place."""
    if not config.inverse:
        return (lambda xy: map_points(transform.matrix, xy)) if transform.bend is None else transform.bend.map_points
    inverse_matrix = inverse_of(config.transform, transform.matrix)
    if transform.bend is None:
        return lambda xy: map_points(inverse_matrix, xy)
    field = as_spline(config.transform, transform)[0].transform
    assert isinstance(field, SplineField)
    return lambda xy: inverse_points(field, xy)


def _map(table: Path, mapping: Mapping, nowhere: str, out: BinaryIO) -> int:
    """Write the mapped points of a table, or of regions, and return their number."""
    for recognizes, mapped in (
        (regions.recognizes, regions.mapped_regions),
        (imagej_regions.recognizes, imagej_regions.mapped_selections),
    ):
        if recognizes(table):
            total, content = mapped(table, mapping, nowhere)
            out.write(content)
            return total
    total = 0
    for count, text in mapped_table(table, mapping, nowhere):
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


def _write(out: Path, transform: Linear, kind: TransformFormat, error: float | None, *, overwrite: bool) -> Written:
    for path in written_files(out, kind, transform):
        refuse_existing(path, overwrite=overwrite)
    check_disk(out.parent, written_bytes(kind, transform))
    write_linear(out, transform, kind)
    simplest = BSPLINE if transform.bend is not None else str(model_of(transform.matrix))
    return Written(out, kind, transform.model or simplest, error)


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
