"""Regions of ImageJ, a .roi file or the .zip of its ROI Manager, with all points mapped and all else kept.

Names, colours, groups, positions and properties stay. Rectangles and ovals stay what they are where they stay parallel
to the axes, and become polygons elsewhere; text and images keep their size. roifile reads and writes them.

ImageJ counts areas from the corner of the first pixel, whose centre is (0.5, 0.5) there, and points and lines from the
centre, which is (0, 0) here.
"""

from __future__ import annotations

import io
import logging
import math
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.landmarks.imagej import ROI_MAGIC, ZIP_MAGIC, zip_entries
from zncc_cli.files.paths import MismatchError, read_small_file, refusal, regular_file_size, unreadable
from zncc_cli.files.transforms.regions import MAX_BYTES, lost_point

_EXPECTED, _ADVICE = "selections of ImageJ", "check the file"
_MAX_SELECTIONS = 2**20
_CORNER_TO_CENTRE_PX = 0.5
_MAX_BENT_PX = 0.01  # a side that bends by less, or leaves an axis by less, is straight
_EDGE_POINTS, _OVAL_POINTS_PER_PX, _LEAST_OVAL_POINTS, _MOST_OVAL_POINTS = 16, 0.5, 36, 720
_SUB_PIXEL_VERSION = 226  # whose rectangles and ovals have fractions of a pixel, too
_WORDS = {0: 2, 1: 2, 2: 4, 3: 6, 4: 0}  # coordinates after each kind of segment of a path: move, line, curves, close

_Floats = NDArray[np.float64]
_Mapping = Callable[[_Floats], _Floats]


def recognizes(path: Path) -> bool:
    """Tell whether a file begins as a .roi or a .zip does."""
    regular_file_size(path, expected=_EXPECTED)
    try:
        with path.open("rb") as file:
            return file.read(len(ROI_MAGIC)) in (ROI_MAGIC, ZIP_MAGIC)
    except OSError as error:
        raise unreadable(path, error) from error


def mapped_selections(path: Path, mapping: _Mapping, nowhere: str) -> tuple[int, bytes]:
    """Return the number of points of all selections of a file, and its content with these mapped.

    Args:
        path: a .roi, or a .zip of them.
        mapping: (N, 2) float64 -> (N, 2); NaN for a point that has no place in the other image.
        nowhere: where such points are, in words.

    Raises:
        InputError: roifile is not installed, the file is damaged, or a point has no place in the other image.
    """
    if find_spec("roifile") is None:
        expected = "the library roifile, which reads ImageJ's selections"
        advice = 'run: pip install "zncc-cli[imagej]"'
        raise refusal(path, expected=expected, found="that it is missing", advice=advice)
    content = read_small_file(path, expected=_EXPECTED, advice=_ADVICE, max_bytes=MAX_BYTES)
    mapper = _Mapper(path, mapping, nowhere)
    try:
        if content.startswith(ROI_MAGIC):
            return mapper.mapped(content, path.name), mapper.content
        entries = zip_entries(content, _EXPECTED, MAX_BYTES, _MAX_SELECTIONS)
        file, total = io.BytesIO(), 0
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # two selections of one name, as in the file that was read
            for entry, selection in entries:
                total += mapper.mapped(selection, entry.filename)
                archive.writestr(zipfile.ZipInfo(entry.filename, entry.date_time), mapper.content, zipfile.ZIP_DEFLATED)
    except MismatchError as problem:
        raise refusal(path, expected=problem.expected, found=problem.found, advice=_ADVICE) from None
    return total, file.getvalue()


