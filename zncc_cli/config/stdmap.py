"""The settings of standard deviation maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config.choices import Backend, Device, Method, StdScale, coerce
from zncc_cli.config.setting import check_ranges, setting
from zncc_cli.config.shared import (
    BACKEND,
    COUNTED_FROM_0,
    DEFAULT_WINDOW,
    DEVICE,
    ONE_CHANNEL,
    ONE_SERIES,
    OUT,
    OVERWRITE,
    WINDOW,
    channel_choice,
)


@dataclass(frozen=True, kw_only=True)
class StdMapConfig:
    """Standard deviation maps of images."""

    images: tuple[Path, ...] = field(metadata=setting("Image files.", metavar="IMAGE...", positional=True))
    out: Path = field(metadata=OUT)
    window: int | None = field(
        default=None,
        metadata=setting(
            "Side of the square window.",
            metavar="PIXELS",
            alias="-w",
            default=f"{DEFAULT_WINDOW}, or the shorter side of a smaller image",
            range=WINDOW,
        ),
    )
    series: int | None = field(default=None, metadata=ONE_SERIES)
    page: int | None = field(
        default=None,
        metadata=setting("Page to read, counted from 0.", metavar="N", default="0", range=COUNTED_FROM_0),
    )
    channel: str | None = field(default=None, metadata=ONE_CHANNEL)
    scale: StdScale = field(
        default=StdScale.POPULATION,
        metadata=setting("The standard deviation in the image's units (population), or the norm that ZNCC divides by."),
    )
    method: Method = field(default=Method.AUTO, metadata=setting("How local sums are computed."))
    device: Device = field(default=Device.AUTO, metadata=DEVICE)
    backend: Backend = field(default=Backend.AUTO, metadata=BACKEND)
    overwrite: bool = field(default=False, metadata=OVERWRITE)

    def __post_init__(self) -> None:
        coerce(self, scale=StdScale, method=Method, device=Device, backend=Backend)
        check_ranges(self)
        _ = self.chosen_channel

    @property
    def chosen_channel(self) -> int | str | None:
        """The channel, as a number where it is one."""
        return None if self.channel is None else channel_choice(self.channel)
