"""The Fourier ring correlation of two aligned images, and the filter that makes the most of their signal.

The Fourier ring correlation of two images of one scene, each with white noise of its own, is rho = S / (S + noise)
with S the scene's power in the ring (Saxton and Baumeister 1982, doi:10.1111/j.1365-2818.1982.tb00405.x). Position is
measured best when both images are filtered by sqrt(rho / (1 + rho)), the maximum likelihood weight of the generalised
correlation (Knapp and Carter 1976, doi:10.1109/TASSP.1976.1162830): flat where there is signal, small where there is
noise. Nothing about the noise has to be known, and any other content that the images do not share is left out alike.

Legend: k frequency, cycles per pixel; rho ring correlation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.fft
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.registration.metric.windows import window_sums

_RINGS = 40  # up to the Nyquist frequency, where the image is large enough
_PIXELS_PER_RING = 4  # of the shorter side, so that no ring is without a frequency
_MAX_CORRELATION = 0.9999  # float32 rounding allows no more
_BORDER = 64  # pixels by which the image is continued by its mirror image before it is filtered
# Noise correlates by chance, and a place that is judged by what agrees there by chance is confirmed by it: a ring whose
# correlation is less than so many standard deviations of chance holds nothing (van Heel and Schatz 2005,
# doi:10.1016/j.jsb.2005.05.009).
_CHANCE_DEVIATIONS = 2.8
# Pixels: those farther away contribute less than a hundredth to a filtered pixel.
REACH = 4


@dataclass(frozen=True)
class Spectrum:
    """The ring correlation of two images on the frame of the first one.

    Attributes:
        rho: (n,) float, in [0, 1), of n rings of equal width from 0 to 0.5 cycles per pixel.
    """

    rho: Tensor

    def filtered(self, image: Tensor, scale: float = 1.0, border: int = _BORDER) -> Tensor:
        """Return ``image`` (1, 1, H, W) filtered by sqrt(rho / (1 + rho)), with unit gain where all is signal.

        Args:
            image: without holes; continued by its mirror image beyond the frame.
            scale: pixels of this image per pixel of the frame in which rho was measured.
            border: pixels by which it is continued; the filter wraps around to the opposite edge beyond them.
        """
        height, width = image.shape[-2:]
        border = min(border, height - 1, width - 1)
        padded = F.pad(image, [border] * 4, mode="reflect")
        transformed = torch.fft.rfft2(padded)
        k = _radius(padded.shape[-2], padded.shape[-1], image) * scale
        gain = (2 * self.rho / (1 + self.rho)).sqrt()
        gain = torch.cat((gain[:1], gain, gain.new_zeros(1)))
        # Ring i has its centre at (i + 1/2) of its width; beyond the Nyquist frequency there is nothing.
        place = (2 * k * len(self.rho) + 0.5).clamp(max=len(gain) - 1)
        ring = place.long().clamp(max=len(gain) - 2)
        gains = torch.lerp(gain[ring], gain[ring + 1], place - ring)
        out: Tensor = torch.fft.irfft2(transformed * gains, s=padded.shape[-2:])
        return out[..., border : border + height, border : border + width].contiguous()


def signal_share(image: Tensor, weight: Tensor, noise: float) -> Spectrum:
    """Return the share of an image's power that is signal, ring by ring.

    That is the ring correlation of the image with another one of its scene that has as much noise of its own.

    Args:
        image: (H, W), its mean about zero.
        weight: (H, W), which falls to zero softly towards the edges.
        noise: variance of the image's white noise.
    """
    transformed = torch.fft.rfft2(image * weight)
    index, rings = _rings(int(image.shape[0]), int(image.shape[1]), image)
    count = torch.bincount(index, minlength=rings + 1)[:rings]
    power = image.new_zeros(rings + 1).index_add_(0, index, transformed.abs().square().flatten())[:rings] / count
    white = noise * float(weight.square().sum())
    return Spectrum((1 - white / power.clamp_min(torch.finfo(power.dtype).tiny)).clamp(0, _MAX_CORRELATION))


def ring_correlation(a: Tensor, b: Tensor, weight: Tensor) -> Spectrum:
    """Return the ring correlation of two aligned images (H, W).

    ``weight``: (H, W), not negative, which falls to zero softly towards the edges of the overlap: see `taper`.
    """
    box = _support(weight)
    total = weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)
    planes = [((image - (image * weight).sum() / total) * weight)[box] for image in (a, b)]
    height, width = planes[0].shape
    # Half of the frequencies are enough: the others are their conjugates.
    spectra = [torch.fft.rfft2(plane) for plane in planes]
    index, rings = _rings(height, width, a)

    def over_rings(power: Tensor) -> Tensor:
        return power.new_zeros(rings + 1).index_add_(0, index, power.flatten())[:rings]

    cross = over_rings((spectra[0] * spectra[1].conj()).real)
    norm = (over_rings(spectra[0].abs().square()) * over_rings(spectra[1].abs().square())).sqrt()
    rho = (cross / norm.clamp_min(torch.finfo(norm.dtype).tiny)).clamp(0, _MAX_CORRELATION)
    # A weight spreads each frequency over its neighbours, so that fewer are independent.
    w = weight[box]
    spread = float(w.square().square().mean() / w.square().mean().square().clamp_min(torch.finfo(w.dtype).tiny))
    chance = _CHANCE_DEVIATIONS * (spread / (2 * over_rings(torch.ones_like(spectra[0].real)).clamp_min(1))).sqrt()
    return Spectrum(torch.where(rho > chance, rho, 0))


def taper(mask: Tensor) -> Tensor:
    """Return a weight (H, W) for `ring_correlation`: a Hann window over the bounding box of ``mask`` (H, W) bool.

    Where the mask has an edge inside the box, the weight falls to zero within some pixels.
    """
    rows, columns = _support(mask)
    hann = torch.zeros(mask.shape, device=mask.device)
    sides = (rows.stop - rows.start, columns.stop - columns.start)
    y, x = (torch.hann_window(n + 2, periodic=False, device=mask.device)[1:-1] for n in sides)
    hann[rows, columns] = y[:, None] * x
    inner = window_sums(F.pad(mask.float(), [REACH] * 4), 2 * REACH + 1) / (2 * REACH + 1) ** 2
    return hann * (2 * inner - 1).clamp_min(0)


def _support(weight: Tensor) -> tuple[slice, slice]:
    """Return the rows and columns of the bounding box in which ``weight`` (H, W) is above zero."""
    rows, columns = torch.nonzero((weight > 0).any(dim=1)), torch.nonzero((weight > 0).any(dim=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _rings(height: int, width: int, like: Tensor) -> tuple[Tensor, int]:
    """Return the ring of each frequency, (H * (W//2+1),), in the layout of rfft2, and the number of rings.

    Frequencies above 0.5, in the corners, fall into one more ring, which callers leave out.
    """
    rings = max(1, min(_RINGS, min(height, width) // _PIXELS_PER_RING))
    return (2 * _radius(height, width, like) * rings).long().clamp(max=rings).flatten(), rings


def _radius(height: int, width: int, like: Tensor) -> Tensor:
    """Return the frequencies' distance from zero, cycles per pixel, in the layout of rfft2."""
    y = torch.fft.fftfreq(height, dtype=like.dtype, device=like.device)
    x = torch.fft.rfftfreq(width, dtype=like.dtype, device=like.device)
    return torch.hypot(y[:, None].expand(-1, len(x)), x[None].expand(height, -1))
