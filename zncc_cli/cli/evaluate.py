"""``zncc evaluate TRANSFORM FIXED_POINTS [MOVING_POINTS]``: the error of a transform at landmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from zncc_cli.cli import options
from zncc_cli.config.evaluate import EvaluateConfig


def evaluate(
    transform: Annotated[Path, options.argument(EvaluateConfig, "transform")],
    fixed_points: Annotated[Path, options.argument(EvaluateConfig, "fixed_points")],
    moving_points: Annotated[Path | None, options.argument(EvaluateConfig, "moving_points")] = None,
    fixed: Annotated[Path | None, options.option(EvaluateConfig, "fixed")] = None,
    moving: Annotated[Path | None, options.option(EvaluateConfig, "moving")] = None,
    out: Annotated[Path | None, options.option(EvaluateConfig, "out")] = None,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Measure the error of a transform at landmarks.

    An error is the distance in the MOVING image, in pixels, from where the transform takes a fixed landmark to the
    moving landmark (TRE). Landmarks are tables with columns fixed_x, fixed_y, moving_x, moving_y, or BigWarp's; or the
    points of each image: tables with columns x and y, napari's, ImageJ's .roi or .zip, GeoJSON of QuPath. Points with
    names are paired by them, others by their order.

    Exit codes: 0 measured; 1 error; 2 usage error.
    """
    config = options.gather(EvaluateConfig, locals())
    from zncc_cli.jobs.evaluate import evaluate as run

    evaluation = run(config)
    from zncc_cli.jobs.summary import print_evaluation, print_json

    if json:
        print_json(evaluation.report)
    elif not quiet:
        print_evaluation(evaluation)
