"""The settings with which the channels of an instrument are calibrated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config.choices import Accept, Model, coerce
from zncc_cli.config.registration import RegistrationConfig
from zncc_cli.config.setting import check_ranges, setting
from zncc_cli.config.shared import ACCEPT, ONE_SERIES, OVERWRITE, REPRODUCIBLE
from zncc_cli.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class CalibrateConfig:
    """Images of beads or another target that all channels show at the same places."""

    images: tuple[Path, ...] = field(
        metadata=setting(
            "One image of several channels, or an image of each channel or camera.", metavar="IMAGE...", positional=True
        )
    )
    out: Path = field(metadata=setting("Output file, for zncc apply.", metavar="FILE.json", alias="-o"))
    fixed: str = field(
        default="0",
        metadata=setting("Channel that stays where it is: its name, or its number from 0.", metavar="NAME|N"),
    )
    series: int | None = field(default=None, metadata=ONE_SERIES)
    accept: Accept = field(default=Accept.OK, metadata=ACCEPT)
    overwrite: bool = field(default=False, metadata=OVERWRITE)
    reproducible: bool = field(default=False, metadata=REPRODUCIBLE)
    registration: RegistrationConfig = field(default_factory=RegistrationConfig)

    def __post_init__(self) -> None:
        coerce(self, accept=Accept)
        check_ranges(self)
        if self.out.suffix.lower() != ".json":
            raise OptionError(f"`out`: expected a file named *.json, got {self.out}")
        if self.registration.model is Model.BSPLINE:
            raise OptionError("`model`: expected a matrix for a calibration (translation to homography), got bspline")
