"""How smooth the field is, told by the images: the smoothness under which what they say is most likely.

    log p = y^T (H + P)^-1 y / 2 + log|P| / 2 - log|H + P| / 2,   y = H c + scores

with H and the scores of the normal equations: MacKay 1992, "Bayesian interpolation", doi:10.1162/neco.1992.4.3.415.
A weak belief in what is usual holds the two lengths where the images say little.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from zncc_cli.operators import banded
from zncc_cli.operators.node_band import node_band
from zncc_cli.operators.spline_system import multiplied
from zncc_cli.registration.nonrigid.field_level import Equations
from zncc_cli.registration.nonrigid.node_grid import NodeGrid
from zncc_cli.registration.nonrigid.prior import Smoothness, form_stencil

# What is usual, full-resolution pixels, and by which factor it may well be wrong.
_USUAL_LENGTH_PX, _LENGTH_FACTOR, _USUAL_DEVIATION_PX, _DEVIATION_FACTOR = 16.0, 2.5, 2.5, 5.0
_LENGTHS_PX, _DEVIATIONS_PX = (3.0, 120.0), (0.05, 60.0)
_STEPS = 0.4, 0.7  # of the search in the logarithms of both, halved once
_ROUNDS, _MOST_EVALUATIONS = 2, 14
# Nodes along the side of a part that is looked at by itself, and how many parts at most: the work grows with the fourth
# power of the side.
_USUAL_PARTS, _SMALL_PARTS = (40, 5), (20, 25)
_GOLDEN = 0.618
_JITTER = 1e-9  # of the diagonal: the form of a long length hardly holds straight fields


def most_likely(
    equations: Equations,
    coefficients: Tensor,
    grid: NodeGrid,
    pixels: float,
    start: Smoothness,
    *,
    near: bool = False,
    fine: bool = False,
) -> Smoothness:
    """Return the smoothness of most evidence near a first one.

    Args:
        equations: at the coefficients.
        coefficients: (2, rows, columns), level pixels.
        grid: their nodes.
        pixels: full-resolution pixels per level pixel.
        start: full-resolution pixels; its factor is not looked at, and stays.
        near: whether the start is nearly the best, so that smaller steps do.
        fine: whether the length is known to be short, so that more and smaller parts of the grid are looked at.
    """
    parts = _parts(grid.nodes, *(_SMALL_PARTS if fine else _USUAL_PARTS))
    y = equations.scores + multiplied(equations.stencil, coefficients)
    evidences = [_Evidence(equations.stencil[:, :, r, c], y[:, r, c], grid.spacing) for r, c in parts]
    seen = dict[tuple[float, float], float]()

    def of(log_length: float, log_deviation: float) -> float:
        key = log_length, log_deviation
        if key not in seen:
            smoothness = Smoothness(length=math.exp(log_length), deviation=math.exp(log_deviation))
            value = sum(part.of(smoothness.at_level(pixels)) for part in evidences)
            seen[key] = value - _unusual(log_length, log_deviation)
        return seen[key]

    bounds = [tuple(math.log(end) for end in ends) for ends in (_LENGTHS_PX, _DEVIATIONS_PX)]
    best = math.log(start.length), math.log(start.deviation)
    for k in range(1 if near else 0, _ROUNDS):
        for axis in (0, 1):
            for sign in (1, -1):
                while len(seen) < _MOST_EVALUATIONS:
                    moved = list(best)
                    moved[axis] = min(max(best[axis] + sign * _STEPS[axis] / 2**k, bounds[axis][0]), bounds[axis][1])
                    if (moved[0], moved[1]) == best or not of(moved[0], moved[1]) > of(*best):
                        break
                    best = moved[0], moved[1]
    return replace(start, length=math.exp(best[0]), deviation=math.exp(best[1]))


def _unusual(log_length: float, log_deviation: float) -> float:
    """Return by how much a smoothness is less likely than the usual one before the images are seen."""
    length = (log_length - math.log(_USUAL_LENGTH_PX)) / math.log(_LENGTH_FACTOR)
    deviation = (log_deviation - math.log(_USUAL_DEVIATION_PX)) / math.log(_DEVIATION_FACTOR)
    return (length**2 + deviation**2) / 2


def _parts(nodes: tuple[int, int], side: int, most: int) -> list[tuple[slice, slice]]:
    """Return the parts of a grid whose evidence is added up: all of a small one, some of a large one."""
    cuts = []
    for count in nodes:
        parts = -(-count // side)
        ends = [round(k * count / parts) for k in range(parts + 1)]
        cuts.append([slice(first, last) for first, last in pairwise(ends)])
    every = [(r, c) for r in cuts[0] for c in cuts[1]]
    if len(every) <= most:
        return every
    # Spread over rows, and over columns by the golden section.
    places = (
        [(k + 0.5) / most for k in range(most)],
        [(k * _GOLDEN + 0.5) % 1 for k in range(most)],
    )
    rows, columns = ([cut[int(place * len(cut))] for place in along] for cut, along in zip(cuts, places, strict=True))
    return list(zip(rows, columns, strict=True))


class _Evidence:
    """The evidence of a part of the grid, as if the frame ended there."""

    def __init__(self, stencil: Tensor, y: Tensor, spacing: float) -> None:
        nodes = int(y.shape[1]), int(y.shape[2])
        self._spacing, self._band = spacing, node_band(nodes)
        self._information, self._y = stencil.contiguous(), self._band.vector(y)

    def of(self, smoothness: Smoothness) -> float:
        """Return the logarithm of the evidence, level pixels; minus infinity where rounding leaves none."""
        form = form_stencil(self._band.nodes, self._spacing, smoothness.length)
        log_form = _log_form(self._band.nodes, self._spacing, smoothness.length)
        matrix = self._band.of_stencil(self._information, form, smoothness.precision)
        factor = banded.cholesky(matrix, overwrite=True)
        if factor is None or not math.isfinite(log_form):
            return -math.inf
        explained = float(torch.dot(self._y, banded.solve(factor, self._y)))
        log_prior = 2 * (self._band.count * math.log(smoothness.precision) + log_form)
        return (explained + log_prior - banded.log_determinant(factor)) / 2


@lru_cache(maxsize=1024)
def _log_form(nodes: tuple[int, int], spacing: float, length: float) -> float:
    """Return the logarithm of the determinant of a form of the prior; minus infinity where rounding leaves none."""
    form = node_band(nodes).of_one(form_stencil(nodes, spacing, length))
    form[:, 0] += _JITTER * form[:, 0].mean()
    factor = banded.cholesky(form, overwrite=True)
    return -math.inf if factor is None else banded.log_determinant(factor)
