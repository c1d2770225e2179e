"""``zncc stack MOVIE``: align the frames of a movie or z-stack to each other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from zncc_cli.cli import console, options
from zncc_cli.config import Canvas, Model, ResamplingConfig
from zncc_cli.config.stack import CANVAS, StackConfig
from zncc_cli.errors import ExitCode

_RESAMPLING = ResamplingConfig()


def stack(
    image: Annotated[Path, options.argument(StackConfig, "image")],
    to: Annotated[str, options.option(StackConfig, "to")] = StackConfig.to,
    axis: Annotated[str | None, options.option(StackConfig, "axis")] = None,
    model: Annotated[Model, options.option(StackConfig, "model")] = StackConfig.model,
    out: options.OutOption = None,
    window: Annotated[int | None, options.option(StackConfig, "window")] = StackConfig.window,
    no_data: options.NoDataOption = StackConfig.no_data,
    series: options.OneSeriesOption = None,
    channel: Annotated[str | None, options.option(StackConfig, "channel")] = None,
    interpolation: options.InterpolationOption = _RESAMPLING.interpolation,
    canvas: Annotated[Canvas, options.option_of("canvas", CANVAS)] = _RESAMPLING.canvas,
    fill: options.FillOption = None,
    image_format: options.FormatOption = _RESAMPLING.image_format,
    pyramid: options.PyramidOption = _RESAMPLING.pyramid,
    backend: options.BackendOption = StackConfig.backend,
    reproducible: options.ReproducibleOption = False,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Align the frames of a movie or z-stack.

    Writes stack.tif, drift.csv, drift.svg, transforms.json, report.json and report.html into the folder --out, by
    default <stem>_stack in the working folder, where <stem> is MOVIE's name without its suffix. Blank frames, and
    frames that agree with no other, are placed between their neighbours, and named.

    With --model bspline also splines.npy, displacement.tif (total), incremental.tif and expected_error.tif; zncc strain
    maps the strain of all frames.

    Exit codes: 0 aligned; 1 error; 2 usage error; 3 the result is not to be trusted (files are written all the same);
    5 aligned, but drift.svg or report.html could not be made (a line says why).
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
        console.show_warning("stack", f"{outcome.status}: {'; '.join(outcome.report['reasons'])}")
    raise typer.Exit(outcome.exit_code)
