"""``zncc calibrate IMAGE...``: where the channels of an instrument lie beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zncc_cli.cli import console, options
from zncc_cli.config import RegistrationConfig
from zncc_cli.config.calibrate import CalibrateConfig
from zncc_cli.errors import ExitCode

_DEFAULT = RegistrationConfig()


def calibrate(
    images: Annotated[list[Path], options.argument(CalibrateConfig, "images")],
    out: Annotated[Path, options.option(CalibrateConfig, "out")],
    fixed: Annotated[str, options.option(CalibrateConfig, "fixed")] = CalibrateConfig.fixed,
    model: options.ModelOption = _DEFAULT.model,
    window: options.WindowOption = _DEFAULT.window,
    no_data: options.NoDataOption = _DEFAULT.no_data,
    max_motion: options.MaxMotionOption = _DEFAULT.max_motion,
    contrast: options.ContrastOption = _DEFAULT.contrast,
    series: options.OneSeriesOption = None,
    accept: options.AcceptOption = CalibrateConfig.accept,
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
    """Calibrate channels or cameras of an instrument on beads.

    Registers every channel to the fixed one on an image of beads, or of anything that all channels show at the same
    places, and writes the shifts (--model translation) or matrices into one file. zncc apply moves the channels of
    other images of that instrument by it.

    Exit codes: 0 calibrated; 1 error; 2 usage error; 3 a channel is not to be trusted (the file is written all the
    same).
    """
    registration = options.gather(RegistrationConfig, locals())
    config = options.gather(CalibrateConfig, {**locals(), "images": tuple(images)})
    with console.progress(quiet) as progress:
        progress("loading torch")
        with console.loading():
            from zncc_cli.jobs.calibrate import calibrate as run

        outcome = run(config, progress)
    from zncc_cli.jobs.summary import print_calibration, print_json

    if json:
        print_json(outcome.report)
    elif not quiet:
        print_calibration(outcome)
    elif outcome.exit_code is ExitCode.NOT_TRUSTED:
        bad = next(entry for entry in outcome.report["channels"] if not config.accept.takes(entry["status"]))
        console.show_warning("calibrate", f"{bad['name']} is {bad['status']}: {bad['reasons'][0]}")
    raise typer.Exit(outcome.exit_code)
