"""``zncc-align FIXED MOVING``: align one image to another."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zncc_cli.cli import console, options
from zncc_cli.config import InputConfig, PairConfig, RegistrationConfig, ResamplingConfig
from zncc_cli.errors import ExitCode, OptionError

if TYPE_CHECKING:
    from zncc_cli.jobs.pair.rerun import EarlierRun

app = typer.Typer(rich_markup_mode=None)
_DEFAULT, _RESAMPLING = RegistrationConfig(), ResamplingConfig()


def _refuse_from(report: Path | None) -> None:
    """Name the option that replaced ``--from``."""
    if report is not None:
        raise OptionError("--from: is now called --rerun; use --rerun REPORT")


@app.command()
def align(
    context: typer.Context,
    fixed: Annotated[Path | None, options.argument(PairConfig, "fixed", show_default=False)] = None,
    moving: Annotated[Path | None, options.argument(PairConfig, "moving", show_default=False)] = None,
    model: options.ModelOption = _DEFAULT.model,
    out: options.OutOption = None,
    window: options.WindowOption = _DEFAULT.window,
    min_overlap: options.MinOverlapOption = _DEFAULT.min_overlap,
    no_data: options.NoDataOption = _DEFAULT.no_data,
    max_motion: options.MaxMotionOption = _DEFAULT.max_motion,
    flip: options.FlipOption = _DEFAULT.flip,
    contrast: options.ContrastOption = _DEFAULT.contrast,
    fixed_mask: Annotated[Path | None, options.option(PairConfig, "fixed_mask")] = None,
    moving_mask: Annotated[Path | None, options.option(PairConfig, "moving_mask")] = None,
    init: Annotated[str | None, options.option(PairConfig, "init")] = None,
    series: options.SeriesOption = None,
    page: options.PageOption = None,
    channel: options.ChannelOption = None,
    interpolation: options.InterpolationOption = _RESAMPLING.interpolation,
    canvas: options.CanvasOption = _RESAMPLING.canvas,
    fill: options.FillOption = None,
    image_format: options.FormatOption = _RESAMPLING.image_format,
    pyramid: options.PyramidOption = _RESAMPLING.pyramid,
    accept: options.AcceptOption = PairConfig.accept,
    write: options.WriteOption = None,
    optimizer: options.OptimizerOption = _DEFAULT.optimizer,
    max_iterations: options.MaxIterationsOption = _DEFAULT.max_iterations,
    tolerance: options.ToleranceOption = _DEFAULT.tolerance,
    spacing: options.SpacingOption = _DEFAULT.spacing,
    smoothness: options.SmoothnessOption = _DEFAULT.smoothness,
    device: options.DeviceOption = _DEFAULT.device,
    backend: options.BackendOption = _DEFAULT.backend,
    rerun: Annotated[
        Path | None,
        typer.Option(
            "--rerun", metavar="REPORT", help="Repeat the run that wrote this report.json, with its settings."
        ),
    ] = None,
    _former_rerun: Annotated[
        Path | None, typer.Option("--from", hidden=True, callback=_refuse_from, is_eager=True)
    ] = None,
    reproducible: options.ReproducibleOption = False,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
    version: options.VersionOption = False,
) -> None:
    """Align MOVING to FIXED.

    Writes the aligned image, the transform, maps and a report into the folder --out, by default <stem>_aligned in the
    working folder, where <stem> is MOVING's name without its suffix. transform.json maps FIXED to MOVING coordinates:
    (x, y) in pixels, with the centre of the top-left pixel at (0, 0).

    Exit codes: 0 aligned; 1 error; 2 usage error; 3 the result is not to be trusted (files are written all the same);
    5 aligned, but pictures, maps or the mask could not be made (a line names them and says why).
    """
    inputs = None
    if rerun is not None:
        options.refuse_others(context, "--rerun", allowed=("rerun", "out", "overwrite", *options.SAYING))
        earlier = _earlier(rerun)
        config, inputs = dataclasses.replace(earlier.config, overwrite=overwrite), earlier.digests
        config = config if out is None else dataclasses.replace(config, out=out)
    elif fixed is None or moving is None:
        raise OptionError("FIXED MOVING: expected two images, or --rerun REPORT; see zncc-align --help")
    else:
        config = PairConfig(
            fixed=fixed,
            moving=moving,
            out=out,
            fixed_mask=fixed_mask,
            moving_mask=moving_mask,
            init=init,
            write=write,
            overwrite=overwrite,
            accept=accept,
            reproducible=reproducible,
            inputs=options.gather(InputConfig, locals()),
            registration=options.gather(RegistrationConfig, locals()),
            resampling=options.gather(ResamplingConfig, locals()),
        )
    with console.progress(quiet) as progress:
        progress("loading torch")
        began = time.perf_counter()
        with console.loading():
            from zncc_cli.jobs.pair.align import align_pair

        outcome = align_pair(config, progress, time.perf_counter() - began, inputs)
    from zncc_cli.jobs.missing import sentence
    from zncc_cli.jobs.summary import print_json, print_summary

    if outcome.missing:
        console.show_warning("align", sentence(outcome.missing))
    if json:
        print_json(outcome.report)
    elif not quiet:
        print_summary(outcome)
    elif outcome.exit_code is ExitCode.NOT_TRUSTED:
        console.show_warning("align", f"{outcome.result.status}: {outcome.result.reasons[0]}")
    raise typer.Exit(outcome.exit_code)


def _earlier(report: Path) -> EarlierRun:
    from zncc_cli.jobs.pair.rerun import rerunnable_run

    return rerunnable_run(report)


def main() -> None:
    """Run ``zncc-align``."""
    console.run(app, "zncc-align")
