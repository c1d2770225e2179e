"""Frames of a movie, each made ready once and registered with many others.

Two frames are near each other: the shift between them is the highest peak of their correlation, less their shading and
faded out towards the edges, and what is left is followed on the images' fine texture (`refinement.solve`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.registration.inputs import check_window, prepare
from zncc_cli.registration.look import Look, Still, fine_both
from zncc_cli.registration.pyramid import Level, background
from zncc_cli.registration.refinement import solve
from zncc_cli.registration.spectrum import taper
from zncc_cli.registration.transforms import TRANSFORMS
from zncc_cli.registration.verdict import agreement
from zncc_cli.registration.warp import Sampler

# Pixels: what changes more slowly is shading, which has no place.
_SHADING_SIGMA = 12.0
# Pixels: a Gauss-Newton step shorter than this leaves less than a hundredth of a pixel.
_TOLERANCE = 0.03
_MAX_ITERATIONS = 12


@dataclass(frozen=True, eq=False)
class PreparedFrame:
    """What registrations need of a frame.

    Attributes:
        level: the image.
        still, moving: what a look at fine texture needs of it, where it is the fixed image, and the moving one.
        spectrum: of the image less its shading, faded out towards its edges, (H, W//2+1) complex.
    """

    level: Level
    still: Still
    moving: Sampler
    spectrum: Tensor

    @classmethod
    def of(cls, image: np.ndarray, mask: np.ndarray, window: int) -> PreparedFrame:
        """Return it for an image (H, W) with its (H, W) bool mask.

        Raises:
            ContentError: the image is too small, constant, or has no valid pixels.
            WindowError: the window does not fit.
        """
        pixels, valid = prepare("frame", image, mask, torch.device("cpu"))
        check_window(window, valid)
        return cls.of_level(Level(pixels, valid, 1), window)

    @classmethod
    def of_level(cls, level: Level, window: int) -> PreparedFrame:
        """Return it for an image of about unit variance, zero where not valid."""
        shading = background(level.image, level.mask, _SHADING_SIGMA)
        faded = torch.where(level.mask, level.image - shading, 0)[0, 0] * taper(level.mask)
        return cls(level, *fine_both(level, window), torch.fft.rfft2(faded))


@dataclass(frozen=True, eq=False)
class Measurement:
    """The motion between two frames.

    Attributes:
        fixed, moving: their numbers.
        matrix: (3, 3), fixed -> moving, pixels.
        deviation: its expected RMS error over the frame, pixels.
        agreement: how clearly the frames agree there (`verdict.agreement`); zero where nothing can be said.
    """

    fixed: int
    moving: int
    matrix: np.ndarray
    deviation: float
    agreement: float


def measure(
    fixed: PreparedFrame,
    moving: PreparedFrame,
    numbers: tuple[int, int],
    config: RegistrationConfig,
    start: np.ndarray | None = None,
) -> Measurement:
    """Return the motion between two frames of one shape.

    Args:
        fixed, moving: the frames.
        numbers: their numbers.
        config: its model is fitted.
        start: (3, 3), fixed -> moving, off by a pixel or two at most; None for the shift that correlates best.
    """
    shape = fixed.level.shape
    family = TRANSFORMS[config.model](config.model, shape)
    config = replace(config, tolerance=_TOLERANCE, max_iterations=_MAX_ITERATIONS)
    look = Look(fixed.still, moving.moving)
    if start is None:
        start = _shift(fixed.spectrum, moving.spectrum, shape)
    found = solve(look, family, start, config)
    return Measurement(*numbers, found.matrix, found.deviation, agreement(found.blocks) or 0.0)


def _shift(fixed: Tensor, moving: Tensor, shape: tuple[int, int]) -> np.ndarray:
    """Return the shift (3, 3), fixed -> moving, that correlates best, to a fraction of a pixel."""
    surface = torch.fft.irfft2(fixed.conj() * moving, s=shape)
    row, column = divmod(int(surface.argmax()), shape[1])
    dy = row + _vertex(surface[(row - 1) % shape[0], column], surface[row, column], surface[(row + 1) % shape[0], column])
    dx = column + _vertex(
        surface[row, column - 1], surface[row, column], surface[row, (column + 1) % shape[1]]
    )
    # Negative shifts count from the end.
    dy, dx = (d - n if d > n / 2 else d for d, n in zip((dy, dx), shape, strict=True))
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]])


def _vertex(before: Tensor, here: Tensor, after: Tensor) -> float:
    """Return where the parabola through three values has its maximum, from -1/2 to 1/2."""
    curved = float(2 * here - before - after)
    return float(after - before) / (2 * curved) if curved > 0 else 0.0
