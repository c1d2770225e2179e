"""Frames of a movie, each made ready once and registered with many others.

A shift is found where frames correlate best, each freed of shading and contrast (less the mean of the window about a
pixel, over its deviation) and filtered by the share of signal in each frequency: to whole pixels by the correlation of
the whole frames, then, on what both show, at the maximum of their correlation as a function of real shifts

    c(d) = sum over k of conj(F(k)) M(k) exp(i k . d)

by Newton steps. Parts of the frame that agree less count less. A richer motion starts from the shift, and is followed
on fine texture (`refinement.solve`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import NONE, Model, RegistrationConfig
from zncc_cli.registration.inputs.inpainting import inpaint
from zncc_cli.registration.inputs.prepare import check_window, prepare
from zncc_cli.registration.metric.windows import window_sums
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.bounds import block_significance
from zncc_cli.registration.refine.refine import solve
from zncc_cli.registration.refine.ring_correlation import REACH, signal_share
from zncc_cli.registration.refine.symmetric_metric import FixedWindows, SymmetricMetric, local_parts
from zncc_cli.registration.transforms import TRANSFORMS
from zncc_cli.registration.warp import Sampler

_WINDOW = 31  # pixels: about a pixel, whose mean and contrast it is freed of
_FLATTEST = 1e-3  # of the frame's variance: less contrast than this is none
_FADED = 0.1  # of a side: at each edge, where frames fade out
_BLOCKS = 8  # along each side of the overlap
LEAST_OVERLAP = 0.2  # of the frame
# Pixels: a Newton step shorter than this is the last; one longer than the second looks at another overlap.
_SHORT, _LONGEST = 2e-3, 0.75
_STEPS, _LOOKS = 5, 3
# Pixels: a Gauss-Newton step of a richer motion shorter than this leaves less than a hundredth of a pixel.
_TOLERANCE, _MAX_ITERATIONS = 0.03, 12


@dataclass(frozen=True, eq=False)
class PreparedFrame:
    """What registrations need of a frame.

    Attributes:
        level: the image.
        flat: (H, W), the image freed of shading, contrast and noise; zero where not valid.
        spectrum: of ``flat``, faded out towards its edges, (H, W//2+1) complex.
        looks: what a look at fine texture needs of it as the fixed and as the moving frame; None for shifts alone.
    """

    level: Level
    flat: Tensor
    spectrum: Tensor
    looks: tuple[FixedWindows, Sampler] | None

    @classmethod
    def of(cls, image: np.ndarray, mask: np.ndarray, config: RegistrationConfig) -> PreparedFrame:
        """Return it for an image (H, W) with its (H, W) bool mask; model and window of ``config`` are used.

        Raises:
            ContentError: the image is too small, constant, or has no valid pixels.
            WindowError: the window does not fit.
        """
        ready = prepare("frame", image, mask, torch.device("cpu"), NONE)
        check_window(config.window_side, ready.mask)
        level = Level(*inpaint(ready.image, ready.mask, config.window_side), 1)
        flat = _flat(level)
        looks = None if config.model is Model.TRANSLATION else local_parts(level, config.window_side)
        return cls(level, flat, torch.fft.rfft2(flat * _fade(level.shape)), looks)


@dataclass(frozen=True, eq=False)
class Measurement:
    """The motion between two frames.

    Attributes:
        fixed, moving: their numbers.
        entries: of the matrix, row-major. Python's own numbers lie apart; arrays as small, of which thousands are kept,
            lie among the large ones of their time and kept 30 kB a frame from being used again.
        expected_error: its expected RMS error over the frame, pixels.
        block_significance: how clearly the frames agree there (`bounds.block_significance`); zero where nothing can be said.
        inverted: bright in one frame is dark in the other.
    """

    fixed: int
    moving: int
    entries: tuple[float, ...]
    expected_error: float
    block_significance: float
    inverted: bool = False

    @classmethod
    def of(
        cls,
        numbers: tuple[int, int],
        matrix: np.ndarray,
        expected_error: float,
        block_significance: float,
        inverted: bool = False,
    ) -> Measurement:
        """Return it for a matrix (3, 3)."""
        return cls(*numbers, tuple(matrix.ravel().tolist()), float(expected_error), float(block_significance), inverted)

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3), fixed -> moving, pixels."""
        return np.array(self.entries).reshape(3, 3)


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
        config: its model is fitted, the one that they were made ready for.
        start: (3, 3), fixed -> moving, off by a pixel or two at most; None for the shift that correlates best.
    """
    if start is None or config.model is Model.TRANSLATION:
        shift = _shift(fixed, moving, None if start is None else (float(start[0, 2]), float(start[1, 2])))
        start = np.array([[1, 0, shift.dx], [0, 1, shift.dy], [0, 0, 1]])
        if fixed.looks is None or moving.looks is None:
            return Measurement.of(numbers, start, shift.expected_error, block_significance(shift.blocks) or 0.0)
    assert fixed.looks is not None
    assert moving.looks is not None
    family = TRANSFORMS[config.model](config.model, fixed.level.shape)
    short = replace(config, tolerance=_TOLERANCE, max_iterations=_MAX_ITERATIONS)
    look = SymmetricMetric(fixed.looks[0], moving.looks[1])
    found = solve(look, family, start, short)
    return Measurement.of(
        numbers, found.matrix, found.expected_error, block_significance(look.blocks(found.matrix)) or 0.0
    )


def _flat(level: Level) -> Tensor:
    image, mask = level.image[0, 0], level.mask
    side = min(_WINDOW, min(level.shape) // 2 * 2 - 1)
    planes = torch.stack((image, image.square(), mask.to(image)))
    sums = window_sums(F.pad(planes[None], [side // 2] * 4, mode="reflect")[0], side)
    mean, square = sums[:2] / sums[2].clamp_min(1)
    noise = level.noise_sigma**2
    held = ((square - mean.square()).clamp_min(0) + noise + _FLATTEST).sqrt()
    flat = torch.where(mask, (image - mean) / held, 0)
    share = signal_share(flat, _fade(level.shape), noise * float(held.square().reciprocal().mean()))
    return torch.where(mask, share.filtered(flat[None, None], border=REACH)[0, 0], 0)


@dataclass(frozen=True, eq=False)
class _Shift:
    """Where the moving frame lies: moving(x + dx, y + dy) is fixed(x, y); see `Measurement`."""

    dx: float
    dy: float
    expected_error: float
    blocks: np.ndarray


_NOWHERE = _Shift(0.0, 0.0, math.inf, np.empty(0))


def _shift(fixed: PreparedFrame, moving: PreparedFrame, near: tuple[float, float] | None) -> _Shift:
    """Return the shift that correlates best, or the best one near (dx, dy)."""
    height, width = fixed.level.shape
    if near is None:
        surface = torch.fft.irfft2(fixed.spectrum.conj() * moving.spectrum, s=(height, width))
        row, column = divmod(int(surface.argmax()), width)
        # Negative shifts count from the end.
        dy, dx = (d - n if d > n / 2 else d for d, n in ((row, height), (column, width)))
    else:
        dx, dy = round(near[0]), round(near[1])
    found = _NOWHERE
    for _ in range(_LOOKS):
        rows, columns = (range(max(0, -d), n - max(0, d)) for d, n in ((dy, height), (dx, width)))
        if len(rows) * len(columns) < LEAST_OVERLAP * height * width:
            return _NOWHERE
        here = fixed.flat[rows.start : rows.stop, columns.start : columns.stop]
        there = moving.flat[rows.start + dy : rows.stop + dy, columns.start + dx : columns.stop + dx]
        rest = _subpixel(here, there)
        found = replace(rest, dx=dx + rest.dx, dy=dy + rest.dy)
        if not _LONGEST < max(abs(rest.dx), abs(rest.dy)) < math.inf:
            break
        dx, dy = round(found.dx), round(found.dy)
    return found


def _subpixel(a: Tensor, b: Tensor) -> _Shift:
    """Return the shift from a to b (H, W), of a pixel or so."""
    height, width = (int(n) for n in a.shape)
    side = [-(-height // _BLOCKS), -(-width // _BLOCKS)]
    ab, aa, bb = F.avg_pool2d(torch.stack((a * b, a * a, b * b))[None], side, ceil_mode=True)[0]
    blocks = ab / (aa * bb).sqrt().clamp_min(torch.finfo(ab.dtype).tiny)
    counts = F.interpolate(blocks.clamp_min(0)[None, None], size=(height, width), mode="bilinear")[0, 0]
    weight = _fade((height, width)) * counts
    both = torch.full((width // 2 + 1,), 2.0)  # a column stands for its mirror image, too
    both[0] = 1
    if width % 2 == 0:
        both[-1] = 1
    ky, kx = 2 * math.pi * torch.fft.fftfreq(height), 2 * math.pi * torch.fft.rfftfreq(width)
    fixed = torch.fft.rfft2(a * weight)
    by_y, by_x = torch.gradient(weight)
    # First as if nothing was left to move; then with the moving frame's weight where the frame lies: weights that stay
    # hold a smooth texture back.
    d, curved, moving = np.zeros(2), np.eye(2), fixed
    for _ in range(2):
        moving = torch.fft.rfft2(b * (weight - float(d[0]) * by_x - float(d[1]) * by_y))
        climbed = _climbed(fixed.conj() * moving * both, d, kx, ky)
        if climbed is None:
            return replace(_NOWHERE, blocks=np.asarray(blocks))
        d, curved = climbed
        if np.abs(d).max() > _LONGEST:
            break
    # The sandwich covariance H^-1 V H^-1 (White 1982), V from what differs at each frequency.
    there = moving * (torch.exp(1j * ky * float(d[1]))[:, None] * torch.exp(1j * kx * float(d[0])))
    seen = (fixed.abs() * moving.abs() * (there - fixed).abs().square() * both).to(fixed.dtype)
    inverse = np.linalg.inv(curved)
    covariance = inverse @ _squares(_moments(seen, np.zeros(2), kx, ky)) @ inverse
    return _Shift(float(d[0]), float(d[1]), math.sqrt(np.trace(covariance)), np.asarray(blocks, dtype=np.float64))


def _climbed(cross: Tensor, d: np.ndarray, kx: Tensor, ky: Tensor) -> tuple[np.ndarray, np.ndarray] | None:
    """Return where the real sum of cross exp(i k . d) has its maximum near ``d`` (2,), and its curvature (2, 2).

    None where it has none near.
    """
    curved = np.eye(2)
    for _ in range(_STEPS):
        moments = _moments(cross, d, kx, ky)
        curved = _squares(moments)
        if not np.linalg.eigvalsh(curved)[0] > 0:
            return None
        step = np.clip(np.linalg.solve(curved, -np.array([moments[0, 1], moments[1, 0]]).imag), -1, 1)
        d = d + step
        if np.abs(step).max() < _SHORT:
            break
    return d, curved


def _moments(values: Tensor, d: np.ndarray, kx: Tensor, ky: Tensor) -> np.ndarray:
    """Return (3, 3): at (j, i) the sum of ky^j kx^i exp(i k . d) times values (H, W//2+1) complex."""
    across, down = torch.exp(1j * kx * float(d[0])), torch.exp(1j * ky * float(d[1]))
    by_row = values @ torch.stack((across, across * kx, across * kx**2), dim=1)
    return (torch.stack((down, down * ky, down * ky**2)) @ by_row).to(torch.complex128).numpy()


def _squares(moments: np.ndarray) -> np.ndarray:
    """Return the moments of kx^2, kx ky and ky^2 as a matrix (2, 2), real."""
    return np.array([[moments[0, 2], moments[1, 1]], [moments[1, 1], moments[2, 0]]]).real


@lru_cache(maxsize=16)
def _fade(shape: tuple[int, int]) -> Tensor:
    """Return a weight (H, W) that falls to zero, as a cosine, towards the edges."""
    down, across = (
        0.5 - 0.5 * torch.cos(math.pi * (torch.minimum(x, n - x) / (_FADED * n)).clamp_max(1))
        for n, x in ((n, torch.arange(n) + 0.5) for n in shape)
    )
    return down[:, None] * across
