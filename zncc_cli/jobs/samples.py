"""The sample images of the documentation, which come with the package, copied to where they can be tried."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import zncc_cli
from zncc_cli.config.samples import SamplesConfig
from zncc_cli.errors import OutputError
from zncc_cli.text import shown

_NAME = "sample_data"


def copy_samples(config: SamplesConfig) -> int:
    """Make a folder with the sample images and their truth; return the number of files.

    Raises:
        OutputError: the folder is there already, or cannot be written. Nothing is written then.
    """
    folder = config.folder
    if os.path.lexists(folder):
        raise OutputError(f"{shown(folder)} exists already; name another folder: zncc samples DIR")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".zncc-samples-") as staging:
            copied = Path(staging) / _NAME
            shutil.copytree(_source(), copied, ignore=shutil.ignore_patterns("__pycache__"))
            count = sum(path.is_file() for path in copied.rglob("*"))
            copied.rename(folder)
    except OSError as error:
        raise OutputError(f"{shown(folder)}: cannot be written: {error.strerror or error}") from error
    return count


def _source() -> Path:
    """Return the folder of the installed package, or that of the checkout."""
    package = Path(zncc_cli.__file__).parent
    inside = package / _NAME
    return inside if inside.is_dir() else package.parent / _NAME
