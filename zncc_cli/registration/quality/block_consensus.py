"""Whether the parts of two images, each for itself, find the place that was found for the whole.

The overlap is cut into blocks. Each block of the fixed image is compared with the aligned moving image at all shifts
of up to `_REACH` pixels, by ZNCC. A block decides for its best shift where no other shift is nearly as good: an edge,
which looks alike all along, decides nothing, nor does flat ground. With n blocks that decide and k of them for no
shift, the consensus is

    -log10 P(at least k - m of n - m),    by chance each with the probability that a random shift is none

where m is how many blocks the parameters of the model can bring to agree by themselves, two a block. Unrelated images
give what chance gives, whatever their spectra, since a block is compared with its own surroundings only.

The a-contrario test of Desolneux, Moisan and Morel 2000, "Meaningful alignments", doi:10.1023/A:1026593302236.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.registration.metric.windows import window_variance
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.warp import Sampler, coordinates, inside, level_scale

_BLOCK, _REACH = 32, 10  # pixels of a level: the side of a block, and the largest shift along an axis
# Blocks overlap by half, so that it matters less where the first one begins; every pixel counts once.
_STEP, _SHARE = 16, 0.25
_SAME_PX = 2.5  # shifts up to this long are none: a window of a texture map has seven pixels
_OTHER_PX, _MAX_OTHER_SHARE = 4.0, 0.9  # a shift that differs by more may agree by this share of the best, not by more
# Of the images' variance, added to that of a block: a block that varies by less is flat.
_FLOOR = 0.02


def block_consensus(fixed: Level, moving: Level, matrix: np.ndarray, parameters: int) -> float:
    """Return the consensus of the blocks of a level, 0 to about 300: 4 is one chance in ten thousand.

    Args:
        fixed, moving: a level of both images, of a variance of about one.
        matrix: (3, 3), fixed -> moving, full-resolution pixels.
        parameters: of the model.
    """
    surfaces = _surfaces(fixed, moving, matrix * level_scale(fixed.factor))
    if not len(surfaces):
        return 0.0
    shift = torch.arange(-_REACH, _REACH + 1, dtype=surfaces.dtype, device=surfaces.device)
    y, x = (each.flatten() for each in torch.meshgrid(shift, shift, indexing="ij"))
    best, index = surfaces.flatten(1).max(dim=1)
    far = torch.hypot(y - y[index][:, None], x - x[index][:, None]) > _OTHER_PX
    other = surfaces.flatten(1).masked_fill(~far, -1).amax(dim=1)
    decides = (best > 0) & (other <= _MAX_OTHER_SHARE * best)
    same = torch.hypot(y, x) <= _SAME_PX
    count, hits = (
        round(_SHARE * int(each.sum())) - math.ceil(parameters / 2) for each in (decides, decides & same[index])
    )
    return significance(hits, count, float(same.sum()) / same.numel())


def _surfaces(fixed: Level, moving: Level, matrix: np.ndarray) -> Tensor:
    """Return the ZNCC of every block at all shifts, (N, 2 r + 1, 2 r + 1), by the place of its first pixel in y and x.

    Only blocks count that lie with all their surroundings of r pixels in both images.

    Args:
        fixed, moving: the level.
        matrix: (3, 3), fixed -> moving, pixels of the level.
    """
    pull, side, count = torch.from_numpy(matrix), _BLOCK + 2 * _REACH, 2 * _REACH + 1
    warped, _ = Sampler(moving.image, Interpolation.LINEAR).warped(pull, fixed.shape)
    x, y = coordinates(pull.to(warped), fixed.shape)
    valid = fixed.mask & inside(None if bool(moving.mask.all()) else moving.mask, moving.shape, x, y)
    rows, columns = (axis.nonzero()[:, 0].tolist() or [0] for axis in (valid.any(dim=1), valid.any(dim=0)))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    f, m, outside = fixed.image[0, 0][part], warped[0][part], (~valid)[part].to(warped)
    if min(f.shape) < side:
        return f.new_empty(0, count, count)
    whole = _parts(outside, side).amax(dim=(1, 2)) == 0
    if not bool(whole.any()):
        return f.new_empty(0, count, count)
    blocks = _parts(f[_REACH:-_REACH, _REACH:-_REACH], _BLOCK)[whole]
    regions = _parts(m, side)[whole]
    variance = _parts(window_variance(m, _BLOCK) / _BLOCK**2, count)[whole].clamp_min(0)
    blocks = blocks - blocks.mean(dim=(1, 2), keepdim=True)
    regions = regions - regions.mean(dim=(1, 2), keepdim=True)
    spectra = torch.fft.rfft2(regions) * torch.fft.rfft2(blocks, s=(side, side)).conj()
    covariance = torch.fft.irfft2(spectra, s=(side, side))[:, :count, :count] / _BLOCK**2
    own = blocks.square().mean(dim=(1, 2))[:, None, None]
    surfaces: Tensor = covariance / ((own + _FLOOR) * (variance + _FLOOR)).sqrt()
    return surfaces


def _parts(plane: Tensor, side: int) -> Tensor:
    """Return the squares (N, side, side) of a plane (H, W) that begin every `_STEP` pixels."""
    squares = plane.unfold(0, side, _STEP).unfold(1, side, _STEP)
    return squares.reshape(-1, side, side)


def significance(hits: int, count: int, chance: float) -> float:
    """Return -log10 of the probability of at least so many hits among ``count``, each of probability ``chance``.

    In logarithms: of some hundred hits the probability itself is no float64 any more.
    """
    if hits <= 0:
        return 0.0
    k = range(hits, count + 1)
    logs = np.array([math.lgamma(count + 1) - math.lgamma(i + 1) - math.lgamma(count - i + 1) for i in k])
    logs += np.array(k) * math.log(chance) + (count - np.array(k)) * math.log1p(-chance)
    return max(0.0, -float(np.logaddexp.reduce(logs)) / math.log(10))
