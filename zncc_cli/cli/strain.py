"""``zncc strain TRANSFORM``: strain maps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from zncc_cli.cli import console, options
from zncc_cli.config.strain import StrainConfig
from zncc_cli.text import shown


def strain(
    transform: Annotated[Path, options.argument(StrainConfig, "transform")],
    out: options.RequiredOutOption,
    gauge: Annotated[int | None, options.option(StrainConfig, "gauge")] = None,
    step: Annotated[int | None, options.option(StrainConfig, "step")] = None,
    max_error: Annotated[float | None, options.option(StrainConfig, "max_error")] = None,
    overwrite: options.OverwriteOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Map the strain of a transform.

    Writes float32 TIFFs on FIXED's frame into the folder --out: engineering strain (exx, eyy, exy, principal e1 and
    e2), the rotation in radians, Green-Lagrange strain (green_exx, green_eyy, green_exy) and the determinant, the ratio
    of areas; and strain.csv with the same on a grid of points. Strains come from planes that are fitted to the
    displacements in windows of the gauge length. They are NaN where FIXED's pixels have no place in MOVING, and where
    their place is not known: on ground without texture.

    Of the transforms.json of zncc stack the maps have a page for each frame, and strain_curve.csv has their mean
    strains.

    Exit codes: 0 written; 1 error; 2 usage error.
    """
    config = options.gather(StrainConfig, locals())
    from zncc_cli.jobs.strain import write_strain

    with console.progress(quiet) as progress:
        progress("mapping strain")
        maps = write_strain(config)
    if json:
        from zncc_cli.jobs.summary import print_json

        print_json(dataclasses.asdict(maps))
    elif not quiet:
        mean = "".join(f"  {name} {value:.6g}" for name, value in (maps.mean or {}).items() if name in _PRINTED)
        print(
            f"{shown(maps.out)}  gauge {maps.gauge} px, {maps.ok} of {maps.points} points"
            f"{f' ({maps.uncertain} have no certain place)' if maps.uncertain else ''}; "
            f"mean{'' if maps.frames is None else f' of the last of {maps.frames} frames'}{mean or ' not known'}"
        )


_PRINTED = ("exx", "eyy", "exy", "rotation")
