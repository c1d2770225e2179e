"""``zncc``: all commands as subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

import zncc_cli
from zncc_cli.cli import console
from zncc_cli.cli.align import align
from zncc_cli.cli.apply import apply
from zncc_cli.cli.batch import batch
from zncc_cli.cli.build import build
from zncc_cli.cli.doctor import doctor
from zncc_cli.cli.stack import stack
from zncc_cli.cli.stdmap import stdmap
from zncc_cli.cli.transforms import compose, convert, invert, points
from zncc_cli.errors import ExitCode

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)
for command in (align, apply, stack, stdmap, batch, convert, invert, compose, points, build, doctor):
    app.command()(command)


def _show_version(value: bool) -> None:
    if value:
        print(f"zncc-cli {zncc_cli.__version__}")
        raise typer.Exit


@app.callback()
def zncc(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Align images by gradient descent on their local zero-normalized cross-correlation (ZNCC)."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


def main() -> None:
    """Run ``zncc``."""
    console.run(app, "zncc")
