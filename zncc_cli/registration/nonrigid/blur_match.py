"""Make the sharper image of a pair as blurred as the other one.

The Gaussian that one image lacks is fitted to the ratio of both images' power by spatial frequency, where both have
power beyond their noise.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from zncc_cli.registration.nonrigid.smoothing import smoothed
from zncc_cli.registration.pyramid import Level

_RINGS = 32  # up to the Nyquist frequency, 0.5 cycles per pixel
_NOISE_RINGS = 4  # the outermost, which hold hardly anything else
_SIGNAL = 10.0  # times the noise: with less a blur was found where there was none
_LEAST_RINGS = 6
_BAND = 0.03, 0.4  # cycles per pixel that are looked at
_LEAST_SIGMA_PX = 0.6  # smaller differences make no difference


def blur_matched(fixed: Level, moving: Level) -> tuple[Level, Level]:
    """Return both images, the sharper one smoothed where it is sharper by a Gaussian of more than 0.6 pixels."""
    sigma = _blur_between(_power(fixed), _power(moving))
    if sigma > _LEAST_SIGMA_PX:
        fixed = Level(*smoothed(fixed.image, fixed.mask, sigma), fixed.factor)
    elif sigma < -_LEAST_SIGMA_PX:
        moving = Level(*smoothed(moving.image, moving.mask, -sigma), moving.factor)
    return fixed, moving


def _power(level: Level) -> NDArray[np.float64]:
    """Return the mean power of an image by rings of spatial frequency, (32,)."""
    height, width = level.shape
    window = torch.outer(
        *(torch.hann_window(n + 2, periodic=False, device=level.mask.device)[1:-1] for n in level.shape)
    )
    valid = level.image[0, 0][level.mask]
    pixels = torch.where(level.mask, level.image[0, 0] - valid.mean(), 0) * window
    power = torch.fft.rfft2(pixels).abs().square() / window.square().sum()
    down, across = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    ring = (torch.hypot(down[:, None], across[None]) * 2 * _RINGS).long().clamp_max(_RINGS).flatten()
    sums = torch.bincount(ring, power.cpu().double().flatten(), _RINGS + 1)
    return np.asarray((sums / torch.bincount(ring, minlength=_RINGS + 1).clamp_min(1))[:_RINGS])


def _blur_between(of_fixed: NDArray[np.float64], of_moving: NDArray[np.float64]) -> float:
    """Return the standard deviation of the Gaussian that the fixed image lacks, negative where the moving one does."""
    frequency = (np.arange(_RINGS) + 0.5) / (2 * _RINGS)
    noise = [float(np.median(power[-_NOISE_RINGS:])) for power in (of_fixed, of_moving)]
    signal = [power - floor for power, floor in zip((of_fixed, of_moving), noise, strict=True)]
    told = (frequency > _BAND[0]) & (frequency < _BAND[1])
    for power, floor in zip(signal, noise, strict=True):
        told &= (power > _SIGNAL * floor) & (power > 0)
    if told.sum() < _LEAST_RINGS:
        return 0.0
    k = frequency[told]
    weight = np.sqrt(k)  # a ring holds as many frequencies as its radius is long
    columns = np.column_stack((np.ones(len(k)), -2 * np.pi**2 * k**2)) * weight[:, None]
    ratio = np.log(signal[1][told] / signal[0][told]) / 2 * weight
    variance = float(np.linalg.lstsq(columns, ratio, rcond=None)[0][1])
    return math.copysign(math.sqrt(abs(variance)), variance)
