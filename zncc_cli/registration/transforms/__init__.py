"""The Transform protocol and the table of families that implement it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from zncc_cli.config import NESTED_MODELS, Model
from zncc_cli.registration.transforms.linear import LinearFamily


class TransformFamily(Protocol):
    """Maps FIXED -> MOVING coordinates, (x, y) pixels, with parameters that are lengths in pixels."""

    @property
    def size(self) -> int:
        """Number of parameters."""

    @property
    def projective(self) -> bool:
        """Whether the last row of the matrix changes with the parameters."""

    def matrix(self, parameters: np.ndarray) -> np.ndarray:
        """Return the (3, 3) matrix of (size,) parameters."""

    def jacobian(self, parameters: np.ndarray) -> np.ndarray:
        """Return the derivatives (9, size) of the matrix's entries, row-major."""

    def parameters(self, matrix: np.ndarray) -> np.ndarray:
        """Return the (size,) parameters of the family's member nearest to ``matrix``."""

    def unwrapped(self, path: np.ndarray) -> np.ndarray:
        """Return the parameters (n, size) of a path with angles that go on beyond half a turn."""


TRANSFORMS: dict[Model, Callable[[Model, tuple[int, int]], TransformFamily]] = dict.fromkeys(
    NESTED_MODELS, LinearFamily
)

# Each model is started from the result of the one before it.
WARM_START: dict[Model, tuple[Model, ...]] = {model: NESTED_MODELS[: k + 1] for k, model in enumerate(NESTED_MODELS)}
