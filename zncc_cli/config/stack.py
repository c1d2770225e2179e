"""The settings of a stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zncc_cli.config.choices import NESTED_MODELS, Backend, Canvas, Model, coerce
from zncc_cli.config.resampling import ResamplingConfig
from zncc_cli.config.setting import check_ranges, setting, settings_of
from zncc_cli.config.shared import (
    AUTO,
    BACKEND,
    CHANNEL_METAVAR,
    DEFAULT_CHANNEL,
    DEFAULT_WINDOW,
    NO_DATA,
    ONE_SERIES,
    OUT,
    OVERWRITE,
    REGISTERED_CHANNEL,
    REPRODUCIBLE,
    WINDOW,
    channel_choice,
    no_data_number,
    whole_number,
)
from zncc_cli.errors import OptionError

TO_FIRST, TO_PREVIOUS, TO_MEAN = "first", "previous", "mean"  # values of --to beside a number
_MODELS = (*NESTED_MODELS, Model.BSPLINE)
# What the commands say of `resampling.canvas`.
CANVAS = settings_of(ResamplingConfig)["canvas"]._replace(
    help="Frame of the written stack: the reference frame's, one that holds all frames, or what all share.",
    alias="--crop",
)


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """The settings for the alignment of one movie or z-stack.

    ``out`` is None for ``<stem>_stack`` in the working folder.
    """

    image: Path = field(metadata=setting("A file of several frames.", metavar="MOVIE", positional=True))
    out: Path | None = field(default=None, metadata=OUT)
    to: str = field(
        default=TO_FIRST,
        metadata=setting(
            "What the frames are aligned to: the first frame, the mean of all, or frame N, counted from 0; previous is "
            "the first frame, through near neighbours only, for scenes that change from frame to frame.",
            metavar="first|previous|mean|N",
        ),
    )
    axis: str | None = field(
        default=None,
        metadata=setting(
            "Axis along which the frames lie, T or Z or another.", metavar="LETTER", default="T, otherwise the longest"
        ),
    )
    model: Model = field(
        default=Model.TRANSLATION,
        metadata=setting(
            "Richest motion that a frame may have; bspline bends, from the field of the frame before.",
            metavar="|".join(_MODELS),
            alias="-m",
        ),
    )
    window: int | None = field(
        default=None,
        metadata=setting(
            "Side of the square ZNCC window.",
            metavar="PIXELS",
            alias="-w",
            default=f"{DEFAULT_WINDOW}, less where frames are small or narrow",
            range=WINDOW,
        ),
    )
    series: int | None = field(default=None, metadata=ONE_SERIES)
    channel: str | None = field(
        default=None, metadata=setting(REGISTERED_CHANNEL, metavar=CHANNEL_METAVAR, default=DEFAULT_CHANNEL)
    )
    no_data: str = field(default=AUTO, metadata=NO_DATA)
    backend: Backend = field(default=Backend.AUTO, metadata=BACKEND)
    overwrite: bool = field(default=False, metadata=OVERWRITE)
    reproducible: bool = field(default=False, metadata=REPRODUCIBLE)
    resampling: ResamplingConfig = field(default_factory=ResamplingConfig)

    def __post_init__(self) -> None:
        coerce(self, model=Model, backend=Backend)
        check_ranges(self)
        no_data_number(self.no_data)
        if self.model not in _MODELS:
            names = ", ".join(_MODELS)
            raise OptionError(f"`model`: expected one of {names} for a stack, got {self.model}")
        if self.axis is not None and (len(self.axis) != 1 or self.axis in "CSYX"):
            raise OptionError(
                f"`axis`: expected the letter of an axis, such as T or Z, but no channel, got {self.axis!r}"
            )
        if self.model is Model.BSPLINE and self.to == TO_MEAN:
            raise OptionError("`to`: expected first, previous or a number with `model` bspline, got mean")
        if self.model is Model.BSPLINE and self.resampling.canvas is not Canvas.FIXED:
            raise OptionError(f"`canvas`: expected fixed with `model` bspline, got {self.resampling.canvas}")
        _ = self.reference, self.chosen_channel

    @property
    def folder(self) -> Path:
        """The output folder."""
        return self.out or Path(f"{self.image.stem}_stack")

    @property
    def reference(self) -> int | None:
        """The number of the frame that the others are aligned to; None for the mean of all frames."""
        if self.to == TO_MEAN:
            return None
        if self.to in (TO_FIRST, TO_PREVIOUS):
            return 0
        return whole_number(self.to, "to", f", {TO_FIRST}, {TO_PREVIOUS} or {TO_MEAN}")

    @property
    def chosen_channel(self) -> int | str | None:
        """The channel, as a number where it is one."""
        return None if self.channel is None else channel_choice(self.channel)
