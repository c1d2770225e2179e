"""``zncc convert``, ``invert``, ``compose`` and ``points``: the commands on transform files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from zncc_cli.cli import options
from zncc_cli.config import TransformFormat
from zncc_cli.config.transforms import ComposeConfig, ConvertConfig, PointsConfig
from zncc_cli.text import shown

if TYPE_CHECKING:
    from zncc_cli.jobs.transforms import Written

TransformArgument = Annotated[Path, options.argument(ConvertConfig, "transform")]
TransformOutArgument = Annotated[Path, options.argument(ConvertConfig, "out")]
SourceFormatOption = Annotated[TransformFormat | None, options.option(ConvertConfig, "source_format")]
TargetFormatOption = Annotated[TransformFormat | None, options.option(ConvertConfig, "target_format")]
FixedSizeOption = Annotated[str | None, options.option(ConvertConfig, "fixed")]
MovingSizeOption = Annotated[str | None, options.option(ConvertConfig, "moving")]


def convert(
    transform: TransformArgument,
    out: TransformOutArgument,
    source_format: SourceFormatOption = None,
    target_format: TargetFormatOption = None,
    fixed: FixedSizeOption = None,
    moving: MovingSizeOption = None,
    overwrite: options.OverwriteOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Convert a transform to the format of another tool.

    The formats are those of ITK, elastix, TurboReg, MultiStackReg, bUnwarpJ, OpenCV, NumPy and text. OUT's name tells
    the format: .json (zncc), .tfm (itk), TransformParameters*.txt (elastix), .mha (metaimage), .tif (tiff), .zarr
    (ome-zarr), .yml (opencv), .npy, .txt or .csv (text). A plain matrix is taken to map FIXED to MOVING pixels; zncc
    invert turns one that maps the other way. Where a spline stands for what is none, its largest error is printed.

    Exit codes: 0 written; 1 error; 2 usage error.
    """
    from zncc_cli.jobs.transforms import convert as run

    _say(run(options.gather(ConvertConfig, locals())), quiet)


def invert(
    transform: TransformArgument,
    out: TransformOutArgument,
    source_format: SourceFormatOption = None,
    target_format: TargetFormatOption = None,
    fixed: FixedSizeOption = None,
    moving: MovingSizeOption = None,
    overwrite: options.OverwriteOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Invert a transform.

    OUT's fixed image is TRANSFORM's moving image. Formats are those of zncc convert. The inverse of a transform that
    bends is a spline that is fitted to it; its largest error is printed.

    Exit codes: 0 written; 1 error; 2 usage error.
    """
    from zncc_cli.jobs.transforms import convert as run

    _say(run(options.gather(ConvertConfig, {**locals(), "inverse": True})), quiet)


def compose(
    first: Annotated[Path, options.argument(ComposeConfig, "first")],
    second: Annotated[Path, options.argument(ComposeConfig, "second")],
    out: TransformOutArgument,
    target_format: TargetFormatOption = None,
    overwrite: options.OverwriteOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Compose two transforms into one.

    OUT maps x to SECOND(FIRST(x)), from FIRST's fixed image to SECOND's moving image. FIRST's moving image is SECOND's
    fixed image; where both files give its size, the sizes must agree. A spline is fitted where one of them bends, and
    its largest error is printed; a spline followed by an affine transform is exact.

    Exit codes: 0 written; 1 error; 2 usage error.
    """
    from zncc_cli.jobs.transforms import compose_files

    _say(compose_files(options.gather(ComposeConfig, locals())), quiet)


def points(
    transform: TransformArgument,
    points: Annotated[Path, options.argument(PointsConfig, "points")],
    out: Annotated[Path | None, options.option(PointsConfig, "out")] = None,
    inverse: Annotated[bool, options.option(PointsConfig, "inverse")] = False,
    overwrite: options.OverwriteOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Map points of the FIXED image to the MOVING image.

    Points are (x, y) in pixels; the centre of the top-left pixel is (0, 0). Commas, semicolons, tabs or blanks separate
    columns; other columns are kept. Of GeoJSON the points of all regions are mapped, in QuPath's coordinates, which
    count from the corner of the first pixel, and all else is kept; so it is with the selections of ImageJ, of which
    rectangles and ovals that are turned become polygons (pip install "zncc-cli[imagej]"). A point that has no place in
    the other image, behind the horizon of a homography or in a fold, is an error that names its line.

    Exit codes: 0 mapped; 1 error; 2 usage error.
    """
    config = options.gather(PointsConfig, locals())
    from zncc_cli.jobs.transforms import points as run

    run(config, sys.stdout.buffer)


def _say(written: Written, quiet: bool) -> None:
    if not quiet:
        error = "" if written.error is None else f", largest error {written.error:.2g} px"
        print(f"{shown(written.out)}  {written.format}, {written.model}{error}")
