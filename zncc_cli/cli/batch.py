"""``zncc-batch DIR|TABLE``: align many pairs."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from zncc_cli.cli import console, options
from zncc_cli.config import InputConfig, RegistrationConfig, ResamplingConfig
from zncc_cli.config.batch import BatchConfig, Engine

app = typer.Typer(rich_markup_mode=None)
_DEFAULT, _RESAMPLING = RegistrationConfig(), ResamplingConfig()


@app.command()
def batch(
    source: Annotated[Path, options.argument(BatchConfig, "source")],
    out: options.RequiredOutOption,
    fixed: Annotated[Path | None, options.option(BatchConfig, "fixed")] = None,
    pattern: Annotated[str | None, options.option(BatchConfig, "pattern")] = None,
    fixed_where: Annotated[str | None, options.option(BatchConfig, "fixed_where")] = None,
    resume: Annotated[bool, options.option(BatchConfig, "resume")] = False,
    fail_fast: Annotated[bool, options.option(BatchConfig, "fail_fast")] = False,
    retries: Annotated[int, options.option(BatchConfig, "retries")] = BatchConfig.retries,
    timeout: Annotated[float, options.option(BatchConfig, "timeout")] = BatchConfig.timeout,
    workers: Annotated[int | None, options.option(BatchConfig, "workers")] = None,
    engine: Annotated[Engine, options.option(BatchConfig, "engine")] = BatchConfig.engine,
    scheduler: Annotated[str | None, options.option(BatchConfig, "scheduler")] = None,
    shard: Annotated[str | None, options.option(BatchConfig, "shard")] = None,
    accept: options.AcceptOption = BatchConfig.accept,
    write: options.WriteOption = None,
    model: options.ModelOption = _DEFAULT.model,
    window: options.WindowOption = _DEFAULT.window,
    min_overlap: options.MinOverlapOption = _DEFAULT.min_overlap,
    no_data: options.NoDataOption = _DEFAULT.no_data,
    max_motion: options.MaxMotionOption = _DEFAULT.max_motion,
    flip: options.FlipOption = _DEFAULT.flip,
    contrast: options.ContrastOption = _DEFAULT.contrast,
    series: options.SeriesOption = None,
    page: options.PageOption = None,
    channel: options.ChannelOption = None,
    interpolation: options.InterpolationOption = _RESAMPLING.interpolation,
    canvas: options.CanvasOption = _RESAMPLING.canvas,
    fill: options.FillOption = None,
    image_format: options.FormatOption = _RESAMPLING.image_format,
    pyramid: options.PyramidOption = _RESAMPLING.pyramid,
    optimizer: options.OptimizerOption = _DEFAULT.optimizer,
    max_iterations: options.MaxIterationsOption = _DEFAULT.max_iterations,
    tolerance: options.ToleranceOption = _DEFAULT.tolerance,
    spacing: options.SpacingOption = _DEFAULT.spacing,
    smoothness: options.SmoothnessOption = _DEFAULT.smoothness,
    device: options.DeviceOption = _DEFAULT.device,
    backend: options.BackendOption = _DEFAULT.backend,
    reproducible: options.ReproducibleOption = False,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
    version: options.VersionOption = False,
) -> None:
    """Align many pairs of images.

    Writes into the folder --out: for each pair a folder of its name with the files of zncc-align; batch.csv, a table
    with a row for each pair; and batch.html, which shows them. One bad pair does not stop the others. Each finished
    pair is recorded in manifest.jsonl, from which --resume continues.

    Exit codes: 0 all aligned; 1 error; 2 usage error; 5 some pairs are not aligned, or some files could not be made.
    """
    parts = {
        "inputs": options.gather(InputConfig, locals()),
        "registration": options.gather(RegistrationConfig, locals()),
        "resampling": options.gather(ResamplingConfig, locals()),
    }
    config = options.gather(BatchConfig, {**locals(), **parts})
    from zncc_cli.jobs.batch.live import live
    from zncc_cli.jobs.batch.pairs import find_pairs
    from zncc_cli.jobs.batch.row import BatchRow
    from zncc_cli.jobs.batch.run import run_batch
    from zncc_cli.jobs.missing import sentence
    from zncc_cli.jobs.summary import print_batch, print_json

    with console.progress(quiet) as progress:
        progress(f"looking for pairs in {config.source}")
        pairs = find_pairs(config)
    with live(len(pairs), shown=not quiet and sys.stderr.isatty()) as show_row:

        def on_row(row: BatchRow, kept: bool) -> None:
            console.show_step("batch", f"{row.name}: {row.status}: {row.reason}{' (done before)' if kept else ''}")
            show_row(row, kept)

        outcome = run_batch(config, pairs, on_row)
    if outcome.missing or outcome.incomplete:
        of_pairs = (
            {f"files of {count} of {len(pairs)} pairs": f"see {outcome.table}"}
            if (count := len(outcome.incomplete))
            else {}
        )
        console.show_warning("batch", sentence({**of_pairs, **outcome.missing}, "--resume"))
    if json:
        print_json(dataclasses.asdict(outcome))
    elif not quiet:
        print_batch(outcome)
    elif outcome.bad:
        console.show_warning("batch", f"{len(outcome.bad)} of {len(pairs)} pairs are not aligned; see {outcome.table}")
    raise typer.Exit(outcome.exit_code)


def main() -> None:
    """Run ``zncc-batch``."""
    console.run(app, "zncc-batch")
