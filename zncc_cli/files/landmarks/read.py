"""Landmarks of any format, told by content.

To add a format: a module with a function that recognises it and one that parses it, and an entry in `_FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zncc_cli.files.landmarks import geojson, imagej, table
from zncc_cli.files.landmarks.landmarks import Pairs, Points, paired
from zncc_cli.files.paths import MismatchError, read_small_file, refusal
from zncc_cli.text import described_start, shown

EXPECTED = (
    "landmarks (a table with columns fixed_x, fixed_y, moving_x, moving_y or BigWarp's; or the points of both images: "
    "tables with columns x, y, ImageJ's .roi or .zip, GeoJSON)"
)
_ADVICE = "check the file"


@dataclass(frozen=True)
class _Format:
    """One format: its name in messages, and the functions that recognise and parse a content."""

    name: str
    recognizes: Callable[[bytes], bool]
    parse: Callable[[bytes], Pairs | Points]


_FORMATS = (
    _Format("ImageJ's .roi", lambda content: content.startswith(imagej.ROI_MAGIC), imagej.parse_roi),
    _Format("ImageJ's .zip", lambda content: content.startswith(imagej.ZIP_MAGIC), imagej.parse_zip),
    _Format("GeoJSON", geojson.recognizes, geojson.parse),
    _Format("a table", table.recognizes, table.parse),
)


def recognizes(content: bytes) -> bool:
    """Tell whether a content is of a format of landmarks."""
    return any(entry.recognizes(content) for entry in _FORMATS)


def read_pairs(path: Path) -> Pairs:
    """Read the landmarks of both images from one file.

    Raises:
        InputError: the file cannot be read, holds no landmarks that can be used, or those of one image only.
    """
    landmarks = _read(path)
    if isinstance(landmarks, Points):
        found, advice = "the points of one image", "name two files, those of the fixed image first: FIXED,MOVING"
        raise refusal(path, expected="landmarks of both images", found=found, advice=advice)
    return landmarks


def read_points(fixed_path: Path, moving_path: Path) -> Pairs:
    """Read the landmarks of both images from a file each; `paired` says which belong together.

    Raises:
        InputError: a file cannot be read, holds no points that can be used, or more than the other.
    """
    fixed, moving = _read(fixed_path), _read(moving_path)
    for path, landmarks in ((fixed_path, fixed), (moving_path, moving)):
        if isinstance(landmarks, Pairs):
            raise refusal(
                path, expected="the points of one image", found="pairs of both", advice="name this file alone"
            )
    assert isinstance(fixed, Points)
    assert isinstance(moving, Points)
    try:
        return paired(fixed, moving)
    except MismatchError as problem:
        expected = f"{problem.expected}, {shown(fixed_path)}"
        advice = "mark each place in both images, in the same order"
        raise refusal(moving_path, expected=expected, found=problem.found, advice=advice) from None


def _read(path: Path) -> Pairs | Points:
    content = read_small_file(path, expected=EXPECTED, advice=_ADVICE)
    entry = next((entry for entry in _FORMATS if entry.recognizes(content)), None)
    if entry is None:
        raise refusal(path, expected=EXPECTED, found=described_start(content[:64]), advice=_ADVICE)
    try:
        return entry.parse(content)
    except MismatchError as problem:
        expected = f"{problem.expected} (read as {entry.name})"
        raise refusal(path, expected=expected, found=problem.found, advice=_ADVICE) from None
