"""``zncc rounds ROUND...``: rounds of one scene merged into one image of all channels."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from zncc_cli.cli import console, options
from zncc_cli.config import Canvas, RegistrationConfig, ResamplingConfig
from zncc_cli.config.rounds import CANVAS, RoundsConfig
from zncc_cli.errors import ExitCode

_DEFAULT, _RESAMPLING = RegistrationConfig(), ResamplingConfig()


def rounds(
    images: Annotated[list[Path], options.argument(RoundsConfig, "images")],
    out: Annotated[Path, options.option(RoundsConfig, "out")],
    fixed: Annotated[str, options.option(RoundsConfig, "fixed")] = RoundsConfig.fixed,
    channel: Annotated[str | None, options.option(RoundsConfig, "channel")] = None,
    model: options.ModelOption = _DEFAULT.model,
    window: options.WindowOption = _DEFAULT.window,
    min_overlap: options.MinOverlapOption = _DEFAULT.min_overlap,
    no_data: options.NoDataOption = _DEFAULT.no_data,
    max_motion: options.MaxMotionOption = _DEFAULT.max_motion,
    flip: options.FlipOption = _DEFAULT.flip,
    contrast: options.ContrastOption = _DEFAULT.contrast,
    spacing: options.SpacingOption = _DEFAULT.spacing,
    smoothness: options.SmoothnessOption = _DEFAULT.smoothness,
    series: options.OneSeriesOption = None,
    interpolation: options.InterpolationOption = _RESAMPLING.interpolation,
    canvas: Annotated[Canvas, options.option_of("canvas", CANVAS)] = _RESAMPLING.canvas,
    fill: options.FillOption = None,
    pyramid: options.PyramidOption = _RESAMPLING.pyramid,
    accept: options.AcceptOption = RoundsConfig.accept,
    device: options.DeviceOption = _DEFAULT.device,
    backend: options.BackendOption = _DEFAULT.backend,
    reproducible: options.ReproducibleOption = False,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Merge rounds of one scene into one image of all channels.

    Cyclic staining, several cameras, filter wheels: each ROUND is registered to the fixed one by one channel, and all
    its channels are moved alike. Writes into the folder of --out: the merged OME-TIFF, with the channels' names (those
    that several rounds have are followed by the round's name) and the fixed round's pixel size; for each round
    <stem>_<round>_transform.json, fixed -> round; and <stem>_report.json and <stem>_report.html, where <stem> is the
    name of --out without its suffixes.

    Exit codes: 0 aligned; 1 error; 2 usage error; 3 a round is not to be trusted (files are written all the same); 5
    aligned, but the HTML report could not be made (a line says why).
    """
    parts = {
        "images": tuple(images),
        "registration": options.gather(RegistrationConfig, locals()),
        "resampling": options.gather(ResamplingConfig, locals()),
    }
    config = options.gather(RoundsConfig, {**locals(), **parts})
    with console.progress(quiet) as progress:
        progress("loading torch")
        began = time.perf_counter()
        with console.loading():
            from zncc_cli.jobs.rounds.align import merge_rounds

        outcome = merge_rounds(config, progress, time.perf_counter() - began)
    from zncc_cli.jobs.missing import sentence
    from zncc_cli.jobs.summary import print_json, print_rounds

    if outcome.missing:
        console.show_warning("rounds", sentence(outcome.missing))
    if json:
        print_json(outcome.report)
    elif not quiet:
        print_rounds(outcome)
    elif outcome.exit_code is ExitCode.NOT_TRUSTED:
        console.show_warning("rounds", f"{outcome.status}: {outcome.report['reasons'][-1]}")
    raise typer.Exit(outcome.exit_code)
