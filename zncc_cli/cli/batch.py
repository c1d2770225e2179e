"""``zncc-batch DIR``: every pair of a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from zncc_cli.cli import console, options
from zncc_cli.config import BatchConfig, InputConfig, RegistrationConfig, ResamplingConfig

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_DEFAULT, _RESAMPLING = RegistrationConfig(), ResamplingConfig()


@app.command()
def batch(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with *_fixed.* and *_moving.* images.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Output folder.", show_default=False)],
    fixed: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="Align every image of DIR to this one instead.")
    ] = None,
    model: options.ModelOption = _DEFAULT.model,
    window: options.WindowOption = _DEFAULT.window,
    min_overlap: options.MinOverlapOption = _DEFAULT.min_overlap,
    series: options.SeriesOption = None,
    page: options.PageOption = None,
    channel: options.ChannelOption = None,
    interpolation: options.InterpolationOption = _RESAMPLING.interpolation,
    canvas: options.CanvasOption = _RESAMPLING.canvas,
    fill: options.FillOption = None,
    optimizer: options.OptimizerOption = _DEFAULT.optimizer,
    max_iterations: options.MaxIterationsOption = _DEFAULT.max_iterations,
    tolerance: options.ToleranceOption = _DEFAULT.tolerance,
    device: options.DeviceOption = _DEFAULT.device,
    backend: options.BackendOption = _DEFAULT.backend,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Align every pair of DIR; write OUT/<pair name>/ with the files of zncc-align, and OUT/batch.csv.

    One bad pair does not stop the rest. Exit codes: 0 all aligned, 1 error, 2 usage, 5 some are not.
    """
    options.check_streams(json, quiet)
    config = BatchConfig(
        folder=folder,
        out=out,
        fixed=fixed,
        overwrite=overwrite,
        inputs=options.gather(InputConfig, locals()),
        registration=options.gather(RegistrationConfig, locals()),
        resampling=options.gather(ResamplingConfig, locals()),
    )
    with console.progress(quiet) as progress:
        progress("loading torch")
        with console.loading():
            from zncc_cli.jobs.batch import find_pairs, run_batch

        pairs = find_pairs(config)
        done = 0
        progress(f"0 of {len(pairs)} pairs")

        def count(_: object) -> None:
            nonlocal done
            done += 1
            progress(f"{done} of {len(pairs)} pairs")

        outcome = run_batch(config, pairs, count)
    from zncc_cli.jobs.summary import print_batch, print_json

    if json:
        print_json(dataclasses.asdict(outcome))
    elif not quiet:
        print_batch(outcome)
    raise typer.Exit(outcome.exit_code)


def main() -> None:
    """Run ``zncc-batch``."""
    console.run(app, "zncc-batch")
