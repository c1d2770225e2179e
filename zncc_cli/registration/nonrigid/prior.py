"""What is held likely of a displacement field before the images are seen: small and smooth, by how much and how far.

    P = tau (integral |u|^2 + l^6 integral |third derivatives of u|^2),   tau = 1 / (8 pi l^2 s^2)

over the frame, for each of both components: the precision of a random field of standard deviation s whose smoothness
reaches as far as l. A field of order three does not hold back bending as thin plates do, and returns to zero where
nothing is seen (Lindgren, Rue and Lindstroem 2011, doi:10.1111/j.1467-9868.2011.00777.x).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zncc_cli.operators.spline_system import STENCIL

_Floats = NDArray[np.float64]

# The pieces of the cubic B-spline on a cell of length one, from the first node on, highest power first.
_PIECES = [
    np.poly1d(p) for p in ([-1 / 6, 0.5, -0.5, 1 / 6], [0.5, -1, 0, 2 / 3], [-0.5, 0.5, 0.5, 1 / 6], [1 / 6, 0, 0, 0])
]
_ORDER = 3


@dataclass(frozen=True)
class Smoothness:
    """How far and how smoothly a field is expected to move.

    Attributes:
        deviation: s, pixels.
        length: l, pixels.
        factor: by which the precision is multiplied.
    """

    deviation: float
    length: float
    factor: float = 1.0

    @property
    def precision(self) -> float:
        """The factor tau."""
        return self.factor / (8 * math.pi * self.length**2 * self.deviation**2)

    def at_level(self, pixels: float) -> Smoothness:
        """Return the same in units of so many pixels."""
        return Smoothness(self.deviation / pixels, self.length / pixels, self.factor)


def prior_stencil(
    nodes: tuple[int, int], spacing: float, smoothness: Smoothness, tightness: Tensor | None = None
) -> Tensor:
    """Return the precision (25, rows, columns) float64 of each of both components, as `STENCIL` orders it.

    ``tightness`` as in `form_stencil`.
    """
    return smoothness.precision * form_stencil(nodes, spacing, smoothness.length, tightness)


def form_stencil(nodes: tuple[int, int], spacing: float, length: float, tightness: Tensor | None = None) -> Tensor:
    """Return the form (integral |u|^2 + l^6 integral |third derivatives|^2) as `prior_stencil` does.

    ``tightness``: (rows - 3, columns - 3) float64, how much the third derivatives in each cell count; None for one.
    """
    if tightness is not None:
        of_cell = _third_derivatives(spacing)
        held = form_stencil(nodes, spacing, 0.0)
        for a, b, j, i in np.ndindex(4, 4, 4, 4):
            if j > a or (j == a and i >= b):
                plane = STENCIL.index((j - a, i - b))
                weight = length ** (2 * _ORDER) * float(of_cell[a, b, j, i])
                held[plane, a : a + nodes[0] - 3, b : b + nodes[1] - 3].add_(tightness, alpha=weight)
        return held
    down, across = (np.stack([_gram(count, spacing, order) for order in range(_ORDER + 1)]) for count in nodes)
    weights = np.zeros((_ORDER + 1, _ORDER + 1))
    weights[0, 0] = 1.0
    for k in range(_ORDER + 1):
        weights[k, _ORDER - k] = length ** (2 * _ORDER) * math.comb(_ORDER, k)
    # Of all offsets across, together: (orders down, 7 * columns).
    weighted = (weights @ across.transpose(0, 2, 1).reshape(_ORDER + 1, -1)).reshape(_ORDER + 1, -1)
    out, first = np.empty((len(STENCIL), *nodes)), 0
    for j in range(_ORDER + 1):
        planes = (down[:, :, j + 3].T @ weighted).reshape(nodes[0], 7, nodes[1]).transpose(1, 0, 2)
        planes = planes[3:] if j == 0 else planes  # in its own row a node comes before its neighbours
        out[first : first + len(planes)] = planes
        first += len(planes)
    return torch.from_numpy(out)


def bending_energy(coefficients: Tensor, spacing: float) -> Tensor:
    """Return the integral of the squared third derivatives over each cell, (rows - 3, columns - 3), both components."""
    form = torch.from_numpy(_third_derivatives(spacing).reshape(16, 16)).to(coefficients)
    rows, columns = coefficients.shape[1] - 3, coefficients.shape[2] - 3
    around = torch.stack([coefficients[:, a : a + rows, b : b + columns] for a, b in np.ndindex(4, 4)]).flatten(1)
    energy: Tensor = (around * (form @ around)).sum(dim=0).view(2, rows, columns).sum(dim=0)
    return energy


@lru_cache(maxsize=16)
def _third_derivatives(spacing: float) -> _Floats:
    """Return the integrals of the products of the third derivatives of a cell's splines, (4, 4, 4, 4)."""
    grams = [_cell_gram(spacing, order) for order in range(_ORDER + 1)]
    parts = [math.comb(_ORDER, k) * np.einsum("ac,bd->abcd", grams[k], grams[_ORDER - k]) for k in range(_ORDER + 1)]
    return np.asarray(sum(parts))


def _cell_gram(spacing: float, order: int) -> _Floats:
    """Return the integrals of the products of the derivatives of a cell's four B-splines, (4, 4)."""
    places, weights = np.polynomial.legendre.leggauss(4)
    values = np.array([(p.deriv(order) if order else p)((places + 1) / 2) for p in _PIECES]) / spacing**order
    return np.asarray(np.einsum("at,bt,t->ab", values, values, weights / 2) * spacing)


@lru_cache(maxsize=64)
def _gram(count: int, spacing: float, order: int) -> _Floats:
    """Return the integrals of the products of two B-splines' derivatives over the frame, (count, 7).

    Entry (i, k + 3) is that of nodes i and i + k.
    """
    of_cell = _cell_gram(spacing, order)
    out = np.zeros((count, 7))
    for a in range(4):
        for b in range(4):
            out[a : a + count - 3, b - a + 3] += of_cell[a, b]
    return out
