"""``zncc convert``, ``invert``, ``compose`` and ``points``: what can be done with a transform file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zncc_cli.cli import options
from zncc_cli.config import TransformFormat
from zncc_cli.config.transforms import ComposeConfig, ConvertConfig, PointsConfig
from zncc_cli.text import shown

if TYPE_CHECKING:
    from zncc_cli.jobs.transforms import Written

_Transform = Annotated[Path, typer.Argument(metavar="TRANSFORM", help="A transform file of any format.")]
_Out = Annotated[Path, typer.Argument(metavar="OUT", help="The transform file to write.")]
_SourceFormat = Annotated[
    TransformFormat | None,
    typer.Option("--from", help="Format of TRANSFORM; told by its content otherwise.", show_default=False),
]
_TargetFormat = Annotated[
    TransformFormat | None,
    typer.Option("--format", "-f", help="Format of OUT; told by its name otherwise.", show_default=False),
]
_Fixed = Annotated[
    str | None,
    typer.Option(
        metavar="IMAGE|WxH",
        help="OUT's fixed image or its size in pixels, width first, where OUT holds it and TRANSFORM does not.",
    ),
]
_Moving = Annotated[
    str | None,
    typer.Option(metavar="IMAGE|WxH", help="OUT's moving image or its size, likewise."),
]


def convert(
    transform: _Transform,
    out: _Out,
    source_format: _SourceFormat = None,
    target_format: _TargetFormat = None,
    fixed: _Fixed = None,
    moving: _Moving = None,
    overwrite: options.OverwriteOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Write a transform in another tool's format: ITK, elastix, TurboReg, MultiStackReg, OpenCV, NumPy or text.

    OUT's name says the format: .json (zncc), .tfm (itk), TransformParameters*.txt (elastix), .yml (opencv), .npy,
    .txt or .csv (text). Matrices are taken to map FIXED to MOVING pixels, as ours do; zncc invert reads others.

    Exit codes: 0 written, 1 error, 2 usage.
    """
    from zncc_cli.jobs.transforms import convert as run

    _say(run(options.gather(ConvertConfig, locals())), quiet)


def invert(
    transform: _Transform,
    out: _Out,
    source_format: _SourceFormat = None,
    target_format: _TargetFormat = None,
    fixed: _Fixed = None,
    moving: _Moving = None,
    overwrite: options.OverwriteOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Write the inverse of a transform: OUT's fixed image is TRANSFORM's moving one. Formats as in zncc convert.

    Exit codes: 0 written, 1 error, 2 usage.
    """
    from zncc_cli.jobs.transforms import convert as run

    _say(run(options.gather(ConvertConfig, {**locals(), "inverse": True})), quiet)


def compose(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="The transform that is done first.")],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="The transform that is done then.")],
    out: _Out,
    target_format: _TargetFormat = None,
    overwrite: options.OverwriteOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Write SECOND(FIRST(x)): it maps FIRST's fixed image to SECOND's moving image.

    FIRST's moving image is SECOND's fixed one; where both files know its size, it must be the same.

    Exit codes: 0 written, 1 error, 2 usage.
    """
    from zncc_cli.jobs.transforms import compose_files

    _say(compose_files(options.gather(ComposeConfig, locals())), quiet)


def points(
    transform: _Transform,
    points: Annotated[Path, typer.Argument(metavar="POINTS", help="A table with columns x and y, or x and y alone.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write here, not to stdout.")] = None,
    inverse: Annotated[bool, typer.Option("--inverse", help="Map MOVING points to FIXED ones.")] = False,
    overwrite: options.OverwriteOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Map points of the FIXED image to the MOVING image, (x, y) in pixels, the top-left pixel's centre being (0, 0).

    Columns are apart by commas, semicolons, tabs or blanks; further ones are kept. A point that has no place, behind
    the horizon of a homography, is an error that names its line.

    Exit codes: 0 mapped, 1 error, 2 usage.
    """
    config = options.gather(PointsConfig, locals())
    from zncc_cli.jobs.transforms import points as run

    run(config, sys.stdout.buffer)


def _say(written: Written, quiet: bool) -> None:
    if not quiet:
        print(f"{shown(written.out)}  {written.format}, {written.model}")
