"""A transform from an earlier registration, applied to other images: further channels, labels, stacks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zncc_cli.config import ImageFormat
from zncc_cli.config.apply import ApplyConfig
from zncc_cli.config.spelling import as_options
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.images import Image, check_kind, read_image
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.output_folder import OutputFolder, refuse_sources
from zncc_cli.files.output_formats import OUTPUT_FORMATS, check_output, format_of_name, output_format
from zncc_cli.files.paths import is_zarr
from zncc_cli.files.transforms.transform_json import TransformFile, read_transform
from zncc_cli.jobs.budget import file_bytes
from zncc_cli.jobs.disk import check_disk
from zncc_cli.jobs.resampled import write_resampled
from zncc_cli.jobs.transforms import inverse_of, inverse_spline, warn_of_status
from zncc_cli.operators import native
from zncc_cli.registration.resampling.canvas import frame_of
from zncc_cli.registration.transforms.bending import Transform, mapped_points, matrix_of
from zncc_cli.registration.transforms.matrices import is_singular
from zncc_cli.registration.warp import corners
from zncc_cli.text import one_line

_MAX_COORDINATE_PX = 1e9  # farther away no image has pixels


@dataclass(frozen=True)
class Applied:
    """One image that was resampled.

    Attributes:
        image, file: the image, and what was written.
        clipped: how many values were clipped to the range of the dtype.
        offset: (x, y) of the file's first pixel, in pixels of the frame that the transform maps from.
        shape: (H, W) of the file.
        notes: a sentence for each thing that could not be kept.
    """

    image: Path
    file: Path
    clipped: int
    offset: tuple[int, int]
    shape: tuple[int, int]
    notes: tuple[str, ...]


def apply_transform(config: ApplyConfig) -> tuple[Applied, ...]:
    """Resample every image onto the frame that the transform maps from, and write each as a TIFF like its own file.

    Raises:
        InputError: a file cannot be read, or an image is not of the size that the transform was made for.
        OptionError: a setting does not fit an image.
        OutputError: a file cannot be written; no file is written then.
    """
    file = read_transform(config.transform)
    warn_of_status(config.transform, file.status)
    shapes, grid = (file.fixed_shape, file.moving_shape), file.grid
    _check_transform(config.transform, file.transform, shapes[0])
    transform, inverse_notes = file.transform, tuple[str, ...]()
    if config.inverse:
        transform, inverse_notes = _inverse(config.transform, file)
        shapes, grid = shapes[::-1], None
        _check_transform(config.transform, transform, shapes[0])
    files = _files(config)
    for path in config.images:
        check_kind(path)
    folder = files[0].parent
    refuse_sources(files, (*config.images, config.transform))
    canvas = frame_of(config.resampling.canvas, transform, *shapes)
    applied, needed = [], 0
    with OutputFolder(folder, names=[file.name for file in files], overwrite=config.overwrite) as output:
        for path, out in zip(config.images, files, strict=True):
            image = read_image(path, series=config.series, page=config.page, indices=config.resampling.labels)
            if image.shape != shapes[1]:
                (height, width), (found_height, found_width) = shapes[1], image.shape
                other = "; give --inverse for images of the fixed frame" if image.shape == shapes[0] else ""
                raise InputError(
                    f"{path}: expected {width} x {height} pixels, the image that {config.transform} moves, "
                    f"found {found_width} x {found_height}{other or '; name an image of this size'}"
                )
            named = format_of_name(out) or ImageFormat.TIFF
            check_output(named, image.dtype, image.data.shape, image.axes)
            needed += file_bytes(image, canvas)
            check_disk(folder, needed)
            with native.selected(config.backend):
                written = write_resampled(output.staging / out.name, image, transform, canvas, config.resampling, grid)
            notes = tuple(
                map(as_options, (*image.notes, *inverse_notes, *_calibration_notes(image, grid), *written.notes))
            )
            applied.append(Applied(path, out, written.clipped, canvas.offset, canvas.shape, notes))
    return tuple(applied)


def _inverse(path: Path, file: TransformFile) -> tuple[Transform, tuple[str, ...]]:
    """Return the inverse of a transform, and a sentence on how far a spline that stands for it is off."""
    if file.field is None:
        return inverse_of(path, file.matrix), ()
    inverse = inverse_spline(path, file.field, file.moving_shape)
    return inverse.field, (f"{path.name}: its inverse is a spline, off by at most {inverse.error:.2g} px",)


def _check_transform(path: Path, transform: Transform, shape: tuple[int, int]) -> None:
    """Raise `InputError` where a transform is singular, or maps every corner of the frame (H, W) far away."""
    matrix = matrix_of(transform)
    with np.errstate(all="ignore"):
        mapped = mapped_points(transform, corners(shape))
    in_reach = np.isfinite(mapped).all(axis=-1) & (np.abs(mapped) < _MAX_COORDINATE_PX).all(axis=-1)
    if is_singular(matrix) or not in_reach.any():
        raise InputError(
            f"{path}: expected a matrix that takes the frame's pixels to pixels of the other image, found "
            f"{one_line(matrix.tolist())}; align again"
        )


def _calibration_notes(image: Image, grid: Metadata | None) -> tuple[str, ...]:
    """Return a sentence where an image has a place on the Earth, and the frame that it is resampled onto has none."""
    if grid is not None or not image.metadata.georeference:
        return ()
    name = image.metadata.path.name
    return (f"{name}: the place of the frame that it is resampled onto is not known, and is not written",)


def _files(config: ApplyConfig) -> list[Path]:
    """Return the file to write for each image; all are in one folder."""
    out, chosen = config.out, config.resampling.image_format
    named = None if out is None or (out.is_dir() and not is_zarr(out)) else format_of_name(out)
    suffix = output_format(chosen).suffix
    names = [f"{image.stem}_aligned{suffix}" for image in config.images]
    for name, image in zip(names, config.images, strict=True):
        if names.count(name) > 1:
            raise OptionError(
                f"IMAGE: expected files whose names differ before the suffix, got several named {image.stem}; "
                "run the command for each"
            )
    if len(names) > 1 and named is not None:
        raise OptionError(f"--out: expected a folder for {len(names)} images, got {out}")
    if out is None or (named is None and (len(names) > 1 or out.is_dir() or not out.suffix)):
        return [(out or Path()) / name for name in names]
    if named is None or chosen not in (ImageFormat.AUTO, named):
        ends = [
            end
            for name, entry in OUTPUT_FORMATS.items()
            if chosen in (ImageFormat.AUTO, name)
            for end in entry.suffixes
        ]
        expected = ", ".join(f"*{end}" for end in ends)
        raise OptionError(f"--out: expected a file named {expected}, or a folder, got {out}")
    return [out]
