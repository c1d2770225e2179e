"""An image as a map of its local texture, which different sensors, bands and stains have in common.

    t = log(s^2 + floor^2) / 2        s the local standard deviation in windows of 7 x 7 pixels

What is bright in one image may be dark, or grey, in another one; that there is an edge or a grain is seen in both.
The logarithm makes a faint edge count as a strong one, and the floor keeps what is flat from counting at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zncc_cli.registration.metric.windows import full_windows, window_variance
from zncc_cli.registration.pyramid import Level

TEXTURE_WINDOW_PX = 7
# Of the image's standard deviation: what varies less is flat. Between 0.02 and 0.1 the same pairs are aligned.
_FLOOR = 0.05
_LEAST_DEVIATION = 1e-3  # of the logarithm: below it a texture is the rounding of float32


def texture_map(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the texture map of an image, (1, 1, H, W) of mean zero and variance one over its mask, and the mask.

    Args:
        image: (1, 1, H, W) float, of a variance of about one.
        mask: (H, W) bool, pixels that count; those of the map are windows that hold only such pixels. None counts
            where all windows vary alike: there is no texture to compare.
    """
    reach, side = TEXTURE_WINDOW_PX // 2, TEXTURE_WINDOW_PX
    variance = window_variance(image[0, 0], side) / side**2
    floor = max(_FLOOR, Level(image, mask, 1).noise_sigma)
    whole = full_windows(mask, side)
    texture = torch.log(variance + floor**2) / 2
    values = texture[whole].double()
    out, usable = torch.zeros_like(image), torch.zeros_like(mask)
    deviation = values.std(correction=0) if values.numel() else torch.zeros(())
    if not float(deviation) > _LEAST_DEVIATION:
        return out, usable
    centred = torch.where(whole, (texture - values.mean()) / deviation, 0).to(image)
    inner = slice(reach, mask.shape[0] - reach), slice(reach, mask.shape[1] - reach)
    out[0, 0][inner], usable[inner] = centred, whole
    return out, usable
