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


def prior_stencil(nodes: tuple[int, int], spacing: float, smoothness: Smoothness) -> Tensor:
    """Return the precision (25, rows, columns) float64 of each of both components, as `STENCIL` orders it."""
    return smoothness.precision * form_stencil(nodes, spacing, smoothness.length)


def form_stencil(nodes: tuple[int, int], spacing: float, length: float) -> Tensor:
    """Return the form (integral |u|^2 + l^6 integral |third derivatives|^2) as `prior_stencil` does."""
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


@lru_cache(maxsize=64)
def _gram(count: int, spacing: float, order: int) -> _Floats:
    """Return the integrals of the products of two B-splines' derivatives over the frame, (count, 7).

    Entry (i, k + 3) is that of nodes i and i + k.
    """
    places, weights = np.polynomial.legendre.leggauss(4)
    values = np.array([(p.deriv(order) if order else p)((places + 1) / 2) for p in _PIECES]) / spacing**order
    of_cell = np.einsum("at,bt,t->ab", values, values, weights / 2) * spacing
    out = np.zeros((count, 7))
    for a in range(4):
        for b in range(4):
            out[a : a + count - 3, b - a + 3] += of_cell[a, b]
    return out
