"""Landmark files of ImageJ's TurboReg, and of MultiStackReg, which runs it.

Both hold pairs of landmarks: points of the source, which is the MOVING image, and the points of the target, the FIXED
image, that they correspond to. The transform maps target points to source points: our direction. (0, 0) is the centre
of the first pixel: TurboReg's loops sample the source at T(0, 0) for the target's first pixel, and round to the nearest
sample.

TurboReg's file holds the sizes of both images. Its loader needs tabs, and the sizes of the images that are open.
MultiStackReg's file has a block for each pair of slices; a file of several is refused, because they are several
transforms. Bilinear transforms are refused, because they are not matrices.

http://bigwww.epfl.ch/thevenaz/turboreg/ (TurboReg_.java: saveTransformation, loadLandmarks, getTransformationMatrix)
https://github.com/miura/MultiStackRegistration
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from zncc_cli.config import Model
from zncc_cli.files.paths import MismatchError
from zncc_cli.files.transforms.linear import Linear, as_matrix, decode_text, exact_text, parse_length, parse_numbers
from zncc_cli.registration.transforms.matrices import map_points, model_of

TURBOREG_MAGIC = b"Transformation"
MULTISTACKREG_MAGIC = b"MultiStackReg Transformation File"

_Points = NDArray[np.float64]
_Rows = Sequence[Sequence[float]] | _Points

# (H, W) of the frame whose landmarks are written to MultiStackReg's file, which holds no size; any frame would do.
_LANDMARK_FRAME = 1024, 1024


def _translation(target: _Points, source: _Points) -> _Rows:
    """Return the rows (A t) of the shift between the first landmarks."""
    dx, dy = source[0] - target[0]
    return [[1, 0, dx], [0, 1, dy]]


def _rigid(target: _Points, source: _Points) -> _Rows:
    """Return the rows (A t): the first landmark gives the shift, the line from the second to the third the angle."""
    source_line, target_line = source[2] - source[1], target[2] - target[1]
    angle = np.arctan2(source_line[1], source_line[0]) - np.arctan2(target_line[1], target_line[0])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([rotation, source[0] - rotation @ target[0]])


def _scaled_rotation(target: _Points, source: _Points) -> _Rows:
    """Return the rows (A t): the ratio of the lines between two landmarks, as complex numbers, is scale and angle."""
    (s0, s1), (t0, t1) = (points[:2] @ [1, 1j] for points in (source, target))
    if t0 == t1:
        raise MismatchError("two different target landmarks", target[0].tolist())
    ratio = (s1 - s0) / (t1 - t0)
    rotation = np.array([[ratio.real, -ratio.imag], [ratio.imag, ratio.real]])
    return np.column_stack([rotation, source[0] - rotation @ target[0]])


def _affine(target: _Points, source: _Points) -> _Rows:
    """Return the rows (A t) that three landmarks determine."""
    try:
        rows: _Points = np.asarray(np.linalg.solve(np.column_stack([target, np.ones(3)]), source), np.float64).T
    except np.linalg.LinAlgError:
        raise MismatchError("three target landmarks that are not on one line", target.tolist()) from None
    return rows


# For each kind: TurboReg's positions of its target landmarks in a frame, (x, y) in widths and heights, and the function
# that makes rows (A t) of target and source landmarks.
_KINDS: dict[str, tuple[_Rows, Callable[[_Points, _Points], _Rows]]] = {
    "TRANSLATION": ([[0.5, 0.5]], _translation),
    "RIGID_BODY": ([[0.5, 0.5], [0.5, 0.25], [0.5, 0.75]], _rigid),
    "SCALED_ROTATION": ([[0.25, 0.5], [0.75, 0.5]], _scaled_rotation),
    "AFFINE": ([[0.5, 0.25], [0.25, 0.75], [0.75, 0.75]], _affine),
}
_KIND_OF = {
    Model.TRANSLATION: "TRANSLATION",
    Model.RIGID: "RIGID_BODY",
    Model.SIMILARITY: "SCALED_ROTATION",
    Model.AFFINE: "AFFINE",
}


class _Lines:
    """A reader of the lines of a file that are not blank, one after the other."""

    def __init__(self, content: bytes, expected: str) -> None:
        stripped = map(str.strip, decode_text(content, expected).split("\n"))
        self._lines: Iterator[str] = iter([line for line in stripped if line])

    def next(self) -> str:
        line = next(self._lines, None)
        if line is None:
            raise MismatchError("more lines", "the end of the file")
        return line

    def expect(self, line: str) -> None:
        next_line = self.next()
        if next_line != line:
            raise MismatchError(f"the line '{line}'", repr(next_line))

    def kind(self) -> str:
        line = self.next()
        kind = line.replace(" ", "_")
        if kind not in _KINDS:
            raise MismatchError("one of " + ", ".join(_KINDS), repr(line))
        return kind

    def size(self, title: str) -> tuple[int, int]:
        self.expect(title)
        words = self.next().split()
        if len(words) != 2:
            raise MismatchError(f"width and height after '{title}'", " ".join(words))
        return parse_length(words[1]), parse_length(words[0])

    def points(self, count: int, title: str) -> _Points:
        return np.array(
            [parse_numbers(self.next().split(), 2, f"one of {count} {title} landmarks") for _ in range(count)]
        )

    def rest(self) -> list[str]:
        return list(self._lines)


def parse_turboreg(content: bytes) -> Linear:
    """Read one TurboReg landmarks file."""
    lines = _Lines(content, "a TurboReg landmarks file")
    lines.expect("Transformation")
    kind = lines.kind()
    moving_shape, fixed_shape = lines.size("Source size"), lines.size("Target size")
    positions, solve = _KINDS[kind]
    lines.expect("Refined source landmarks")
    source = lines.points(len(positions), "source")
    lines.expect("Target landmarks")
    target = lines.points(len(positions), "target")
    if lines.rest():
        raise MismatchError("one transformation", "more lines after it")
    return Linear(as_matrix(solve(target, source)), fixed_shape, moving_shape)


def parse_multistackreg(content: bytes) -> Linear:
    """Read a MultiStackReg transformation file of one pair."""
    lines = _Lines(content, "a MultiStackReg transformation file")
    lines.expect(MULTISTACKREG_MAGIC.decode())
    lines.expect("File Version 1.0")
    if (flag := lines.next()) not in ("0", "1"):
        raise MismatchError("0 for one stack or 1 for two", repr(flag))
    kind, slices = lines.kind(), lines.next()
    if not re.fullmatch(r"Source img: [0-9]+ Target img: [0-9]+", slices):
        raise MismatchError("Source img: N Target img: N", repr(slices))
    # There are always three landmarks; those that the kind does not use mean nothing.
    source, target = lines.points(3, "source"), lines.points(3, "target")
    rest = lines.rest()
    if rest:
        more = sum(line.startswith("Source img:") for line in rest)
        found = f"those of {1 + more} pairs" if more else f"{rest[0]!r} after it"
        raise MismatchError("the transformation of one pair", found)
    return Linear(as_matrix(_KINDS[kind][1](target, source)))


def serialize_turboreg(transform: Linear, suffix: str) -> bytes:
    """Write the landmarks of the simplest kind that holds the matrix."""
    assert transform.fixed_shape is not None
    assert transform.moving_shape is not None
    kind, source, target = _landmarks(transform.matrix, transform.fixed_shape)
    (moving_height, moving_width), (height, width) = transform.moving_shape, transform.fixed_shape
    return (
        f"Transformation\n{kind}\n\n"
        f"Source size\n{moving_width}\t{moving_height}\n\n"
        f"Target size\n{width}\t{height}\n\n"
        f"Refined source landmarks\n{_tabbed(source)}\n"
        f"Target landmarks\n{_tabbed(target)}"
    ).encode()


def serialize_multistackreg(transform: Linear, suffix: str) -> bytes:
    """Write the landmarks of one pair: slice 2 of a stack, moving, to slice 1, fixed."""
    kind, source, target = _landmarks(transform.matrix, transform.fixed_shape or _LANDMARK_FRAME)
    unused = np.zeros((3 - len(source), 2))
    return (
        f"{MULTISTACKREG_MAGIC.decode()}\nFile Version 1.0\n0\n{kind}\nSource img: 2 Target img: 1\n"
        f"{_tabbed(source)}{_tabbed(unused)}\n{_tabbed(target)}{_tabbed(unused)}\n"
    ).encode()


def _landmarks(matrix: _Points, shape: tuple[int, int]) -> tuple[str, _Points, _Points]:
    """Return the simplest kind that holds ``matrix``, and its source and target landmarks in a frame of ``shape``."""
    kind = _KIND_OF[model_of(matrix)]
    target = np.array(_KINDS[kind][0]) * [shape[1], shape[0]]
    return kind, map_points(matrix, target), target


def _tabbed(points: _Points) -> str:
    return "".join(exact_text(point, "\t") + "\n" for point in points)
