"""``zncc``: all commands as subcommands."""

from __future__ import annotations

import typer

from zncc_cli.cli import console, options
from zncc_cli.cli.align import align
from zncc_cli.cli.apply import apply
from zncc_cli.cli.batch import batch
from zncc_cli.cli.build import build
from zncc_cli.cli.calibrate import calibrate
from zncc_cli.cli.check import check
from zncc_cli.cli.doctor import doctor
from zncc_cli.cli.evaluate import evaluate
from zncc_cli.cli.rounds import rounds
from zncc_cli.cli.samples import samples
from zncc_cli.cli.stack import stack
from zncc_cli.cli.stdmap import stdmap
from zncc_cli.cli.strain import strain
from zncc_cli.cli.transforms import compose, convert, invert, points
from zncc_cli.errors import ExitCode

app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
for command in (
    *(align, apply, stack, rounds, calibrate, stdmap, batch, convert, invert, compose, points, evaluate, check, strain),
    *(samples, build, doctor),
):
    app.command()(command)


@app.callback()
def zncc(
    context: typer.Context,
    version: options.VersionOption = False,
) -> None:
    """Align images by maximizing their local zero-normalized cross-correlation (ZNCC)."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


def main() -> None:
    """Run ``zncc``."""
    console.run(app, "zncc")
