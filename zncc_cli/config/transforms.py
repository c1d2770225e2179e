"""The settings of what is done with transform files: one into another, two into one, points by one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zncc_cli.config import TransformFormat
from zncc_cli.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """One transform file into another.

    Attributes:
        transform: the file to read.
        out: the file to write.
        source_format: how ``transform`` is read; None leaves it to its content.
        target_format: how ``out`` is written; None leaves it to its name.
        fixed, moving: an image of the size of the fixed and moving image of what is written, or that size as ``WxH``,
            width first; for formats that hold sizes, where ``transform`` does not.
        inverse: swap fixed and moving.
        overwrite: replace ``out`` when it exists.
    """

    transform: Path
    out: Path
    source_format: TransformFormat | None = None
    target_format: TransformFormat | None = None
    fixed: str | None = None
    moving: str | None = None
    inverse: bool = False
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class ComposeConfig:
    """Two transform files into one.

    Attributes:
        first, second: the files to read; ``first`` is done first.
        out: the file to write.
        target_format: how ``out`` is written; None leaves it to its name.
        overwrite: replace ``out`` when it exists.
    """

    first: Path
    second: Path
    out: Path
    target_format: TransformFormat | None = None
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class PointsConfig:
    """A table of points, mapped.

    Attributes:
        transform: a transform file.
        points: a table with columns x and y.
        out: the table to write, or None for stdout.
        inverse: map moving points to fixed ones.
        overwrite: replace ``out`` when it exists.
    """

    transform: Path
    points: Path
    out: Path | None = None
    inverse: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.overwrite and self.out is None:
            raise OptionError("--overwrite: expected beside --out, got it alone; leave it out, stdout is no file")
