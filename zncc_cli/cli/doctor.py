"""``zncc doctor``: which backend and device are used, and why."""

from __future__ import annotations

import dataclasses

import typer

from zncc_cli.cli import options


def doctor(
    json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Show what runs where, and why.

    Prints versions, device, native build, compiler and cache, with a fix for whatever is wrong.

    Exit codes: 0 the native kernels run; 1 the slower fallback runs.
    """
    from zncc_cli.jobs.doctor import examine

    diagnosis = examine()
    from zncc_cli.jobs.summary import print_diagnosis, print_json

    if json:
        print_json(dataclasses.asdict(diagnosis))
    else:
        print_diagnosis(diagnosis)
    raise typer.Exit(diagnosis.exit_code)
