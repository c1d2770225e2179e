"""``zncc stack MOVIE``: the frames of a movie or z-stack put on each other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from zncc_cli.cli import console, options
from zncc_cli.config import NESTED_MODELS, Canvas, Model, ResamplingConfig
from zncc_cli.config.stack import StackConfig
from zncc_cli.errors import ExitCode

_DEFAULT, _RESAMPLING = StackConfig(image=Path()), ResamplingConfig()


def stack(
    image: Annotated[Path, typer.Argument(metavar="MOVIE", help="A file of several frames.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="first|previous|mean|N",
            help="What the frames are put on: the first, the mean, frame N counted from 0; previous: the first, by way "
            "of near neighbours alone, for what changes from frame to frame.",
        ),
    ] = _DEFAULT.to,
    axis: Annotated[
        str | None,
        typer.Option(
            metavar="LETTER",
            help="The axis along which the frames lie, T or Z or another [default: T, else the longest].",
        ),
    ] = None,
    model: Annotated[
        Model,
        typer.Option(
            "--model", "-m", metavar="|".join(NESTED_MODELS), help="The richest motion that a frame may have."
        ),
    ] = _DEFAULT.model,
    out: options.OutOption = None,
    window: options.WindowOption = _DEFAULT.window,
    no_data: options.NoDataOption = _DEFAULT.no_data,
    series: options.OneSeriesOption = None,
    channel: Annotated[
        str | None,
        typer.Option(
            metavar="N|luminance|best",
            help="Register by this channel, counted from 0 [default: luminance of RGB, else best]; all are moved.",
        ),
    ] = None,
    interpolation: options.InterpolationOption = _RESAMPLING.interpolation,
    canvas: Annotated[
        Canvas,
        typer.Option(
            "--canvas", "--crop", help="Frame of what is written: the reference's, what holds all, or what all have."
        ),
    ] = _RESAMPLING.canvas,
    fill: options.FillOption = None,
    backend: options.BackendOption = _DEFAULT.backend,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Put the frames of MOVIE on each other: stack.tif, and drift.csv, drift.svg, transforms.json and report.json.

    The folder is <MOVIE's stem>_stack in the working folder, or --out. Blank frames, and those that agree with no
    other, lie between their neighbours, and are named.

    Exit codes: 0 aligned, 1 error, 2 usage, 3 not to be trusted, and why (files are written all the same), 5 drift.svg
    is missing, and why.
    """
    config = options.gather(StackConfig, {**locals(), "resampling": options.gather(ResamplingConfig, locals())})
    with console.progress(quiet) as progress:
        progress("loading torch")
        began = time.perf_counter()
        with console.loading():
            from zncc_cli.jobs.stack.align import align_stack

        outcome = align_stack(config, progress, import_seconds=time.perf_counter() - began)
    from zncc_cli.jobs.missing import sentence
    from zncc_cli.jobs.summary import print_json, print_stack

    if outcome.missing:
        console.show_warning("stack", sentence(outcome.missing))
    if json:
        print_json(outcome.report)
    elif not quiet:
        print_stack(outcome)
    elif outcome.exit_code is ExitCode.NOT_TRUSTED:
        console.show_warning("stack", f"{outcome.status}: {outcome.report['reasons'][0]}")
    raise typer.Exit(outcome.exit_code)
