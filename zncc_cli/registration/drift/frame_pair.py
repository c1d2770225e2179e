"""The motion between two frames of a movie; each frame is prepared once and measured against many others.

Each frame is normalised twice: from each pixel the mean of the window about it is subtracted, and the difference is
divided by the window's standard deviation, which removes shading and contrast; and each frequency is weighted by its
share of signal. The shift between two frames is the maximum of their cross-correlation: of the whole frames to whole
pixels, and then, on the overlap at that shift, at real shifts d by Newton steps on

    c(d) = sum over k of conj(F(k)) M(k) exp(i k . d)

Blocks of the overlap that correlate less have less weight. A richer motion starts from the shift and is refined on
fine texture (`zncc_cli.registration.refine.refine.solve`).
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
from zncc_cli.registration.refine.symmetric_metric import FixedImage, joined, local_fixed, local_moving
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.warp import Sampler

_NORMALISATION_WINDOW = 31  # pixels a side: the mean and standard deviation of this window normalise a pixel
_VARIANCE_FLOOR = 1e-3  # of the frame's variance, added to that of a window: contrast below it is not amplified
_TAPER_FRACTION = 0.1  # of a side, at each edge: the frame falls to zero there
_BLOCKS_PER_SIDE = 8  # of the overlap
MIN_OVERLAP = 0.2  # of the frame
_STEP_TOLERANCE_PX = 2e-3  # pixels: a Newton step shorter than this is the last
_MAX_SUBPIXEL_SHIFT_PX = 0.75  # pixels: after a longer one the shift is measured again, on the overlap that it gives
_MAX_NEWTON_STEPS, _MAX_OVERLAPS = 5, 3
# Pixels: a Gauss-Newton step of a richer motion shorter than this leaves less than a hundredth of a pixel.
_REFINEMENT_TOLERANCE_PX, _MAX_ITERATIONS = 0.03, 12


@dataclass(frozen=True, eq=False)
class PreparedFrame:
    """A frame as its measurements against other frames need it.

    Attributes:
        level: the image and its mask.
        normalised: (H, W), the image without shading, differences of contrast, and noise; zero where not valid.
        spectrum: (H, W//2+1) complex, of ``normalised`` tapered towards its edges.
        metric_parts: the frame as the fixed and as the moving image of a `SymmetricMetric`; None if only shifts are
            measured.
    """

    level: Level
    normalised: Tensor
    spectrum: Tensor
    metric_parts: tuple[FixedImage, Sampler] | None

    @classmethod
    def of(cls, image: np.ndarray, mask: np.ndarray, config: RegistrationConfig) -> PreparedFrame:
        """Prepare an image.

        Args:
            image: (H, W).
            mask: (H, W) bool, where the image has a value.
            config: its model and window are used.

        Raises:
            ContentError: the image is too small, constant, or has no valid pixels.
            WindowError: the window does not fit.
        """
        ready = prepare("frame", image, mask, torch.device("cpu"), NONE)
        check_window(config.window_side, ready.mask)
        level = Level(*inpaint(ready.image, ready.mask, config.window_side), 1)
        normalised = _normalised(level)
        parts = None if config.model is Model.TRANSLATION else (local_fixed(level), local_moving(level))
        return cls(level, normalised, torch.fft.rfft2(normalised * _taper(level.shape)), parts)


@dataclass(frozen=True, eq=False)
class Measurement:
    """The motion between two frames.

    Attributes:
        fixed, moving: numbers of the frames.
        entries: nine entries of the matrix, row-major, fixed -> moving, pixels. They are Python floats, because
            thousands of small arrays lie between the large ones in memory: they kept 30 kB a frame from being reused.
        expected_error: expected RMS error of the displacement over the frame, pixels.
        block_significance: how clearly the frames agree at the matrix (`bounds.block_significance`); zero if too few
            blocks can tell.
        inverted: whether the contrast of one frame is inverted against the other's.
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
        """Return the measurement between frames ``numbers``, fixed and moving, with a matrix (3, 3)."""
        return cls(*numbers, tuple(matrix.ravel().tolist()), float(expected_error), float(block_significance), inverted)

    @property
    def matrix(self) -> np.ndarray:
        """The matrix, (3, 3), fixed -> moving, pixels."""
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
        config: its model is fitted. The frames must be prepared for the same model.
        start: (3, 3), fixed -> moving, wrong by one or two pixels at most; None to search for the shift of the highest
            correlation.
    """
    if start is None or config.model is Model.TRANSLATION:
        shift = _shift(fixed, moving, None if start is None else (float(start[0, 2]), float(start[1, 2])))
        start = np.array([[1, 0, shift.dx], [0, 1, shift.dy], [0, 0, 1]])
        if fixed.metric_parts is None or moving.metric_parts is None:
            return Measurement.of(numbers, start, shift.expected_error, block_significance(shift.blocks) or 0.0)
    assert fixed.metric_parts is not None
    assert moving.metric_parts is not None
    transform = LinearTransform(config.model, fixed.level.shape)
    settings = replace(config, tolerance=_REFINEMENT_TOLERANCE_PX, max_iterations=_MAX_ITERATIONS)
    metric = joined(fixed.metric_parts[0], moving.metric_parts[1], config.window_side)
    refined = solve(metric, transform, start, settings)
    return Measurement.of(
        numbers, refined.matrix, refined.expected_error, block_significance(metric.blocks(refined.matrix)) or 0.0
    )


def _normalised(level: Level) -> Tensor:
    """Return the image of ``level``, (H, W), normalised in windows and filtered by the share of signal."""
    image, mask = level.image[0, 0], level.mask
    side = min(_NORMALISATION_WINDOW, min(level.shape) // 2 * 2 - 1)
    planes = torch.stack((image, image.square(), mask.to(image)))
    sums = window_sums(F.pad(planes[None], [side // 2] * 4, mode="reflect")[0], side)
    mean, square = sums[:2] / sums[2].clamp_min(1)
    noise = level.noise_sigma**2
    deviation = ((square - mean.square()).clamp_min(0) + noise + _VARIANCE_FLOOR).sqrt()
    normalised = torch.where(mask, (image - mean) / deviation, 0)
    share = signal_share(normalised, _taper(level.shape), noise * float(deviation.square().reciprocal().mean()))
    return torch.where(mask, share.filtered(normalised[None, None], border=REACH)[0, 0], 0)


@dataclass(frozen=True, eq=False)
class _Shift:
    """A shift between two frames: moving(x + dx, y + dy) shows what fixed(x, y) does.

    Attributes:
        dx, dy: the shift, pixels.
        expected_error: see `Measurement`; infinite if no shift was found.
        blocks: ZNCC of the blocks of the overlap.
    """

    dx: float
    dy: float
    expected_error: float
    blocks: np.ndarray


_NO_SHIFT = _Shift(0.0, 0.0, math.inf, np.empty(0))


def _shift(fixed: PreparedFrame, moving: PreparedFrame, near: tuple[float, float] | None) -> _Shift:
    """Return the shift of the highest correlation; with ``near``, (dx, dy), the one of the nearest maximum."""
    height, width = fixed.level.shape
    if near is None:
        surface = torch.fft.irfft2(fixed.spectrum.conj() * moving.spectrum, s=(height, width))
        row, column = divmod(int(surface.argmax()), width)
        # Negative shifts count from the end.
        dy, dx = (d - n if d > n / 2 else d for d, n in ((row, height), (column, width)))
    else:
        dx, dy = round(near[0]), round(near[1])
    shift = _NO_SHIFT
    for _ in range(_MAX_OVERLAPS):
        rows, columns = (range(max(0, -d), n - max(0, d)) for d, n in ((dy, height), (dx, width)))
        if len(rows) * len(columns) < MIN_OVERLAP * height * width:
            return _NO_SHIFT
        a = fixed.normalised[rows.start : rows.stop, columns.start : columns.stop]
        b = moving.normalised[rows.start + dy : rows.stop + dy, columns.start + dx : columns.stop + dx]
        subpixel = _subpixel_shift(a, b)
        shift = replace(subpixel, dx=dx + subpixel.dx, dy=dy + subpixel.dy)
        if not _MAX_SUBPIXEL_SHIFT_PX < max(abs(subpixel.dx), abs(subpixel.dy)) < math.inf:
            break
        dx, dy = round(shift.dx), round(shift.dy)
    return shift


def _subpixel_shift(a: Tensor, b: Tensor) -> _Shift:
    """Return the shift, of about a pixel at most, from the overlap in one frame to that in the other, (H, W) each."""
    height, width = (int(n) for n in a.shape)
    side = [-(-height // _BLOCKS_PER_SIDE), -(-width // _BLOCKS_PER_SIDE)]
    ab, aa, bb = F.avg_pool2d(torch.stack((a * b, a * a, b * b))[None], side, ceil_mode=True)[0]
    blocks = ab / (aa * bb).sqrt().clamp_min(torch.finfo(ab.dtype).tiny)
    block_weight = F.interpolate(blocks.clamp_min(0)[None, None], size=(height, width), mode="bilinear")[0, 0]
    weight = _taper((height, width)) * block_weight
    multiplicity = torch.full((width // 2 + 1,), 2.0)  # a column of a real spectrum stands for its mirror image, too
    multiplicity[0] = 1
    if width % 2 == 0:
        multiplicity[-1] = 1
    ky, kx = 2 * math.pi * torch.fft.fftfreq(height), 2 * math.pi * torch.fft.rfftfreq(width)
    fixed = torch.fft.rfft2(a * weight)
    weight_y, weight_x = torch.gradient(weight)
    # The second round shifts the moving frame's weight with the frame, to first order: a weight that does not move
    # biases the shift of a smooth texture towards zero.
    d, curvature, moving = np.zeros(2), np.eye(2), fixed
    for _ in range(2):
        moving = torch.fft.rfft2(b * (weight - float(d[0]) * weight_x - float(d[1]) * weight_y))
        maximum = _maximum_near(fixed.conj() * moving * multiplicity, d, kx, ky)
        if maximum is None:
            return replace(_NO_SHIFT, blocks=np.asarray(blocks))
        d, curvature = maximum
        if np.abs(d).max() > _MAX_SUBPIXEL_SHIFT_PX:
            break
    # The sandwich covariance H^-1 V H^-1 (White 1982), V from the difference of both spectra at each frequency.
    aligned = moving * (torch.exp(1j * ky * float(d[1]))[:, None] * torch.exp(1j * kx * float(d[0])))
    scatter = (fixed.abs() * moving.abs() * (aligned - fixed).abs().square() * multiplicity).to(fixed.dtype)
    inverse = np.linalg.inv(curvature)
    covariance = inverse @ _second_moments(_moments(scatter, np.zeros(2), kx, ky)) @ inverse
    return _Shift(float(d[0]), float(d[1]), math.sqrt(np.trace(covariance)), np.asarray(blocks, dtype=np.float64))


def _maximum_near(cross: Tensor, d: np.ndarray, kx: Tensor, ky: Tensor) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the place of the maximum near ``d`` (2,) of the cross-correlation, and minus its Hessian (2, 2).

    ``cross`` is (H, W//2+1) complex, the cross spectrum at frequencies ``ky`` (H,) and ``kx`` (W//2+1,). None if there
    is no maximum near ``d``.
    """
    curvature = np.eye(2)
    for _ in range(_MAX_NEWTON_STEPS):
        moments = _moments(cross, d, kx, ky)
        curvature = _second_moments(moments)
        if not np.linalg.eigvalsh(curvature)[0] > 0:
            return None
        step = np.clip(np.linalg.solve(curvature, -np.array([moments[0, 1], moments[1, 0]]).imag), -1, 1)
        d = d + step
        if np.abs(step).max() < _STEP_TOLERANCE_PX:
            break
    return d, curvature


def _moments(values: Tensor, d: np.ndarray, kx: Tensor, ky: Tensor) -> np.ndarray:
    """Return (3, 3) whose entry (j, i) is the sum of ky^j kx^i exp(i k . d) times values, (H, W//2+1) complex."""
    across, down = torch.exp(1j * kx * float(d[0])), torch.exp(1j * ky * float(d[1]))
    by_row = values @ torch.stack((across, across * kx, across * kx**2), dim=1)
    return (torch.stack((down, down * ky, down * ky**2)) @ by_row).to(torch.complex128).numpy()


def _second_moments(moments: np.ndarray) -> np.ndarray:
    """Return the real moments of kx^2, kx ky and ky^2 as a matrix (2, 2)."""
    return np.array([[moments[0, 2], moments[1, 1]], [moments[1, 1], moments[2, 0]]]).real


@lru_cache(maxsize=16)
def _taper(shape: tuple[int, int]) -> Tensor:
    """Return a window (H, W) that falls to zero towards the edges as a cosine does (Tukey's window)."""
    down, across = (
        0.5 - 0.5 * torch.cos(math.pi * (torch.minimum(x, n - x) / (_TAPER_FRACTION * n)).clamp_max(1))
        for n, x in ((n, torch.arange(n) + 0.5) for n in shape)
    )
    return down[:, None] * across
