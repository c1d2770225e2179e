"""``zncc samples``: images to try the commands on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from zncc_cli.cli import options
from zncc_cli.config.samples import SamplesConfig
from zncc_cli.text import shown


def samples(
    folder: Annotated[Path, options.argument(SamplesConfig, "folder")] = SamplesConfig.folder,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    log: options.LogOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Write the sample images of the tutorial.

    Pairs with known motion, drawn by a program: cells, steel, speckle, farmland, a circuit board, and a batch of three.
    DIR holds a README.md that tells what they show, the true transforms, and corner_error.py, which compares with them.

    Exit codes: 0 written; 1 error; 2 usage error.
    """
    config = options.gather(SamplesConfig, locals())
    from zncc_cli.jobs.samples import copy_samples

    count = copy_samples(config)
    if not quiet:
        print(f"{shown(config.folder)}/  {count} files; {shown(config.folder / 'README.md')} tells what they show")
