"""What is read of two files, and what of that is registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from zncc_cli.config.setting import setting
from zncc_cli.config.shared import AGREEING_CHANNEL, DEFAULT_AGREEING_CHANNEL, channel_choice, whole_number
from zncc_cli.errors import OptionError

_T = TypeVar("_T")
_EACH = "N|N,M"


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """What is read of two files, and what of that is registered: "N" for both files, or "FIXED,MOVING".

    Pages are counted over all axes but the channels.
    """

    series: str | None = field(
        default=None,
        metadata=setting(
            "Series to read from files with several, counted from 0; N,M for FIXED and MOVING.",
            metavar=_EACH,
            default="0",
        ),
    )
    page: str | None = field(
        default=None,
        metadata=setting(
            "Read only this page, counted from 0.",
            metavar=_EACH,
            default="all are moved, the first is registered",
        ),
    )
    channel: str | None = field(
        default=None,
        metadata=setting(AGREEING_CHANNEL, metavar="N|NAME|FIXED,MOVING", default=DEFAULT_AGREEING_CHANNEL),
    )

    def __post_init__(self) -> None:
        _ = self.each_series, self.each_page, self.each_channel

    @property
    def each_series(self) -> tuple[int | None, int | None]:
        """The series of the fixed and of the moving file."""
        return _for_both(self.series, "series", whole_number)

    @property
    def each_page(self) -> tuple[int | None, int | None]:
        """The page of the fixed and of the moving file."""
        return _for_both(self.page, "page", whole_number)

    @property
    def each_channel(self) -> tuple[int | str | None, int | str | None]:
        """The channel of the fixed and of the moving image."""
        return _for_both(self.channel, "channel", channel_choice)


def _for_both(text: str | None, name: str, parse: Callable[[str, str], _T]) -> tuple[_T | None, _T | None]:
    """Return what ``text`` says of the fixed and of the moving image: "N" is for both, "N,M" for one each."""
    if text is None:
        return None, None
    values = [parse(part.strip(), name) for part in text.split(",")]
    if len(values) > 2:
        raise OptionError(f"`{name}`: expected one value, or two as FIXED,MOVING, got {text!r}")
    return values[0], values[-1]
