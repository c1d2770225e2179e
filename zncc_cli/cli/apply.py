"""``zncc apply TRANSFORM IMAGE...``: move other images likewise."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from zncc_cli.cli import console, options
from zncc_cli.config import ApplyConfig, ResamplingConfig

_DEFAULT = ResamplingConfig()


def apply(
    transform: Annotated[Path, typer.Argument(metavar="TRANSFORM", help="A transform.json of zncc-align.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images of the moving image's size.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE|DIR",
            help="File *.tif of one image, or a folder [default: <stem>_aligned.tif].",
        ),
    ] = None,
    inverse: Annotated[
        bool, typer.Option("--inverse", help="Put images of the fixed frame on the moving one instead.")
    ] = False,
    series: options.OneSeriesOption = None,
    page: options.OnePageOption = None,
    interpolation: options.InterpolationOption = _DEFAULT.interpolation,
    canvas: options.CanvasOption = _DEFAULT.canvas,
    fill: options.FillOption = None,
    backend: options.BackendOption = ApplyConfig.backend,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Move IMAGE as zncc-align moved the image that TRANSFORM was found for, in its own dtype, channels and pages.

    With the settings of zncc-align the moving image itself gives aligned.tif byte for byte.
    """
    resampling = options.gather(ResamplingConfig, locals())
    config = options.gather(ApplyConfig, {**locals(), "images": tuple(images)})
    with console.progress(quiet) as progress:
        progress("loading torch")
        with console.loading():
            from zncc_cli.jobs.apply import apply_transform

        progress(f"{len(images)} images")
        applied = apply_transform(config)
    from zncc_cli.jobs.summary import print_json

    console.show_notes("apply", (note for one in applied for note in one.notes))
    if json:
        print_json({"images": [dataclasses.asdict(one) for one in applied]})
    elif not quiet:
        for one in applied:
            console.print_path(one.file)