class _Mapper:
    """Maps selections one by one."""

    def __init__(self, path: Path, mapping: _Mapping, nowhere: str) -> None:
        self._path, self._mapping, self._nowhere = path, mapping, nowhere
        self.content = b""

    def mapped(self, content: bytes, name: str) -> int:
        """Map one selection, whose new content is `content` then, and return the number of its points."""
        import roifile

        logging.getLogger("roifile").disabled = True  # what it would say is said here, in one line
        roi = _read(content, name)
        kinds, kind = roifile.ROI_TYPE, roi.roitype
        if roi.subtype in (roifile.ROI_SUBTYPE.TEXT, roifile.ROI_SUBTYPE.IMAGE):
            count = self._move_box(roi)
        elif roi.composite:
            count = self._map_path(roi, name)
        elif kind in (kinds.RECT, kinds.OVAL):
            count = self._map_box(roi, oval=kind == kinds.OVAL)
        elif kind == kinds.LINE:
            (roi.x1, roi.y1), (roi.x2, roi.y2) = self._places([[roi.x1, roi.y1], [roi.x2, roi.y2]], 0).tolist()
            _set_bounds(roi, [[roi.x1, roi.y1], [roi.x2, roi.y2]])
            count = 2
        elif (points := _coordinates(roi)) is not None:
            is_area = kind in (kinds.POLYGON, kinds.FREEHAND, kinds.TRACED)
            count = len(points)
            if is_area:  # ellipses and rotated rectangles are drawn from their axes, which are others now
                roi.subtype = roifile.ROI_SUBTYPE.UNDEFINED
            _set_points(roi, self._places(points, _CORNER_TO_CENTRE_PX * is_area))
        else:
            raise MismatchError(_EXPECTED, f"one of an unknown kind, {name}")
        with _damage(name):
            self.content = roi.tobytes()
        return count

    def _places(self, points: Any, offset: float) -> _Floats:
        """Return where points (N, 2) lie in the other image; ``offset``: the centre of the first pixel as they count.

        Raises:
            InputError: one of them has no place there.
        """
        given = np.asarray(points, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            mapped = self._mapping(given - offset) + offset
        lost = np.flatnonzero(~(np.isfinite(mapped) & (np.abs(mapped) < 2**31)).all(axis=1))
        if lost.size:
            raise lost_point(self._path, given[lost[0]].tolist(), self._nowhere)
        return mapped

    def _move_box(self, roi: Any) -> int:
        """Move text or an image by its first corner; it keeps its size."""
        place = self._places([[roi.left, roi.top]], _CORNER_TO_CENTRE_PX)
        size = np.array([roi.right - roi.left, roi.bottom - roi.top])
        _set_bounds(roi, np.concatenate([np.rint(place), np.rint(place) + size]))
        if roi.subpixelrect:
            roi.xd, roi.yd = place[0].tolist()
        return 1

    def _map_box(self, roi: Any, *, oval: bool) -> int:
        """Map a rectangle or an oval, which stays one where it stays parallel to the axes."""
        import roifile

        if roi.subpixelrect:
            first, size = np.array([roi.xd, roi.yd]), np.array([roi.widthd, roi.heightd])
        else:
            first = np.array([roi.left, roi.top], dtype=np.float64)
            size = np.array([roi.right, roi.bottom]) - first
        outline = _oval(size) if oval else _rectangle()
        corners = self._places(first + _rectangle()[::_EDGE_POINTS] * size, _CORNER_TO_CENTRE_PX)
        mapped = self._places(first + outline * size, _CORNER_TO_CENTRE_PX)
        opposite = corners[2] - corners[0]
        if np.abs(mapped - (corners[0] + outline * opposite)).max() < _MAX_BENT_PX:
            first, size = np.minimum(corners[0], corners[2]), np.abs(opposite)
            _set_bounds(roi, [first, first + size])
            roi.version = max(roi.version, _SUB_PIXEL_VERSION)
            roi.options |= roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION
            (roi.xd, roi.yd), (roi.widthd, roi.heightd) = first.tolist(), size.tolist()
            return len(corners)
        edges = corners.repeat(_EDGE_POINTS, axis=0)
        if not oval:
            share = (np.arange(len(edges)) % _EDGE_POINTS / _EDGE_POINTS)[:, None]
            straight = edges + share * (np.roll(edges, -_EDGE_POINTS, axis=0) - edges)
            mapped = corners if np.abs(mapped - straight).max() < _MAX_BENT_PX else mapped
        roi.roitype, roi.subtype, roi.rounded_rect_arc_size = roifile.ROI_TYPE.POLYGON, roifile.ROI_SUBTYPE.UNDEFINED, 0
        _set_points(roi, mapped)
        return len(mapped)

    def _map_path(self, roi: Any, name: str) -> int:
        """Map a selection of several parts, or with holes."""
        values = np.asarray(roi.multi_coordinates, dtype=np.float64)
        places, at = list[int](), 0
        while at < len(values):
            words = _WORDS.get(int(values[at]) if np.isfinite(values[at]) else -1)
            if words is None or at + words >= len(values):
                raise MismatchError(_EXPECTED, f"a damaged path in {name}")
            places += range(at + 1, at + 1 + words)
            at += 1 + words
        points = values[places].reshape(-1, 2)
        values[places] = self._places(points, _CORNER_TO_CENTRE_PX).ravel()
        roi.multi_coordinates = values.astype(np.float32)
        _set_bounds(roi, values[places].reshape(-1, 2))
        return len(points)


@contextmanager
def _damage(name: str) -> Iterator[None]:
    """Raise a `MismatchError` for whatever the library raises on damaged content."""
    try:
        yield
    except Exception as error:
        raise MismatchError(_EXPECTED, f"{name}: {error}") from error


def _read(content: bytes, name: str) -> Any:
    import roifile

    with _damage(name):
        roi = roifile.ImagejRoi.frombytes(content)
    if roi.composite and roi.multi_coordinates is None:
        raise MismatchError(_EXPECTED, f"no path in {name}")
    return roi


def _coordinates(roi: Any) -> _Floats | None:
    """Return the points (N, 2) of a selection that has a list of them; None where there is none."""
    if roi.subpixel_coordinates is not None:
        points = np.asarray(roi.subpixel_coordinates, dtype=np.float64)
    elif roi.integer_coordinates is not None:
        points = np.asarray(roi.integer_coordinates, dtype=np.float64) + np.array([roi.left, roi.top])
    else:
        return None
    return points if len(points) else None


def _set_points(roi: Any, points: _Floats) -> None:
    """Give a selection other points (N, 2), with fractions of a pixel."""
    import roifile

    first = _set_bounds(roi, points)
    roi.version = max(roi.version, _SUB_PIXEL_VERSION)
    roi.options |= roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    roi.n_coordinates = len(points)
    roi.integer_coordinates = np.clip(np.rint(points - first), 0, 2**16 - 1).astype(np.int32)
    roi.subpixel_coordinates = points.astype(np.float32)


def _set_bounds(roi: Any, points: Iterable[Any]) -> _Floats:
    """Set the bounds of a selection, whole pixels, to those of points (N, 2); return the first corner (x, y)."""
    array = np.asarray(list(points), dtype=np.float64)
    first, last = np.floor(array.min(axis=0)), np.ceil(array.max(axis=0))
    (roi.left, roi.top), (roi.right, roi.bottom) = first.astype(int).tolist(), last.astype(int).tolist()
    return np.asarray(first)


def _rectangle() -> _Floats:
    """Return points along the outline of a square of side one, `_EDGE_POINTS` a side, from corner to corner."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)
    share = np.arange(_EDGE_POINTS)[:, None] / _EDGE_POINTS
    sides = zip(corners, np.roll(corners, -1, axis=0), strict=True)
    return np.concatenate([corner + share * (after - corner) for corner, after in sides])


def _oval(size: _Floats) -> _Floats:
    """Return points along the oval that fills a square of side one; more of them for a larger one, ``size`` pixels."""
    wanted = _OVAL_POINTS_PER_PX * math.pi * float(np.abs(size).max())
    count = int(min(max(wanted, _LEAST_OVAL_POINTS), _MOST_OVAL_POINTS))
    angles = np.arange(count) * (2 * np.pi / count)
    return np.column_stack([(1 + np.cos(angles)) / 2, (1 + np.sin(angles)) / 2])
