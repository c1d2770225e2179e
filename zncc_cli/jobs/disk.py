"""Whether a disk has room for what a job writes. Torch is not imported."""

from __future__ import annotations

import shutil
from pathlib import Path

from zncc_cli.errors import ResourceError
from zncc_cli.text import byte_count


def check_disk(folder: Path, needed: int) -> None:
    """Check that the disk of a folder has ``needed`` bytes free; the folder itself need not exist yet.

    Raises:
        ResourceError: it has not.
    """
    nearest = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(nearest).free
    if needed > free:
        raise ResourceError(
            f"{folder}: expected {byte_count(needed)} of free disk for the files of this run, found "
            f"{byte_count(free)}; choose another --out"
        )
