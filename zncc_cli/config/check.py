"""The settings of the check of a pair that is aligned already."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config.choices import Accept, coerce
from zncc_cli.config.inputs import InputConfig
from zncc_cli.config.setting import Range, check_ranges, setting
from zncc_cli.config.shared import ACCEPT, AUTO, NO_DATA, OUT, OVERWRITE, REPRODUCIBLE, no_data_number

WINDOW_SIDE, SMALLEST_WINDOW_SIDE = 32, 16
"""Sides of the windows, pixels: the default, and the smallest that holds enough texture for a standard deviation."""
_WINDOW = Range(kind="a whole number of pixels,", at_least=SMALLEST_WINDOW_SIDE, at_most=4096)
_CE90 = Range(kind="pixels", above=0)


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """Two images of one frame; ``out`` is None for ``<aligned's stem>_check`` in the working folder."""

    fixed: Path = field(
        metadata=setting("The image that the other one was aligned to.", metavar="FIXED", positional=True)
    )
    aligned: Path = field(metadata=setting("The aligned image, of FIXED's size.", metavar="ALIGNED", positional=True))
    out: Path | None = field(default=None, metadata=OUT)
    max_ce90: float = field(
        default=1.0,
        metadata=setting(
            "The verdict is ok where 90 percent of the frame lie within this distance.", metavar="PIXELS", range=_CE90
        ),
    )
    window: int = field(
        default=WINDOW_SIDE,
        metadata=setting("Side of the windows whose shifts are measured.", metavar="PIXELS", alias="-w", range=_WINDOW),
    )
    fixed_mask: Path | None = field(
        default=None,
        metadata=setting("Use only fixed pixels where this image of FIXED's size is above zero.", metavar="IMAGE"),
    )
    aligned_mask: Path | None = field(
        default=None,
        metadata=setting(
            "Use only aligned pixels where this image is above zero, as mask.tif of zncc-align.", metavar="IMAGE"
        ),
    )
    no_data: str = field(default=AUTO, metadata=NO_DATA)
    inputs: InputConfig = field(default_factory=InputConfig)
    accept: Accept = field(default=Accept.OK, metadata=ACCEPT)
    overwrite: bool = field(default=False, metadata=OVERWRITE)
    reproducible: bool = field(default=False, metadata=REPRODUCIBLE)

    def __post_init__(self) -> None:
        coerce(self, accept=Accept)
        check_ranges(self)
        no_data_number(self.no_data)

    @property
    def folder(self) -> Path:
        """The output folder."""
        return self.out or Path(f"{self.aligned.stem}_check")
