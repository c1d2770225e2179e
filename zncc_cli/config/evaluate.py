"""The settings of the comparison of a transform with landmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config.setting import setting
from zncc_cli.config.shared import OVERWRITE
from zncc_cli.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """A transform, and the landmarks that it is compared with; ``fixed_points`` may hold those of both images."""

    transform: Path = field(metadata=setting("A transform file of any format.", metavar="TRANSFORM", positional=True))
    fixed_points: Path = field(
        metadata=setting("Landmarks of the FIXED image, or of both images.", metavar="FIXED_POINTS", positional=True)
    )
    moving_points: Path | None = field(
        default=None, metadata=setting("Landmarks of the MOVING image.", metavar="MOVING_POINTS", positional=True)
    )
    fixed: Path | None = field(
        default=None,
        metadata=setting("The fixed image, whose pixel size BigWarp's landmarks are lengths of.", metavar="IMAGE"),
    )
    moving: Path | None = field(
        default=None,
        metadata=setting(
            "The moving image: for BigWarp's landmarks, and for relative errors where TRANSFORM lacks its size.",
            metavar="IMAGE",
        ),
    )
    out: Path | None = field(
        default=None,
        metadata=setting("Write the error of each landmark to this table.", metavar="FILE", alias="-o", default="none"),
    )
    overwrite: bool = field(default=False, metadata=OVERWRITE)

    def __post_init__(self) -> None:
        if self.overwrite and self.out is None:
            raise OptionError(
                "`overwrite`: expected together with `out`, got it alone; leave it out, no file is written"
            )
