"""``zncc apply TRANSFORM IMAGE...``: move other images by the same transform."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from zncc_cli.cli import console, options
from zncc_cli.config import ResamplingConfig
from zncc_cli.config.apply import ApplyConfig

_DEFAULT = ResamplingConfig()


def apply(
    transform: Annotated[Path, options.argument(ApplyConfig, "transform")],
    images: Annotated[list[Path], options.argument(ApplyConfig, "images")],
    out: Annotated[Path | None, options.option(ApplyConfig, "out")] = None,
    inverse: Annotated[bool, options.option(ApplyConfig, "inverse")] = False,
    channel: Annotated[str | None, options.option(ApplyConfig, "channel")] = None,
    series: options.OneSeriesOption = None,
    page: Annotated[int | None, options.option(ApplyConfig, "page")] = None,
    interpolation: options.InterpolationOption = _DEFAULT.interpolation,
    canvas: options.CanvasOption = _DEFAULT.canvas,
    fill: options.FillOption = None,
    image_format: options.FormatOption = _DEFAULT.image_format,
    pyramid: options.PyramidOption = _DEFAULT.pyramid,
    backend: options.BackendOption = ApplyConfig.backend,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Apply a transform to other images.

    Each IMAGE is resampled onto the fixed frame by a transform that zncc-align found. Its dtype, channels and pages are
    kept. With the settings of that run, the moving image itself gives its aligned.tif byte for byte. Of a calibration,
    each channel is resampled onto the frame of the calibration's fixed channel.

    Exit codes: 0 written; 1 error; 2 usage error.
    """
    resampling = options.gather(ResamplingConfig, locals())
    config = options.gather(ApplyConfig, {**locals(), "images": tuple(images)})
    with console.progress(quiet) as progress:
        progress("loading torch")
        with console.loading():
            from zncc_cli.jobs.apply import apply_transform

        progress(f"{len(images)} images")
        applied = apply_transform(config)
    from zncc_cli.jobs.summary import print_json

    console.show_notes("apply", (note for one in applied for note in one.notes))
    if json:
        print_json({"images": [dataclasses.asdict(one) for one in applied]})
    elif not quiet:
        for one in applied:
            console.print_path(one.file)
