"""The round field stop of a camera: a dark surround with a circular edge, as retinal cameras and endoscopes have it.

Where the edge is in both images, laying one on the other agrees better than what lies within does: vessels are faint,
and the edge is the same whatever moved. So the edge is told by its shape: of the places where rows and columns leave
the darkest ground, most lie on one circle (RANSAC; Fischler and Bolles 1981, doi:10.1145/358669.358692), and around it
all is dark. A head or a cell on a dark ground is not as round. A disc that is itself the scene is, and is judged by
what it shows as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zncc_cli.registration.pyramid import Level

# Of the image's standard deviation, which is one: what is nearer to the ground is ground, noise and ringing included.
_SAME_GROUND = 0.15
_DARKEST_PERCENT, _MIN_DARK_SHARE = 1, 0.03  # a circle leaves a fifth of a square, less where the frame cuts it
_MIN_DARK_AROUND = 0.9  # of the pixels around the circle: captions are not
_RUN_PX = 3  # what is lit for less along a row is a speck, and ground is as wide
_DRAWS, _SEED = 300, 0  # circles through three points: with half of the points right 37 of 300 are
_MIN_POINTS, _MIN_SHARE = 60, 0.5  # of the points on the edge those within the tolerance: captions and a glow are not
_TOLERANCE = 0.015  # of the radius: the axes of a head differ by a fifth
_SECTORS, _MIN_SECTORS = 24, 12  # of the circle that hold points: a stop may be cut off above and below
_MIN_RADIUS, _MAX_RADIUS = 0.25, 0.75  # of the frame's shorter and longer side
_MARGIN = 0.03  # of the radius: the edge is soft


@dataclass(frozen=True)
class RoundStop:
    """A circle: centre and radius, full-resolution pixels."""

    x: float
    y: float
    radius: float

    def inside(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Tell which pixels of a frame (H, W) lie within the stop and not beside its soft edge."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        return np.asarray(np.hypot(x - self.x, y - self.y) <= (1 - _MARGIN) * self.radius)


def round_stop(level: Level) -> RoundStop | None:
    """Return the round stop of an image of about unit variance, by one of its levels; None where there is none."""
    image, valid = level.image[0, 0].double().cpu().numpy(), level.mask.cpu().numpy()
    ground = _ground(image, valid)
    if ground is None:
        return None
    shows = valid & (np.abs(image - ground) > _SAME_GROUND)
    points = np.concatenate([_edge_points(shows, valid), _edge_points(shows.T, valid.T)[:, ::-1]])
    circle = _circle(points, image.shape[0], image.shape[1])
    if circle is None or not _is_dark_around(np.abs(image - ground)[valid], valid, circle):
        return None
    return RoundStop(*(value * level.factor for value in circle))


def _ground(image: NDArray[np.float64], valid: NDArray[np.bool_]) -> float | None:
    """Return the darkest value of an image, where a part of it is as dark; else None."""
    values = image[valid]
    ground = float(np.percentile(values, _DARKEST_PERCENT)) if values.size else 0.0
    dark = int((np.abs(values - ground) <= _SAME_GROUND).sum())
    return ground if dark >= _MIN_DARK_SHARE * max(1, values.size) else None


def _is_dark_around(above: NDArray[np.float64], valid: NDArray[np.bool_], circle: tuple[float, float, float]) -> bool:
    """Tell whether the pixels around a circle are ground: ``above`` (n,) is by how much those that count are not."""
    y, x = valid.nonzero()
    around = above[np.hypot(x - circle[0], y - circle[1]) > (1 + _MARGIN) * circle[2]]
    dark = int((around <= 2 * _SAME_GROUND).sum())
    return len(around) >= _MIN_DARK_SHARE * len(above) and dark >= _MIN_DARK_AROUND * len(around)


def _edge_points(shows: NDArray[np.bool_], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return where the rows of an image leave the ground, from either side, (N, 2) as (x, y).

    Only where ground is seen beside it: the edge of the frame, or of pixels that do not count, is none.
    """
    points = list[NDArray[np.float64]]()
    width = shows.shape[1]
    for flipped in (False, True):
        lit, seen = (each[:, ::-1] if flipped else each for each in (shows, valid))
        runs = lit[:, : width - _RUN_PX + 1].copy()
        for further in range(1, _RUN_PX):
            runs &= lit[:, further : width - _RUN_PX + 1 + further]
        first, rows = runs.argmax(axis=1), np.arange(len(lit))
        there = runs.any(axis=1) & (first >= _RUN_PX)
        rows, first = rows[there], first[there]
        beside = seen[rows, first - _RUN_PX]
        rows, first = rows[beside], first[beside]
        # Half a pixel before the first one that is lit.
        points.append(np.column_stack([width - first - 0.5 if flipped else first - 0.5, rows]))
    return np.concatenate(points)


def _circle(points: NDArray[np.float64], height: int, width: int) -> tuple[float, float, float] | None:
    """Return (x, y, radius) of the circle on which most ``points`` (N, 2) lie; None where too few do."""
    if len(points) < _MIN_POINTS:
        return None
    drawn = points[np.random.default_rng(_SEED).integers(len(points), size=(_DRAWS, 3))]
    # |p|^2 = 2 c p + (r^2 - |c|^2): linear in c and the last term.
    rows = np.concatenate([2 * drawn, np.ones((_DRAWS, 3, 1))], axis=2)
    whole = np.abs(np.linalg.det(rows)) > 1.0
    if not whole.any():
        return None
    solved = np.linalg.solve(rows[whole], np.square(drawn[whole]).sum(axis=2)[..., None])[..., 0]
    distances = np.hypot(points[:, 0] - solved[:, :1], points[:, 1] - solved[:, 1:2])
    radii = np.sqrt(np.maximum(solved[:, 2] + np.square(solved[:, :2]).sum(axis=1), 0))[:, None]
    near = np.abs(distances - radii) <= _TOLERANCE * radii
    on_circle = near[near.sum(axis=1).argmax()]
    chosen = points[on_circle]
    x, y, rest = np.linalg.lstsq(
        np.column_stack([2 * chosen, np.ones(len(chosen))]), np.square(chosen).sum(axis=1), rcond=None
    )[0]
    radius = math.sqrt(max(rest + x * x + y * y, 0))
    angles = np.arctan2(chosen[:, 1] - y, chosen[:, 0] - x)
    sectors = len(np.unique((angles + math.pi) // (2 * math.pi / _SECTORS)))
    fits = _MIN_RADIUS * min(height, width) <= radius <= _MAX_RADIUS * max(height, width)
    enough = on_circle.sum() >= max(_MIN_POINTS, _MIN_SHARE * len(points)) and sectors >= _MIN_SECTORS
    return (float(x), float(y), radius) if fits and enough else None
