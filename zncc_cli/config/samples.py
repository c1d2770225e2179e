"""The settings of the command that writes the sample images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config.setting import setting

FOLDER = Path("sample_data")


@dataclass(frozen=True, kw_only=True)
class SamplesConfig:
    """The folder that is made."""

    folder: Path = field(
        default=FOLDER,
        metadata=setting("Folder to make, which must not exist yet.", metavar="DIR", positional=True),
    )
