"""``zncc-stdmap IMAGE...``: local standard deviation maps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from zncc_cli.cli import console, options
from zncc_cli.config import Method, StdMapConfig, StdScale

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def stdmap(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    window: options.WindowOption = StdMapConfig.window,
    out: options.OutOption = None,
    series: options.OneSeriesOption = None,
    page: options.OnePageOption = None,
    channel: Annotated[
        str | None,
        typer.Option(
            metavar="N|luminance|best",
            help="Channel, counted from 0, or the one with the most texture [default: luminance of RGB, else best].",
        ),
    ] = None,
    scale: Annotated[
        StdScale, typer.Option(help="The standard deviation in the image's units, or the norm that ZNCC divides by.")
    ] = StdScale.POPULATION,
    method: Annotated[Method, typer.Option(help="How local sums are computed.")] = Method.AUTO,
    device: options.DeviceOption = StdMapConfig.device,
    backend: options.BackendOption = StdMapConfig.backend,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    version: options.VersionOption = False,
) -> None:
    """Write <stem>_std.tif (float32, NaN where the window leaves the frame) and <stem>_std.png for each IMAGE.

    And <stem>_texture.png: white where a window finds its place to half a pixel, so that it can carry a registration.
    The files go into the working folder, or --out. A window spans rows y - PIXELS // 2 onwards, as in SciPy.

    Exit codes: 0 all are written, 1 error, 2 usage, 5 some images have no map, or a picture is missing: they are named.
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
