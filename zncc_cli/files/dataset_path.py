"""Paths of data sets in a file: ``scan.h5:/entry/data``."""

from __future__ import annotations

import re
from pathlib import Path

_WITH_DATASET = re.compile(r"(?P<file>.+\.(?:h5|hdf5|hdf|nxs|he5)):(?P<name>.*)", re.IGNORECASE | re.DOTALL)


def split_dataset(path: Path) -> tuple[Path, str]:
    """Return the file of a path, and the name of the data set in it; "" where the path names none."""
    found = _WITH_DATASET.fullmatch(str(path))
    return (path, "") if found is None else (Path(found["file"]), found["name"] or "/")
