"""``zncc build``: the native libraries, ahead of time."""

from __future__ import annotations

import dataclasses

import typer

from zncc_cli.cli import console, options


def build(
    json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Build the native libraries.

    Builds them for the devices of this machine, and prints where they are and how long it took. Otherwise the first
    image that is processed builds them. A library is reused as long as ZNCC_CACHE_DIR and the versions stay the same.

    Exit codes: 0 all are ready; 1 one of them cannot be built.
    """
    from zncc_cli.jobs.build import build_all

    with console.progress(False) as progress:
        progress("building the native libraries")
        builds = build_all()
    from zncc_cli.jobs.summary import print_builds, print_json

    if json:
        print_json(dataclasses.asdict(builds))
    else:
        print_builds(builds)
    raise typer.Exit(builds.exit_code)
