"""Settings that several configs have."""

from __future__ import annotations

import contextlib

from zncc_cli.config.setting import Range, setting
from zncc_cli.errors import OptionError

AUTO, NONE = "auto", "none"  # the words that `no_data` takes beside a number
LUMINANCE, BEST = "luminance", "best"  # the words that `channel` takes beside a number
STAINS = "hematoxylin", "eosin", "dab"  # and those for the stains of a section in RGB
SMALLEST_WINDOW = 3  # a window of one pixel has no variance, one of two hardly a texture
DEFAULT_WINDOW = 11  # where none is asked for, and the image has room for it

COUNTED_FROM_0 = Range(kind="a whole number,", at_least=0)
WINDOW = Range(kind="a whole number of pixels,", at_least=SMALLEST_WINDOW)

NO_DATA = setting(
    "Pixels of this value hold no data; auto leaves out values that form gaps in the scene, none leaves out nothing.",
    metavar="VALUE|auto|none",
)
DEVICE = setting("Where to compute; auto takes a GPU for images of at least 1024 x 1024 pixels.")
BACKEND = setting("Compiled kernels (native), plain torch (reference), or the first of them that works (auto).")
OVERWRITE = setting("Replace files that exist.")
OUT = setting("Output folder.", metavar="DIR", alias="-o")
REPRODUCIBLE = setting(
    "Leave out of the files what differs when the same command runs again: seconds, and the name of the output folder."
)
ACCEPT = setting("Worst verdict that still ends with exit code 0.")
WRITE = setting(
    "Write only these files: aligned, transform, mask, maps, overlay, html, report.", metavar="WHAT,...", default="all"
)
ONE_SERIES = setting(
    "Series to read from a file with several, counted from 0.", metavar="N", default="0", range=COUNTED_FROM_0
)
_CHANNELS = (
    "its name in the file, or its number from 0; luminance (RGB only); hematoxylin, eosin or dab, what that stain "
    "absorbs (RGB of a section); or best, "
)
_TEXTURED = "the channel with the most texture relative to its noise."
REGISTERED_CHANNEL = f"Channel to register by: {_CHANNELS}{_TEXTURED} All channels are moved."
AGREEING_CHANNEL = (
    f"Channel to register by: {_CHANNELS}of all pairs of channels the one that agrees best. All are moved."
)
DEFAULT_AGREEING_CHANNEL = "luminance of RGB, otherwise the one with the most texture relative to its noise"
CHANNEL_METAVAR = "N|NAME|luminance|hematoxylin|eosin|dab|best"
DEFAULT_CHANNEL = "luminance of RGB, otherwise best"
ONE_CHANNEL = setting(f"Channel to use: {_CHANNELS}{_TEXTURED}", metavar=CHANNEL_METAVAR, default=DEFAULT_CHANNEL)


def no_data_number(no_data: str) -> float | None:
    """Return the number that ``no_data`` names, None for its words; raise `OptionError` for anything else."""
    if no_data in (AUTO, NONE):
        return None
    try:
        return float(no_data)
    except ValueError:
        raise OptionError(f"`no_data`: expected a number, {AUTO} or {NONE}, got {no_data!r}") from None


def whole_number(text: str, name: str, others: str = "") -> int:
    """Return a number counted from 0; raise `OptionError`, which also names ``others`` that are allowed."""
    if text.isdecimal():
        with contextlib.suppress(ValueError):  # int() takes 4300 digits at most
            return int(text)
    raise OptionError(f"`{name}`: expected a number counted from 0{others}, got {text!r}")


def channel_choice(text: str, name: str = "channel") -> int | str:
    """Return a channel's number, one of the words, or a name to be looked up; raise `OptionError` for nothing."""
    if not text.strip():
        raise OptionError(f"`{name}`: expected the name or the number of a channel, got {text!r}")
    return whole_number(text, name) if text.isdecimal() else text
