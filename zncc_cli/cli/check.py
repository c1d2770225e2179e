"""``zncc check FIXED ALIGNED``: how well two images are aligned, and where not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zncc_cli.cli import console, options
from zncc_cli.config import InputConfig
from zncc_cli.config.check import CheckConfig
from zncc_cli.errors import ExitCode


def check(
    fixed: Annotated[Path, options.argument(CheckConfig, "fixed")],
    aligned: Annotated[Path, options.argument(CheckConfig, "aligned")],
    out: options.OutOption = None,
    max_ce90: Annotated[float, options.option(CheckConfig, "max_ce90")] = CheckConfig.max_ce90,
    window: Annotated[int, options.option(CheckConfig, "window")] = CheckConfig.window,
    fixed_mask: Annotated[Path | None, options.option(CheckConfig, "fixed_mask")] = None,
    aligned_mask: Annotated[Path | None, options.option(CheckConfig, "aligned_mask")] = None,
    no_data: options.NoDataOption = CheckConfig.no_data,
    series: options.SeriesOption = None,
    page: options.PageOption = None,
    channel: options.ChannelOption = None,
    accept: options.AcceptOption = CheckConfig.accept,
    reproducible: options.ReproducibleOption = False,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Check a pair that is said to be aligned already.

    Says by how much it is off, and where: measures where windows of FIXED lie in ALIGNED, each for itself, with
    standard deviations. Writes shift.tif, the length of the shift at every pixel (float32, NaN where it is not known);
    shift.png, a picture of it with arrows; shifts.csv, a line for each window; report.html, all of this with both
    images to look at; and report.json, into the folder --out, by default <stem>_check in the working folder, where
    <stem> is ALIGNED's name without its suffix.

    Exit codes: 0 aligned; 1 error; 2 usage error; 3 not aligned, or not to be trusted (files are written all the same);
    5 aligned, but shift.png or report.html could not be made (a line says why).
    """
    config = options.gather(CheckConfig, {**locals(), "inputs": options.gather(InputConfig, locals())})
    with console.progress(quiet) as progress:
        progress("loading torch")
        with console.loading():
            from zncc_cli.jobs.check import check_files

        outcome = check_files(config, progress)
    from zncc_cli.jobs.missing import sentence
    from zncc_cli.jobs.summary import print_check, print_json

    if outcome.missing:
        console.show_warning("check", sentence(outcome.missing))
    if json:
        print_json(outcome.report)
    elif not quiet:
        print_check(outcome)
    elif outcome.exit_code is ExitCode.NOT_TRUSTED:
        console.show_warning("check", f"{outcome.status}: {outcome.report['reasons'][0]}")
    raise typer.Exit(outcome.exit_code)
