"""Where an image holds enough texture to be registered by.

In a window of N pixels the matrix T = sum of g g^T, g the gradient, says how well a shift shows. Against an image with
as much noise of its own, sigma, the window finds its place along the worst direction to a standard deviation of

    sigma sqrt(2 / lambda)   pixels,   lambda the smaller eigenvalue of T less the part of noise in it, N sigma^2 / 2

(Foerstner 1982; Shi and Tomasi 1994, doi:10.1109/CVPR.1994.323794). Flat parts show no shift, and parallel edges none
along them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zncc_cli.registration.metric.windows import full_windows, window_sums
from zncc_cli.registration.pyramid import Level

WINDOWS = (7, 11, 15, 21, 31, 45, 63)
"""Sides of windows, pixels, of which one is recommended."""

_RECOMMENDED_FRACTION = 0.5  # of the windows in the frame and the mask
_MIN_FRACTION = 0.05  # of them: with fewer no window is recommended
_MAX_ERROR_PX = 0.5  # a window that finds its place less well says little
# Noise alone scatters an entry of T by about 0.8 sigma^2 sqrt(N); three times that is one window in a thousand.
_NOISE_MARGIN = 0.8 * 3.0
# Of the image's standard deviation: gradients from rounding are no texture.
_MIN_NOISE = 1e-3


@dataclass(frozen=True)
class Texture:
    """Where an image holds enough texture to be registered by.

    Attributes:
        window: side of the windows, pixels.
        mask: bool (H, W), true where the window about a pixel finds its place to half a pixel in every direction; false
            where it leaves the frame or the mask.
        fraction: share of the windows in the frame and the mask that have enough texture; 0 where none lies there.
        recommended: the smallest of `WINDOWS` of which half have enough, else the one of which most have; None where
            hardly any has.
    """

    window: int
    mask: np.ndarray
    fraction: float
    recommended: int | None


def texture(image: Tensor, mask: Tensor, window: int) -> Texture:
    """Return where an image holds enough texture, by windows of ``window`` pixels a side.

    Args:
        image: (H, W) float; values outside the mask are not used.
        mask: (H, W) bool, valid pixels.
        window: no larger than the image.
    """
    products, inner, sigma = _gradient_products(image, mask)
    textured, fraction = _textured_windows(products, inner, sigma, window)
    fractions = {
        side: _textured_windows(products, inner, sigma, side)[1] for side in WINDOWS if side <= min(image.shape)
    }
    enough = [side for side, share in fractions.items() if share >= _RECOMMENDED_FRACTION]
    best = max(fractions, key=lambda side: fractions[side], default=None)
    if best is not None and fractions[best] < _MIN_FRACTION:
        best = None
    on_frame = np.zeros(tuple(image.shape), np.bool_)
    on_frame[window // 2 :, window // 2 :][: textured.shape[0], : textured.shape[1]] = textured.cpu().numpy()
    return Texture(window, on_frame, fraction, enough[0] if enough else best)


def _gradient_products(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return g_x^2, g_y^2 and g_x g_y (3, H, W) float64, the mask (H, W) of where they are defined, and sigma.

    All of the image scaled to a standard deviation of one.
    """
    wide = torch.where(mask, image, 0).double()
    wide = torch.where(mask, wide - wide.sum() / mask.sum().clamp_min(1), 0)
    deviation = float((wide.square().sum() / mask.sum().clamp_min(1)).sqrt())
    wide = wide / deviation if deviation > 0 else wide
    sigma = max(Level(wide[None, None], mask, 1).noise_sigma, _MIN_NOISE)
    across, down, inner = torch.zeros_like(wide), torch.zeros_like(wide), torch.zeros_like(mask)
    across[1:-1, 1:-1] = (wide[1:-1, 2:] - wide[1:-1, :-2]) / 2
    down[1:-1, 1:-1] = (wide[2:, 1:-1] - wide[:-2, 1:-1]) / 2
    inner[1:-1, 1:-1] = mask[1:-1, 2:] & mask[1:-1, :-2] & mask[2:, 1:-1] & mask[:-2, 1:-1] & mask[1:-1, 1:-1]
    return torch.stack((across * across, down * down, across * down)) * inner, inner, sigma


def _textured_windows(products: Tensor, inner: Tensor, sigma: float, window: int) -> tuple[Tensor, float]:
    """Return which windows have enough texture (H-w+1, W-w+1) bool, and their share."""
    n = window * window
    xx, yy, xy = window_sums(products, window)
    xx, yy = xx - n * sigma**2 / 2, yy - n * sigma**2 / 2
    eigenvalue = (xx + yy) / 2 - (((xx - yy) / 2).square() + xy.square()).sqrt()
    textured = eigenvalue >= sigma**2 * max(2 / _MAX_ERROR_PX**2, _NOISE_MARGIN * n**0.5)
    # Pixels at the frame have no gradient: a window may hold some, and its eigenvalue is then a little smaller.
    full = full_windows(inner | _frame_pixels(inner), window)
    count = int(full.sum())
    textured = textured & full
    return textured, int(textured.sum()) / count if count else 0.0


def _frame_pixels(inner: Tensor) -> Tensor:
    """Return the outermost pixels of the frame next to defined gradients, (H, W) bool."""
    border = torch.ones_like(inner)
    border[1:-1, 1:-1] = False
    near = torch.nn.functional.max_pool2d(inner[None, None].float(), 3, 1, 1)[0, 0] > 0
    return border & near
