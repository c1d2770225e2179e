"""The settings with which a transform is applied to images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config.choices import Backend, coerce
from zncc_cli.config.resampling import ResamplingConfig
from zncc_cli.config.setting import check_ranges, setting
from zncc_cli.config.shared import BACKEND, COUNTED_FROM_0, ONE_SERIES, OVERWRITE


@dataclass(frozen=True, kw_only=True)
class ApplyConfig:
    """Images that a transform is applied to.

    ``out`` is the file of one image or the folder of several; None for ``<stem>_aligned.tif`` in the working folder.
    With the backend that made it, ``aligned.tif`` comes out again bit for bit.
    """

    transform: Path = field(
        metadata=setting(
            "A transform.json of zncc-align, or a calibration of zncc calibrate.", metavar="TRANSFORM", positional=True
        )
    )
    images: tuple[Path, ...] = field(
        metadata=setting("Images of the moving image's size.", metavar="IMAGE...", positional=True)
    )
    out: Path | None = field(
        default=None,
        metadata=setting(
            "Output file *.tif, *.zarr or *.png of one image, or an output folder.",
            metavar="FILE|DIR",
            alias="-o",
            default="<stem>_aligned.tif",
        ),
    )
    inverse: bool = field(
        default=False, metadata=setting("Move images of the fixed frame onto the moving frame instead.")
    )
    channel: str | None = field(
        default=None,
        metadata=setting(
            "Which channel of a calibration an image of one channel is, by name or number.",
            metavar="NAME|N",
            default="told by its name",
        ),
    )
    page: int | None = field(
        default=None,
        metadata=setting("Read only this page, counted from 0.", metavar="N", default="all", range=COUNTED_FROM_0),
    )
    series: int | None = field(default=None, metadata=ONE_SERIES)
    backend: Backend = field(default=Backend.AUTO, metadata=BACKEND)
    overwrite: bool = field(default=False, metadata=OVERWRITE)
    resampling: ResamplingConfig = field(default_factory=ResamplingConfig)

    def __post_init__(self) -> None:
        coerce(self, backend=Backend)
        check_ranges(self)
