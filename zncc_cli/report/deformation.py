"""How a transform bends the fixed frame, for report.html: a lattice on the fixed image, displacement and strain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from zncc_cli.registration.nonrigid.error_map import UNCERTAIN_PX, ErrorMap
from zncc_cli.registration.transforms.matrices import is_mirrored
from zncc_cli.registration.transforms.spline_field import SplineField, matrix_jacobians
from zncc_cli.registration.transforms.strain import strain_of
from zncc_cli.report.arrows import round_below
from zncc_cli.report.colours import MAGMA, ORANGE_PURPLE, RED_BLUE, VIRIDIS
from zncc_cli.report.grey import grey_levels, robust_limits
from zncc_cli.report.layers import Layers
from zncc_cli.report.pair_figures import (
    MAX_MAP_SIDE,
    DrawnBend,
    EmbeddedImage,
    MapFigure,
    embedded_image,
    jpeg,
    map_figure,
)

_DRAWING_SIDE = 640.0  # the longer side of the drawing, in its own units
_LINES_PER_SIDE = 24  # of the lattice, along the longer side
_POINTS_PER_CELL = 4  # of a line, between two others
_VISIBLE = 2.0  # drawing units: a bend that is longer is drawn at its own scale
_MAX_SHARE = 0.4  # of a cell, that the longest bend is exaggerated to
_MOST_SHOWN_PX = 2 * UNCERTAIN_PX  # upper end of the colours of the expected error
_QUALITY = 75  # of the JPEG under the lattice


@dataclass(frozen=True)
class Lattice:
    """Lines of a square lattice on the fixed image, moved by what the spline adds to the matrix.

    Attributes:
        width, height: size of the drawing, in its own units.
        picture: the fixed image.
        lines: elements of SVG, and a dot where the transform folds.
        exaggeration: of the bend that is drawn.
        longest: the longest bend, pixels of the fixed image.
        cell: side of a cell, pixels of the fixed image.
    """

    width: float
    height: float
    picture: EmbeddedImage
    lines: Markup
    exaggeration: float
    longest: float
    cell: float


@dataclass(frozen=True)
class Deformation:
    """What a report shows of a transform that bends: the lattice, None where no pixel has a place, and maps."""

    lattice: Lattice | None
    maps: tuple[MapFigure, ...]


def deformation(bend: DrawnBend, layers: Layers) -> Deformation:
    """Return the figures of a transform that bends; ``layers`` are both images on the fixed frame."""
    return Deformation(_lattice(bend.field, bend.moving_shape, layers), _maps(bend))


def _maps(bend: DrawnBend) -> tuple[MapFigure, ...]:
    field, moving_shape = bend.field, bend.moving_shape
    factor = math.ceil(max(field.shape) / MAX_MAP_SIDE)
    y, x = (np.arange((factor - 1) / 2, max(n, (factor + 1) / 2), factor) for n in field.shape)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    places, slopes = field.map_points(points), field.point_jacobians(points)
    outside = ~_inside(places, moving_shape)
    places[outside], slopes[outside] = np.nan, np.nan
    u = (places - points).reshape(len(y), len(x), 2)
    # A mirror of the moving image changes no length.
    strain = strain_of((np.diag([-1.0, 1.0]) if is_mirrored(field.matrix) else np.eye(2)) @ slopes - np.eye(2))

    def on_frame(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values.reshape(len(y), len(x))

    determinant = on_frame(strain.determinant)
    spread = np.abs(determinant - 1)
    widest = robust_limits(spread, np.isfinite(spread))[1] or 1.0
    shown = np.isfinite(u).all(axis=-1)
    where = "Change of length over length after the rotation, by the derivatives of the spline"
    return (
        *(() if bend.expected_error is None else (_error_figure(bend.expected_error, x, y, shown),)),
        map_figure("dx", "Displacement, x", u[..., 0], "To the right, from fixed to moving.", VIRIDIS, unit="px"),
        map_figure("dy", "Displacement, y", u[..., 1], "Downwards, from fixed to moving.", VIRIDIS, unit="px"),
        map_figure(
            "determinant",
            "Ratio of areas",
            determinant,
            "Determinant of the transform's derivatives: 1 keeps areas, zero or less folds.",
            RED_BLUE,
            limits=(1 - widest, 1 + widest),
        ),
        map_figure("exx", "Strain, xx", on_frame(strain.exx), f"{where}.", ORANGE_PURPLE, symmetric=True),
        map_figure("eyy", "Strain, yy", on_frame(strain.eyy), f"{where}.", ORANGE_PURPLE, symmetric=True),
        map_figure(
            "exy", "Strain, xy", on_frame(strain.exy), "Half of the change of the right angle.", ORANGE_PURPLE,
            symmetric=True,
        ),
    )  # fmt: skip


def _error_figure(
    error: ErrorMap, x: NDArray[np.float64], y: NDArray[np.float64], shown: NDArray[np.bool_]
) -> MapFigure:
    """Return the map of the expected error at columns x (w,) and rows y (h,), where ``shown`` (h, w) says so."""
    values = np.where(shown, error.at(y, x), np.nan)
    uncertain = shown & (np.where(shown, values, 0) > UNCERTAIN_PX)
    low, high = robust_limits(values, shown)
    # What is striped needs no colours of its own.
    limits = (min(low, UNCERTAIN_PX), min(high, _MOST_SHOWN_PX)) if shown.any() else None
    share = f"{error.uncertain_share:.0%} of the overlap" if uncertain.any() else "nowhere here"
    meaning = (
        "Standard deviation of the position, by what the images and the smoothness tell. Striped where it is above "
        f"{UNCERTAIN_PX:g} px ({share}): there the field only continues its surroundings."
    )
    return map_figure(
        "field-error", "Expected error", values, meaning, MAGMA, unit="px", limits=limits, marked=uncertain
    )


def _inside(places: NDArray[np.float64], moving_shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which places (N, 2) lie in the moving frame (H, W)."""
    last = np.array(moving_shape[::-1]) - 1
    return np.asarray(((places >= 0) & (places <= last)).all(axis=1))


