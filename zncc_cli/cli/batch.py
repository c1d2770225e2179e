"""``zncc-batch DIR | TABLE``: many pairs."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from zncc_cli.cli import console, options
from zncc_cli.config import InputConfig, RegistrationConfig, ResamplingConfig
from zncc_cli.config.batch import BatchConfig, Engine

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_DEFAULT, _RESAMPLING = RegistrationConfig(), ResamplingConfig()


@app.command()
def batch(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|TABLE",
            help="Folder with *_fixed.* and *_moving.* images, or a CSV with columns fixed, moving, perhaps name.",
        ),
    ],
    out: options.RequiredOutOption,
    fixed: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="Align every image of DIR to this one instead.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="How the images of DIR are named, with fields in braces: '{id}_ch{channel}.tif'."
        ),
    ] = None,
    fixed_where: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD=VALUE",
            help="The fixed images among them, channel=0; those that are alike in the other fields are aligned to it.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier run into OUT was ended, or begin.")
    ] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="End at the first pair that fails.")] = False,
    retries: Annotated[
        int, typer.Option(metavar="N", help="Tries after an error that may pass: of a disk, of memory, a lost worker.")
    ] = BatchConfig.retries,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Give a pair up that takes longer.")
    ] = BatchConfig.timeout,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Processes, of one thread each [default: one a core; at most four with --device cuda].",
        ),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="Processes of this machine, or a Dask cluster.")] = BatchConfig.engine,
    scheduler: Annotated[
        str | None, typer.Option(metavar="tcp://HOST:PORT", help="Scheduler of your own Dask cluster.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Do part I of N alone, for job arrays; all parts share OUT.")
    ] = None,
    accept: options.AcceptOption = BatchConfig.accept,
    write: options.WriteOption = None,
    model: options.ModelOption = _DEFAULT.model,
    window: options.WindowOption = _DEFAULT.window,
    min_overlap: options.MinOverlapOption = _DEFAULT.min_overlap,
    no_data: options.NoDataOption = _DEFAULT.no_data,
    max_motion: options.MaxMotionOption = _DEFAULT.max_motion,
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
    version: options.VersionOption = False,
) -> None:
    """Align many pairs; write OUT/<pair name>/ with the files of zncc-align, OUT/batch.csv and OUT/batch.html.

    One bad pair does not stop the rest. What is done stands in OUT/manifest.jsonl as it is done; --resume goes on.

    Exit codes: 0 all aligned, 1 error, 2 usage, 5 some are not, or some files are missing.
    """
    parts = {
        "inputs": options.gather(InputConfig, locals()),
        "registration": options.gather(RegistrationConfig, locals()),
        "resampling": options.gather(ResamplingConfig, locals()),
    }
    config = options.gather(BatchConfig, {**locals(), **parts})
    from zncc_cli.jobs.batch.live import live
    from zncc_cli.jobs.batch.pairs import find_pairs
    from zncc_cli.jobs.batch.run import run_batch
    from zncc_cli.jobs.missing import sentence
    from zncc_cli.jobs.summary import print_batch, print_json

    with console.progress(quiet) as progress:
        progress(f"looking for pairs in {config.source}")
        pairs = find_pairs(config)
    with live(len(pairs), shown=not quiet and sys.stderr.isatty()) as on_row:
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
