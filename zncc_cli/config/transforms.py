"""The settings of the commands on transform files: convert, compose, and map points."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config.choices import TransformFormat
from zncc_cli.config.setting import setting
from zncc_cli.config.shared import OVERWRITE
from zncc_cli.errors import OptionError

_TRANSFORM = setting("A transform file of any format.", metavar="TRANSFORM", positional=True)
_OUT = setting("The transform file to write.", metavar="OUT", positional=True)
_TARGET_FORMAT = setting("Format of OUT.", option="--format", alias="-f", default="told by its name")


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """One transform file into another, or into its inverse."""

    transform: Path = field(metadata=_TRANSFORM)
    out: Path = field(metadata=_OUT)
    source_format: TransformFormat | None = field(
        default=None, metadata=setting("Format of TRANSFORM.", option="--from", default="told by its content")
    )
    target_format: TransformFormat | None = field(default=None, metadata=_TARGET_FORMAT)
    fixed: str | None = field(
        default=None,
        metadata=setting(
            "OUT's fixed image, or its width and height in pixels, for formats that store the size where TRANSFORM "
            "does not.",
            metavar="IMAGE|WxH",
        ),
    )
    moving: str | None = field(
        default=None,
        metadata=setting(
            "OUT's moving image, or its width and height in pixels, for formats that store the size where TRANSFORM "
            "does not.",
            metavar="IMAGE|WxH",
        ),
    )
    inverse: bool = False
    overwrite: bool = field(default=False, metadata=OVERWRITE)


@dataclass(frozen=True, kw_only=True)
class ComposeConfig:
    """Two transform files into one; ``first`` is applied first."""

    first: Path = field(metadata=setting("The transform that is applied first.", metavar="FIRST", positional=True))
    second: Path = field(
        metadata=setting(
            "The transform that is applied second, to the result of FIRST.", metavar="SECOND", positional=True
        )
    )
    out: Path = field(metadata=_OUT)
    target_format: TransformFormat | None = field(default=None, metadata=_TARGET_FORMAT)
    overwrite: bool = field(default=False, metadata=OVERWRITE)


@dataclass(frozen=True, kw_only=True)
class PointsConfig:
    """A table of points, mapped by a transform."""

    transform: Path = field(metadata=_TRANSFORM)
    points: Path = field(
        metadata=setting(
            "A table with columns x and y, or with two columns alone; GeoJSON of QuPath; or ImageJ's .roi or .zip.",
            metavar="POINTS",
            positional=True,
        )
    )
    out: Path | None = field(
        default=None, metadata=setting("Write to this file.", metavar="FILE", alias="-o", default="stdout")
    )
    inverse: bool = field(default=False, metadata=setting("Map points of the MOVING image to the FIXED image instead."))
    overwrite: bool = field(default=False, metadata=OVERWRITE)

    def __post_init__(self) -> None:
        if self.overwrite and self.out is None:
            raise OptionError(
                "`overwrite`: expected together with `out`, got it alone; leave it out, stdout is no file"
            )