def _lattice(field: SplineField, moving_shape: tuple[int, int], layers: Layers) -> Lattice | None:
    height, width = field.shape
    unit = _DRAWING_SIDE / max(height, width)
    cell = max(height, width) / _LINES_PER_SIDE
    lines = [
        *(_line(field, at, vertical=True, cell=cell) for at in np.arange(cell / 2, width, cell)),
        *(_line(field, at, vertical=False, cell=cell) for at in np.arange(cell / 2, height, cell)),
    ]
    bends, shown, folded = [], [], []
    for line in lines:
        # In pixels of the fixed image: the spline moves by pixels of the moving one.
        to_fixed = np.linalg.pinv(matrix_jacobians(field.matrix, line[:, 0], line[:, 1]))
        bends.append((to_fixed @ field.bend(line[:, 0], line[:, 1])[..., None])[..., 0])
        shown.append(_inside(field.map_points(line), moving_shape))
        folded.append(np.linalg.det(to_fixed @ field.point_jacobians(line)) <= 0)
    if not any(part.any() for part in shown):
        return None
    longest = max(float(np.hypot(*bend[part].T).max()) for bend, part in zip(bends, shown, strict=True) if part.any())
    exaggeration = 1.0
    if 0 < longest * unit < _VISIBLE:
        exaggeration = max(1.0, round_below(_MAX_SHARE * cell / longest))
    elements = []
    for line, bend, part, fold in zip(lines, bends, shown, folded, strict=True):
        # Drawn coordinates begin at the corner of a pixel, the transform's at its centre.
        drawn = np.round((line + exaggeration * bend + 0.5) * unit, 1)
        ends = np.flatnonzero(np.diff(part.astype(np.int8), prepend=0, append=0))
        for start, stop in ends.reshape(-1, 2):
            points = " ".join(f"{x:g},{y:g}" for x, y in drawn[start:stop].tolist())
            elements.append(f'<polyline class="lattice" points="{points}"/>')
        elements += [f'<circle class="fold" cx="{x:g}" cy="{y:g}" r="3"/>' for x, y in drawn[part & fold].tolist()]
    grey = layers.reduced(int(_DRAWING_SIDE))
    known = grey.fixed_known
    pixels = grey_levels(grey.fixed, known, robust_limits(grey.fixed, known))
    picture = embedded_image(jpeg(pixels, _QUALITY, small=True), "image/jpeg", pixels.shape)
    return Lattice(
        round(width * unit, 1),
        round(height * unit, 1),
        picture,
        Markup("\n".join(elements)),
        exaggeration,
        longest,
        cell,
    )


def _line(field: SplineField, at: float, *, vertical: bool, cell: float) -> NDArray[np.float64]:
    """Return points (N, 2), (x, y), along a line of the lattice, from edge to edge of the frame."""
    height, width = field.shape
    length = height if vertical else width
    along = np.linspace(0, length - 1, max(2, math.ceil(_POINTS_PER_CELL * length / cell)))
    across = np.full_like(along, min(at, (width if vertical else height) - 1))
    return np.column_stack((across, along) if vertical else (along, across))
