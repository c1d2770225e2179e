"""The settings of strain maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config.setting import Range, check_ranges, setting
from zncc_cli.config.shared import OUT, OVERWRITE
from zncc_cli.errors import OptionError

_GAUGE = Range(kind="an odd whole number of pixels,", at_least=1, at_most=9999)
_ERROR = Range(kind="a number of pixels,", above=0)
_STEP = Range(kind="a whole number of pixels,", at_least=1)


@dataclass(frozen=True, kw_only=True)
class StrainConfig:
    """Strain maps of a transform."""

    transform: Path = field(
        metadata=setting(
            "A transform file of any format that holds the sizes, or the transforms.json of a movie.",
            metavar="TRANSFORM",
            positional=True,
        )
    )
    out: Path = field(metadata=OUT)
    gauge: int | None = field(
        default=None,
        metadata=setting(
            "Gauge length: side of the square window in which a plane is fitted to the displacements; 1 takes the "
            "derivative at the pixel.",
            metavar="PIXELS",
            default="about two spacings of the spline's nodes; 15 for a matrix",
            range=_GAUGE,
        ),
    )
    step: int | None = field(
        default=None,
        metadata=setting(
            "Distance of the points in strain.csv.", metavar="PIXELS", default="half the gauge length", range=_STEP
        ),
    )
    max_error: float | None = field(
        default=None,
        metadata=setting(
            "Pixels whose displacement is expected to be off by more have no strain: they show no texture, and the "
            "field there only continues its surroundings. Of transforms with an expected_error.tif.",
            metavar="PIXELS",
            default="a fortieth of the spacing of the spline's nodes, or twice the error of the best tenth of the "
            "pixels where that is more",
            range=_ERROR,
        ),
    )
    overwrite: bool = field(default=False, metadata=OVERWRITE)

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.gauge is not None and self.gauge % 2 == 0:
            raise OptionError(f"`gauge`: expected {_GAUGE}, got {self.gauge}; a window has a pixel in its middle")
