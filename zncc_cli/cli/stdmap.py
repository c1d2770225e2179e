"""``zncc-stdmap IMAGE...``: local standard deviation maps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from zncc_cli.cli import console, options
from zncc_cli.config import Method, StdScale
from zncc_cli.config.stdmap import StdMapConfig

app = typer.Typer(rich_markup_mode=None)


@app.command()
def stdmap(
    images: Annotated[list[Path], options.argument(StdMapConfig, "images")],
    window: Annotated[int | None, options.option(StdMapConfig, "window")] = StdMapConfig.window,
    out: options.OutOption = None,
    series: options.OneSeriesOption = None,
    page: Annotated[int | None, options.option(StdMapConfig, "page")] = None,
    channel: Annotated[str | None, options.option(StdMapConfig, "channel")] = None,
    scale: Annotated[StdScale, options.option(StdMapConfig, "scale")] = StdMapConfig.scale,
    method: Annotated[Method, options.option(StdMapConfig, "method")] = StdMapConfig.method,
    device: options.DeviceOption = StdMapConfig.device,
    backend: options.BackendOption = StdMapConfig.backend,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
    version: options.VersionOption = False,
) -> None:
    """Map the local standard deviation of images.

    Writes three files for each IMAGE into the folder --out, by default the working folder: <stem>_std.tif, float32, NaN
    where the window leaves the frame; <stem>_std.png, a picture of it; and <stem>_texture.png, white where a window
    holds enough texture to be placed to half a pixel, so that it can carry a registration. The window of row y begins
    at row y - PIXELS // 2, as in SciPy.

    Exit codes: 0 all written; 1 error; 2 usage error; 5 some maps or pictures could not be made (a line names them).
    """
    out = out or Path()
    config = options.gather(StdMapConfig, {**locals(), "images": tuple(images)})
    with console.progress(quiet) as progress:
        progress("loading torch")
        with console.loading():
            from zncc_cli.jobs.stdmap import write_std_maps

        progress(f"{len(images)} images")
        outcome = write_std_maps(config)
    from zncc_cli.jobs.missing import sentence
    from zncc_cli.jobs.summary import print_json, print_std_maps

    if outcome.missing:
        console.show_warning("stdmap", sentence(outcome.missing))
    console.show_notes("stdmap", (note for files in outcome.maps for note in files.notes))
    if json:
        print_json({"scale": scale, **dataclasses.asdict(outcome)})
    elif not quiet:
        print_std_maps(outcome)
    raise typer.Exit(outcome.exit_code)


def main() -> None:
    """Run ``zncc-stdmap``."""
    console.run(app, "zncc-stdmap")
