"""Is there enough texture in an image to be registered by?

In a window of N pixels the matrix T = sum of g g^T, g the gradient, says how well a shift shows: against an image with
as much noise of its own, sigma, the window finds its place in the worst direction to a standard deviation of

    sigma sqrt(2 / lambda)   pixels,   lambda the smaller eigenvalue of T less what noise adds to it, N sigma^2 / 2

(Foerstner 1982; Shi and Tomasi 1994, doi:10.1109/CVPR.1994.323794). Flat parts, and edges that run one way, show none.
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

_ENOUGH = 0.5  # of the windows that the frame and the mask hold
_LEAST = 0.05  # of them: fewer carry nothing
_PRECISE = 0.5  # pixels: a window that finds its place less well says little
# Noise alone scatters an entry of T by about 0.8 sigma^2 sqrt(N); three times that is one window in a thousand.
_SURE = 0.8 * 3.0
# Of the image's deviation: what rounding makes of a gradient is no texture.
_LEAST_NOISE = 1e-3


@dataclass(frozen=True)
class Texture:
    """Where an image can carry a registration.

    Attributes:
        window: side of the windows, pixels.
        mask: bool (H, W), true where the window about a pixel finds its place to half a pixel in every direction; false
            where it leaves the frame or the mask.
        fraction: share of the windows that can, of all that lie in the frame and the mask; 0 where none does.
        recommended: the smallest of `WINDOWS` by which half of them can, else the one by which most can; None where
            hardly any can.
    """

    window: int
    mask: np.ndarray
    fraction: float
    recommended: int | None


def texture(image: Tensor, mask: Tensor, window: int) -> Texture:
    """Return where ``image`` (H, W) float can carry a registration by windows of ``window`` pixels; ``mask`` (H, W)."""
    planes, inner, sigma = _gradients(image, mask)
    able, fraction = _able(planes, inner, sigma, window)
    fractions = {side: _able(planes, inner, sigma, side)[1] for side in WINDOWS if side <= min(image.shape)}
    enough = [side for side, share in fractions.items() if share >= _ENOUGH]
    best = max(fractions, key=lambda side: fractions[side], default=None)
    if best is not None and fractions[best] < _LEAST:
        best = None
    whole = np.zeros(tuple(image.shape), np.bool_)
    whole[window // 2 :, window // 2 :][: able.shape[0], : able.shape[1]] = able.cpu().numpy()
    return Texture(window, whole, fraction, enough[0] if enough else best)


def _gradients(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return g_x^2, g_y^2 and g_x g_y (3, H, W) float64, where they are known (H, W) bool, and sigma."""
    wide = torch.where(mask, image, 0).double()
    wide = torch.where(mask, wide - wide.sum() / mask.sum().clamp_min(1), 0)
    spread = float((wide.square().sum() / mask.sum().clamp_min(1)).sqrt())
    wide = wide / spread if spread > 0 else wide
    sigma = max(Level(wide[None, None], mask, 1).noise_sigma, _LEAST_NOISE)
    across, down, inner = torch.zeros_like(wide), torch.zeros_like(wide), torch.zeros_like(mask)
    across[1:-1, 1:-1] = (wide[1:-1, 2:] - wide[1:-1, :-2]) / 2
    down[1:-1, 1:-1] = (wide[2:, 1:-1] - wide[:-2, 1:-1]) / 2
    inner[1:-1, 1:-1] = mask[1:-1, 2:] & mask[1:-1, :-2] & mask[2:, 1:-1] & mask[:-2, 1:-1] & mask[1:-1, 1:-1]
    return torch.stack((across * across, down * down, across * down)) * inner, inner, sigma


def _able(planes: Tensor, inner: Tensor, sigma: float, window: int) -> tuple[Tensor, float]:
    """Return which windows can carry a registration (H-w+1, W-w+1) bool, and their share."""
    n = window * window
    xx, yy, xy = window_sums(planes, window)
    xx, yy = xx - n * sigma**2 / 2, yy - n * sigma**2 / 2
    least = (xx + yy) / 2 - (((xx - yy) / 2).square() + xy.square()).sqrt()
    able = least >= sigma**2 * max(2 / _PRECISE**2, _SURE * n**0.5)
    # Pixels at the frame have no gradient: a window may hold some, and then has a little less to show.
    held = full_windows(inner | _frame_pixels(inner), window)
    count = int(held.sum())
    able = able & held
    return able, int(able.sum()) / count if count else 0.0


def _frame_pixels(inner: Tensor) -> Tensor:
    """Return the outermost pixels of the frame (H, W) next to known gradients."""
    border = torch.ones_like(inner)
    border[1:-1, 1:-1] = False
    near = torch.nn.functional.max_pool2d(inner[None, None].float(), 3, 1, 1)[0, 0] > 0
    return border & near
