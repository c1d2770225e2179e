"""Cards of a FITS header: which say where on the sky the pixels lie, and those that another image gets of them.

Greisen and Calabretta 2002, doi:10.1051/0004-6361:20021326; SIP: Shupe et al. 2005.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from zncc_cli.files.metadata import Metadata

CARD = 80
"""Letters of a card."""

_KEYWORD = 8
_MAX_CARDS = 2000  # of a coordinate system
_REFERENCE_PIXEL = re.compile(r"CRPIX([12])[A-Z]?")
# Of the coordinate system, with its distortion as polynomials (SIP).
_OF_SKY = re.compile(
    r"(CRPIX|CRVAL|CDELT|CTYPE|CUNIT|CROTA|CRDER|CSYER|CNAME)[0-9]+[A-Z]?|(CD|PC|PV|PS)[0-9]+_[0-9]+[A-Z]?"
    r"|(LONPOLE|LATPOLE|WCSAXES|WCSNAME|RADESYS|EQUINOX)[A-Z]?|RADECSYS|EPOCH|(A|B|AP|BP)_(ORDER|DMAX|[0-9]_[0-9])"
)
# Distortions in tables, which stand in other parts of the file.
_OF_TABLES = re.compile(r"(CPDIS|CQDIS|CPERR|CQERR|D2IMDIS|D2IMERR|DP|DQ|D2IM)[0-9]*")
_OF_STORAGE = re.compile(
    r"SIMPLE|BITPIX|NAXIS[0-9]*|EXTEND|BZERO|BSCALE|BLANK|XTENSION|PCOUNT|GCOUNT|END|CHECKSUM|DATASUM|DATAM(IN|AX)"
)
_LOST = "the coordinate system (WCS)"


def keyword(card: str) -> str:
    """Return the keyword of a card."""
    return card[:_KEYWORD].strip()


def split_cards(cards: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """Return the cards of the coordinate system, those of all else but the storage, and whether tables were left out.

    The tables are those of distortions; without them the coordinate system holds to some pixels.
    """
    sky, other, has_tables = [], [], False
    for card in cards:
        name = keyword(card)
        if _OF_TABLES.fullmatch(name):
            has_tables = True
        elif _OF_SKY.fullmatch(name):
            sky.append(card)
        elif not _OF_STORAGE.fullmatch(name):
            other.append(card)
    return tuple(sky), tuple(other), has_tables


def with_cards(description: str, cards: Iterable[str]) -> str:
    """Return a description that ends in cards."""
    return "\n".join((*([description] if description else []), *cards))


def without_cards(description: str) -> tuple[str, tuple[str, ...]]:
    """Return a description without the cards of a coordinate system in which it ends, and these (`with_cards`)."""
    lines = description[-_MAX_CARDS * (CARD + 1) :].split("\n")  # a description may be of a hundred megabytes
    first = len(lines)
    while first > 0 and _is_of_sky(lines[first - 1]):
        first -= 1
    cards = tuple(lines[first:])
    if not any(_REFERENCE_PIXEL.fullmatch(keyword(card)) for card in cards):
        return description, ()
    return description.removesuffix("\n".join(cards)).removesuffix("\n"), cards


def _is_of_sky(line: str) -> bool:
    return line[_KEYWORD : _KEYWORD + 2] == "= " and _OF_SKY.fullmatch(keyword(line)) is not None


def moved_sky(frame: Metadata | None, offset: tuple[float, float]) -> tuple[str, ...]:
    """Return the cards of the coordinate system of a grid whose first pixel is at ``offset`` in that of ``frame``."""
    return () if frame is None else tuple(_moved(card, offset) for card in frame.sky)


def lost_sky(like: Metadata | None, frame: Metadata | None, *, is_kept: bool) -> list[str]:
    """Return the name of the coordinate system where it is lost: that of the grid, or of the pixels on another grid.

    is_kept: whether the file that is written holds that of the grid.
    """
    has_own = frame is not None and bool(frame.sky)
    is_lost = not is_kept if has_own else like is not None and bool(like.sky)
    return [_LOST] if is_lost else []


def _moved(card: str, offset: tuple[float, float]) -> str:
    """Return a card with the reference pixel as a grid of another first pixel counts it; others as they are."""
    axis = _REFERENCE_PIXEL.fullmatch(keyword(card))
    if axis is None or not any(offset):
        return card
    value, slash, comment = card[_KEYWORD + 2 :].partition("/")
    try:
        place = float(value.replace("D", "E")) - offset[int(axis[1]) - 1]
    except ValueError:
        return card
    return f"{card[:_KEYWORD]}= {place!r:>20} {slash}{comment}"[:CARD].rstrip() if math.isfinite(place) else card
