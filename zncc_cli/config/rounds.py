"""The settings with which rounds of one scene are brought together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config.choices import Accept, Canvas, coerce
from zncc_cli.config.registration import RegistrationConfig
from zncc_cli.config.resampling import ResamplingConfig
from zncc_cli.config.setting import check_ranges, setting, settings_of
from zncc_cli.config.shared import ACCEPT, ONE_SERIES, OVERWRITE, REPRODUCIBLE
from zncc_cli.errors import OptionError

TIFF_SUFFIXES = (".ome.tif", ".ome.tiff", ".tif", ".tiff")
# What the command says of `resampling.canvas`.
CANVAS = settings_of(ResamplingConfig)["canvas"]._replace(
    help="Frame of the written image: the fixed round's, one that holds all rounds (union), or what all show (common)."
)


def without_tiff_suffix(path: Path) -> str:
    """Return the name of a TIFF file without its suffixes: merged of merged.ome.tif."""
    name = path.name
    return next(name[: -len(suffix)] for suffix in (*TIFF_SUFFIXES, "") if name.lower().endswith(suffix))


@dataclass(frozen=True, kw_only=True)
class RoundsConfig:
    """Images of one scene, each of some channels, that become one image of all channels."""

    images: tuple[Path, ...] = field(
        metadata=setting(
            "Two files or more, one for each round, camera or filter.", metavar="ROUND...", positional=True
        )
    )
    out: Path = field(metadata=setting("Output file: an OME-TIFF of all channels.", metavar="FILE.ome.tif", alias="-o"))
    fixed: str = field(
        default="0",
        metadata=setting(
            "Round that stays where it is: its number, counted from 0, or its file.",
            metavar="N|ROUND",
        ),
    )
    channel: str | None = field(
        default=None,
        metadata=setting(
            "Channel to register by, by its name or number, counted from 0; one for all rounds, or one for each, "
            "divided by commas.",
            metavar="NAME|N[,...]",
            default="the first name that all rounds have, DAPI for example; otherwise channel 0",
        ),
    )
    series: int | None = field(default=None, metadata=ONE_SERIES)
    accept: Accept = field(default=Accept.OK, metadata=ACCEPT)
    overwrite: bool = field(default=False, metadata=OVERWRITE)
    reproducible: bool = field(default=False, metadata=REPRODUCIBLE)
    registration: RegistrationConfig = field(default_factory=RegistrationConfig)
    resampling: ResamplingConfig = field(default_factory=ResamplingConfig)

    def __post_init__(self) -> None:
        coerce(self, accept=Accept)
        check_ranges(self)
        if len(self.images) < 2:
            raise OptionError("ROUND...: expected two files or more, got one; name every round")
        if len({path.resolve() for path in self.images}) < len(self.images):
            raise OptionError("ROUND...: expected files that differ, got one of them twice")
        if not self.out.name.lower().endswith(TIFF_SUFFIXES) or not self.stem:
            raise OptionError(f"`out`: expected a file named *.ome.tif, got {self.out}")
        if self.resampling.canvas is Canvas.COMMON and self.registration.model == "bspline":
            raise OptionError("`canvas`: expected fixed or union with `model` bspline, got common")
        _ = self.fixed_round

    @property
    def stem(self) -> str:
        """The name of the output file without its suffixes."""
        return without_tiff_suffix(self.out)

    @property
    def fixed_round(self) -> int:
        """The number of the round that stays where it is."""
        named = [number for number, path in enumerate(self.images) if self.fixed in (str(path), path.name)]
        if len(named) == 1:
            return named[0]
        if self.fixed.isdecimal() and len(self.fixed) < 10 and int(self.fixed) < len(self.images):
            return int(self.fixed)
        raise OptionError(
            f"--fixed {self.fixed}: expected one of the rounds, or its number from 0 to {len(self.images) - 1}"
        )
