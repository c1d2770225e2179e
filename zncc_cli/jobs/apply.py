"""A transform from an earlier registration, applied to other images: further channels, labels, stacks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zncc_cli.config import ImageFormat
from zncc_cli.config.apply import ApplyConfig
from zncc_cli.config.spelling import as_options
from zncc_cli.errors import OptionError
from zncc_cli.files.images import check_kind, read_image
from zncc_cli.files.output_folder import OutputFolder, refuse_sources
from zncc_cli.files.output_formats import OUTPUT_FORMATS, check_output, format_of_name, output_format
from zncc_cli.files.paths import is_zarr
from zncc_cli.files.transforms.calibration_json import is_calibration
from zncc_cli.jobs.budget import file_bytes
from zncc_cli.jobs.disk import check_disk
from zncc_cli.jobs.movers import CalibrationMover, Mover, TransformMover
from zncc_cli.jobs.resampled import write_resampled
from zncc_cli.operators import native
from zncc_cli.progress import counted, part, say


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

    A calibration moves the channels of an image onto the frame of one of them.

    Raises:
        InputError: a file cannot be read, or an image is not of the size that the transform was made for.
        OptionError: a setting does not fit an image.
        OutputError: a file cannot be written; no file is written then.
    """
    mover: Mover = CalibrationMover(config) if is_calibration(config.transform) else TransformMover(config)
    files = _files(config)
    for path in config.images:
        check_kind(path)
    folder = files[0].parent
    refuse_sources(files, (*config.images, config.transform))
    applied, needed = list[Applied](), 0
    with OutputFolder(folder, names=[file.name for file in files], overwrite=config.overwrite) as output:
        for path, out in counted(zip(config.images, files, strict=True), len(files)):
            say(f"moving {path.name}")
            image = read_image(path, series=config.series, page=config.page, indices=config.resampling.labels)
            named = format_of_name(out) or ImageFormat.TIFF
            check_output(named, image.dtype, image.data.shape, image.axes)
            move = mover.move(path, image)
            needed += file_bytes(image, move.canvas)
            check_disk(folder, needed)
            with native.selected(config.backend), part(len(applied) / len(files), (len(applied) + 1) / len(files)):
                staged = output.staging / out.name
                settings = config.resampling
                written = write_resampled(
                    staged, image, move.transform, move.canvas, settings, move.grid, by_sample=move.by_sample
                )
            notes = tuple(map(as_options, (*image.notes, *move.notes, *written.notes)))
            applied.append(Applied(path, out, written.clipped, move.canvas.offset, move.canvas.shape, notes))
    return tuple(applied)


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
